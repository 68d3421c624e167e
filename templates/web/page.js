// The welcome page's behaviour. The server sends a complete page; this keeps it true and adds the chat.
// It reads /status.json, /v1/models, /logs/… and the two APIs; it never builds HTML from strings.

const $ = (id) => document.getElementById(id);
const MARKS = { healthy: "✓", ready: "✓", busy: "◐", starting: "…", unhealthy: "✕", unknown: "?", stopped: "■" };
const STORE = "local-ai.chat";
const KEY_STORE = "local-ai.key";

function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function element(name, children = [], properties = {}) {
  const node = Object.assign(document.createElement(name), properties);
  node.append(...children);
  return node;
}

function announce(text) {
  setText($("announce"), text);
}

// Every request of the page brings the key, where the server asks for one; it is kept for this tab only.
function request(path, options = {}) {
  const key = $("key")?.value;
  const headers = { ...options.headers, ...(key && { Authorization: `Bearer ${key}` }) };
  return fetch(path, { cache: "no-store", ...options, headers });
}

async function copy(button, text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Without https only loopback names may use the clipboard; the old way works everywhere.
    const area = element("textarea", [], { value: text, className: "unseen" });
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  const label = button.textContent;
  button.textContent = "Copied";
  announce("Copied");
  setTimeout(() => (button.textContent = label), 1500);
}

// ---- Status ----------------------------------------------------------------------------------------

let report = null; // the latest /status.json, null until the first
let lastSeen = Date.now(); // when the gateway last answered
let pollTimer = 0;

function wordsForSeconds(seconds) {
  if (seconds === null) return "–";
  const [minutes, hours, days] = [60, 3600, 86400].map((unit) => Math.floor(seconds / unit));
  if (days) return `${days} d ${hours % 24} h`;
  if (hours) return `${hours} h ${minutes % 60} min`;
  return minutes ? `${minutes} min` : `${Math.floor(seconds)} s`;
}

function wordsForBytes(size) {
  if (size === null) return "–";
  return size >= 1e9 ? `${(size / 1e9).toFixed(1)} GB` : `${Math.round(size / 1e6)} MB`;
}

function showVerdict({ health, sentence, why, fix, see }) {
  const colon = sentence.indexOf(": ") + 1;
  const word = colon ? sentence.slice(0, colon) : sentence;
  $("verdict").dataset.health = health;
  setText($("mark"), MARKS[health]);
  setText($("word"), word);
  setText($("rest"), colon ? sentence.slice(colon + 1) : "");
  setText($("why"), why);
  setText($("see"), see);
  const command = fix.includes("inv ") ? fix.indexOf("inv ") : fix.length;
  setText($("fix").firstElementChild, fix.slice(0, command));
  setText($("fix").lastElementChild, fix.slice(command));
  for (const [name, text] of Object.entries({ why, fix, see })) $(`${name}-row`).hidden = !text;
  $("trouble").hidden = !why && !fix;
  document.title = `${MARKS[health]} ${word.replace(":", "")} · local-ai`;
  // Seconds that pass are no news: said again only when more than a number has changed.
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
  setText(badge.querySelector(".word"), program.readiness);
  setText(row.querySelector(".state"), program.state.toLowerCase());
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
      row.querySelector(".name").textContent = program.name;
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
  showVerdict(next.verdict);
  showPrograms(next.programs);
  if (!before || before.verdict.sentence !== next.verdict.sentence) showTroubleLog(next).catch(() => {});
  if (!before || before.models.join("\n") !== next.models.join("\n")) loadModels().catch(() => {});
}

function showGone() {
  const since = new Date(lastSeen).toLocaleTimeString();
  showVerdict({
    health: "unknown",
    sentence: `Unknown: the gateway has not answered since ${since}`,
    why: `this page asks ${location.origin}/status.json every second and gets no answer`,
    fix: "inv server.status",
    see: "",
  });
  $("trouble-log").hidden = true;
  const unknown = { state: "unknown", readiness: "unknown", detail: "", uptime_s: null, memory_bytes: null };
  if (report) showPrograms(report.programs.map((program) => ({ ...program, ...unknown })));
}

