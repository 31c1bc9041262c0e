// Curves over k and length against score, of one set or of two.

import { ask, report } from "./api.js";
import { $, count, h } from "./dom.js";
import { legend, lines, scatter } from "./charts.js";
import { go, state } from "./state.js";

const COLOURS = { "pass@k": 0, "rm@k": 1, "maj@k": 2, "pass@1": 3 };
const WORDS = { "pass@k": "pass@k: any of k is right", "rm@k": "rm@k: the judge's pick of k", "maj@k": "maj@k: the majority of k", "pass@1": "pass@1: a random response" };
let asked = null;
let names = [];
let facts = null;

export const setNames = (given) => (names = given);
export const setFacts = (given) => (facts = given);

const where = () => ({ benchmark: state.benchmark, subject: state.subject, level: state.level, model: state.model });

/** Fetch and draw; curves that are still computed are drawn as they grow. */
export async function load() {
  asked?.abort();
  asked = new AbortController();
  const { signal } = asked;
  const sets = [state.set, ...(state.other ? [state.other] : [])];
  const curves = h("figure", {}, h("p", { class: "soft" }, "Computing …"));
  const places = sets.map(() => h("div", { class: "charts" }));
  $("numbers").replaceChildren(restriction(), h("h2", {}, "Accuracy over k"), curves, h("h2", {}, "Length against score"),
    ...places.flatMap((place, at) => [sets.length > 1 ? h("h3", {}, names[sets[at]]) : null, place].filter(Boolean)));
  const given = (at) => ({ ...where(), model: at ? "" : state.model });
  const shownLengths = sets.map((set, at) => ask("lengths", { set, ...given(at) }, signal).then((found) => drawLengths(places[at], found)));
  const growing = async () => {
    for (;;) {
      const found = await Promise.all(sets.map((set, at) => ask("curves", { set, ...given(at) }, signal)));
      if (signal.aborted) return;
      drawCurves(curves, found, sets);
      if (found.every((one) => one.share === 1)) return;
      await new Promise((done) => setTimeout(done, 400));
      if (signal.aborted) return;
    }
  };
  try {
    await Promise.all([...shownLengths, growing()]);
    report(null);
  } catch (error) {
    report(error);
  }
}

/** The filters that hold here: those of problems alone. A filter by outcome would choose the numbers by their result. */
function restriction() {
  const pick = (key, values) => h("label", {}, key, h("select", { onchange: (event) => go({ [key]: event.target.value }) },
    [["", "all"], ...values.map((value) => [value, value])].map(([value, text]) => h("option", { value, selected: state[key] === String(value) }, text))));
  return h("div", { class: "restriction" },
    pick("benchmark", Object.keys(facts.benchmarks)), pick("subject", Object.keys(facts.subjects).filter(Boolean)),
    pick("level", Object.keys(facts.levels).filter((level) => level !== "0")),
    facts.models.length > 1 ? pick("model", facts.models) : null);
}

