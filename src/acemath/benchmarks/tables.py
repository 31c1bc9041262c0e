"""AceMath-RewardBench's table and the evaluation of policies, from graded and scored responses.

A record is one problem with its n responses. A selector picks one of a random k: the reward model, the majority,
the reward-weighted majority, or a control: a random pick, the shortest, the longest, the oracle (paper, section
4.3.1 and Table 6). The name of a selector's number, `measure`, is the same in logs, tables, reports and files.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from acemath.errors import UserError
from acemath.grade import classes
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
from acemath.records import BENCHMARK as BENCHMARK

AVERAGE = "average"
UNTRAINED = "reward before training"  # key in a response's meta


@dataclass(frozen=True, slots=True)
class Answer:
    """What the tables need of one response."""

    answer: str | None  # None if there is none, as in a response that was cut
    correct: bool
    reward: float | None
    untrained: float | None  # the reward model's score before its training
    length: int


@dataclass(frozen=True, slots=True)
class Record:
    """One benchmark problem with n responses: classes of equal answers, verdicts, rewards, lengths in characters."""

    benchmark: str
    problem_id: str
    level: int
    classes: tuple[int, ...]
    correct: tuple[bool, ...]
    rewards: tuple[float, ...]  # empty if no reward model scored
    lengths: tuple[int, ...]
    untrained: tuple[float, ...] = ()  # scores before the reward model's training; empty if not scored


def record_of(benchmark: str, problem_id: str, level: int, answers: Sequence[Answer]) -> Record:
    """One problem's record: equal answers share a class; a response without an answer has the class -1.

    UserError if only some of the problem's responses have a reward.
    """
    return Record(
        benchmark,
        problem_id,
        level,
        tuple(classes([a.answer for a in answers])),
        tuple(a.correct for a in answers),
        _all_or_none([a.reward for a in answers], problem_id),
        tuple(a.length for a in answers),
        _all_or_none([a.untrained for a in answers], problem_id),
    )


def _all_or_none(rewards: Sequence[float | None], problem_id: str) -> tuple[float, ...]:
    found = tuple(value for value in rewards if value is not None)
    if found and len(found) < len(rewards):
        raise UserError(
            f"problem {problem_id!r}: {len(rewards) - len(found)} of {len(rewards)} responses have no reward; score all of "
            "them (acemath score) or none"
        )
    return found


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
BEFORE: dict[str, Selector] = {
    "reward model before training": lambda r, k: rm_at_k(r.untrained, r.correct, k)
}
# The name of each selector's number, in the table's order.
MEASURES = {
    "random": "pass@1",
    "shortest": "shortest@{k}",
    "longest": "longest@{k}",
    "majority": "maj@{k}",
    "weighted majority": "weighted maj@{k}",
    "reward model before training": "rm@{k} before training",
    "reward model": "rm@{k}",
    "oracle": "pass@{k}",
}
HEADLINE = ("random", "majority", "reward model before training", "reward model", "oracle")


def measure(selector: str, k: int | str) -> str:
    """The name of a selector's number: pass@1 for a random pick, maj@8, rm@8, pass@8 for the oracle."""
    return MEASURES[selector].format(k=k)


@dataclass(frozen=True, slots=True)
class Row:
    """One cell of the table: a selector on a benchmark, in percent, with its interval."""

    selector: str
    measure: str  # the number's name
    benchmark: str
    value: float
    low: float
    high: float
    problems: int
    undefined: int  # problems that are left out because they have fewer than k responses


def selectors(records: Sequence[Record]) -> dict[str, Selector]:
    """The selectors that these records allow, in the table's order.

    UserError if only some problems have rewards: the numbers would be over different problems.
    """
    unscored = next((r for r in records if not r.rewards), None)
    if unscored is not None and any(r.rewards for r in records):
        raise UserError(
            f"the responses to problem {unscored.problem_id!r} of {unscored.benchmark} have no rewards, but others do; "
            "score all of them (acemath score) or none"
        )
    known = CONTROLS | ({} if unscored is not None else JUDGED)
    if all(r.untrained for r in records):
        known = known | BEFORE
    return {name: known[name] for name in MEASURES if name in known}


def benchmarks_of(records: Sequence[Record]) -> list[str]:
    """The benchmarks in order of first appearance."""
    return list(dict.fromkeys(r.benchmark for r in records))


def check_enough(records: Sequence[Record], k: int) -> None:
    """UserError if there is no problem, or if no problem of a benchmark has k responses."""
    if not records:
        raise UserError("there is no problem with responses to measure; give a file that holds some")
    for benchmark in benchmarks_of(records):
        most = max(len(r.correct) for r in records if r.benchmark == benchmark)
        if most < k:
            raise UserError(
                f"k is {k}, but no problem of {benchmark} has more than {most} responses; choose k up to {most}, or give "
                "more responses a problem"
            )


def reward_bench(records: Sequence[Record], k: int) -> list[Row]:
    """One row for each selector and benchmark, and for the unweighted average of the benchmarks.

    UserError as in `check_enough`. Problems with fewer than k are left out and counted.
    """
    check_enough(records, k)
    rows = []
    for name, select in selectors(records).items():
        by_benchmark = {
            b: [select(r, k) for r in records if r.benchmark == b] for b in benchmarks_of(records)
        }
        for benchmark, values in by_benchmark.items():
            rows.append(_row(name, k, benchmark, estimate(values)))
        rows.append(_row(name, k, AVERAGE, average(list(by_benchmark.values()))))
    return rows


def _row(selector: str, k: int, benchmark: str, e: Estimate) -> Row:
    percent = (100 * e.value, 100 * e.low, 100 * e.high)
    return Row(selector, measure(selector, k), benchmark, *percent, e.problems, e.undefined)


def curves(records: Sequence[Record], ks: Sequence[int]) -> dict[str, list[Estimate]]:
    """Each selector's estimates at each k, averaged over the benchmarks: the curves of rm@k, maj@k and pass@k."""
    for k in ks:
        check_enough(records, k)
    return {
        name: [over_benchmarks(records, [select(r, k) for r in records]) for k in ks]
        for name, select in selectors(records).items()
    }


def over_benchmarks(records: Sequence[Record], values: Sequence[float]) -> Estimate:
    """The unweighted mean of the benchmarks' means; `values` holds one value for each record."""
    return average(
        [
            [v for v, r in zip(values, records, strict=True) if r.benchmark == b]
            for b in benchmarks_of(records)
        ]
    )


def per_problem(records: Sequence[Record], selector: str, k: int) -> list[float]:
    """One selector's value for every problem, for paired differences."""
    select = (CONTROLS | JUDGED | BEFORE)[selector]
    return [select(r, k) for r in records]
