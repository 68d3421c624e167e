// The list of conversations, and what can be done with one: open, rename, delete with undo, export, import.

import { follow, isRunning, onConversation, open, openKept, save, show, showLatest, stop } from "./chat.js";
import { isConversation, newConversation, picturesOf, titleOf } from "./conversation.js";
import { $, announce, element, setText } from "./dom.js";
import { waiting } from "./pictures.js";
import { all, getPicture, holdPicture, keep, keepOnlyPictures, keepPicture, onOtherTab, remove } from "./storage.js";
import { textOf } from "./texts.js";

let conversations = [];
const rows = new Map(); // of the list, by id

async function load() {
  conversations = await all();
  draw();
}

function makeRow(id) {
  const node = $("kept").content.firstElementChild.cloneNode(true);
  node.querySelector(".open").addEventListener("click", () => openOne(id));
  return node;
}

function row(conversation) {
  const { id, updated } = conversation;
  if (!rows.has(id)) rows.set(id, makeRow(id));
  const node = rows.get(id);
  const button = node.querySelector(".open");
  setText(button.querySelector(".name"), titleOf(conversation));
  setText(button.querySelector("small"), new Date(updated).toLocaleDateString());
  if (id === open.id) button.setAttribute("aria-current", "true");
  else button.removeAttribute("aria-current");
  return node;
}

// A row that stays where it is must not be replaced under the reader's hand; one that moves keeps the focus.
function showRows(list, found) {
  const nodes = found.map(row);
  if (list.children.length === nodes.length && nodes.every((node, index) => node === list.children[index])) return;
  const focused = list.contains(document.activeElement) && document.activeElement;
  list.replaceChildren(...nodes);
  if (focused) focused.focus({ preventScroll: true });
}

function draw() {
  const words = $("conversation-search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const has = (conversation) => {
    const text = [titleOf(conversation), ...conversation.messages.map((message) => message.text)].join("\n").toLowerCase();
    return words.every((word) => text.includes(word));
  };
  const found = conversations.filter(has);
  showRows($("conversation-list"), found.filter(({ deleted }) => !deleted));
  showRows($("deleted-list"), found.filter(({ deleted }) => deleted));
  $("deleted").hidden = !$("deleted-list").children.length;
  const isEmpty = !$("conversation-list").children.length;
  $("no-conversations").hidden = !isEmpty;
  setText($("no-conversations"), words.length ? textOf("conversations.none_found") : textOf("conversations.none"));
  $("export").hidden = !conversations.length;
}

async function openOne(id) {
  if (!(await openKept(id))) return load();
  if ($("conversations").matches(":popover-open")) $("conversations").hidePopover();
  $("prompt").focus({ preventScroll: true });
}

function begin() {
  if ($("conversations").matches(":popover-open")) $("conversations").hidePopover();
  show(newConversation());
  $("prompt").focus({ preventScroll: true });
}

function rename(event) {
  event.preventDefault();
  $("rename-form").hidden = true;
  save({ title: $("rename-to").value.trim() });
  $("rename").focus();
}

function askName() {
  $("rename-form").hidden = false;
  $("rename-to").value = titleOf(open);
  $("rename-to").select();
}

async function setDeleted(at) {
  if (isRunning()) stop();
  await save({ deleted: at });
  announce(textOf(at ? "conversations.was_deleted" : "conversations.was_restored"));
  (at ? $("undo") : $("prompt")).focus();
}

async function purge() {
  const gone = conversations.filter(({ deleted }) => deleted).map(({ id }) => id);
  await remove(gone);
  announce(textOf("conversations.purged", { count: gone.length }));
  if (gone.includes(open.id)) await showLatest();
  const unsent = await waiting();
  await keepOnlyPictures([...[...(await all()), open].flatMap(picturesOf), ...unsent.map(({ id }) => id)]);
  await load();
  $("prompt").focus({ preventScroll: true });
}

async function download() {
  const ids = [...new Set(conversations.flatMap(picturesOf))];
  const pictures = Object.fromEntries(await Promise.all(ids.map(async (id) => [id, await getPicture(id)])));
  const text = JSON.stringify({ "local-ai": "conversations", conversations, pictures }, null, 1);
  const link = element("a", [], { href: URL.createObjectURL(new Blob([text], { type: "application/json" })), download: "local-ai-conversations.json" });
  link.click();
  URL.revokeObjectURL(link.href);
}

function isPicture(url) {
  return typeof url === "string" && /^data:image\/[a-z]+;base64,/.test(url);
}

async function upload() {
  const [file] = $("import-file").files;
  try {
    const { conversations: found, pictures = {} } = JSON.parse(await file.text());
    if (!Array.isArray(found) || !found.every(isConversation) || !Object.values(pictures).every(isPicture)) throw new Error();
    for (const [id, url] of Object.entries(pictures)) if (!(await getPicture(id))) await keepPicture(holdPicture(url, id));
    const known = new Set(conversations.map(({ id }) => id));
    const added = found.filter(({ id }) => !known.has(id));
    for (const conversation of added) await keep({ ...newConversation(), ...conversation, revision: 0 });
    announce(textOf("conversations.imported", { added: added.length, known: found.length - added.length }));
  } catch {
    announce(textOf("conversations.not_imported", { file: file.name }));
  }
  $("import-file").value = "";
  setText($("import-said"), $("announce").textContent);
  await load();
}

export function start() {
  $("new").addEventListener("click", begin);
  $("conversation-search").addEventListener("input", draw);
  $("rename").addEventListener("click", askName);
  $("rename-form").addEventListener("submit", rename);
  $("rename-cancel").addEventListener("click", () => ($("rename-form").hidden = true));
  $("delete").addEventListener("click", () => setDeleted(Date.now()));
  $("undo").addEventListener("click", () => setDeleted(0));
  $("purge").addEventListener("click", purge);
  $("export").addEventListener("click", download);
  $("import").addEventListener("click", () => $("import-file").click());
  $("import-file").addEventListener("change", upload);
  onConversation(load);
  onOtherTab((id) => {
    load();
    if (id === open.id) follow(id);
  });
}
