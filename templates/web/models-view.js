// The models of this machine: load, unload, pin, make default, remove, and downloads with their progress.
//
// All words are in models.html and models_view.html; here they are shown or hidden, and figures filled in. Every
// button is a form that works without this script.

import { $, request, setText } from "./dom.js";
import { onReport, poll } from "./status.js";
import { wordsForBytes, wordsForSeconds } from "./figures.js";

const FAST_MS = 700;
const DISMISSED = "local-ai.guide-dismissed";
let cards = null; // the latest /models.json
let timer = 0;

const shows = (row, parts) => {
  for (const [name, shown] of Object.entries(parts)) row.querySelector(`.${name}`).hidden = !shown;
};
const fills = (row, texts) => {
  for (const [name, text] of Object.entries(texts)) setText(row.querySelector(`.${name}`), text);
};

function showModel(row, card) {
  const can = card.can ?? [];
  shows(row, {
    "is-default": card.default,
    "is-next": card.default_next,
    "is-loaded": card.loaded,
    "is-pinned": card.pinned,
    "is-loading": card.loading,
    "is-large": card.too_large,
    "is-marked": card.marked,
    quant: card.quantisation,
    "has-context": card.context_tokens,
    "can-tools": can.includes("tools"),
    "can-thoughts": can.includes("thoughts"),
    "can-pictures": can.includes("pictures"),
    "no-text": !card.generates_text,
    trouble: card.too_large || card.marked,
    load: card.generates_text && !card.loaded && !card.loading,
    unload: card.loaded,
    pin: card.generates_text && !card.pinned,
    unpin: card.pinned,
    default: card.generates_text && !card.default && !card.default_next,
    remove: card.own,
  });
  fills(row, {
    size: wordsForBytes(card.size_bytes),
    quant: card.quantisation,
    context: card.context_tokens?.toLocaleString("en") ?? "",
    trouble: card.too_large || card.marked,
  });
}

function showBroken(row, card) {
  shows(row, { pull: card.pulls, remove: card.own });
  fills(row, { reason: card.reason, fix: card.fix });
}

function showPeer(row, card) {
  shows(row, { "is-ready": card.state === "ready", "is-asking": card.state === "asking", "is-away": card.state === "away", trouble: card.why });
  fills(row, { url: card.url, trouble: card.why, names: card.models.join(", ") });
}

function showDownload(row, one) {
  const runs = one.state === "downloading";
  const left = one.bytes_per_s ? (one.total_bytes - one.done_bytes) / one.bytes_per_s : null;
  row.querySelector("progress").value = one.total_bytes ? one.done_bytes / one.total_bytes : 0;
  row.querySelector("progress").hidden = !runs;
  shows(row, {
    asking: one.state === "asking",
    amount: runs,
    "has-speed": runs && one.bytes_per_s,
    "has-left": runs && one.bytes_per_s,
    checking: runs && one.done_bytes >= one.total_bytes,
    here: one.state === "done",
    cancelled: one.state === "cancelled",
    trouble: one.error || one.warning,
    cancel: one.ended_at === null,
    again: ["failed", "cancelled"].includes(one.state),
  });
  fills(row, {
    done: wordsForBytes(one.done_bytes),
    total: wordsForBytes(one.total_bytes),
    speed: wordsForBytes(one.bytes_per_s),
    left: wordsForSeconds(left),
  });
  const [why, fix] = row.querySelectorAll(".trouble > span");
  setText(why, one.error?.why ?? one.warning);
  setText(fix, one.error?.fix ?? "");
  fix.parentElement.querySelector(".to-fix").hidden = !one.error;
}

// One row for each, in their order; a row that stays is kept, so that the focus on its buttons is too.
function showRows(listId, templateId, all, show) {
  const list = $(listId);
  const rows = new Map([...list.children].map((row) => [row.dataset.id, row]));
  all.forEach((one, index) => {
    let row = rows.get(one.id);
    if (!row) {
      row = $(templateId).content.firstElementChild.cloneNode(true);
      row.dataset.id = one.id;
      setText(row.querySelector(".id"), one.id);
      for (const input of row.querySelectorAll('[name="model"]')) input.value = one.id;
      for (const name of row.querySelectorAll("button .unseen")) setText(name, ` ${one.id}`);
      row.querySelector("progress")?.setAttribute("aria-label", one.id);
    }
    rows.delete(one.id);
    show(row, one);
    if (list.children[index] !== row) list.insertBefore(row, list.children[index] ?? null);
  });
  for (const row of rows.values()) row.remove();
}

