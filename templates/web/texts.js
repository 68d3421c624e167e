// The texts of this page's JavaScript, in the visitor's language: the gateway sends them with the page.

const TEXTS = JSON.parse(document.getElementById("texts").textContent);

// `key` is VIEW.NAME, as in templates/texts; `values` replace the words in braces.
export function textOf(key, values = {}) {
  const [view, name] = key.split(".");
  return TEXTS[view][name].replace(/\{(\w+)\}/g, (_, word) => values[word]);
}
