// The live tail of a program's log.

import { $, copy, request, setText } from "./dom.js";
import { failure, readEvents } from "./families.js";
import { textOf } from "./texts.js";

const MOST_LINES = 2000;
const log = { reading: null, lines: [], paused: false, missed: 0, frame: 0 };

function showLog() {
  log.frame = 0;
  if (log.paused) return;
  const words = $("log-filter").value.toLowerCase();
  const stick = $("log").scrollHeight - $("log").scrollTop - $("log").clientHeight < 60;
  setText($("log"), log.lines.filter((line) => line.toLowerCase().includes(words)).join("\n"));
  if (stick) $("log").scrollTop = $("log").scrollHeight;
}

function drawLog() {
  log.frame ||= requestAnimationFrame(showLog);
}

function addLogLine(line) {
  log.lines.push(line);
  if (log.lines.length > MOST_LINES) log.lines.shift();
  if (log.paused) setText($("log-state"), textOf("server.log_missed", { count: ++log.missed }));
  drawLog();
}

function startLog() {
  log.lines.length = 0;
  if (!log.paused) setText($("log-state"), textOf("server.log_live"));
  drawLog();
}

// Not an EventSource, which could not bring a key.
async function readLog(signal) {
  const answer = await request(`/logs/${$("log-program").value}/stream?lines=300`, { signal });
  if (!answer.ok) throw await failure(answer);
  for await (const { name, data } of readEvents(answer.body)) {
    if (data === undefined) continue;
    if (name === "start") startLog();
    else addLogLine(data);
  }
}

async function openLog() {
  log.reading?.abort();
  const { signal } = (log.reading = new AbortController());
  while (!signal.aborted && $("log-view").open && !document.hidden) {
    await readLog(signal).catch(() => {});
    if (signal.aborted) return;
    setText($("log-state"), textOf("server.log_lost"));
    await new Promise((done) => setTimeout(done, 1000));
  }
}

function pauseLog() {
  log.paused = !log.paused;
  log.missed = 0;
  $("log-pause").setAttribute("aria-pressed", String(log.paused));
  setText($("log-pause"), textOf(log.paused ? "server.continue" : "server.pause"));
  setText($("log-state"), textOf(log.paused ? "server.log_paused" : "server.log_live"));
  drawLog();
}

export function start() {
  $("log-view").addEventListener("toggle", openLog);
  $("log-program").addEventListener("change", openLog);
  $("log-filter").addEventListener("input", drawLog);
  $("log-copy").addEventListener("click", ({ target }) => copy(target, $("log").textContent));
  $("log-pause").addEventListener("click", pauseLog);
  document.addEventListener("visibilitychange", openLog);
}
