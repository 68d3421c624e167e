// The open conversation: asking, showing what comes, stopping, asking again.

import { add, choose, history, newConversation, shown, titleOf, versions } from "./conversation.js";
import { $, announce, setText } from "./dom.js";
import { FAMILIES, ask } from "./families.js";
import { loadMarkdown } from "./markdown.js";
import { makeMessage, showMessage } from "./message.js";
import { chooseModel, chosen, isModel, onChoice } from "./models.js";
import { canShow, clear, waiting } from "./pictures.js";
import { holdRunning, runsElsewhere, untilEnded } from "./running.js";
import { STATUS_COMMAND, hurry, poll } from "./status.js";
import { all, get, getPicture, keep, keepKey, keepPicture, keptKey, openId, openStorage, setOpenId } from "./storage.js";
import { wordsForPlace } from "./figures.js";
import { textOf } from "./texts.js";

const VALUES = ["temperature", "top_p", "top_k", "min_p", "max_tokens"];
const FIELDS = ["system", ...VALUES];
const SAVE_MS = 1000; // a running answer is kept this often
const STARTER = document.body.dataset.starter;
const STARTER_TOKENS = 512; // the starter model does not always find its end
const PLACE = /^(localhost|127\..*|\[::1\]|.*\.localhost)$/.test(location.hostname) ? textOf("chat.here") : textOf("chat.at", { host: location.hostname });

export let open = newConversation();
let running = null; // the AbortController of the answer that runs
let opened; // once the conversation that the page begins with is shown
let keeping = Promise.resolve();
let queued = 0; // what is kept or followed, and what waits for that
const unkept = new Set(); // conversations with words that are not kept yet
const nodes = new Map(); // of the messages that are shown, by id
const listeners = [];

// `listener` hears each time the open conversation is another one, or has changed.
export function onConversation(listener) {
  listeners.push(listener);
}

export function isRunning() {
  return running !== null;
}

function family() {
  return document.querySelector('input[name="family"]:checked').value;
}

// Keeps the open conversation; `change`, if given, holds all that is new in it, so that no words of it are.
export function save(change) {
  const fields = Object.fromEntries(FIELDS.map((id) => [id, $(id).value]));
  const chosenHere = { fields, model: chosen, family: family() };
  Object.assign(open, chosenHere, change);
  if (!open.messages.length) return inTurn(() => {});
  return keepInTurn(open, change && { ...chosenHere, ...change });
}

// One after the other: each has the revision that the one before wrote.
function inTurn(act) {
  queued += 1;
  keeping = keeping.then(act).finally(() => (queued -= 1));
  return keeping;
}

function keepInTurn(conversation, change) {
  if (!change) unkept.add(conversation);
  return inTurn(() => keepNow(conversation, change));
}

async function keepNow(conversation, change) {
  const isChange = change && !unkept.has(conversation) && !(running && conversation === open);
  try {
    const { kept, isOther } = await keep(conversation, isChange ? change : null);
    if (isOther && isChange) takeOver(kept);
    else {
      Object.assign(conversation, { id: kept.id, revision: kept.revision });
      unkept.delete(conversation);
      if (conversation === open) setOpenId(open.id);
      if (conversation === open && isOther) announce(textOf("conversations.other_tab"));
    }
    tell();
  } catch {
    announce(textOf("conversations.no_room"));
  }
}

// Shows what another tab kept of the open conversation, `id`.
export function follow(id) {
  return inTurn(async () => {
    const [kept, isElsewhere] = await Promise.all([get(id), runsElsewhere(id)]);
    if (kept && kept.revision > open.revision) takeOver(kept, isElsewhere);
  });
}

// What this tab has to keep itself comes first: then both stay. Where the reader looks, the page stays.
function takeOver(kept, isElsewhere) {
  if (kept.id !== open.id || running || queued > 1) return;
  const [isAtEnd, top] = [atEnd(), window.scrollY];
  show(kept, isElsewhere);
  if (!isAtEnd) window.scrollTo({ top });
}

function tell() {
  setText($("conversation-title"), titleOf(open));
  $("conversation-actions").hidden = !open.messages.length || Boolean(open.deleted);
  $("was-deleted").hidden = !open.deleted;
  for (const listener of listeners) listener();
}

// Shows another conversation; what runs in this one is stopped and kept. `isElsewhere`: in another tab, its answer runs.
export function show(conversation, isElsewhere = false) {
  if (running) stop();
  const isAnother = conversation.id !== open.id;
  open = conversation;
  const unfinished = open.messages.filter((message) => message.running);
  for (const message of unfinished) message.figures = textOf(isElsewhere ? "chat.elsewhere" : "chat.not_finished");
  for (const message of open.messages) delete message.running;
  if (isElsewhere && unfinished.length) untilEnded(open.id).then(() => giveUp(conversation, unfinished));
  setOpenId(open.id);
  if (isAnother) showChoices();
  $("transcript").replaceChildren();
  nodes.clear();
  draw();
  tell();
  if (open.messages.length) scrollToEnd();
}

