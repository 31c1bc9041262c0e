"""AceMath-RewardBench's table and the evaluation of policies, from graded and scored responses.

A record is one problem with its n responses. A selector picks one of k: the reward model, the majority, a combination
of both, or a control: a random pick, the shortest, the longest, the oracle (paper, section 4.3.1 and Table 6). The
name of a selector's number, `measure`, is the same in logs, tables, reports and files. How k is taken from n is a
protocol with a name (`acemath.metrics.protocols`); the default is the exact expectation.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from acemath.errors import UserError
from acemath.grade import classes
from acemath.metrics.exact import vote_weights
from acemath.metrics.intervals import Estimate, average, estimates
from acemath.metrics.pickers import Best, BestOfMajority, Oracle, Picker, Random, Votes, dense_ranks
from acemath.metrics.protocols import EXACT, Protocol, picked
from acemath.metrics.subsets import DRAWS, is_exact
from acemath.records import BENCHMARK as BENCHMARK

Floats = NDArray[np.float64]
AVERAGE = "average"
UNTRAINED = "reward before training"  # key in a response's meta
ACCEPTED = "accepted"  # key in a response's meta: whether a verifier accepts it


@dataclass(frozen=True, slots=True)
class Answer:
    """What the tables need of one response."""

    answer: str | None  # None if there is none, as in a response that was cut
    correct: bool
    reward: float | None
    untrained: float | None  # the reward model's score before its training
    length: int
    generator: str = ""  # the model that wrote it; "" if unknown
    finish_reason: str = ""  # as in `records.Response`; "" if unknown
    accepted: bool | None = None  # whether a verifier accepts it; None if none was asked


@dataclass(frozen=True, slots=True)
class Record:
    """One benchmark problem with n responses: classes of equal answers, verdicts, rewards, lengths in characters.

    A reward of nan means that the judge gave none; it ranks below all others.
    """

    benchmark: str
    problem_id: str
    level: int
    classes: tuple[int, ...]
    correct: tuple[bool, ...]
    rewards: tuple[float, ...]  # empty if no reward model scored
    lengths: tuple[int, ...]
    untrained: tuple[float, ...] = ()  # scores before the reward model's training; empty if not scored
    subject: str = ""
    generators: tuple[str, ...] = ()  # the model of each response
    finish_reasons: tuple[str, ...] = ()
    accepted: tuple[bool, ...] = ()  # what a verifier accepts; empty if none was asked

    def only(self, places: Sequence[int]) -> Record:
        """The problem with the responses at these places alone."""
        columns = {name: getattr(self, name) for name in PER_RESPONSE}
        kept: dict[str, Any] = {name: tuple(v[at] for at in places) if v else () for name, v in columns.items()}
        return replace(self, **kept)


# The fields of a record that have a value for each response, or none at all.
PER_RESPONSE = ("classes", "correct", "rewards", "lengths", "untrained", "generators", "finish_reasons", "accepted")


def record_of(
    benchmark: str, problem_id: str, level: int, answers: Sequence[Answer], subject: str = ""
) -> Record:
    """One problem's record: equal answers share a class; a response without an answer has the class -1.

    UserError if only some of the problem's responses have a reward, or a verifier's verdict.
    """
    return Record(
        benchmark,
        problem_id,
        level,
        tuple(classes([a.answer for a in answers])),
        tuple(a.correct for a in answers),
        _all_or_none([a.reward for a in answers], "reward", problem_id),
        tuple(a.length for a in answers),
        _all_or_none([a.untrained for a in answers], "reward", problem_id),
        subject,
        tuple(a.generator for a in answers),
        tuple(a.finish_reason for a in answers),
        _all_or_none([a.accepted for a in answers], "verdict of a verifier", problem_id),
    )


T = TypeVar("T")


def _all_or_none(values: Sequence[T | None], what: str, problem_id: str) -> tuple[T, ...]:
    found = tuple(value for value in values if value is not None)
    if found and len(found) < len(values):
        raise UserError(
            f"problem {problem_id!r}: {len(values) - len(found)} of {len(values)} responses have no {what}; score all of "
            "them (acemath score) or none"
        )
    return found


class Pool:
    """Problems with n responses each, as arrays [problem, response]."""

    def __init__(self, records: Sequence[Record]) -> None:
        self.records = records
        self.correct = self.array("correct")

    def array(self, name: str) -> Floats:
        """A field of the records that has a number for each response."""
        return np.array([getattr(r, name) for r in self.records], float)

    @property
    def classes(self) -> NDArray[np.int64]:
        return np.array([r.classes for r in self.records], np.int64)


def _accepted_first(pool: Pool) -> Floats:
    """Scores that rank what the verifier accepts above all else, and by reward within."""
    rewards = dense_ranks(pool.array("rewards"))
    return np.where(pool.array("accepted") > 0, 0.0, -1.0 - rewards.shape[1]) - rewards


TEMPERATURE = 1.0  # of softmax votes
Selector = Callable[[Pool], Picker]
CONTROLS: dict[str, Selector] = {
    "random": lambda p: Random(p.correct),
    "shortest": lambda p: Best(-p.array("lengths"), p.correct),
    "longest": lambda p: Best(p.array("lengths"), p.correct),
    "majority": lambda p: Votes(p.classes, p.correct),
    "oracle": lambda p: Oracle(p.correct),
}
JUDGED: dict[str, Selector] = {
    "reward model": lambda p: Best(p.array("rewards"), p.correct),
    "weighted majority": lambda p: Votes(p.classes, p.correct, vote_weights(p.array("rewards"))),
    "softmax majority": lambda p: Votes(p.classes, p.correct, vote_weights(p.array("rewards"), TEMPERATURE)),
    "reward model in majority": lambda p: BestOfMajority(p.classes, p.array("rewards"), p.correct),
}
BEFORE: dict[str, Selector] = {
    "reward model before training": lambda p: Best(p.array("untrained"), p.correct)
}
VERIFIED: dict[str, Selector] = {
    "verifier": lambda p: Best(p.array("accepted"), p.correct),
}
VERIFIED_AND_JUDGED: dict[str, Selector] = {
    "reward model in accepted": lambda p: Best(_accepted_first(p), p.correct)
}
SELECTORS = CONTROLS | JUDGED | BEFORE | VERIFIED | VERIFIED_AND_JUDGED
VOTING = ("majority", "weighted majority", "softmax majority", "reward model in majority")  # they need answers to count
DRAWN = ("weighted majority", "softmax majority", "reward model in majority")  # no closed form: `Row.draws`
# The name of each selector's number, in the table's order.
MEASURES = {
    "random": "pass@1",
    "shortest": "shortest@{k}",
    "longest": "longest@{k}",
    "majority": "maj@{k}",
    "weighted majority": "weighted maj@{k}",
    "softmax majority": f"softmax maj@{{k}} (T={TEMPERATURE:g})",
    "verifier": "verifier@{k}",
    "reward model before training": "rm@{k} before training",
    "reward model": "rm@{k}",
    "reward model in majority": "rm in majority@{k}",
    "reward model in accepted": "rm in accepted@{k}",
    "oracle": "pass@{k}",
}
# The selectors of a run's tables; the others are for the comparison of judges.
STANDARD = (
    "random", "shortest", "longest", "majority", "weighted majority", "reward model before training", "reward model", "oracle",
)  # fmt: skip
HEADLINE = ("random", "majority", "reward model before training", "reward model", "oracle")


def measure(selector: str, k: int | str) -> str:
    """The name of a selector's number: pass@1 for a random pick, maj@8, rm@8, pass@8 for the oracle."""
    return MEASURES[selector].format(k=k)


