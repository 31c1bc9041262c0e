"""AceMath-RewardBench's table and the evaluation of policies, from graded and scored responses.

A record is one problem with its n responses. Selectors pick one of a random k: the reward model, the
majority, the reward-weighted majority, and the controls without which no number means much: a random pick,
the shortest, the longest, and the oracle (paper, section 4.3.1 and Table 6).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from acemath.metrics import (
    Estimate,
    average,
    estimate,
    maj_at_k,
    mean_accuracy,
    pass_at_k,
    rm_at_k,
    weighted_at_k,
)

AVERAGE = "average"


@dataclass(frozen=True, slots=True)
class Record:
    """One benchmark problem with n responses: equivalence classes of answers, verdicts, rewards, lengths."""

    benchmark: str
    problem_id: str
    level: int
    classes: tuple[int, ...]
    correct: tuple[bool, ...]
    rewards: tuple[float, ...]  # empty where no reward model scored
    lengths: tuple[int, ...]


Selector = Callable[[Record, int], float]
CONTROLS: dict[str, Selector] = {
    "random": lambda r, k: mean_accuracy(r.correct) if k <= len(r.correct) else float("nan"),
    "shortest": lambda r, k: rm_at_k([-x for x in r.lengths], r.correct, k),
    "longest": lambda r, k: rm_at_k(r.lengths, r.correct, k),
    "majority": lambda r, k: maj_at_k(r.classes, r.correct, k),
    "oracle": lambda r, k: pass_at_k(r.correct, k),
}
JUDGED: dict[str, Selector] = {
    "reward model": lambda r, k: rm_at_k(r.rewards, r.correct, k),
    "weighted majority": lambda r, k: weighted_at_k(r.classes, r.rewards, r.correct, k),
}
ORDER = ("random", "shortest", "longest", "majority", "weighted majority", "reward model", "oracle")


@dataclass(frozen=True, slots=True)
class Row:
    """One cell of the table: a selector on a benchmark, in percent, with its interval."""

    selector: str
    benchmark: str
    value: float
    low: float
    high: float
    problems: int


def selectors(records: Sequence[Record]) -> dict[str, Selector]:
    """The selectors that these records allow, in the table's order."""
    known = CONTROLS | (JUDGED if records and all(r.rewards for r in records) else {})
    return {name: known[name] for name in ORDER if name in known}


def benchmarks_of(records: Sequence[Record]) -> list[str]:
    """The benchmarks in order of first appearance."""
    return list(dict.fromkeys(r.benchmark for r in records))


def reward_bench(records: Sequence[Record], k: int) -> list[Row]:
    """One row a selector and benchmark, and the unweighted average of the benchmarks."""
    rows = []
    for name, select in selectors(records).items():
        by_benchmark = {
            b: [select(r, k) for r in records if r.benchmark == b] for b in benchmarks_of(records)
        }
        for benchmark, values in by_benchmark.items():
            rows.append(_row(name, benchmark, estimate(values)))
        rows.append(_row(name, AVERAGE, average(list(by_benchmark.values()))))
    return rows


def _row(selector: str, benchmark: str, e: Estimate) -> Row:
    return Row(selector, benchmark, 100 * e.value, 100 * e.low, 100 * e.high, e.problems)


def curves(records: Sequence[Record], ks: Sequence[int]) -> dict[str, list[Estimate]]:
    """Each selector at each k, averaged over the benchmarks: the curves of rm@k, maj@k and pass@k."""
    found: dict[str, list[Estimate]] = {}
    for name, select in selectors(records).items():
        found[name] = [
            average([[select(r, k) for r in records if r.benchmark == b] for b in benchmarks_of(records)])
            for k in ks
        ]
    return found


def per_problem(records: Sequence[Record], selector: str, k: int) -> list[float]:
    """One selector's value for every problem, for paired differences."""
    select = (CONTROLS | JUDGED)[selector]
    return [select(r, k) for r in records]
