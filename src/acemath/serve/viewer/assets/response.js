// One response: a line with its verdict, answer, reward and length, and its text when it is opened.

import { ask, report } from "./api.js";
import { count, h, signed } from "./dom.js";
import { drawn, raw, withMarks } from "./formula.js";

const SIGNS = { correct: "✓", wrong: "✗", no_answer: "∅", timeout: "⏱", unparsable: "?", "not graded": "·" };
const NAMES = { correct: "right", wrong: "wrong", no_answer: "none", timeout: "torn", unparsable: "torn", "not graded": "torn" };
let waiting = []; // responses whose texts are fetched together

/** The texts of responses that are opened at the same moment, with one question for each set. */
function textOf(set, row) {
  return new Promise((resolve, reject) => {
    if (!waiting.length) setTimeout(fetchAll, 0);
    waiting.push({ set, row, resolve, reject });
  });
}

async function fetchAll() {
  const mine = waiting;
  waiting = [];
  for (const set of new Set(mine.map((one) => one.set))) {
    const all = mine.filter((one) => one.set === set);
    for (let at = 0; at < all.length; at += 64) {
      const part = all.slice(at, at + 64);
      try {
        const { texts } = await ask("texts", { set, rows: part.map((one) => one.row).join(",") });
        part.forEach((one, place) => one.resolve(texts[place]));
      } catch (error) {
        for (const one of part) one.reject(error);
      }
    }
  }
}

/** A response as an element that opens. `range` are the lowest and highest reward of the problem. */
export function response(row, { set, side, unit, range }) {
  const body = h("div", { class: "body", hidden: true });
  const status = row.cut ? "truncated" : row.status.replace("_", " ");
  const button = h("button", { type: "button", class: "line", "aria-expanded": "false", onclick: () => toggle() },
    h("span", { class: `pill ${NAMES[row.status]}`, title: row.reason ?? status }, row.right ? "✓" : row.cut ? "✂" : SIGNS[row.status]),
    h("span", { class: "answer" }, row.answer ? drawnAnswer(row.answer) : h("i", {}, status)),
    row.picked ? h("span", { class: "tag", title: "The highest reward" }, "judge") : null,
    h("span", { class: "who" }, h("span", { class: "model" }, row.model), h("span", { class: "soft" }, `#${row.sample}`)),
    h("span", { class: "number soft", title: `Length in ${unit}` }, count(row.length)),
    rewardOf(row, range));
  const element = h("article", { class: `response ${NAMES[row.status]}${row.found ? " found" : ""}` }, button, body);
  let loaded = null;
  let source = false;

  function toggle(want = body.hidden) {
    body.hidden = !want;
    button.setAttribute("aria-expanded", String(want));
    if (!want || loaded) return;
    loaded = "asked";
    body.replaceChildren(h("p", { class: "soft" }, "…"));
    textOf(set, row.row).then((found) => { loaded = found; fill(); }, (error) => { loaded = null; report(error); });
  }

  function fill() {
    const text = source ? h("pre", { class: "text raw" }, withMarks(raw(loaded.text))) : h("div", { class: "text" }, drawn(loaded.text, { marked: true }));
    const facts = [["verdict", status], ["reason", row.reason], ["found by", loaded.rule], ["decided by", loaded.tier], ["finish", loaded.finish],
      ...Object.entries(loaded.meta).map(([key, value]) => [key, Number.isNaN(Number(value)) ? value : String(Number(Number(value).toFixed(3)))])];
    const again = h("button", { type: "button", title: "Grade this response now, by the strict conventions", onclick: () => verdict(again) }, "grade again");
    body.replaceChildren(text,
      h("dl", { class: "why" }, facts.filter(([, value]) => value).map(([key, value]) => h("div", {}, h("dt", {}, key), h("dd", {}, value)))),
      h("p", { class: "acts" },
        h("button", { type: "button", "aria-pressed": source, onclick: () => { source = !source; fill(); } }, source ? "formulas" : "source"),
        h("button", { type: "button", onclick: () => navigator.clipboard.writeText(raw(loaded.text)).catch(report) }, "copy"),
        again));
  }

  async function verdict(place) {
    place.disabled = true;
    try {
      const found = await ask("verdict", { set, rows: row.row });
      const words = found.unknown ?? [`${found.status.replace("_", " ")}: ${found.reason}`, found.answer && `answer ${found.answer}`,
        found.rule && `found by ${found.rule}`, found.tier && `decided by ${found.tier}`].filter(Boolean).join(" · ");
      place.replaceWith(h("span", { class: "again" }, `now ${words}`));
    } catch (error) {
      report(error);
    }
  }

  return {
    element, side, group: row.group, found: row.found, toggle,
    focus: () => button.focus(), isOpen: () => !body.hidden, isRaw: () => source,
    source: (want) => { source = want; if (loaded && loaded !== "asked") fill(); },
  };
}

const drawnAnswer = (pieces) => pieces.map(([text, math]) => (math ? drawn([[text, math]]) : withMarks(text)));

function rewardOf(row, range) {
  if (!row.scored) return null;
  if (row.reward === null) return h("span", { class: "reward" }, "no score");
  const share = range[1] > range[0] ? (row.reward - range[0]) / (range[1] - range[0]) : 1;
  return h("span", { class: "reward", title: `Reward ${row.reward}` },
    h("span", { class: "track" }, h("span", { class: "fill", style: { width: `${Math.max(2, 100 * share)}%` } })), signed(row.reward));
}
