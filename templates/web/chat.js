// The conversation: asking, showing what comes, stopping, asking again, keeping it.

import { $, announce, copy, setText } from "./dom.js";
import { FAMILIES, NAMES, ask } from "./families.js";
import { showMarkdown } from "./markdown.js";
import { chooseModel, chosen, isModel, onChoice } from "./models.js";
import { STATUS_COMMAND, hurry, poll } from "./status.js";
import { forgetChat, keepChat, keepKey, keptChat, keptKey } from "./storage.js";
import { wordsForPlace } from "./words.js";

const chat = { messages: [], running: null, forgotten: [] };
const VALUES = ["temperature", "top_p", "top_k", "min_p", "max_tokens"];
const FIELDS = ["system", ...VALUES];

function family() {
  return document.querySelector('input[name="family"]:checked').value;
}

function save() {
  const fields = Object.fromEntries(FIELDS.map((id) => [id, $(id).value]));
  keepChat({ messages: chat.messages, model: chosen, family: family(), fields });
}

function restore() {
  const kept = keptChat();
  for (const id of FIELDS) $(id).value = kept.fields?.[id] ?? "";
  if (FIELDS.some((id) => $(id).value)) document.querySelector(".options").open = true;
  if (kept.family in FAMILIES) document.querySelector(`input[value="${kept.family}"]`).checked = true;
  if (isModel(kept.model)) chooseModel(kept.model);
  // A tab that began with another's conversation has its own from now on.
  if (kept.messages) keepChat(kept);
  for (const message of kept.messages ?? []) addMessage(message);
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
  const stick = isAtEnd();
  $("transcript").append(node);
  showMessage(view);
  tidyTranscript();
  if (stick) scrollToEnd();
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
  text.classList.toggle("writing", message.running === true);
  node.querySelector(".thought").hidden = !message.thought;
  setText(node.querySelector(".thought p"), message.thought ?? "");
  setText(node.querySelector(".figures"), message.place ?? message.figures ?? "");
  node.querySelector(".copy").hidden = message.running || !message.text;
  if (stick) scrollToEnd();
}

function scrollToEnd() {
  $("transcript").scrollTop = $("transcript").scrollHeight;
}

function isAtEnd() {
  const list = $("transcript");
  return list.scrollHeight - list.scrollTop - list.clientHeight < 60;
}

function tidyTranscript() {
  $("transcript").hidden = $("clear").hidden = !chat.messages.length;
  $("undo").hidden = !chat.forgotten.length;
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

function figures({ tokens, reused, pieces, first, last, began, cut, stopped, through }) {
  const words = [];
  const count = tokens ?? pieces;
  if (count) words.push(`${tokens === undefined ? "about " : ""}${count} ${count === 1 ? "token" : "tokens"}`);
  // Less than that is one piece of the network's, and says nothing of the model's speed.
  if (count > 1 && last - first > 50) words.push(`${(((count - 1) * 1000) / (last - first)).toFixed(1)} tokens/s`);
  if (first) words.push(`first after ${((first - began) / 1000).toFixed(2)} s`);
  if (reused) words.push(`reused ${reused}`);
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
    await ask(through, asked, chat.running.signal, ({ text, thought, tokens, reused, cut, position }) => {
      if (position !== undefined) wait(message, position);
      if (text || thought) {
        delete message.place;
        timing.last = performance.now();
        timing.first ??= timing.last;
        timing.pieces += 1;
      }
      message.text += text ?? "";
      if (thought) message.thought = (message.thought ?? "") + thought;
      timing.tokens = tokens ?? timing.tokens;
      timing.reused = reused ?? timing.reused;
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
  delete message.place;
  message.figures = message.error ? `through ${NAMES[through]}` : figures(timing);
  setRunning(null);
  showMessage(view);
  save();
  poll();
}

// Said once: to hear of every step would be chatter.
function wait(message, position) {
  if (!position) return delete message.place;
  if (!message.place) announce(`Your question is ${wordsForPlace(position)}`);
  message.place = wordsForPlace(position);
}

function fail(message, error) {
  // fetch() throws a TypeError where there was no answer at all.
  message.error =
    error instanceof TypeError
      ? `the gateway does not answer: the connection was refused or lost. To fix it: ${STATUS_COMMAND}`
      : error.message;
  announce(message.error);
}

function setRunning(controller) {
  chat.running = controller;
  $("stop").hidden = !controller;
  $("send").hidden = Boolean(controller);
  hurry(Boolean(controller));
  tidyTranscript();
}

function send() {
  const text = $("prompt").value.trim();
  if (!text || chat.running) return;
  $("prompt").value = "";
  chat.forgotten = [];
  scrollToEnd();
  addMessage({ role: "user", text });
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

function forget() {
  stop();
  chat.forgotten = chat.messages;
  chat.messages = [];
  $("transcript").replaceChildren();
  tidyTranscript();
  forgetChat();
  announce("The conversation is forgotten; until you ask something or leave, it can be brought back");
  $("prompt").focus();
}

function bringBack() {
  const messages = chat.forgotten;
  chat.forgotten = [];
  messages.forEach(addMessage);
  save();
  announce("The conversation is back");
  $("prompt").focus();
}

function promptKey(event) {
  // While an input method composes, Enter belongs to it.
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  send();
}

function startKey() {
  if (!$("key")) return;
  $("key").value = keptKey();
  $("key").addEventListener("change", () => {
    keepKey($("key").value);
    poll();
  });
}

// One Enter asks the question that stands there; on a touch screen this would open the keyboard.
function invite() {
  const isFree = document.activeElement === document.body;
  if (location.hash || !isFree || !matchMedia("(pointer: fine)").matches) return;
  $("prompt").focus({ preventScroll: true });
  $("prompt").select();
}

export function start() {
  $("composer").addEventListener("submit", (event) => {
    event.preventDefault();
    send();
  });
  $("prompt").addEventListener("keydown", promptKey);
  document.addEventListener("keydown", (event) => event.key === "Escape" && chat.running && stop());
  $("stop").addEventListener("click", stop);
  $("clear").addEventListener("click", forget);
  $("undo").addEventListener("click", bringBack);
  for (const id of FIELDS) $(id).addEventListener("change", save);
  for (const radio of document.querySelectorAll('input[name="family"]')) radio.addEventListener("change", save);
  onChoice(save);
  startKey();
  restore();
  invite();
}
