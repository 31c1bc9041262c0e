// The list of problems: fetched page by page as it is scrolled, and again while a search or the vote goes on.

import { ask, report } from "./api.js";
import { $, count, h, s, signed } from "./dom.js";
import { drawn } from "./formula.js";
import { FILTERS, go, state } from "./state.js";

const HEIGHT = { r: 10, w: 6, n: 4, c: 4, t: 4, p: 4, u: 4 }; // right ones stand out by height, not by colour alone
const NAMES = { r: "right", w: "wrong", n: "without an answer", c: "truncated", t: "timed out", p: "unparsable", u: "not graded" };
let rows = [];
let total = 0;
let asked = null; // aborts the question on its way
let words = { changes: {}, by: {} };

export const setWords = (given) => (words = given);

export function parameters() {
  const keys = ["set", "other", "by", "sort", "down", ...FILTERS];
  return Object.fromEntries(keys.map((key) => [key, state[key]]));
}

/** Fetch the list from its beginning. */
export async function load() {
  asked?.abort();
  asked = new AbortController();
  const { signal } = asked;
  $("rows").setAttribute("aria-busy", "true");
  try {
    for (let first = true; ; first = false) {
      const found = await ask("problems", parameters(), signal);
      report(null);
      show(found, first);
      $("rows").removeAttribute("aria-busy");
      if (!goesOn(found)) break;
      await new Promise((done) => setTimeout(done, found.searched?.done === false ? 0 : 300));
      if (signal.aborted) return;
    }
  } catch (error) {
    if (signal.aborted) return;
    report(error);
    rows = [];
    total = 0;
    $("rows").replaceChildren();
    $("total").textContent = "";
    $("rows").removeAttribute("aria-busy");
  }
}

const goesOn = (found) =>
  found.searched?.done === false || found.grouped < 1 || (found.compared && found.compared.share < 1);

function show(found, first) {
  const same = !first && JSON.stringify(rows.slice(0, found.rows.length)) === JSON.stringify(found.rows);
  total = found.total;
  status(found);
  changes(found.compared);
  if (same) return;
  rows = found.rows;
  const top = $("rows").scrollTop;
  $("rows").replaceChildren(...rows.map(entry));
  $("rows").scrollTop = first ? 0 : top;
  more();
  if (!rows.length) $("rows").append(h("li", { class: "empty" }, found.waiting ? "Counting votes …" : found.searched?.done === false ? "Searching …" : "No problem fits."));
  const chosen = rows.some((row) => String(row.problem) === state.problem);
  if (!chosen && rows.length && (state.problem === "" || first) && !narrow()) go({ problem: rows[0].problem });
  mark();
}

export const narrow = () => matchMedia("(max-width: 800px)").matches;

function status(found) {
  const parts = found.waiting ? [] : [found.total === found.of ? `${count(found.of)} problems` : `${count(found.total)} of ${count(found.of)} problems`];
  if (found.searched?.done === false) parts.push(`searched ${count(found.searched.responses)} responses …`);
  if (found.grouped < 1) parts.push(`counting votes, ${Math.floor(100 * (found.share ?? 0))} %`);
  $("total").textContent = parts.join(" · ");
  $("clear").hidden = !FILTERS.some((key) => state[key]);
}

function changes(compared) {
  $("changes").hidden = $("difference").hidden = !compared;
  if (!compared) return;
  $("changes").replaceChildren(
    ...Object.entries(words.changes).map(([name, text]) =>
      h("button", { type: "button", class: `change ${name}`, "aria-pressed": state.change === name,
        onclick: () => go({ change: state.change === name ? "" : name }) },
      h("b", {}, count(compared.counts[name])), ` ${text}`)));
  const step = compared.difference;
  const parts = step
    ? [`${signed(step.value, 1)} points (${signed(step.low, 1)} to ${signed(step.high, 1)}), by ${words.by[compared.by]}`]
    : [];
  parts.push(`${count(compared.problems)} problems in both`);
  if (compared.missing) parts.push(`${count(compared.missing)} in the first alone`);
  if (compared.share < 1) parts.push(`comparing answers, ${Math.floor(100 * compared.share)} %`);
  $("difference").textContent = parts.join(" · ");
  $("difference").title = "Second minus first, paired, unweighted mean over benchmarks, 95 % interval over problems. A tie counts by its share of right responses.";
}