@dataclass(frozen=True, slots=True)
class Row:
    """One cell of the table: a selector on a benchmark, in percent, with its interval over problems."""

    selector: str
    measure: str  # the number's name
    benchmark: str
    value: float
    low: float
    high: float
    problems: int
    undefined: int  # problems that are left out because they have fewer than k responses
    protocol: str = EXACT.name
    draws: int = 0  # subsets that were drawn a problem; 0 if the value is exact


def selectors(records: Sequence[Record], only: Collection[str] = MEASURES) -> dict[str, Selector]:
    """The selectors, of those in `only`, that these records allow, in the table's order.

    Without texts there is no shortest response, and without answers no vote (`voteless`). UserError if only some problems have rewards: the numbers would be over different problems.
    """
    unscored = next((r for r in records if not r.rewards), None)
    if unscored is not None and any(r.rewards for r in records):
        raise UserError(
            f"the responses to problem {unscored.problem_id!r} of {unscored.benchmark} have no rewards, but others do; "
            "score all of them (acemath score) or none"
        )
    known = dict(CONTROLS)
    verified = all(r.accepted for r in records)
    if unscored is None:
        known |= JUDGED | (VERIFIED_AND_JUDGED if verified else {})
    if verified:
        known |= VERIFIED
    if all(r.untrained for r in records):
        known |= BEFORE
    without = (*(() if any(any(r.lengths) for r in records) else ("shortest", "longest")), *(VOTING if voteless(records) else ()))
    return {name: known[name] for name in MEASURES if name in known and name in only and name not in without}