function showLocked() {
  showVerdict({
    health: "unknown",
    sentence: "Unknown: the server tells its state to nobody without a key",
    why: "this page was opened from another machine, and the server has API keys (server.api_keys)",
    fix: "enter a key above the chat",
    see: "",
  });
}

async function poll() {
  clearTimeout(pollTimer);
  let pause = 1000;
  try {
    const answer = await request("/status.json", { signal: AbortSignal.timeout(8000) });
    if (answer.status === 401) showLocked();
    else if (!answer.ok) throw new Error(String(answer.status));
    else showStatus(await answer.json());
    lastSeen = Date.now();
    setText($("seen"), `Seen at ${new Date().toLocaleTimeString()}.`);
    if (report?.verdict.health === "healthy" && !chat.running) pause = 2500;
  } catch {
    showGone();
  }
  pollTimer = setTimeout(poll, document.hidden ? 15000 : pause);
}

// ---- Models ----------------------------------------------------------------------------------------

const MANY = 10;
let models = [...$("model").options].map((option) => option.value).filter(Boolean);
let chosen = $("model").value;

function showModels(ids) {
  const picked = ids.includes(chosen) ? chosen : "";
  $("model").replaceChildren(...ids.map((id) => element("option", [id], { value: id, selected: id === picked })));
}

function chooseModel(id) {
  chosen = id;
  $("model-search").value = "";
  $("model").removeAttribute("size");
  showModels(models);
  for (const node of document.querySelectorAll(".snippet .model")) setText(node, id || "MODEL");
  save();
}

function searchModels() {
  const words = $("model-search").value.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.length) return chooseModel(chosen);
  const found = models.filter((id) => words.every((word) => id.toLowerCase().includes(word)));
  showModels(found);
  $("model").size = Math.max(2, Math.min(8, found.length));
  announce(`${found.length} of ${models.length} models`);
}

async function loadModels() {
  const answer = await request("/v1/models");
  models = (await answer.json()).data.map(({ id }) => id);
  $("model-search").hidden = models.length <= MANY;
  if (!models.includes(chosen)) chosen = report?.default_model ?? models[0] ?? "";
  if ($("model-search").value) searchModels();
  else chooseModel(chosen);
}

$("model").addEventListener("change", () => chooseModel($("model").value));
$("model-search").addEventListener("input", searchModels);
$("model-search").addEventListener("keydown", (event) => {
  if (event.key === "Escape") chooseModel(chosen);
  if (event.key === "ArrowDown") $("model").focus();
  if (event.key !== "Enter") return;
  event.preventDefault();
  if ($("model").options.length) chooseModel($("model").options[0].value);
  $("prompt").focus();
});

// ---- The two API families --------------------------------------------------------------------------

const FAMILIES = {
  openai: {
    path: "/v1/chat/completions",
    body: (messages, system, values) => ({
      ...values,
      messages: system ? [{ role: "system", content: system }, ...messages] : messages,
      stream: true,
      stream_options: { include_usage: true },
    }),
    read: (event) => {
      const choice = event.choices?.[0];
      return {
        text: choice?.delta?.content,
        thought: choice?.delta?.reasoning_content ?? choice?.delta?.reasoning,
        tokens: event.usage?.completion_tokens,
        cut: choice?.finish_reason === "length",
      };
    },
  },
  anthropic: {
    path: "/anthropic/v1/messages",
    body: (messages, system, values) => ({ ...values, messages, ...(system && { system }), stream: true }),
    read: (event) => ({
      text: event.delta?.text,
      thought: event.delta?.thinking,
      tokens: event.type === "message_delta" ? event.usage?.output_tokens : undefined,
      cut: event.delta?.stop_reason === "max_tokens",
    }),
  },
};
const NAMES = { openai: "OpenAI", anthropic: "Anthropic" };

