// The few things every part of the page needs. Nothing here, or anywhere, builds HTML from strings.

import { textOf } from "./texts.js";

export const $ = (id) => document.getElementById(id);

export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function element(name, children = [], properties = {}) {
  const node = Object.assign(document.createElement(name), properties);
  node.append(...children);
  return node;
}

export function announce(text) {
  setText($("announce"), text);
}

// Every request of the page brings the key, where the server asks for one; it is kept for this tab only.
export function keyHeader() {
  const key = $("key")?.value;
  return key ? { Authorization: `Bearer ${key}` } : {};
}

export function request(path, options = {}) {
  return fetch(path, { cache: "no-store", ...options, headers: { ...options.headers, ...keyHeader() } });
}

export async function copy(button, text) {
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
  button.textContent = textOf("page.copied");
  announce(button.textContent);
  setTimeout(() => (button.textContent = label), 1500);
}
