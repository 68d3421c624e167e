// The requests that have ended, and a line of the tokens a second that the engine made lately.

import { $, request, setText } from "./dom.js";
import { onReport } from "./status.js";
import { textOf } from "./texts.js";

const SHOWN = 10;
const SAMPLES = 120; // of the line, one a report
let ended = [];
let isWhole = false;
const rates = [];

const seconds = (value) => (value === null ? "–" : `${value.toFixed(value < 10 ? 2 : 0)} s`);

function tokensIn({ prompt_tokens, cached_tokens, miss }) {
  if (prompt_tokens === null) return "–";
  if (cached_tokens) return textOf("server.reused", { tokens: prompt_tokens, cached: cached_tokens });
  return miss ? `${prompt_tokens} (${miss})` : String(prompt_tokens);
}

function row(one) {
  const node = $("ended-row").content.firstElementChild.cloneNode(true);
  const words = {
    at: new Date(one.at * 1000).toLocaleTimeString(),
    client: one.client || "–",
    asked: one.model ?? "–",
    in: tokensIn(one),
    out: one.answer_tokens === null ? "–" : String(one.answer_tokens),
    first: seconds(one.first_s),
    rate: one.tokens_per_s === null ? "–" : `${one.tokens_per_s}/s`,
    took: seconds(one.seconds),
    outcome: one.text,
  };
  for (const [name, text] of Object.entries(words)) setText(node.querySelector(`.${name}`), text);
  return node;
}

function show() {
  $("ended-rows").replaceChildren(...ended.slice(0, isWhole ? ended.length : SHOWN).map(row));
  $("ended").hidden = !ended.length;
  $("no-ended").hidden = ended.length > 0;
  $("more-ended").hidden = ended.length <= SHOWN;
  setText($("more-ended"), isWhole ? textOf("server.fewer") : textOf("server.all", { count: ended.length }));
}

async function load() {
  if (!$("server").checkVisibility()) return;
  const answer = await request("/activity.json");
  if (!answer.ok) return;
  const { requests } = await answer.json();
  if (requests[0]?.id === ended[0]?.id && requests.length === ended.length) return;
  ended = requests;
  show();
}

const made = ({ engine }) => Object.values(engine?.tokens ?? {}).reduce((sum, counts) => sum + counts.answer, 0);

function follow(next, before) {
  load().catch(() => {});
  if (!before || next.at - before.at < 200) return;
  rates.push(Math.max(0, ((made(next) - made(before)) * 1000) / (next.at - before.at)));
  if (rates.length > SAMPLES) rates.shift();
  const most = Math.max(...rates);
  $("rates").hidden = !most;
  const points = rates.map((rate, index) => `${(600 * index) / (SAMPLES - 1)},${most ? 58 - (56 * rate) / most : 58}`);
  $("rates-line").setAttribute("points", points.join(" "));
  setText($("rates-words"), textOf("server.rates", { now: rates.at(-1).toFixed(0), most: most.toFixed(0) }));
}

export function start() {
  onReport(follow);
  addEventListener("hashchange", () => load().catch(() => {}));
  $("more-ended").addEventListener("click", () => {
    isWhole = !isWhole;
    show();
  });
}