// Yields the server-sent events of a body as {name, data}; comments are left out.
async function* readEvents(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const blocks = (rest + value).split(/\r?\n\r?\n/);
      rest = blocks.pop();
      for (const block of blocks) {
        const fields = block.split(/\r?\n/).map((line) => line.match(/^(event|data): ?(.*)$/) ?? []);
        const values = (name) => fields.filter((field) => field[1] === name).map((field) => field[2]);
        if (values("data").length) yield { name: values("event")[0], data: values("data").join("\n") };
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

async function failure(answer) {
  const body = await answer.json().catch(() => null);
  return new Error(body?.error?.message ?? `the server answered ${answer.status} ${answer.statusText}`);
}

// Streams one answer; `tell` hears of each piece: {text, thought, tokens, cut}, absent where nothing came.
async function ask(family, question, signal, tell) {
  const { path, body, read } = FAMILIES[family];
  const answer = await request(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body(question.messages, question.system, question.values)),
    signal,
  });
  if (!answer.ok) throw await failure(answer);
  for await (const { data } of readEvents(answer.body)) {
    if (data === "[DONE]") continue;
    const event = JSON.parse(data);
    if (event.error) throw new Error(event.error.message ?? String(event.error));
    tell(read(event));
  }
}

// ---- Chat ------------------------------------------------------------------------------------------

const chat = { messages: [], running: null };
const VALUES = ["temperature", "top_p", "top_k", "max_tokens"];
const FIELDS = ["system", ...VALUES];

function family() {
  return document.querySelector('input[name="family"]:checked').value;
}

function save() {
  const fields = Object.fromEntries(FIELDS.map((id) => [id, $(id).value]));
  try {
    localStorage.setItem(STORE, JSON.stringify({ messages: chat.messages, model: chosen, family: family(), fields }));
  } catch {
    // No storage, or full: the conversation then lives as long as the page.
  }
}

function restore() {
  let stored = {};
  try {
    stored = JSON.parse(localStorage.getItem(STORE)) ?? {};
  } catch {
    return;
  }
  for (const id of FIELDS) $(id).value = stored.fields?.[id] ?? "";
  document.querySelector(".options").open = FIELDS.some((id) => $(id).value);
  if (stored.family in FAMILIES) document.querySelector(`input[value="${stored.family}"]`).checked = true;
  if (models.includes(stored.model)) chooseModel(stored.model);
  for (const message of stored.messages ?? []) addMessage(message);
  if (chat.messages.length) $("prompt").value = "";
}

function addMessage(message) {
  const node = $("message").content.firstElementChild.cloneNode(true);
  const view = { message, node };
  chat.messages.push(message);
  node.classList.add(message.role);
  node.querySelector(".who").textContent = message.role === "user" ? "You" : message.model;
  node.querySelector(".copy").addEventListener("click", (event) => copy(event.target, message.text));
  node.querySelector(".again").addEventListener("click", askAgain);
  $("transcript").append(node);
  showMessage(view);
  tidyTranscript();
  return view;
}

function showMessage({ message, node }) {
  const stick = isAtEnd();
  const [text, error] = [node.querySelector(".text"), node.querySelector(".error")];
  if (message.role === "user") setText(text, message.text);
  else showMarkdown(text, message.text);
  text.hidden = !message.text && !message.running;
  setText(error, message.error ?? "");
  error.hidden = !message.error;
  text.classList.toggle("waiting", message.running === true);
  node.querySelector(".thought").hidden = !message.thought;
  setText(node.querySelector(".thought p"), message.thought ?? "");
  setText(node.querySelector(".figures"), message.figures ?? "");
  node.querySelector(".copy").hidden = message.running || !message.text;
  if (stick) $("transcript").scrollTop = $("transcript").scrollHeight;
}

function isAtEnd() {
  const list = $("transcript");
  return list.scrollHeight - list.scrollTop - list.clientHeight < 60;
}

function tidyTranscript() {
  $("transcript").hidden = $("clear").hidden = !chat.messages.length;
  const last = $("transcript").lastElementChild;
  for (const button of $("transcript").querySelectorAll(".again")) {
    const isLast = button.closest("li") === last && last.classList.contains("assistant");
    button.hidden = !isLast || chat.running !== null;
  }
}

function question() {
  const values = { model: chosen };
  for (const id of VALUES) if ($(id).value) values[id] = Number($(id).value);
  const messages = chat.messages
    .filter(({ role, text }) => role === "user" || text)
    .map(({ role, text }) => ({ role, content: text }));
  return { messages, system: $("system").value.trim(), values };
}

