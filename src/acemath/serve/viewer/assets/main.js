// The page: its controls, its keys, and what is loaded when the state changes.

import { ask, report } from "./api.js";
import * as detail from "./detail.js";
import { $, count, h, options } from "./dom.js";
import * as list from "./list.js";
import * as numbers from "./numbers.js";
import { FILTERS, go, onChange, state } from "./state.js";

const SELECTS = ["outcome", "sort", "benchmark", "subject", "level", "model", "status"];
const KEYS = [
  ["j  k", "next, previous problem"], ["→  ←", "next, previous response"], ["Enter", "open or close a response"], ["e", "open all responses, or close all"],
  ["s", "sources of all formulas"], ["/", "search"], ["f", "filter by outcome"], ["c", "clear filters"], ["1  2", "problems, curves"],
  ["t", "light or dark"], ["Esc", "leave the search; back to the list"], ["?", "these keys"],
];
let known = null; // names of filters and sorts
let facts = null; // of the chosen set

async function start() {
  theme(localStorage.getItem("theme"));
  controls();
  onChange(changed);
  try {
    // The list does not wait for the names of the filters, unless two sets are compared: then they say by what.
    const asked = JSON.stringify(list.parameters());
    const early = state.tab !== "numbers" && !state.other ? list.load() : null;
    known = await ask("sets");
    const names = known.sets.map((set) => set.name);
    list.setWords(known);
    detail.setNames(names);
    numbers.setNames(names);
    const folders = [...new Set(known.sets.map((set) => set.folder))];
    document.title = `${folders.join(", ")} – acemath view`;
    if (folders.length === 1 && names.length > 1) $("folder").textContent = folders[0];
    if (!(Number(state.set) < names.length)) state.set = "0";
    if (!(Number(state.other) < names.length)) state.other = "";
    options($("set"), names.map((name, at) => [at, name]), state.set);
    $("keys").replaceChildren(...KEYS.flatMap(([key, words]) => [h("dt", {}, key.split("  ").map((one) => h("kbd", {}, one))), h("dd", {}, words)]));
    await choose();
    if (state.tab === "numbers") await numbers.load();
    else await Promise.all([early && asked === JSON.stringify(list.parameters()) ? early : list.load(), state.problem && detail.load()]);
  } catch (error) {
    report(error);
  }
  document.body.dataset.ready = "true";
}

/** Load what a set holds, and offer its values in the filters. */
async function choose() {
  facts = await ask("facts", { set: state.set });
  const other = state.other ? await ask("facts", { set: state.other }) : null;
  numbers.setFacts(facts);
  for (const key of ["model", "benchmark", "subject", "level", "status"]) if (state[key] && !holds(key)) state[key] = "";
  const rewards = facts.judged && (!other || other.judged);
  if (state.other && !(state.by in known.by && (rewards || state.by !== "judge"))) {
    state.by = rewards ? "judge" : facts.most > 1 || other.most > 1 ? "majority" : "first";
  }
  $("notes").replaceChildren(...[...facts.notes, ...(other?.notes ?? [])].map((note) => h("li", {}, note)));
  const names = known.sets.map((set, at) => [at, set.name]);
  options($("other"), [["", "nothing"], ...names.filter(([at]) => String(at) !== state.set)], state.other);
  options($("by"), Object.entries(known.by).filter(([name]) => name !== "judge" || rewards), state.by);
  const sizes = (found) => Object.entries(found).filter(([name]) => name && name !== "0").map(([name, n]) => [name, `${name} (${count(n)})`]);
  const needs = (name) => facts.judged || !name.includes("judge");
  options($("outcome"), [["", "any outcome"], ...Object.entries(known.outcomes).filter(([name]) => needs(name))], state.outcome);
  options($("sort"), Object.entries(known.sorts).filter(([name]) => facts.judged || !["margin", "reward"].includes(name)), state.sort);
  options($("benchmark"), [["", "all"], ...sizes(facts.benchmarks)], state.benchmark);
  options($("subject"), [["", "all"], ...sizes(facts.subjects)], state.subject);
  options($("level"), [["", "all"], ...sizes(facts.levels)], state.level);
  options($("model"), [["", "all"], ...facts.models.filter(Boolean).map((name) => [name, name])], state.model);
  options($("status"), [["", "all"], ...Object.entries(facts.statuses).map(([name, n]) => [name, `${name.replace("_", " ")} (${count(n)})`])], state.status);
  $("reasons").replaceChildren(...facts.reasons.map((value) => h("option", { value })));
  show();
}

