// The colours and the language: the gateway renders the page with them, from cookies, so that nothing flashes.

import { isRunning, onConversation } from "./chat.js";
import { $, announce } from "./dom.js";
import { textOf } from "./texts.js";

const KEPT_S = 365 * 24 * 3600;
const ALL = "light dark";

function choose(scheme) {
  document.documentElement.dataset.scheme = scheme;
  document.querySelector('meta[name="color-scheme"]').content = scheme === "auto" ? ALL : scheme;
  document.cookie = `local-ai-scheme=${scheme}; path=/; max-age=${KEPT_S}; samesite=strict`;
}

// The gateway has the texts: the page is asked for anew, which would end an answer that runs.
let waits = false;

function changeLanguage() {
  waits = isRunning();
  $("language-waits").hidden = !waits;
  if (waits) announce(textOf("appearance.language_waits"));
  else $("appearance").requestSubmit();
}

export function start() {
  $("appearance").addEventListener("change", ({ target }) => {
    if (target.name === "language") changeLanguage();
    else choose(target.value);
  });
  onConversation(() => waits && !isRunning() && changeLanguage());
}
