// What this browser keeps: the conversations, each by its own key, and their pictures beside them, in IndexedDB; for
// one tab only, which of them is open, and the API key.

import { newConversation } from "./conversation.js";

const KEY = "local-ai.key";
const OPEN = "local-ai.conversation";
const BEFORE = "local-ai.chat"; // where 0.1.0 kept its one conversation

const tabs = new BroadcastChannel("local-ai");
const memory = new Map(); // where the browser gives no storage: for as long as the page
const shown = new Map(); // pictures of this page, by id: data: URLs
let database = null;
let gallery = null; // of pictures

function done(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

// What was written stays once its transaction is complete, and no earlier.
function committed({ transaction }) {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = resolve;
    transaction.onabort = () => reject(transaction.error);
  });
}

function opened(name, kept, options) {
  const opening = indexedDB.open(name, 1);
  opening.onupgradeneeded = () => opening.result.createObjectStore(kept, options);
  return done(opening);
}

export async function openStorage() {
  try {
    database = await opened("local-ai", "conversations", { keyPath: "id" });
    // A database of their own: another version of the first would wait for tabs that have an older page open.
    gallery = await opened("local-ai.pictures", "pictures");
    await moveFormer();
  } catch {
    database = gallery = null;
  }
}

async function moveFormer() {
  const text = localStorage.getItem(BEFORE);
  if (!text) return;
  const { messages = [], ...rest } = JSON.parse(text);
  const numbered = messages.map((message, index) => ({ ...message, id: index + 1, parent: index }));
  if (messages.length) await keep({ ...newConversation(), ...rest, messages: numbered, leaf: messages.length });
  localStorage.removeItem(BEFORE);
}

function store(mode) {
  return database.transaction("conversations", mode).objectStore("conversations");
}

function pictures(mode) {
  return gallery.transaction("pictures", mode).objectStore("pictures");
}

// All of them, the newest first.
export async function all() {
  const found = database ? await done(store("readonly").getAll()) : [...memory.values()];
  return found.sort((one, other) => other.updated - one.updated);
}

export async function get(id) {
  return structuredClone(database ? await done(store("readonly").get(id)) : memory.get(id));
}

// Keeps it, and returns {kept, isOther}: what is kept now, and whether another tab had gone on with it since. If so, both
// stay, this one under a new id; unless `change` holds all that is new in this one: that change is made to the other's.
export async function keep(conversation, change) {
  const within = database && store("readwrite");
  const before = database ? await done(within.get(conversation.id)) : memory.get(conversation.id);
  const isOther = Boolean(before) && before.revision !== conversation.revision;
  const kept = { ...conversation, ...(isOther && (change ? { ...before, ...change } : { id: newConversation().id })) };
  kept.revision += 1;
  if (database) await committed(within.put(kept));
  else memory.set(kept.id, structuredClone(kept));
  tabs.postMessage(kept.id);
  return { kept, isOther };
}

export async function remove(ids) {
  if (database) {
    const within = store("readwrite");
    await Promise.all(ids.map((id) => done(within.delete(id))));
  } else for (const id of ids) memory.delete(id);
  tabs.postMessage("");
}

// Has a picture, which never changes, for as long as the page; returns its id.
export function holdPicture(url, id = newConversation().id) {
  shown.set(id, url);
  return id;
}

// Keeps one that the page has.
export async function keepPicture(id) {
  if (gallery) await done(pictures("readwrite").put(shown.get(id), id));
}

// Its data: URL; undefined where it is not kept any more.
export async function getPicture(id) {
  if (!shown.has(id) && gallery) shown.set(id, await done(pictures("readonly").get(id)));
  return shown.get(id);
}

// Removes all pictures but these.
export async function keepOnlyPictures(ids) {
  const kept = new Set(ids);
  for (const id of [...shown.keys()]) if (!kept.has(id)) shown.delete(id);
  if (!gallery) return;
  const within = pictures("readwrite");
  const found = await done(within.getAllKeys());
  await Promise.all(found.filter((id) => !kept.has(id)).map((id) => done(within.delete(id))));
}

// `listener` hears the id of what another tab kept, "" where it removed some.
export function onOtherTab(listener) {
  tabs.addEventListener("message", ({ data }) => listener(data));
}

export function openId() {
  return sessionStorage.getItem(OPEN);
}

export function setOpenId(id) {
  sessionStorage.setItem(OPEN, id);
}

export function keepKey(key) {
  sessionStorage.setItem(KEY, key);
}

export function keptKey() {
  return sessionStorage.getItem(KEY) ?? "";
}