const holds = (key) => state[key] in { model: Object.fromEntries(facts.models.map((name) => [name, 1])), benchmark: facts.benchmarks,
  subject: facts.subjects, level: facts.levels, status: facts.statuses }[key];

/** Bring the controls in line with the state. */
function show() {
  for (const key of ["set", "other", "by", ...SELECTS]) $(key).value = state[key];
  for (const key of ["q", "reason"]) if (document.activeElement !== $(key)) $(key).value = state[key];
  $("by-label").hidden = !state.other;
  $("down").textContent = state.down ? "↓" : "↑";
  $("down").title = state.down ? "Highest first" : "Lowest first";
  const reading = state.tab !== "numbers";
  $("problems").hidden = !reading;
  $("numbers").hidden = reading;
  $("tab-problems").setAttribute("aria-pressed", reading);
  $("tab-numbers").setAttribute("aria-pressed", !reading);
  const hidden = ["benchmark", "subject", "level", "model", "status", "reason"].filter((key) => state[key]).length;
  $("more").firstElementChild.textContent = hidden ? `More filters (${hidden} in use)` : "More filters";
}

async function changed(keys) {
  show();
  try {
    if (keys.includes("set") || keys.includes("other")) {
      if (state.other === state.set) state.other = "";
      if (!state.other) state.change = "";
      await choose();
    }
    const wide = keys.some((key) => key !== "problem");
    if (state.tab === "numbers") {
      if (wide) await numbers.load();
      return;
    }
    // The list chooses a problem if the chosen one is not in it.
    await Promise.all([wide && list.load(), detail.load()]);
    list.mark();
  } catch (error) {
    report(error);
  }
}

function controls() {
  $("set").addEventListener("change", (event) => go({ set: event.target.value, problem: "" }));
  for (const key of ["other", "by", ...SELECTS]) $(key).addEventListener("change", (event) => go({ [key]: event.target.value }));
  $("sort").addEventListener("change", (event) => go({ down: ["reward", "length", "accuracy", "votes"].includes(event.target.value) ? "1" : "" }));
  $("down").addEventListener("click", () => go({ down: state.down ? "" : "1" }));
  for (const key of ["q", "reason"]) {
    let timer = 0;
    $(key).addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(() => go({ [key]: $(key).value }), 200);
    });
  }
  $("filters").addEventListener("submit", (event) => event.preventDefault());
  $("clear").addEventListener("click", clear);
  $("tab-problems").addEventListener("click", () => go({ tab: "problems" }));
  $("tab-numbers").addEventListener("click", () => go({ tab: "numbers" }));
  $("theme").addEventListener("click", turn);
  $("help-open").addEventListener("click", () => $("help").showModal());
  addEventListener("keydown", key);
}

function clear() {
  for (const name of ["q", "reason"]) $(name).value = "";
  go(Object.fromEntries(FILTERS.map((name) => [name, ""])));
}

const dark = () => (document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";

function theme(name) {
  if (name === "dark" || name === "light") document.documentElement.dataset.theme = name;
}

function turn() {
  const name = dark() ? "light" : "dark";
  theme(name);
  localStorage.setItem("theme", name);
}

function key(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || $("help").open) return;
  const typing = event.target.matches("input, select, textarea");
  if (event.key === "Escape") {
    if (typing) event.target.blur();
    else if (list.narrow()) go({ problem: "" });
    return;
  }
  if (typing) return;
  const acts = {
    j: () => list.move(1), k: () => list.move(-1), ArrowRight: () => detail.step(1), ArrowLeft: () => detail.step(-1),
    e: detail.openAll, s: detail.sources, "/": () => $("q").focus(), f: () => $("outcome").focus(), c: clear,
    1: () => go({ tab: "problems" }), 2: () => go({ tab: "numbers" }), t: turn, "?": () => $("help").showModal(),
  };
  if (acts[event.key]) {
    event.preventDefault();
    acts[event.key]();
  }
}

start();