function showCards(next) {
  cards = next;
  showRows("model-rows", "model-row", next.models, showModel);
  const pulling = next.downloads.filter(({ ended_at: end }) => end === null).map(({ id }) => id);
  showRows("broken-rows", "broken-row", next.incomplete.filter(({ id }) => !pulling.includes(id)), showBroken);
  showRows("peer-rows", "peer-row", next.peers, showPeer);
  $("peers").hidden = !next.peers.length;
  showRows("download-rows", "download-row", next.downloads, showDownload);
  $("downloads").hidden = !next.downloads.length;
  $("no-models").hidden = next.models.length > 0;
  for (const each of next.recommended) {
    const row = $("suggestions").querySelector(`[data-id="${CSS.escape(each.name)}"]`);
    if (row) shows(row, { "is-here": each.here, get: !each.here });
  }
  showGuide();
}

function showGuide() {
  const isBusy = cards?.downloads.some(({ id, ended_at: end }) => id === cards.best && end === null);
  const isOver = localStorage.getItem(DISMISSED) || isBusy || (cards && !(cards.only_starter && cards.best));
  if (isOver) $("guide").hidden = true;
  else if (cards) $("guide").hidden = false;
}

async function load() {
  clearTimeout(timer);
  const answer = await request("/models.json");
  if (!answer.ok) return;
  showCards(await answer.json());
  if (cards.downloads.some(({ ended_at: end }) => end === null)) timer = setTimeout(() => load().catch(() => {}), FAST_MS);
}

function say(id, text) {
  $("models-done").hidden = $("models-error").hidden = true;
  setText($(id), text);
  $(id).hidden = !text;
}

async function reasonOf(answer) {
  const text = await answer.text();
  try {
    return JSON.parse(text).error.message;
  } catch {
    return text.trim();
  }
}

async function send(action, fields, button) {
  if (button) button.disabled = true;
  say("models-error", "");
  try {
    const answer = await request(action, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(fields),
    });
    if (!answer.ok) return say("models-error", await reasonOf(answer));
    const { done } = await answer.json();
    if (done) say("models-done", done);
    return true;
  } catch {
    return say("models-error", $("rest").textContent);
  } finally {
    if (button) button.disabled = false;
    load().catch(() => {});
    poll();
  }
}

function ask(id) {
  const card = cards?.models.find((one) => one.id === id);
  const dialog = $("remove-dialog");
  setText($("remove-name"), id);
  $("remove-frees").hidden = !card;
  setText($("remove-size"), wordsForBytes(card?.size_bytes ?? null));
  dialog.returnValue = "keep";
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue === "remove"), { once: true }));
}

async function submit(event) {
  const form = event.target;
  const action = form.getAttribute("action") ?? "";
  if (!action.startsWith("/models/")) return;
  event.preventDefault();
  const fields = Object.fromEntries(new FormData(form));
  if (fields.even_if_too_large) fields.even_if_too_large = true;
  if (action === "/models/remove" && !(await ask(fields.model))) return;
  const isPull = action === "/models/pull";
  if (isPull) location.hash = "models";
  const done = await send(action, fields, event.submitter);
  if (done && form.id === "pull") form.reset();
  if (done && isPull) $("downloads").scrollIntoView({ block: "nearest" });
}

export function start() {
  document.addEventListener("submit", (event) => submit(event));
  $("guide").querySelector(".dismiss")?.addEventListener("click", () => {
    localStorage.setItem(DISMISSED, "1");
    showGuide();
  });
  addEventListener("hashchange", () => load().catch(() => {}));
  onReport((next, before) => {
    const isSeen = $("models").checkVisibility();
    if (isSeen || !before || before.models.join("\n") !== next.models.join("\n")) load().catch(() => {});
  });
  showGuide();
}
