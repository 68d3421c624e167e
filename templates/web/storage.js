// What this browser keeps: the conversation until it is forgotten, the API key for this tab only.

const CHAT = "local-ai.chat";
const KEY = "local-ai.key";

export function keepChat(chat) {
  try {
    localStorage.setItem(CHAT, JSON.stringify(chat));
  } catch {
    // No storage, or full: the conversation then lives as long as the page.
  }
}

export function keptChat() {
  try {
    return JSON.parse(localStorage.getItem(CHAT)) ?? {};
  } catch {
    return {};
  }
}

export function forgetChat() {
  try {
    localStorage.removeItem(CHAT);
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