function drawCurves(place, found, sets) {
  const series = found.flatMap((one, at) => Object.entries(one.series ?? {}).map(([name, row]) => ({
    name, colour: COLOURS[name], dashed: at > 0, bare: name === "pass@1", points: row.map((e, i) => ({ x: Math.log2(one.ks[i]), k: one.ks[i], ...e })),
  })));
  const waiting = found.map((one) => one.share < 1 && h("p", { class: "soft" },
    one.grouped < 1 ? `Counting votes, ${Math.floor(100 * one.grouped)} %` : `Computing, ${Math.floor(100 * one.share)} %`)).filter(Boolean);
  if (!series.length) {
    place.replaceChildren(...(waiting.length ? waiting : [h("p", { class: "soft" }, "There is no problem to measure.")]));
    return;
  }
  const ks = [...new Set(found.flatMap((one) => one.ks ?? []))].sort((a, b) => a - b);
  const most = Math.log2(ks.at(-1));
  const picture = most > 0 ? lines("Accuracy over k", series,
    { low: 0, high: most, ticks: ks.filter((k) => Number.isInteger(Math.log2(k))).map(Math.log2), text: (v) => String(2 ** v), label: "k responses to pick from" },
    { low: 0, high: 100, axis: { text: (v) => `${v} %` } }) : null;
  const words = found.map((one, at) => one.ks && `${found.length > 1 ? `${names[sets[at]]}: ` : ""}${count(one.problems)} problems with ${one.n} responses each, unweighted mean of ${one.benchmarks} ${one.benchmarks === 1 ? "benchmark" : "benchmarks"}${one.left_out ? `; ${count(one.left_out)} problems with fewer responses are left out` : ""}.`);
  const items = [...new Set(series.map((one) => one.name))].map((name) => ({ name: WORDS[name], colour: COLOURS[name] }));
  if (found.length > 1) items.push({ name: `solid: ${names[sets[0]]}`, colour: "ink" }, { name: `dashed: ${names[sets[1]]}`, colour: "ink", dashed: true });
  place.replaceChildren(...[h("div", { class: "curves" }, picture && h("div", {}, picture, legend(items)), h("div", { class: "scroll" }, table(series, ks, found.length, sets))),
    h("figcaption", {}, words.filter(Boolean).join(" "), " Percent right with 95 % intervals over problems; exact over all subsets of k."), ...waiting].filter(Boolean));
}

function table(series, ks, sets, numbers) {
  const cell = (one, k) => {
    const e = one.points.find((point) => point.k === k);
    return h("td", {}, e ? [e.value.toFixed(1), h("small", {}, ` ${e.low.toFixed(1)}–${e.high.toFixed(1)}`)] : "");
  };
  return h("table", {}, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "k"), ks.map((k) => h("th", { scope: "col" }, String(k))))),
    h("tbody", {}, series.map((one) => h("tr", {},
      h("th", { scope: "row" }, one.name, sets > 1 ? h("small", {}, ` ${names[numbers[one.dashed ? 1 : 0]]}`) : null), ks.map((k) => cell(one, k))))));
}

function drawLengths(place, found) {
  if (!found.bins.length) {
    place.replaceChildren(h("p", { class: "soft" }, "There is no response."));
    return;
  }
  const parts = [];
  const middle = (bin) => (bin.from + bin.to) / 2;
  const xs = found.bins.map(middle);
  const share = found.bins.map((bin) => ({ x: middle(bin), value: 100 * bin.accuracy, low: 100 * bin.low, high: 100 * bin.high }));
  const label = `length in ${found.unit}`;
  if (found.bins.length > 1) parts.push(h("figure", {}, lines("Accuracy by length", [{ colour: 0, points: share }],
    { low: Math.min(...xs), high: Math.max(...xs), label }, { low: 0, high: 100, axis: { text: (v) => `${v} %` } }),
  h("figcaption", {}, `Share of right responses in ${found.bins.length} bins of about equally many of ${count(found.responses)} responses, with 95 % intervals over responses.`)));
  else parts.push(h("p", { class: "soft" }, `All ${count(found.responses)} responses are of about one length: ${count(found.bins[0].from)} to ${count(found.bins[0].to)} ${found.unit}.`));
  if (found.points.length) {
    // The longest percent would squeeze all others into a corner.
    const sorted = found.points.map(([x]) => x).sort((a, b) => a - b);
    const high = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * 0.995))];
    const shown = found.points.filter(([x]) => x <= high);
    const ys = shown.map(([, y]) => y);
    parts.push(h("figure", {}, scatter("Reward over length", shown, { low: sorted[0], high, label }, { low: Math.min(...ys), high: Math.max(...ys, Math.min(...ys) + 1e-6) }),
      h("ul", { class: "legend" }, h("li", {}, h("span", { class: "mark right" }, "●"), "right"), h("li", {}, h("span", { class: "mark wrong" }, "✗"), "wrong")),
      h("figcaption", {}, `Reward over length: ${count(shown.length)} of ${count(found.scored)} scored responses, drawn by a fixed seed${shown.length < found.points.length ? `; ${found.points.length - shown.length} longer ones are beyond the edge` : ""}.`)));
  }
  place.replaceChildren(...parts);
}
