"""What overlays of a recipe change: the reward models of several runs on the same responses, as paired differences.

    python perf/overlays.py runs/acemath-0.5b runs/pairwise runs/random-groups
    python perf/overlays.py listwise.parquet pairwise.parquet --k 8

The first one is the base. The others are copies of its folder that went on with an overlay (docs/half-a-billion.md),
or files of the same responses scored by other reward models (`acemath score`). Prints a Markdown table: rm@k,
weighted maj@k, and the share of a problem's pairs of a right and a wrong response that are in order, averaged over the
problems that have both.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from math import isnan
from pathlib import Path

from acemath.benchmarks.stored import stored_records as of_files
from acemath.benchmarks.tables import Record, measure, per_problem
from acemath.metrics.intervals import estimate, paired
from acemath.metrics.judging import auc
from acemath.run.evaluation import stored_records
from acemath.run.findings import apart
from acemath.run.partitions import partitions_of
from acemath.run.run import recipe_of
from acemath.run.store import StageStore

Measures = dict[str, Callable[[Sequence[Record]], list[float]]]  # one value for each problem, nan where there is none
SELECTORS = ("reward model", "weighted majority")


def records_at(path: Path) -> list[Record]:
    """The test problems of a run with the headline policy's responses and their rewards; of a file, all problems. Sorted by id."""
    if path.is_file():
        return sorted(of_files([path])[0], key=lambda record: record.problem_id)
    bench = recipe_of(path).bench
    count = partitions_of(path)["benchmarks"].count
    stores = [StageStore(path / name, count) for name in ("benchmarks", f"scores-{bench.headline}")]
    return sorted(apart(stored_records(*stores), bench.validation)[0], key=lambda record: record.problem_id)


def measures(k: int) -> Measures:
    """What reward models are compared by."""
    return {measure(s, k): partial(per_problem, selector=s, k=k) for s in SELECTORS} | {
        "pairs in order": lambda records: [auc(r.rewards, r.correct) for r in records]
    }


def shown(value: float, low: float, high: float) -> str:
    """A difference in points with its interval, and what it says."""
    verdict = "more" if low > 0 else "less" if high < 0 else "cannot tell"
    return f"{100 * value:+.1f} ({100 * low:.1f} … {100 * high:.1f}) | {verdict}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", type=Path)
    parser.add_argument("others", type=Path, nargs="+")
    parser.add_argument("--k", type=int, help="responses to pick from; by default the base run's, or 8 for files")
    args = parser.parse_args()
    k = args.k or (8 if args.base.is_file() else recipe_of(args.base).bench.k)
    base = records_at(args.base)
    mixed = sum(not isnan(auc(r.rewards, r.correct)) for r in base)
    print(f"{len(base):,} problems, {mixed:,} with right and wrong responses.\n")
    print(f"| run | measure | percent | minus {args.base.name} | |\n|---|---|---|---|---|")
    for path in (args.base, *args.others):
        mine = records_at(path)
        if [r.problem_id for r in mine] != [r.problem_id for r in base]:
            raise SystemExit(f"{path} was measured on other problems than {args.base}; give the same responses")
        same = all(one.correct == other.correct for one, other in zip(mine, base, strict=True))
        for name, values in measures(k).items():
            found = paired(values(mine), values(base))
            difference = " | " if path == args.base else shown(found.value, found.low, found.high)
            run = path.name if same else f"{path.name} (other responses)"
            print(f"| {run} | {name} | {100 * estimate(values(mine)).value:.1f} | {difference} |")


if __name__ == "__main__":
    main()
