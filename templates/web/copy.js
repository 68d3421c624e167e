// The copy buttons beside the snippets, and the diagnostics for a report.

import { $, copy, request } from "./dom.js";
import { report } from "./status.js";

async function copyDiagnostics({ target }) {
  try {
    const diagnostics = await (await request("/diagnostics.json")).json();
    await copy(target, JSON.stringify(diagnostics, null, 2));
  } catch {
    await copy(target, JSON.stringify({ page: location.href, at: new Date(), gateway: "no answer", report }, null, 2));
  }
}

export function start() {
  for (const button of document.querySelectorAll("[data-copies]")) {
    button.addEventListener("click", () => copy(button, $(button.dataset.copies).textContent));
  }
  for (const button of document.querySelectorAll(".diagnostics")) button.addEventListener("click", copyDiagnostics);
}
