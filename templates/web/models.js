// The model picker, with its search, and what follows the choice.

import { $, announce, element, request, setText } from "./dom.js";
import { onReport, report } from "./status.js";
import { textOf } from "./texts.js";

const MANY = 10;
let models = [...$("model").options].map((option) => option.value).filter(Boolean);
export let chosen = "";
let described = new Map(); // id → what /v1/models says of it
let marked = new Map(); // id → why requests to it are refused
const listeners = [];

// `listener` hears each time a model is chosen.
export function onChoice(listener) {
  listeners.push(listener);
}

export function isModel(id) {
  return models.includes(id);
}

// Whether pictures can be shown to a model.
export function sees(id) {
  return Boolean(described.get(id)?.input_modalities?.includes("image"));
}

export function seeing() {
  return models.filter(sees);
}

function option(id, picked) {
  const label = marked.has(id) ? textOf("chat.model_marked", { model: id }) : id;
  return element("option", [label], { value: id, selected: id === picked });
}

function showModels(ids) {
  const picked = ids.includes(chosen) ? chosen : "";
  const options = ids.map((id) => option(id, picked));
  if (!models.length) options.push(element("option", [textOf("chat.no_model")], { value: "" }));
  $("model").replaceChildren(...options);
}

export function chooseModel(id) {
  chosen = id;
  $("model-search").value = "";
  $("model").removeAttribute("size");
  showModels(models);
  showMark();
  showValues();
  for (const listener of listeners) listener();
}

function showValues() {
  const model = described.get(chosen);
  if (!model) return;
  $("model-context").hidden = !model.context_length;
  setText($("context-tokens"), String(model.context_length));
  for (const [name, value] of Object.entries(model.defaults)) {
    if ($(name)) $(name).placeholder = String(value);
  }
}

function showMark() {
  const why = marked.get(chosen);
  $("model-mark").hidden = !why;
  setText($("model-mark"), why ? textOf("chat.marked_because", { model: chosen, why }) : "");
}

function showMarked(next) {
  const [before, after] = [marked, new Map((next ?? []).map(({ model, reason }) => [model, reason]))];
  marked = after;
  // A list that is open must not be replaced under the reader's hand without need.
  if ([...before.keys()].join("\n") !== [...after.keys()].join("\n") && !$("model-search").value) showModels(models);
  showMark();
}

function searchModels() {
  const words = $("model-search").value.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.length) return chooseModel(chosen);
  const found = models.filter((id) => words.every((word) => id.toLowerCase().includes(word)));
  showModels(found);
  $("model").size = Math.max(2, Math.min(8, found.length));
  announce(textOf("chat.models_found", { found: found.length, all: models.length }));
}

async function loadModels() {
  const answer = await request("/v1/models");
  described = new Map((await answer.json()).data.map((model) => [model.id, model]));
  models = [...described.keys()];
  $("model-search").hidden = models.length <= MANY;
  if (!models.includes(chosen)) chosen = report?.default_model ?? models[0] ?? "";
  if ($("model-search").value) searchModels();
  else chooseModel(chosen);
}

function followReport(next, before) {
  const differ = before?.models.join("\n") !== next.models.join("\n");
  if (differ || !described.size) loadModels().catch(() => {}); // the next report asks again
  showMarked(next.queue?.marked_models);
}

function searchKey(event) {
  if (event.key === "Escape") chooseModel(chosen);
  if (event.key === "ArrowDown") $("model").focus();
  if (event.key !== "Enter") return;
  event.preventDefault();
  if ($("model").options.length) chooseModel($("model").options[0].value);
  $("prompt").focus();
}

export function start() {
  chosen = $("model").value; // now, and not when this file came: a visitor may have been faster
  $("model").addEventListener("change", () => chooseModel($("model").value));
  $("model-search").addEventListener("input", searchModels);
  $("model-search").addEventListener("keydown", searchKey);
  onReport(followReport);
}
