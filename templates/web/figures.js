// Figures in words, as status/figures.py writes them.

import { textOf } from "./texts.js";

export const MARKS = {
  healthy: "✓", ready: "✓", busy: "◐", starting: "…", unhealthy: "✕", unknown: "?", stopped: "■",
  running: "▸", waiting: "…", held: "■",
};

export function wordsForSeconds(seconds) {
  if (seconds === null) return "–";
  const [minutes, hours, days] = [60, 3600, 86400].map((unit) => Math.floor(seconds / unit));
  if (days) return `${days} d ${hours % 24} h`;
  if (hours) return `${hours} h ${minutes % 60} min`;
  return minutes ? `${minutes} min` : `${Math.floor(seconds)} s`;
}

export function wordsForBytes(size) {
  if (size === null) return "–";
  return size >= 1e9 ? `${(Math.round(size / 1e8) / 10).toFixed(1)} GB` : `${Math.round(size / 1e6)} MB`;
}

// What a request hears while it waits: position 1 is the next.
export function wordsForPlace(position) {
  return position > 1 ? textOf("chat.place", { count: position - 1 }) : textOf("chat.next");
}
