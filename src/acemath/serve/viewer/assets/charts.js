// Line and scatter charts as SVG, with axes, bands and a legend.

import { h, s } from "./dom.js";

const W = 640, H = 320, LEFT = 68, RIGHT = 14, TOP = 16, BOTTOM = 50;

/** Round steps for an axis between two values. */
function ticks(low, high, most = 6) {
  const rough = (high - low) / most || 1;
  const size = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((n) => n * size).find((n) => n >= rough);
  const found = [];
  for (let at = Math.ceil(low / step) * step; at <= high + step / 1e6; at += step) found.push(Number(at.toFixed(10)));
  return found;
}

/** A chart of axes alone. `x` and `y` are {low, high, label, ticks?, text?}; it gives the picture and the two scales. */
function frame(title, x, y) {
  const px = (v) => LEFT + ((v - x.low) / (x.high - x.low || 1)) * (W - LEFT - RIGHT);
  const py = (v) => H - BOTTOM - ((v - y.low) / (y.high - y.low || 1)) * (H - TOP - BOTTOM);
  const text = (axis, v) => (axis.text ? axis.text(v) : v.toLocaleString("en"));
  const picture = s("svg", { viewBox: `0 0 ${W} ${H}`, class: "chart", role: "img", "aria-label": title },
    (y.ticks ?? ticks(y.low, y.high)).map((v) => [s("line", { class: "grid", x1: LEFT, x2: W - RIGHT, y1: py(v), y2: py(v) }),
      s("text", { class: "tick", x: LEFT - 6, y: py(v) + 4, "text-anchor": "end" }, text(y, v))]),
    (x.ticks ?? ticks(x.low, x.high)).map((v) => s("text", { class: "tick", x: px(v), y: H - BOTTOM + 18, "text-anchor": "middle" }, text(x, v))),
    s("text", { class: "axis", x: (LEFT + W - RIGHT) / 2, y: H - 6, "text-anchor": "middle" }, x.label));
  return { picture, px, py };
}

/** Series {name, colour, points: [{x, value, low, high}], dashed, bare} as lines with bands, a bare one without. */
export function lines(title, series, x, y) {
  const all = series.filter((one) => !one.bare || series.length === 1).flatMap((one) => one.points);
  const low = Math.min(...all.map((p) => p.low)), high = Math.max(...all.map((p) => p.high));
  const room = Math.max(1, (high - low) * 0.06);
  const { picture, px, py } = frame(title, x, { low: Math.max(y.low ?? -Infinity, low - room), high: Math.min(y.high ?? Infinity, high + room), ...y.axis });
  for (const { colour, points, dashed, bare } of series) {
    const edge = [...points.map((p) => [p.x, p.high]), ...points.map((p) => [p.x, p.low]).reverse()];
    if (!bare) picture.append(s("path", { class: `band c${colour}`, d: `M${edge.map(([a, b]) => `${px(a)} ${py(b)}`).join("L")}Z` }));
    picture.append(
      s("path", { class: `line c${colour}${dashed ? " dashed" : ""}`, d: `M${points.map((p) => `${px(p.x)} ${py(p.value)}`).join("L")}` }),
      ...points.map((p) => s("circle", { class: `dot c${colour}`, cx: px(p.x), cy: py(p.value), r: 3 },
        s("title", {}, `${p.value.toFixed(1)} (${p.low.toFixed(1)} to ${p.high.toFixed(1)})`))));
  }
  return picture;
}

/** Points [x, y, right] and a line through bins. */
export function scatter(title, points, x, y) {
  const { picture, px, py } = frame(title, x, y);
  picture.append(...points.map(([a, b, right]) => right
    ? s("circle", { class: "point right", cx: px(a), cy: py(b), r: 2.2 })
    : s("path", { class: "point wrong", d: `M${px(a) - 2} ${py(b) - 2}l4 4m0 -4l-4 4` })));
  return picture;
}

export function legend(items) {
  return h("ul", { class: "legend" }, items.map(({ name, colour, dashed }) =>
    h("li", {}, h("span", { class: `swatch c${colour}${dashed ? " dashed" : ""}` }), name)));
}
