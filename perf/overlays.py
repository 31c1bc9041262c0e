"""What overlays of a recipe change: the reward models of several runs on the same responses, as paired differences.

    python perf/overlays.py runs/acemath-0.5b runs/pairwise runs/random-groups

The first run is the base; the others are copies of its folder that went on with an overlay (docs/half-a-billion.md).
Prints a Markdown table.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from acemath.benchmarks.tables import Record, measure, per_problem
from acemath.metrics.intervals import paired
from acemath.run.evaluation import stored_records
from acemath.run.findings import apart
from acemath.run.partitions import partitions_of
from acemath.run.run import recipe_of
from acemath.run.store import StageStore

SELECTORS = ("reward model", "weighted majority")


def records_of_run(folder: Path) -> list[Record]:
    """The test problems of a run with the headline policy's responses and their rewards."""
    bench = recipe_of(folder).bench
    count = partitions_of(folder)["benchmarks"].count
    stores = [StageStore(folder / name, count) for name in ("benchmarks", f"scores-{bench.headline}")]
    return apart(stored_records(*stores), bench.validation)[0]


def shown(value: float, low: float, high: float) -> str:
    """A difference in points with its interval, and what it says."""
    verdict = "more" if low > 0 else "less" if high < 0 else "cannot tell"
    return f"{100 * value:+.1f} ({100 * low:.1f} … {100 * high:.1f}) | {verdict}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", type=Path)
    parser.add_argument("others", type=Path, nargs="+")
    args = parser.parse_args()
    k = recipe_of(args.base).bench.k
    base = {r.problem_id: r for r in records_of_run(args.base)}
    print(f"| run | measure | percent | minus {args.base.name} | |\n|---|---|---|---|---|")
    for folder in (args.base, *args.others):
        mine = records_of_run(folder)
        if [r.problem_id for r in mine] != list(base):
            raise SystemExit(f"{folder} was measured on other problems than {args.base}; give copies of one run")
        same = all(r.correct == base[r.problem_id].correct for r in mine)
        for selector in SELECTORS:
            values, others = (per_problem(rows, selector, k) for rows in (mine, list(base.values())))
            found = paired(list(values), list(others))
            difference = " | " if folder == args.base else shown(found.value, found.low, found.high)
            name = folder.name if same else f"{folder.name} (other responses)"
            print(f"| {name} | {measure(selector, k)} | {100 * sum(values) / len(values):.1f} | {difference} |")


if __name__ == "__main__":
    main()