def voteless(records: Sequence[Record]) -> list[str]:
    """The benchmarks that have right responses, but none of them with an answer: a majority could only be wrong."""
    votes: dict[str, bool] = {}  # whether a right response has an answer
    for record in records:
        for label, right in zip(record.classes, record.correct, strict=True) if not votes.get(record.benchmark) else ():
            if right:
                votes[record.benchmark] = votes.get(record.benchmark, False) or label >= 0
    return [name for name, found in votes.items() if not found]


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


def values_at(
    records: Sequence[Record], selector: str, ks: Sequence[int], protocol: Protocol = EXACT
) -> Floats:
    """One selector's value for every problem and k, as a fraction of 1: [record, k]; nan where k exceeds the responses."""
    by_size: dict[int, list[int]] = {}
    for at, record in enumerate(records):
        by_size.setdefault(len(record.correct), []).append(at)
    found = np.full((len(records), len(ks)), np.nan)
    for size, places in by_size.items():
        if size:
            mine = [records[at] for at in places]
            keys = [f"{r.benchmark} {r.problem_id}" for r in mine]
            found[places] = picked(SELECTORS[selector](Pool(mine)), ks, protocol, keys)
    return found


def reward_bench(
    records: Sequence[Record],
    k: int,
    protocol: Protocol = EXACT,
    only: Collection[str] = MEASURES,
) -> list[Row]:
    """One row for each selector and benchmark, and for the unweighted average of the benchmarks.

    UserError as in `check_enough`. Problems with fewer than k are left out and counted.
    """
    check_enough(records, k)
    names, parts = _table(records, k, protocol, only)
    # a list, because a benchmark may be called average
    cells = [*((b, estimates([values])) for b, values in parts.items()), (AVERAGE, estimates(list(parts.values())))]
    return [
        _row(records, name, k, benchmark, row[at], protocol)
        for at, name in enumerate(names)
        for benchmark, row in cells
    ]


def rows_of(
    records: Sequence[Record], k: int, protocol: Protocol = EXACT, only: Collection[str] = MEASURES
) -> list[Row]:
    """The rows of `reward_bench` without the average; where no problem has k responses, the value is nan."""
    names, parts = _table(records, k, protocol, only)
    return [
        _row(records, name, k, benchmark, row, protocol)
        for benchmark, values in parts.items()
        for name, row in zip(names, estimates([values]), strict=True)
    ]


def _table(
    records: Sequence[Record], k: int, protocol: Protocol, only: Collection[str]
) -> tuple[list[str], dict[str, Floats]]:
    """The names of the selectors, and their values on each benchmark: [problem, selector]."""
    names = list(selectors(records, only))
    table = np.stack([values_at(records, name, [k], protocol)[:, 0] for name in names], axis=1)
    places = np.array([r.benchmark for r in records])
    return names, {b: table[places == b] for b in benchmarks_of(records)}


def drawn_subsets(records: Sequence[Record], selector: str, k: int, protocol: Protocol = EXACT) -> int:
    """How many subsets a problem's value is the mean of, where they are drawn; 0 if it is exact."""
    if protocol.name != EXACT.name:
        return protocol.draws
    exact = all(is_exact(n, k) for n in {len(r.correct) for r in records if len(r.correct) >= k})
    return DRAWS if selector in DRAWN and not exact else 0


def _row(
    records: Sequence[Record], selector: str, k: int, benchmark: str, e: Estimate, protocol: Protocol
) -> Row:
    percent = (100 * e.value, 100 * e.low, 100 * e.high)
    drawn = drawn_subsets(records, selector, k, protocol)
    return Row(
        selector, measure(selector, k), benchmark, *percent, e.problems, e.undefined, protocol.name, drawn
    )


def curves(
    records: Sequence[Record],
    ks: Sequence[int],
    protocol: Protocol = EXACT,
    only: Collection[str] = STANDARD,
) -> dict[str, list[Estimate]]:
    """Each selector's estimates at each k, averaged over the benchmarks: the curves of rm@k, maj@k and pass@k."""
    for k in ks:
        check_enough(records, k)
    places = np.array([r.benchmark for r in records])
    found = {}
    for name in selectors(records, only):
        table = values_at(records, name, ks, protocol)
        found[name] = estimates([table[places == b] for b in benchmarks_of(records)])
    return found


def over_benchmarks(records: Sequence[Record], values: Sequence[float]) -> Estimate:
    """The unweighted mean of the benchmarks' means; `values` holds one value for each record."""
    return average(
        [
            [v for v, r in zip(values, records, strict=True) if r.benchmark == b]
            for b in benchmarks_of(records)
        ]
    )


def per_problem(
    records: Sequence[Record], selector: str, k: int, protocol: Protocol = EXACT
) -> list[float]:
    """One selector's value for every problem, for paired differences."""
    return [float(value) for value in values_at(records, selector, [k], protocol)[:, 0]]
