// What this browser keeps: each tab's own conversation until it is forgotten (the latest of all tabs outlives
// its tab, and is where a new tab begins), the API key for this tab only.

const CHAT = "local-ai.chat";
const KEY = "local-ai.key";

export function keepChat(chat) {
  try {
    const text = JSON.stringify(chat);
    localStorage.setItem(CHAT, text);
    sessionStorage.setItem(CHAT, text);
  } catch {
    // No storage, or full: the conversation then lives as long as the page.
  }
}

export function keptChat() {
  try {
    return JSON.parse(sessionStorage.getItem(CHAT) ?? localStorage.getItem(CHAT)) ?? {};
  } catch {
    return {};
  }
}

export function forgetChat() {
  try {
    // Another tab's conversation stays.
    if (localStorage.getItem(CHAT) === sessionStorage.getItem(CHAT)) localStorage.removeItem(CHAT);
    sessionStorage.setItem(CHAT, "{}");
  } catch {
    // Nothing was kept.
  }
}

export function keepKey(key) {
  sessionStorage.setItem(KEY, key);
}

export function keptKey() {
  return sessionStorage.getItem(KEY) ?? "";
}
