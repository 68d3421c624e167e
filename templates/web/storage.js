// What this browser keeps: the conversations, each by its own key, in IndexedDB; for one tab only, which of them
// is open, and the API key.

import { newConversation } from "./conversation.js";

const KEY = "local-ai.key";
const OPEN = "local-ai.conversation";
const BEFORE = "local-ai.chat"; // where 0.1.0 kept its one conversation

const tabs = new BroadcastChannel("local-ai");
const memory = new Map(); // where the browser gives no storage: for as long as the page
let database = null;

function done(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

export async function openStorage() {
  try {
    const opening = indexedDB.open("local-ai", 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore("conversations", { keyPath: "id" });
    database = await done(opening);
    await moveFormer();
  } catch {
    database = null;
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

// All of them, the newest first.
export async function all() {
  const found = database ? await done(store("readonly").getAll()) : [...memory.values()];
  return found.sort((one, other) => other.updated - one.updated);
}

export async function get(id) {
  return structuredClone(database ? await done(store("readonly").get(id)) : memory.get(id));
}

// Keeps it. Where another tab has gone on with it since, both stay: this one under an id of its own, which is told.
export async function keep(conversation) {
  const within = database && store("readwrite");
  const before = database ? await done(within.get(conversation.id)) : memory.get(conversation.id);
  const isOther = Boolean(before) && before.revision !== conversation.revision;
  if (isOther) conversation.id = newConversation().id;
  conversation.revision += 1;
  if (database) await done(within.put(conversation));
  else memory.set(conversation.id, structuredClone(conversation));
  tabs.postMessage(conversation.id);
  return isOther;
}

export async function remove(ids) {
  if (database) {
    const within = store("readwrite");
    await Promise.all(ids.map((id) => done(within.delete(id))));
  } else for (const id of ids) memory.delete(id);
  tabs.postMessage("");
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
