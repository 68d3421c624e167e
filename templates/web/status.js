// How the server is: the verdict and the programs, asked for again and again.

import { $, request, setText } from "./dom.js";
import { MARKS, wordsForBytes, wordsForSeconds } from "./figures.js";
import { textOf } from "./texts.js";

// As people call local-ai here, which the page's HTML tells.
export const STATUS_COMMAND = document.body.dataset.statusCommand;
const START_COMMAND = document.body.dataset.startCommand;
const VERDICT = ["word", "rest", "why", "fix-words", "said"];

export let report = null; // the latest /status.json, null until the first
const listeners = [];
let lastSeen = Date.now(); // when the gateway last answered
let pollTimer = 0;
let hurried = false;

// `listener` hears each report and the one before it, null the first time.
export function onReport(listener) {
  listeners.push(listener);
}

// While an answer runs there is more to see.
export function hurry(isHurried) {
  hurried = isHurried;
}

function showVerdict({ health, word, rest, why, fix_words: words = "", command = "", see = "", lang = "en" }) {
  for (const id of VERDICT) $(id).lang = lang;
  $("verdict").dataset.health = health;
  setText($("mark"), MARKS[health]);
  setText($("word"), `${word}:`);
  setText($("rest"), rest);
  setText($("why"), why);
  setText($("see"), see);
  setText($("fix-words"), words && command ? `${words}: ` : words);
  setText($("fix-command"), command);
  $("fix-copy").hidden = !command;
  const fix = words || command;
  for (const [name, text] of Object.entries({ why, fix, see })) $(`${name}-row`).hidden = !text;
  $("trouble").hidden = !why && !fix;
  $("calm-diagnostics").hidden = !$("trouble").hidden;
  document.title = `${MARKS[health]} ${word} · local-ai`;
  // Seconds that pass are no news: said again only when more than a number has changed.
  const sentence = `${word}: ${rest}`;
  const said = sentence.replace(/\d+/g, "#");
  if ($("said").dataset.said !== said) {
    if ($("said").dataset.said) setText($("said"), sentence);
    $("said").dataset.said = said;
  }
}

function showProgram(row, program) {
  const badge = row.querySelector(".badge");
  badge.dataset.health = program.readiness;
  setText(badge.querySelector(".mark"), MARKS[program.readiness]);
  setText(badge.querySelector(".word"), textOf(`states.${program.readiness}`));
  setText(row.querySelector(".state"), textOf(`states.${program.state.toLowerCase()}`));
  setText(row.querySelector(".detail"), program.detail);
  setText(row.querySelector(".uptime"), wordsForSeconds(program.uptime_s));
  setText(row.querySelector(".restarts"), String(program.restarts));
  setText(row.querySelector(".memory"), wordsForBytes(program.memory_bytes));
}

function showPrograms(programs) {
  const body = $("program-rows");
  for (const program of programs) {
    let row = body.querySelector(`[data-program="${program.name}"]`);
    if (!row) {
      row = $("program-row").content.firstElementChild.cloneNode(true);
      row.dataset.program = program.name;
      row.querySelector(".program").textContent = program.name;
      row.querySelector(".role").textContent = textOf(`server.${program.name}`);
      row.querySelector("a").href = `/logs/${program.name}`;
      body.append(row);
    }
    showProgram(row, program);
  }
  $("no-programs").hidden = programs.length > 0;
  for (const row of body.querySelectorAll("[data-program]")) {
    row.hidden = !programs.some(({ name }) => name === row.dataset.program);
  }
}

async function showTroubleLog({ verdict, programs }) {
  const program = verdict.health === "unhealthy" && programs.find(({ log }) => log === verdict.see);
  if (!program) {
    $("trouble-log").hidden = true;
    return;
  }
  const answer = await request(`/logs/${program.name}?lines=12`);
  const lines = answer.ok ? (await answer.text()).trimEnd() : "";
  setText($("trouble-lines"), lines);
  $("trouble-log").hidden = !lines;
  $("trouble-lines").scrollTop = $("trouble-lines").scrollHeight;
}

function showStatus(next) {
  const before = report;
  report = next;
  next.at = performance.now();
  showVerdict(next.verdict);
  showPrograms(next.programs);
  showLive(next, before);
  if (!before || before.verdict.sentence !== next.verdict.sentence) showTroubleLog(next).catch(() => {});
  for (const listener of listeners) listener(next, before);
}

// The one line of now, the same words as gateway/web/view.py; the rate needs two reports.
function showLive({ engine, programs, queue, at, default_model: usual }, before) {
  const words = [];
  if (engine?.model && engine.model !== usual) words.push(textOf("status.in_memory", engine));
  const total = (name, tokens = {}) => Object.values(tokens).reduce((sum, counts) => sum + (counts[name] ?? 0), 0);
  const seconds = before ? (at - before.at) / 1000 : 0;
  const made = before ? total("answer", engine?.tokens) - total("answer", before.engine?.tokens) : 0;
  if (engine?.running && made > 0 && seconds > 0.2) words.push(textOf("status.rate", { rate: (made / seconds).toFixed(1) }));
  const read = total("prompt", engine?.tokens);
  if (read) words.push(textOf("status.reused", { percent: Math.round((100 * total("cached", engine.tokens)) / read) }));
  const memory = programs.reduce((sum, program) => sum + (program.memory_bytes ?? 0), 0);
  if (memory) words.push(textOf("status.memory", { size: wordsForBytes(memory) }));
  if (queue?.running || queue?.waiting) words.push(textOf("status.queue", queue));
  setText($("live"), words.join(" · "));
}

function showGone() {
  const since = new Date(lastSeen).toLocaleTimeString();
  showVerdict({
    health: "unknown",
    word: textOf("status.unknown"),
    rest: textOf("status.gone", { time: since }),
    why: textOf("status.gone_why"),
    fix_words: textOf("status.gone_fix"),
    lang: document.documentElement.lang,
    command: START_COMMAND,
  });
  setText($("live"), "");
  $("trouble-log").hidden = true;
  const unknown = { state: "unknown", readiness: "unknown", detail: "", uptime_s: null, memory_bytes: null };
  if (report) showPrograms(report.programs.map((program) => ({ ...program, ...unknown })));
}

function showLocked() {
  showVerdict({
    health: "unknown",
    word: textOf("status.unknown"),
    rest: textOf("status.locked"),
    why: textOf("status.locked_why"),
    fix_words: textOf("status.locked_fix"),
    lang: document.documentElement.lang,
  });
}

export async function poll() {
  clearTimeout(pollTimer);
  let pause = 1000;
  try {
    const answer = await request("/status.json", { signal: AbortSignal.timeout(8000) });
    if (answer.status === 401) showLocked();
    else if (!answer.ok) throw new Error(String(answer.status));
    else showStatus(await answer.json());
    lastSeen = Date.now();
    setText($("seen"), textOf("status.seen", { time: new Date().toLocaleTimeString() }));
    if (report?.verdict.health === "healthy" && !hurried) pause = 2500;
  } catch {
    showGone();
  }
  pollTimer = setTimeout(poll, document.hidden ? 15000 : pause);
}

export function start() {
  document.addEventListener("visibilitychange", () => document.hidden || poll());
  poll();
}
