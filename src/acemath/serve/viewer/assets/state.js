// What the page shows is in the address behind "#", so that reload, back and a bookmark come to the same view.

const DEFAULTS = {
  tab: "problems", set: "0", other: "", by: "", problem: "", model: "", q: "", benchmark: "", subject: "", level: "",
  outcome: "", status: "", reason: "", change: "", sort: "order", down: "",
};
export const FILTERS = ["q", "benchmark", "subject", "level", "model", "outcome", "status", "reason", "change"];
const listeners = [];

export const state = { ...DEFAULTS };

function read() {
  const given = new URLSearchParams(location.hash.slice(1));
  for (const key of Object.keys(DEFAULTS)) state[key] = given.get(key) ?? DEFAULTS[key];
}

/** Call `listener(changed keys)` after each change. */
export function onChange(listener) {
  listeners.push(listener);
}

/** Change some values. A step in the history is made for a problem, a set or a page, not for each letter of a search. */
export function go(changes) {
  const changed = Object.keys(changes).filter((key) => state[key] !== String(changes[key]));
  if (!changed.length) return;
  for (const key of changed) state[key] = String(changes[key]);
  const given = new URLSearchParams();
  for (const [key, value] of Object.entries(state)) if (value !== DEFAULTS[key]) given.set(key, value);
  const step = changed.some((key) => ["problem", "set", "other", "tab"].includes(key));
  history[step ? "pushState" : "replaceState"](null, "", `#${given}`);
  for (const listener of listeners) listener(changed);
}

addEventListener("popstate", () => {
  const before = { ...state };
  read();
  const changed = Object.keys(DEFAULTS).filter((key) => state[key] !== before[key]);
  if (changed.length) for (const listener of listeners) listener(changed);
});
read();