// Where the other tab kept the whole answer, that is shown already.
function giveUp(conversation, unfinished) {
  if (conversation !== open) return;
  for (const message of unfinished) message.figures = textOf("chat.not_finished");
  draw();
}

// Opens a conversation that is kept; false where it is no more.
export async function openKept(id) {
  const [kept, isElsewhere] = await Promise.all([get(id), runsElsewhere(id), loadMarkdown()]);
  if (kept) show(kept, isElsewhere);
  return Boolean(kept);
}

function showChoices() {
  for (const id of FIELDS) $(id).value = open.fields?.[id] ?? "";
  document.querySelector(".options").open = FIELDS.some((id) => $(id).value);
  if (open.family in FAMILIES) document.querySelector(`input[value="${open.family}"]`).checked = true;
  if (isModel(open.model)) chooseModel(open.model);
  $("rename-form").hidden = true;
}

export async function showLatest() {
  const kept = (await all()).find(({ deleted }) => !deleted);
  if (!kept || !(await openKept(kept.id))) show(newConversation());
}

// Puts the shown messages on the page, each once.
function draw() {
  const path = shown(open);
  const isAtEnd = atEnd();
  for (const [id, node] of nodes) {
    if (path.some((message) => message.id === id)) continue;
    node.remove();
    nodes.delete(id);
  }
  const list = $("transcript");
  const rows = path.map((message) => {
    if (!nodes.has(message.id)) nodes.set(message.id, makeMessage(message, ACTS));
    const node = nodes.get(message.id);
    showMessage(node, message, versions(open, message), isRunning());
    return node;
  });
  // In one step, and none of those that are in their place: a long conversation would take seconds.
  const first = rows.findIndex((node, index) => node !== list.children[index]);
  if (first >= 0) list.append(...rows.slice(first));
  list.hidden = !path.length;
  $("empty").hidden = path.length > 0;
  if (isAtEnd) scrollToEnd();
}

function drawOne(message) {
  const [node, isAtEnd] = [nodes.get(message.id), atEnd()];
  if (!node) return;
  showMessage(node, message, versions(open, message), isRunning());
  if (isAtEnd) scrollToEnd();
}

function scrollToEnd() {
  window.scrollTo({ top: document.documentElement.scrollHeight });
}

function atEnd() {
  const { scrollHeight, clientHeight } = document.documentElement;
  return scrollHeight - window.scrollY - clientHeight < 80;
}

function values() {
  const given = { model: chosen };
  for (const id of VALUES) if ($(id).value) given[id] = Number($(id).value);
  if (STARTER && chosen === STARTER) given.max_tokens ??= STARTER_TOKENS;
  return given;
}

function figures({ tokens, reused, pieces, first, last, began, cut, stopped }) {
  const words = [];
  const count = tokens ?? pieces;
  const counted = textOf(count === 1 ? "chat.token" : "chat.tokens", { count });
  if (count) words.push(tokens === undefined ? textOf("chat.about", { tokens: counted }) : counted);
  // Less than that is one piece of the network's, and says nothing of the model's speed.
  if (count > 1 && last - first > 50) words.push(textOf("chat.rate", { rate: (((count - 1) * 1000) / (last - first)).toFixed(1) }));
  if (first) words.push(textOf("chat.first", { seconds: ((first - began) / 1000).toFixed(2) }));
  if (reused) words.push(textOf("chat.reused", { count: reused }));
  if (cut) words.push(textOf("chat.cut"));
  if (stopped) words.push(textOf("chat.stopped"));
  return [...words, PLACE].join(" · ");
}

// Asks the last question that is shown.
async function run() {
  const told = history(open);
  const asked = { messages: told, system: $("system").value.trim(), values: values() };
  const conversation = open;
  const message = add(conversation, { role: "assistant", model: chosen || textOf("chat.no_model_chosen"), text: "", running: true });
  const timing = { began: performance.now(), pieces: 0 };
  const controller = setRunning(new AbortController());
  const end = holdRunning(conversation.id);
  let [frame, saved] = [0, performance.now()];
  draw();
  save();
  try {
    asked.messages = await Promise.all(told.map(withPictures));
    await ask(family(), asked, controller.signal, ({ text, thought, calls, tokens, reused, cut, position }) => {
      if (position !== undefined) wait(message, position);
      if (text || thought || calls) {
        delete message.place;
        timing.last = performance.now();
        timing.first ??= timing.last;
        timing.pieces += 1;
      }
      message.text += text ?? "";
      if (thought) message.thought = (message.thought ?? "") + thought;
      for (const piece of calls ?? []) addCall(message, piece);
      timing.tokens = tokens ?? timing.tokens;
      timing.reused = reused ?? timing.reused;
      timing.cut ||= cut;
      frame ||= requestAnimationFrame(() => {
        frame = 0;
        drawOne(message);
        if (performance.now() - saved < SAVE_MS) return;
        saved = performance.now();
        save();
      });
    });
    announce(textOf("chat.complete"));
  } catch (error) {
    timing.stopped = controller.signal.aborted;
    if (!timing.stopped) fail(message, error);
  }
  cancelAnimationFrame(frame);
  delete message.running;
  delete message.place;
  message.figures = message.error ? "" : figures(timing);
  conversation.updated = Date.now();
  await (conversation === open ? finish(message) : keepInTurn(conversation));
  end();
}

