// Answers as Markdown: marked finds the structure, we make the nodes; what it takes for HTML stays text.

import { copy, element, setText } from "./dom.js";
import { textOf } from "./texts.js";

let lexer = null;
let highlighter = null;
const shownRaws = new WeakMap(); // by node, what each of its blocks was made of
const shownWhole = new WeakMap(); // by node, the text that it shows, once that grows no more
const MOST_HIGHLIGHTED = 20_000; // characters: more takes longer than a frame

// Without it, answers are shown as they were written.
export async function loadMarkdown() {
  const found = await import("./marked.esm.js").catch(() => null);
  lexer ??= found?.lexer ?? null;
}

// While an answer grows, only its last block changes: the others keep their nodes, and what is selected in them.
export function showMarkdown(node, text, isGrowing = false) {
  if (!lexer) {
    loadMarkdown().then(() => lexer && showMarkdown(node, text, isGrowing));
    return setText(node, text);
  }
  if (!isGrowing && shownWhole.get(node) === text) return;
  const tokens = lexer(text);
  const before = isGrowing ? (shownRaws.get(node) ?? []) : [];
  const same = tokens.findIndex(({ raw }, index) => raw !== before[index]);
  const first = before.length && same < 0 ? tokens.length : Math.max(0, same);
  const kept = before.length ? [...node.childNodes].slice(0, first) : [];
  node.replaceChildren(...kept, ...tokens.slice(kept.length).map(markdownNode));
  shownRaws.set(node, tokens.map(({ raw }) => raw));
  shownWhole.set(node, isGrowing ? null : text);
}

function markdownNodes(tokens = []) {
  return tokens.map(markdownNode);
}

function markdownNode(token) {
  const inner = () => (token.tokens ? markdownNodes(token.tokens) : [token.text ?? token.raw]);
  switch (token.type) {
    case "space":
    case "def":
      return new Text("");
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
      return codeBlock(token);
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

function codeBlock({ text, lang }) {
  const language = lang?.match(/^[\w+#.-]+/)?.[0] ?? "";
  const code = element("code", [text]);
  const button = element("button", [textOf("page.copy")], { type: "button", className: "quiet" });
  button.setAttribute("aria-label", textOf("chat.copy_block", { language: language || textOf("chat.block") }));
  button.addEventListener("click", () => copy(button, text));
  if (language && text.length < MOST_HIGHLIGHTED) highlight(code, language, text);
  const head = element("figcaption", [element("span", [language || textOf("chat.plain")]), button]);
  return element("figure", [head, element("pre", [code], { tabIndex: 0 })], { className: "code" });
}

// The highlighter escapes what it marks; its spans are taken over, and nothing else that it could say.
async function highlight(code, language, text) {
  highlighter ??= import("./highlight.esm.js").then((module) => module.default);
  const highlight = await highlighter;
  if (!highlight.getLanguage(language)) return;
  const { value } = highlight.highlight(text, { language, ignoreIllegals: true });
  code.replaceChildren(...spans(new DOMParser().parseFromString(value, "text/html").body));
}

function spans(node) {
  return [...node.childNodes].map((child) =>
    child.nodeType === Node.TEXT_NODE ? child.data : element("span", spans(child), { className: child.className }),
  );
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
