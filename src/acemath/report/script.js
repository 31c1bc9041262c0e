"use strict";
// Filters the problems by benchmark and by what the selectors made of them. The page is whole without it.
const list = document.querySelectorAll("#problems details");
const benchmark = document.getElementById("by-benchmark");
const outcome = document.getElementById("by-outcome");
function apply() {
  list.forEach((entry) => {
    const fits = (!benchmark.value || entry.dataset.benchmark === benchmark.value) &&
      (!outcome.value || entry.dataset.outcome === outcome.value);
    entry.hidden = !fits;
  });
}
if (benchmark && outcome) {
  benchmark.addEventListener("change", apply);
  outcome.addEventListener("change", apply);
}