async function withPictures({ pictures = [], ...message }) {
  const urls = await Promise.all(pictures.map(({ id }) => getPicture(id)));
  return { ...message, pictures: urls.filter(Boolean) };
}

function addCall(message, { index, name = "", arguments: text = "" }) {
  message.calls ??= [];
  let call = message.calls.find((one) => one.index === index);
  if (!call) message.calls.push((call = { index, name: "", arguments: "" }));
  call.name += name;
  call.arguments += text;
}

// What is shown as ended has been kept.
async function finish(message) {
  setRunning(null);
  await save();
  draw();
  drawOne(message);
  poll();
}

// Said once: to hear of every step would be chatter.
function wait(message, position) {
  if (!position) return delete message.place;
  if (!message.place) announce(textOf("chat.question_is", { place: wordsForPlace(position) }));
  message.place = wordsForPlace(position);
}

function fail(message, error) {
  // fetch() throws a TypeError where there was no answer at all.
  message.error =
    error instanceof TypeError
      ? textOf("chat.no_answer", { command: STATUS_COMMAND })
      : error.message;
  announce(message.error);
}

function setRunning(controller) {
  running = controller;
  $("stop").hidden = !controller;
  $("send").hidden = Boolean(controller);
  hurry(Boolean(controller));
  return controller;
}

// A value that cannot be sent is named at its field.
function isValid() {
  const wrong = FIELDS.map($).find((field) => !field.checkValidity());
  $("invalid").hidden = !wrong;
  if (!wrong) return true;
  document.querySelector(".options").open = true;
  setText($("invalid"), `${wrong.labels[0].textContent.trim()}: ${wrong.validationMessage}`);
  wrong.focus();
  return false;
}

function askThis(text, pictures = [], parent = open.leaf) {
  if (!(text || pictures.length) || isRunning() || !isValid()) return false;
  open.deleted = 0;
  add(open, { role: "user", text, ...(pictures.length && { pictures }) }, parent);
  Promise.all(pictures.map(({ id }) => keepPicture(id))).catch(() => announce(textOf("conversations.no_room")));
  run();
  return true;
}

async function send() {
  const text = $("prompt").value.trim();
  await opened; // the conversation that it belongs to
  const pictures = await waiting();
  if (!canShow()) return announce($("picture-note").textContent);
  if (askThis(text, pictures)) {
    $("prompt").value = "";
    clear();
  }
  scrollToEnd();
}

const ACTS = {
  again(message) {
    if (isRunning() || !isValid()) return;
    open.leaf = message.parent;
    $("prompt").focus({ preventScroll: true });
    run();
  },
  change(message, text) {
    if (askThis(text, message.pictures, message.parent)) $("prompt").focus({ preventScroll: true });
  },
  choose(message, step) {
    const all = versions(open, message);
    choose(open, all[all.indexOf(message) + step]);
    draw();
    save({ leaf: open.leaf });
  },
};

export function stop() {
  running?.abort();
  $("prompt").focus({ preventScroll: true });
  if (running) setRunning(null);
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
  if ((location.hash && location.hash !== "#chat") || !isFree || !matchMedia("(pointer: fine)").matches) return;
  $("prompt").focus({ preventScroll: true });
  $("prompt").select();
}

export async function start() {
  $("composer").addEventListener("submit", (event) => {
    event.preventDefault();
    send();
  });
  $("prompt").addEventListener("keydown", promptKey);
  document.addEventListener("keydown", (event) => event.key === "Escape" && isRunning() && stop());
  $("stop").addEventListener("click", stop);
  // The browser asks whether to leave: that ends the answer.
  addEventListener("beforeunload", (event) => isRunning() && event.preventDefault());
  for (const id of FIELDS) $(id).addEventListener("change", () => save({}));
  for (const radio of document.querySelectorAll('input[name="family"]')) radio.addEventListener("change", () => save({}));
  onChoice(() => open.model !== chosen && save({}));
  startKey();
  opened = openFirst();
  await opened;
  invite();
}

async function openFirst() {
  await openStorage();
  if (!openId()) await showLatest();
  else if (!(await openKept(openId()))) show(newConversation());
  if (open.messages.length) $("prompt").value = "";
}
