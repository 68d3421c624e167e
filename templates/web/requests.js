// What the server has to do: the requests that run and wait, and the models that are marked.

import { $, element, setText } from "./dom.js";
import { onReport } from "./status.js";
import { MARKS, wordsForSeconds } from "./figures.js";
import { textOf } from "./texts.js";

function requestRow(id) {
  const row = $("request-row").content.firstElementChild.cloneNode(true);
  row.dataset.request = id;
  $("request-rows").append(row);
  return row;
}

function showRequest(row, { state, position, model, path, seconds }) {
  const badge = row.querySelector(".badge");
  badge.dataset.health = state;
  setText(badge.querySelector(".mark"), MARKS[state] ?? "?");
  setText(badge.querySelector(".word"), textOf(`states.${state}`));
  setText(row.querySelector(".place"), position === null ? "–" : String(position));
  setText(row.querySelector(".asked"), model ?? "–");
  setText(row.querySelector(".path"), path);
  setText(row.querySelector(".seconds"), wordsForSeconds(seconds));
}

function showRequests(requests) {
  const body = $("request-rows");
  const rows = new Map([...body.children].map((row) => [row.dataset.request, row]));
  requests.forEach((request, index) => {
    const row = rows.get(request.id) ?? requestRow(request.id);
    rows.delete(request.id);
    showRequest(row, request);
    if (body.children[index] !== row) body.insertBefore(row, body.children[index]);
  });
  for (const row of rows.values()) row.remove();
}

// The same words as gateway/view.py.
function summary({ running, waiting, max_concurrency, max_queue, longest_wait_s, requests }) {
  const words = [textOf("server.queue", { running, max_running: max_concurrency, waiting, max_waiting: max_queue })];
  if (waiting) words.push(textOf("server.longest", { time: wordsForSeconds(longest_wait_s) }));
  const more = running + waiting - requests.filter(({ state }) => state !== "held").length;
  if (more > 0) words.push(textOf("server.not_listed", { count: more }));
  return `${words.join("; ")}.`;
}

function showMarked(marked) {
  $("marked").hidden = !marked.length;
  const rows = marked.map(({ model, reason, since }) => {
    const at = new Date(since * 1000).toLocaleTimeString("en-GB", { timeStyle: "short" });
    return element("div", [element("dt", [model]), element("dd", [textOf("server.marked_since", { reason, time: at })])]);
  });
  $("marked-models").replaceChildren(...rows);
}

function showQueue({ queue }, before) {
  $("no-requests").hidden = Boolean(queue?.requests.length);
  if (queue) setText($("queue-words"), summary(queue));
  showRequests(queue?.requests ?? []);
  const marked = queue?.marked_models ?? [];
  if (JSON.stringify(marked) !== JSON.stringify(before?.queue?.marked_models ?? [])) showMarked(marked);
}

export function start() {
  onReport(showQueue);
}
