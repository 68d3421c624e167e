// One message on the page.

import { $, copy, element, setText } from "./dom.js";
import { showMarkdown } from "./markdown.js";
import { imageOf } from "./pictures.js";
import { textOf } from "./texts.js";

// `acts`: {again, change, choose}, each called with the message and, for `change`, the new text.
export function makeMessage(message, acts) {
  const node = $("message").content.firstElementChild.cloneNode(true);
  const on = (name, act) => node.querySelector(name).addEventListener("click", act);
  node.classList.add(message.role);
  node.dataset.id = message.id;
  node.querySelector(".who").textContent = message.role === "user" ? textOf("chat.you") : message.model;
  node.querySelector(".pictures").append(...(message.pictures ?? []).map((picture) => element("li", [imageOf(picture)])));
  node.querySelector(".pictures").hidden = !message.pictures?.length;
  on(".copy", ({ target }) => copy(target, message.text));
  on(".again", () => acts.again(message));
  on(".change", () => edit(node, message));
  on(".cancel", () => edit(node, null));
  on(".earlier", () => acts.choose(message, -1));
  on(".later", () => acts.choose(message, 1));
  node.querySelector(".edit").addEventListener("submit", (event) => {
    event.preventDefault();
    acts.change(message, node.querySelector(".edit textarea").value.trim());
  });
  node.querySelector(".edit").addEventListener("keydown", (event) => {
    if (event.key === "Escape") edit(node, null);
  });
  return node;
}

function edit(node, message) {
  const [form, area] = [node.querySelector(".edit"), node.querySelector(".edit textarea")];
  form.hidden = !message;
  node.querySelector(".text").hidden = node.querySelector(".meta").hidden = Boolean(message);
  if (!message) return node.querySelector(".change").focus();
  area.value = message.text;
  area.focus();
}

// The calls of tools that a model asked for: this page runs none of them.
function showCalls(node, calls = []) {
  const list = node.querySelector(".calls");
  while (list.children.length < calls.length) {
    list.append(element("details", [element("summary"), element("pre", [], { tabIndex: 0 })]));
  }
  calls.forEach((call, index) => {
    const [summary, pre] = list.children[index].children;
    setText(summary, textOf("chat.calls", call));
    setText(pre, indented(call.arguments));
  });
}

function indented(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

// `versions` are the messages of its place; `isBusy` while an answer runs.
export function showMessage(node, message, versions, isBusy) {
  const [text, error] = [node.querySelector(".text"), node.querySelector(".error")];
  const isUser = message.role === "user";
  if (isUser) setText(text, message.text);
  else showMarkdown(text, message.text, message.running);
  text.hidden = !message.text && !message.running;
  setText(error, message.error ?? "");
  error.hidden = !message.error;
  text.classList.toggle("writing", message.running === true);
  node.querySelector(".thought").hidden = !message.thought;
  setText(node.querySelector(".thought p"), message.thought ?? "");
  showCalls(node, message.calls);
  setText(node.querySelector(".figures"), message.place ?? message.figures ?? "");
  node.querySelector(".copy").hidden = message.running || !message.text;
  node.querySelector(".again").hidden = isUser || isBusy;
  node.querySelector(".change").hidden = !isUser || isBusy;
  const place = versions.indexOf(message);
  node.querySelector(".versions").hidden = versions.length < 2 || isBusy;
  setText(node.querySelector(".version"), textOf("chat.version", { number: place + 1, count: versions.length }));
  node.querySelector(".earlier").disabled = place === 0;
  node.querySelector(".later").disabled = place === versions.length - 1;
}
