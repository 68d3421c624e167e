// The settings: the form that /settings shows by itself, taken into the page when its view is opened.

import { $, element, keyHeader } from "./dom.js";
import { textOf } from "./texts.js";

// The browser reads the document itself: no HTML is put together here.
function load(method, fields) {
  return new Promise((resolve, reject) => {
    const asking = new XMLHttpRequest();
    asking.open(method, "/settings");
    asking.responseType = "document";
    for (const [name, value] of Object.entries(keyHeader())) asking.setRequestHeader(name, value);
    asking.onload = () => resolve(asking);
    asking.onerror = reject;
    asking.send(fields);
  });
}

function say(text) {
  $("server-settings").replaceChildren(element("p", [text], { className: "error" }));
}

async function show(method, fields) {
  try {
    const { status, response } = await load(method, fields);
    const form = response?.getElementById("settings-form");
    if (form) $("server-settings").replaceChildren(document.adoptNode(form));
    else if (status === 401) say(textOf("settings.locked"));
    else say(textOf("settings.not_read", { status }));
  } catch {
    say(textOf("settings.no_answer"));
  }
}

async function save(event) {
  if (event.target.id !== "settings-form") return;
  event.preventDefault();
  event.target.querySelector("[type=submit]").disabled = true;
  await show("POST", new URLSearchParams(new FormData(event.target)));
  ($("settings-form")?.querySelector("[aria-invalid]") ?? $("settings-said"))?.focus();
}

function open() {
  if (location.hash !== "#settings") return;
  const isEdited = [...($("settings-form")?.elements ?? [])].some((field) => field.value !== (field.defaultValue ?? field.value));
  if (!isEdited) show("GET");
}

export function start() {
  $("server-settings").addEventListener("submit", save);
  addEventListener("hashchange", open);
  open();
}
