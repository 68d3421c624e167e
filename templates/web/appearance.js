// The colours and the language: the gateway renders the page with them, from cookies, so that nothing flashes.

import { $ } from "./dom.js";

const KEPT_S = 365 * 24 * 3600;
const ALL = "light dark";

function choose(scheme) {
  document.documentElement.dataset.scheme = scheme;
  document.querySelector('meta[name="color-scheme"]').content = scheme === "auto" ? ALL : scheme;
  document.cookie = `local-ai-scheme=${scheme}; path=/; max-age=${KEPT_S}; samesite=strict`;
}

export function start() {
  $("appearance").addEventListener("change", ({ target }) => {
    if (target.name === "language") $("appearance").requestSubmit(); // the gateway has the texts
    else choose(target.value);
  });
}
