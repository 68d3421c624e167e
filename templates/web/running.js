// Which answers run in other tabs: a tab holds a lock for as long as an answer runs in it.
//
// A page that another machine opened by http has no locks: there an answer of another tab counts as not finished.

const nameOf = (id) => `local-ai.${id}`;

// For the conversation `id`; returns what ends it.
export function holdRunning(id) {
  let end;
  const ended = new Promise((resolve) => (end = resolve));
  navigator.locks?.request(nameOf(id), () => ended);
  return end;
}

export async function runsElsewhere(id) {
  const { held } = (await navigator.locks?.query()) ?? { held: [] };
  return held.some(({ name }) => name === nameOf(id));
}

// Its answer has ended, or its tab was left.
export function untilEnded(id) {
  return navigator.locks.request(nameOf(id), () => {});
}