function figures({ tokens, pieces, first, last, began, cut, stopped, through }) {
  const words = [];
  const count = tokens ?? pieces;
  if (count) words.push(`${tokens === undefined ? "about " : ""}${count} ${count === 1 ? "token" : "tokens"}`);
  // Less than that is one piece of the network's, and says nothing of the model's speed.
  if (count > 1 && last - first > 50) words.push(`${(((count - 1) * 1000) / (last - first)).toFixed(1)} tokens/s`);
  if (first) words.push(`first after ${((first - began) / 1000).toFixed(2)} s`);
  if (cut) words.push("cut at the most tokens");
  if (stopped) words.push("stopped");
  return [...words, `through ${NAMES[through]}`].join(" · ");
}

async function run() {
  const asked = question();
  const through = family();
  const message = { role: "assistant", model: chosen || "no model", text: "", running: true };
  const timing = { began: performance.now(), pieces: 0, through };
  const view = addMessage(message);
  let frame = 0;
  setRunning(new AbortController());
  try {
    await ask(through, asked, chat.running.signal, ({ text, thought, tokens, cut }) => {
      if (text || thought) {
        timing.last = performance.now();
        timing.first ??= timing.last;
        timing.pieces += 1;
      }
      message.text += text ?? "";
      if (thought) message.thought = (message.thought ?? "") + thought;
      timing.tokens = tokens ?? timing.tokens;
      timing.cut ||= cut;
      frame ||= requestAnimationFrame(() => {
        frame = 0;
        showMessage(view);
      });
    });
    announce("The answer is complete");
  } catch (error) {
    timing.stopped = chat.running.signal.aborted;
    if (!timing.stopped) fail(message, error);
  }
  cancelAnimationFrame(frame);
  delete message.running;
  message.figures = message.error ? `through ${NAMES[through]}` : figures(timing);
  setRunning(null);
  showMessage(view);
  save();
  poll();
}

function keepKey() {
  sessionStorage.setItem(KEY_STORE, $("key").value);
  poll();
}

function fail(message, error) {
  // fetch() throws a TypeError where there was no answer at all.
  message.error =
    error instanceof TypeError
      ? "the gateway does not answer: the connection was refused or lost. To fix it: inv server.status"
      : error.message;
  announce(message.error);
}

function setRunning(controller) {
  chat.running = controller;
  $("stop").hidden = !controller;
  $("send").hidden = Boolean(controller);
  tidyTranscript();
}

function send() {
  const text = $("prompt").value.trim();
  if (!text || chat.running) return;
  $("prompt").value = "";
  addMessage({ role: "user", text });
  $("transcript").scrollTop = $("transcript").scrollHeight;
  run();
}

function askAgain() {
  if (chat.running || chat.messages.at(-1)?.role !== "assistant") return;
  chat.messages.pop();
  $("transcript").lastElementChild.remove();
  $("prompt").focus();
  run();
}

function stop() {
  chat.running?.abort();
  $("prompt").focus();
}

$("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  send();
});
$("prompt").addEventListener("keydown", (event) => {
  // While an input method composes, Enter belongs to it.
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  send();
});
document.addEventListener("keydown", (event) => event.key === "Escape" && chat.running && stop());
$("stop").addEventListener("click", stop);
$("clear").addEventListener("click", () => {
  stop();
  chat.messages.length = 0;
  $("transcript").replaceChildren();
  tidyTranscript();
  localStorage.removeItem(STORE);
  announce("The conversation is forgotten");
  $("prompt").focus();
});
for (const id of FIELDS) $(id).addEventListener("change", save);
for (const radio of document.querySelectorAll('input[name="family"]')) radio.addEventListener("change", save);

// ---- Markdown: marked finds the structure, we make the nodes; what it takes for HTML stays text ---------

let lexer = null;

async function loadMarkdown() {
  ({ lexer } = await import("/assets/marked.esm.js"));
}

function showMarkdown(node, text) {
  if (!lexer) {
    loadMarkdown().then(() => showMarkdown(node, text), () => {});
    return setText(node, text);
  }
  node.replaceChildren(...lexer(text).map(markdownNode));
}

function markdownNodes(tokens = []) {
  return tokens.map(markdownNode);
}

