// One problem: its text, its votes, and its responses; beside it the same problem of the other set.

import { ask, report } from "./api.js";
import { $, count, h, signed } from "./dom.js";
import { drawn, withMarks } from "./formula.js";
import { move, narrow, parameters } from "./list.js";
import { response } from "./response.js";
import { go, state } from "./state.js";

let asked = null;
let names = [];
let open = []; // the responses on the page, in order, each with toggle() and element

export const setNames = (given) => (names = given);

/** Fetch and show the chosen problem; nothing is chosen on a phone's list. */
export async function load() {
  document.body.classList.toggle("reading", state.problem !== "");
  asked?.abort();
  if (state.problem === "") {
    $("detail").replaceChildren(h("p", { class: "empty" }, "Choose a problem."));
    return;
  }
  asked = new AbortController();
  const { signal } = asked;
  try {
    const { sides } = await ask("problem", { ...parameters(), problem: state.problem, sort: "", change: "" }, signal);
    if (signal.aborted) return;
    open = [];
    $("detail").replaceChildren(head(sides[0]), h("div", { class: sides.length > 1 ? "sides two" : "sides" }, sides.map(side)));
    $("detail").scrollTop = 0;
    if (narrow()) scrollTo(0, 0);
    const first = open.filter((one) => one.found);
    for (const one of first.length ? first.slice(0, 3) : tops(sides)) one.toggle(true);
  } catch (error) {
    report(error);
  }
}

/** The first response of each side. */
const tops = (sides) => sides.map((_, at) => open.find((one) => one.side === at)).filter(Boolean);

function head(problem) {
  const facts = [problem.benchmark, problem.subject !== problem.benchmark && problem.subject, problem.level ? `level ${problem.level}` : ""];
  const meta = Object.entries(problem.meta).filter(([key]) => !["benchmark", "level"].includes(key));
  return h("div", { class: "problem" },
    h("p", { class: "bar" },
      h("button", { type: "button", class: "back", onclick: () => go({ problem: "" }) }, "← list"),
      h("span", { class: "where" }, facts.filter(Boolean).join(" · ")),
      h("code", { class: "id" }, problem.id),
      h("span", { class: "steps" },
        h("button", { type: "button", title: "Previous problem (k)", "aria-label": "Previous problem", onclick: () => move(-1) }, "↑"),
        h("button", { type: "button", title: "Next problem (j)", "aria-label": "Next problem", onclick: () => move(1) }, "↓"))),
    h("div", { class: "question" }, problem.prompt.length ? drawn(problem.prompt, { marked: true }) : "The text of this problem is not in the file."),
    h("p", { class: "reference" }, h("span", { class: "label" }, "Reference"), problem.reference?.length ? drawn(problem.reference) : "none"),
    meta.length ? h("details", { class: "meta" }, h("summary", {}, "More of this problem"), h("dl", {}, meta.map(([key, value]) => [h("dt", {}, key), h("dd", {}, value)]))) : null);
}

function verdictOf(value) {
  return value === 1 ? ["right", "right"] : value === 0 ? ["wrong", "wrong"] : ["torn", `torn, ${Math.round(100 * value)} % right`];
}

function side(found, at) {
  const set = Number(at ? state.other : state.set);
  const list = h("div", { class: "responses" });
  let chosen = null; // the answer whose responses alone are shown
  const draw = () => list.replaceChildren(...mine.filter((one) => chosen === null || one.group === chosen).map((one) => one.element));
  const mine = found.responses.map((row) => response(row, { set, side: at, unit: found.unit, n: found.n, range: range(found.responses) }));
  open.push(...mine);
  draw();
  const pick = (group, button) => {
    chosen = chosen === group ? null : group;
    for (const other of button.parentElement.children) other.setAttribute("aria-pressed", other === button && chosen !== null);
    draw();
  };
  return h("section", { class: "side" },
    state.other ? h("h2", {}, names[set]) : null,
    summary(found),
    h("div", { class: "votes", role: "group", "aria-label": "Votes by answer" }, found.answers.map((answer) => vote(answer, found.n, pick))),
    list);
}

function summary(found) {
  const [most, second] = found.answers.filter((answer) => answer.group >= 0);
  const facts = [[`${found.right} of ${found.n} right`, found.right ? (found.right === found.n ? "right" : "") : "wrong"]];
  if (found.judge !== null) {
    const [name, words] = verdictOf(found.judge);
    facts.push([`judge's pick ${words}`, name]);
  }
  if (most) {
    const tied = found.answers.filter((answer) => answer.group >= 0 && answer.votes === most.votes);
    const value = tied.reduce((sum, answer) => sum + answer.right / answer.votes, 0) / tied.length;
    const [name, words] = verdictOf(value);
    if (found.n > 1) facts.push([second && tied.length > 1 ? `${tied.length} answers tie for the majority: ${words}` : `majority ${words} with ${most.votes} of ${found.n} votes`, name]);
  } else facts.push(["no response has an answer", "wrong"]);
  if (found.margin !== null) facts.push([`margin ${signed(found.margin)}`, found.margin < 0 ? "wrong" : ""]);
  if (found.cut) facts.push([`${found.cut} truncated`, "torn"]);
  return h("ul", { class: "summary" }, facts.map(([text, name]) => h("li", { class: name }, text)));
}

function vote(answer, n, pick) {
  const name = answer.group < 0 ? "none" : answer.right === answer.votes ? "right" : answer.right ? "torn" : "wrong";
  const button = h("button", { type: "button", class: `vote ${name}`, "aria-pressed": false, title: "Show only these responses",
    onclick: () => pick(answer.group, button) },
  h("span", { class: "answer" }, answer.answer ? answer.answer.map(([text, math]) => (math ? drawn([[text, math]]) : withMarks(text))) : "no answer"),
  h("span", { class: "track" }, h("span", { class: "fill", style: { width: `${(100 * answer.votes) / n}%` } })),
  h("span", { class: "number" }, count(answer.votes)),
  h("span", { class: "number soft", title: "Mean reward" }, answer.reward === null ? "" : signed(answer.reward)));
  return button;
}

function range(responses) {
  const rewards = responses.map((row) => row.reward).filter((value) => value !== null);
  return rewards.length ? [Math.min(...rewards), Math.max(...rewards)] : null;
}

/** Open the response before (-1) or after (1) the one that has the focus, and give it the focus. */
export function step(by) {
  const shown = open.filter((one) => one.element.isConnected);
  const at = shown.findIndex((one) => one.element.contains(document.activeElement));
  const next = shown[at < 0 ? 0 : Math.max(0, Math.min(shown.length - 1, at + by))];
  next?.toggle(true);
  next?.focus();
}

/** Open all responses, or close all. */
export function openAll() {
  const all = open.every((one) => one.isOpen());
  for (const one of open) one.toggle(!all);
}

/** The sources of all texts, or the formulas again. */
export function sources() {
  const raw = !open.some((one) => one.isRaw());
  for (const one of open) if (one.isOpen()) one.source(raw);
}
