// The snippets of "Use it from…": with the model that is chosen and what was asked last.

import { onConversation, open } from "./chat.js";
import { shown } from "./conversation.js";
import { setText } from "./dom.js";
import { chosen, onChoice } from "./models.js";

// A text as it stands in a snippet: inside JSON inside a shell's single quotes, or as a literal of Python.
const WRITERS = {
  shell: (text) => JSON.stringify(text).replaceAll("'", "'\\''"),
  python: (text) => JSON.stringify(text),
};

function show() {
  for (const node of document.querySelectorAll("#use .model")) setText(node, chosen || "MODEL");
  const asked = shown(open).findLast(({ role }) => role === "user");
  if (!asked) return;
  for (const [kind, write] of Object.entries(WRITERS)) {
    for (const node of document.querySelectorAll(`#use .${kind}`)) setText(node, write(asked.text));
  }
}

export function start() {
  onChoice(show);
  onConversation(show);
}