function markdownNode(token) {
  const inner = () => (token.tokens ? markdownNodes(token.tokens) : [token.text ?? token.raw]);
  switch (token.type) {
    case "space":
    case "def":
      return "";
    case "paragraph":
      return element("p", inner());
    case "heading":
      return element(`h${Math.min(6, token.depth + 2)}`, inner());
    case "blockquote":
      return element("blockquote", inner());
    case "hr":
    case "br":
      return element(token.type);
    case "strong":
    case "em":
    case "del":
      return element(token.type, inner());
    case "codespan":
      return element("code", [token.text]);
    case "code":
      return element("pre", [element("code", [token.text])], { tabIndex: 0 });
    case "list":
      return element(token.ordered ? "ol" : "ul", token.items.map(listItem), token.ordered ? { start: token.start || 1 } : {});
    case "table":
      return markdownTable(token);
    case "link":
    case "image":
      return markdownLink(token);
    default:
      return element("span", inner());
  }
}

function listItem(item) {
  const mark = item.task ? [item.checked ? "☑ " : "☐ "] : [];
  return element("li", [...mark, ...markdownNodes(item.tokens)]);
}

function markdownTable({ header, rows }) {
  const cells = (name, row) => row.map((cell) => element(name, markdownNodes(cell.tokens)));
  const head = element("thead", [element("tr", cells("th", header))]);
  const body = element("tbody", rows.map((row) => element("tr", cells("td", row))));
  return element("div", [element("table", [head, body])], { className: "table", tabIndex: 0 });
}

function markdownLink({ href, text, tokens }) {
  const words = tokens ? markdownNodes(tokens) : [text || href];
  // An answer must not make the browser run or load anything: pictures become links, odd schemes words.
  if (!/^(https?|mailto):/i.test(href)) return element("span", words);
  return element("a", words, { href, target: "_blank", rel: "noopener noreferrer" });
}

// ---- Copy buttons, diagnostics ---------------------------------------------------------------------

for (const button of document.querySelectorAll("[data-copies]")) {
  button.addEventListener("click", () => copy(button, $(button.dataset.copies).textContent));
}
$("copy-diagnostics").addEventListener("click", async ({ target }) => {
  try {
    const diagnostics = await (await request("/diagnostics.json")).json();
    await copy(target, JSON.stringify(diagnostics, null, 2));
  } catch {
    await copy(target, JSON.stringify({ page: location.href, at: new Date(), gateway: "no answer", report }, null, 2));
  }
});

// ---- Logs ------------------------------------------------------------------------------------------

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
  if (log.paused) setText($("log-state"), `paused, ${++log.missed} new`);
  drawLog();
}

function startLog() {
  log.lines.length = 0;
  if (!log.paused) setText($("log-state"), "live");
  drawLog();
}

// Not an EventSource, which could not bring a key.
async function readLog(signal) {
  const answer = await request(`/logs/${$("log-program").value}/stream?lines=300`, { signal });
  if (!answer.ok) throw await failure(answer);
  for await (const { name, data } of readEvents(answer.body)) {
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
    setText($("log-state"), "not connected, trying again");
    await new Promise((done) => setTimeout(done, 1000));
  }
}

$("log-view").addEventListener("toggle", openLog);
$("log-program").addEventListener("change", openLog);
$("log-filter").addEventListener("input", drawLog);
$("log-copy").addEventListener("click", ({ target }) => copy(target, $("log").textContent));
$("log-pause").addEventListener("click", () => {
  log.paused = !log.paused;
  log.missed = 0;
  $("log-pause").setAttribute("aria-pressed", String(log.paused));
  setText($("log-pause"), log.paused ? "Go on" : "Pause");
  setText($("log-state"), log.paused ? "paused" : "live");
  drawLog();
});

// ---- Begin -----------------------------------------------------------------------------------------

document.addEventListener("visibilitychange", () => {
  openLog();
  if (!document.hidden) poll();
});
if ($("key")) {
  $("key").value = sessionStorage.getItem(KEY_STORE) ?? "";
  $("key").addEventListener("change", keepKey);
}
restore();
poll();
// One Enter asks the question that stands there; on a touch screen this would open the keyboard.
if (!location.hash && matchMedia("(pointer: fine)").matches) {
  $("prompt").focus({ preventScroll: true });
  $("prompt").select();
}
