// Answers as Markdown: marked finds the structure, we make the nodes; what it takes for HTML stays text.

import { element, setText } from "./dom.js";

let lexer = null;

async function loadMarkdown() {
  ({ lexer } = await import("./marked.esm.js"));
}

export function showMarkdown(node, text) {
  if (!lexer) {
    loadMarkdown().then(() => showMarkdown(node, text), () => {});
    return setText(node, text);
  }
  node.replaceChildren(...lexer(text).map(markdownNode));
}

function markdownNodes(tokens = []) {
  return tokens.map(markdownNode);
}

function markdownNode(token) {
  const inner = () => (token.tokens ? markdownNodes(token.tokens) : [token.text ?? token.raw]);
  switch (token.type) {
    case "space":
    case "def":
      return "";
    case "paragraph":
      return element("p", inner());
    case "heading":
      return element(`h${Math.min(6, token.depth + 2)}`, inner());
    case "blockquote":
      return element("blockquote", inner());
    case "hr":
    case "br":
      return element(token.type);
    case "strong":
    case "em":
    case "del":
      return element(token.type, inner());
    case "codespan":
      return element("code", [token.text]);
    case "code":
      return element("pre", [element("code", [token.text])], { tabIndex: 0 });
    case "list":
      return element(token.ordered ? "ol" : "ul", token.items.map(listItem), token.ordered ? { start: token.start || 1 } : {});
    case "table":
      return markdownTable(token);
    case "link":
    case "image":
      return markdownLink(token);
    default:
      return element("span", inner());
  }
}

function listItem(item) {
  const mark = item.task ? [item.checked ? "☑ " : "☐ "] : [];
  return element("li", [...mark, ...markdownNodes(item.tokens)]);
}

function markdownTable({ header, rows }) {
  const cells = (name, row) => row.map((cell) => element(name, markdownNodes(cell.tokens)));
  const head = element("thead", [element("tr", cells("th", header))]);
  const body = element("tbody", rows.map((row) => element("tr", cells("td", row))));
  return element("div", [element("table", [head, body])], { className: "table", tabIndex: 0 });
}

function markdownLink({ href, text, tokens }) {
  const words = tokens ? markdownNodes(tokens) : [text || href];
  // An answer must not make the browser run or load anything: pictures become links, odd schemes words.
  if (!/^(https?|mailto):/i.test(href)) return element("span", words);
  return element("a", words, { href, target: "_blank", rel: "noopener noreferrer" });
}
