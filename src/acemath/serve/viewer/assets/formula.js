// Texts with their formulas. The server gives a formula as a tree [element, attributes, children] of known elements.

import { h } from "./dom.js";
import { state } from "./state.js";

const MATH = "http://www.w3.org/1998/Math/MathML";

function tree([name, given, children]) {
  const element = document.createElementNS(MATH, name);
  for (const [key, value] of Object.entries(given)) element.setAttribute(key, value);
  element.append(...children.map((child) => (typeof child === "string" ? child : tree(child))));
  return element;
}

/** The pieces of a text as nodes. A click on a formula shows its source, and another the formula again, unless they are `still`. */
export function drawn(pieces, { marked = false, still = false } = {}) {
  const block = (piece) => piece?.[1]?.[1].display === "block";
  return pieces.map((piece, at) => {
    let [text, math] = piece;
    if (!math) {
      // A formula on lines of its own brings its own space.
      if (block(pieces[at - 1])) text = text.replace(/^\s{0,3}\n\n?/, "");
      if (block(pieces[at + 1])) text = text.replace(/\n\n?\s{0,3}$/, "");
      return marked ? withMarks(text) : text;
    }
    if (still) return tree(math);
    const place = h("span", { class: block(piece) ? "math block" : "math", title: "Click for the source" });
    let source = marked && holds(text);
    const show = () => place.replaceChildren(source ? h("code", {}, withMarks(text)) : tree(math));
    place.addEventListener("click", () => {
      source = !source;
      show();
    });
    show();
    return place;
  });
}

/** The whole text as it was stored. */
export const raw = (pieces) => pieces.map(([text]) => text).join("");

const needle = () => state.q.trim() && state.q.toLowerCase();
const holds = (text) => Boolean(needle()) && text.toLowerCase().includes(needle());

/** A text with what is searched for marked. */
export function withMarks(text) {
  const wanted = needle();
  const lower = text.toLowerCase();
  if (!wanted || lower.length !== text.length) return [text];
  const found = [];
  let from = 0;
  for (let at = lower.indexOf(wanted); at >= 0; at = lower.indexOf(wanted, from)) {
    found.push(text.slice(from, at), h("mark", {}, text.slice(at, at + wanted.length)));
    from = at + wanted.length;
  }
  return [...found, text.slice(from)];
}
