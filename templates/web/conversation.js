// A conversation as data. Each message names its parent, so that a question asked anew, or an answer given anew,
// stands beside the older one and loses nothing; what is shown is the way from the first message to `leaf`.
//
//   {id, title, created, updated, revision, deleted, model, family, fields, leaf,
//    messages: [{id, parent, role, text, pictures, thought, calls, model, error, figures, running}]}

import { textOf } from "./texts.js";

export function newConversation() {
  const bytes = crypto.getRandomValues(new Uint8Array(8));
  const id = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const now = Date.now();
  return { id, title: "", created: now, updated: now, revision: 0, deleted: 0, leaf: 0, messages: [] };
}

export function titleOf({ title, messages }) {
  const first = messages.find(({ role }) => role === "user");
  return title || first?.text.trim().slice(0, 60) || first?.pictures?.[0]?.name || textOf("conversations.new");
}

// Adds a message below `parent` and shows it.
export function add(conversation, message, parent = conversation.leaf) {
  const id = 1 + Math.max(0, ...conversation.messages.map((one) => one.id));
  const added = { ...message, id, parent };
  conversation.messages.push(added);
  conversation.leaf = id;
  return added;
}

// The messages that are shown, the first one first.
export function shown({ messages, leaf }) {
  const byId = new Map(messages.map((message) => [message.id, message]));
  const path = [];
  for (let message = byId.get(leaf); message && path.length < messages.length; message = byId.get(message.parent)) path.unshift(message);
  return path;
}

// The messages that stand in one place, the oldest first.
export function versions({ messages }, { parent }) {
  return messages.filter((message) => message.parent === parent);
}

// Shows `message` and the newest of what followed it.
export function choose(conversation, message) {
  let leaf = message;
  for (let next = leaf; next; next = versions(conversation, { parent: leaf.id }).at(-1)) leaf = next;
  conversation.leaf = leaf.id;
}

// What a model is told: what is shown, without the questions that got no answer.
export function history(conversation) {
  const told = [];
  for (const { role, text, pictures } of shown(conversation)) {
    if (role === "user" && told.at(-1)?.role === "user") told.pop();
    if (text || pictures?.length) told.push({ role, content: text, pictures });
  }
  return told;
}

// The ids of all its pictures.
export function picturesOf({ messages }) {
  return messages.flatMap(({ pictures = [] }) => pictures.map(({ id }) => id));
}

// Whether a value from a file has the shape of a conversation.
export function isConversation(value) {
  const isPicture = (one) => typeof one?.id === "string" && typeof one.name === "string";
  const isMessage = ({ id, parent, role, text, pictures = [] }) =>
    Number.isInteger(id) &&
    Number.isInteger(parent) &&
    parent < id &&
    ["user", "assistant"].includes(role) &&
    typeof text === "string" &&
    Array.isArray(pictures) &&
    pictures.every(isPicture);
  return Boolean(value) && typeof value.id === "string" && Array.isArray(value.messages) && value.messages.every((one) => one && isMessage(one));
}