/** One letter a response as bars, runs of equal letters as one. */
function strip(letters) {
  const bars = [];
  for (let at = 0; at < letters.length; ) {
    let end = at;
    while (letters[end] === letters[at]) end += 1;
    const tall = HEIGHT[letters[at]];
    bars.push(s("rect", { class: letters[at], x: at + 0.06, y: 10 - tall, width: end - at - 0.12, height: tall }));
    at = end;
  }
  const runs = Object.entries(NAMES).map(([letter, name]) => [letters.split(letter).length - 1, name]).filter(([n]) => n);
  return s("svg", { class: "strip", viewBox: `0 0 ${Math.max(8, letters.length)} 10`, preserveAspectRatio: "none", role: "img",
    "aria-label": runs.map(([n, name]) => `${n} ${name}`).join(", ") }, bars);
}

function outcome(letter, value, title) {
  if (value === null) return null;
  const word = value === 1 ? "right" : value === 0 ? "wrong" : "torn";
  const sign = { right: "✓", wrong: "✗", torn: "≈" }[word];
  return h("span", { class: `sign ${word}`, title: `${title}: ${word}` }, `${letter}${sign}`);
}

function entry(row) {
  const facts = [row.benchmark, row.level ? `level ${row.level}` : null].filter(Boolean).join(" · ");
  return h("li", { "data-problem": row.problem },
    h("button", { type: "button", class: "entry", onclick: () => go({ problem: row.problem }) },
      h("span", { class: "prompt" }, row.prompt.length ? drawn(row.prompt, { marked: true, still: true }) : row.id),
      strip(row.strip),
      h("span", { class: "facts" },
        row.change ? h("span", { class: `badge ${row.change}` }, words.changes[row.change]) : null,
        h("span", { class: "where" }, facts),
        h("span", {}, `${row.right}/${row.n}`),
        outcome("J", row.judge, "The judge's pick"),
        outcome("M", row.majority, "The majority"),
        row.margin === null ? null : h("span", { title: "Best right reward minus best wrong reward" }, signed(row.margin)),
        row.cut ? h("span", { class: "cut", title: "Truncated responses" }, `${row.cut} cut`) : null)));
}

let watching = null;

/** Fetch the next page when the end of the list comes near. */
function more() {
  watching?.disconnect();
  if (rows.length >= total) return;
  const end = h("li", { class: "empty" }, "…");
  $("rows").append(end);
  watching = new IntersectionObserver((seen) => seen.some((one) => one.isIntersecting) && next(), { rootMargin: "600px" });
  watching.observe(end);
}

async function next() {
  watching?.disconnect();
  const { signal } = asked;
  try {
    const found = await ask("problems", { ...parameters(), start: rows.length }, signal);
    if (signal.aborted) return;
    rows = rows.concat(found.rows);
    $("rows").lastElementChild?.remove();
    $("rows").append(...found.rows.map(entry));
    mark();
    more();
  } catch (error) {
    report(error);
  }
}

/** Mark the chosen problem and bring it into sight. */
export function mark() {
  for (const item of $("rows").querySelectorAll("[aria-current]")) item.removeAttribute("aria-current");
  const item = $("rows").querySelector(`[data-problem="${CSS.escape(state.problem)}"]`);
  item?.setAttribute("aria-current", "true");
  if (!narrow()) item?.scrollIntoView({ block: "nearest" });
}

/** The problem before (-1) or after (1) the chosen one. */
export async function move(step) {
  const at = rows.findIndex((row) => String(row.problem) === state.problem);
  if (at + step >= rows.length && rows.length < total) await next();
  const found = rows[at < 0 ? 0 : at + step];
  if (found) go({ problem: found.problem });
}
