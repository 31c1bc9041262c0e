"""Two sets over the problems that both answer: what changed, and by how much."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from acemath.errors import UserError
from acemath.grade import equal
from acemath.metrics import Estimate, average
from acemath.records import content_key
from acemath.serve.viewer.index import Floats, Index, Ints, View, Votes
from acemath.serve.viewer.jobs import Job, Worker

BY = {
    "judge": "the judge's pick",
    "majority": "the majority",
    "first": "the first response",
    "average": "the share of right responses",
}
CHANGES = {
    "lost": "right → wrong",
    "gained": "wrong → right",
    "other": "wrong, other answer",
    "same": "the same",
}
LOST, GAINED, OTHER, SAME = range(4)
Pairs = tuple[Ints, Ints]


@dataclass(frozen=True, slots=True)
class Picks:
    """One set by one rule: each problem's value from 0 to 1, and the response that was picked (-1: none)."""

    value: Floats
    rows: Ints


def picks(view: View, by: str, votes: Votes | None) -> Picks:
    """What a rule picks. UserError if the set has no rewards, or if the votes are not counted yet."""
    if by == "judge":
        if not view.judged.all():
            raise UserError(
                f"{view.index.source.name} has responses without a reward; compare by the majority instead"
            )
        return Picks(view.judge, view.judge_rows)
    if by == "majority":
        if votes is None:
            raise UserError("the votes are still being counted; try again in a moment")
        return Picks(votes.value, votes.rows)
    if by == "first":
        return Picks(view.first, view.first_rows)
    if by == "average":
        return Picks(view.right / view.n, np.full(len(view.problems), -1))
    raise UserError(f"by is {by!r}; it is one of {', '.join(BY)}")


class Comparison:
    """The problems of two views in pairs, with what changed from the first to the second.

    A tie that holds right and wrong responses has a value between 0 and 1; a change counts by its direction. Whether two
    wrong answers are equal is for the grader to say, which takes a while: until `job` is done, these count as the same.
    """

    def __init__(
        self, one: View, other: View, matched: Pairs, mine: Picks, theirs: Picks, worker: Worker
    ) -> None:
        self.one, self.other = one, other
        self._mine, self._theirs = mine, theirs
        self.places, self.matches = matched
        self.before, self.after = mine.value[self.places], theirs.value[self.matches]
        self.changes: Ints = np.where(
            self.after < self.before, LOST, np.where(self.after > self.before, GAINED, SAME)
        )
        self.job: Job[Ints] = Job(worker, self._answers, lambda: self.changes)

    def _answers(self) -> Iterator[float]:
        """Find the problems that are wrong in both sets with answers that are not equal."""
        wrong = np.flatnonzero((self.changes == SAME) & (self.before < 1))
        for done, at in enumerate(wrong.tolist()):
            one = _answer(self.one.index, self._mine.rows[self.places[at]])
            other = _answer(self.other.index, self._theirs.rows[self.matches[at]])
            if one != other and (one is None or other is None or not equal(one, other).correct):
                self.changes[at] = OTHER
            yield (done + 1) / len(wrong)

    def counts(self) -> dict[str, int]:
        """How many problems changed in which way."""
        return {name: int((self.changes == code).sum()) for code, name in enumerate(CHANGES)}

    def difference(self) -> Estimate | None:
        """The second minus the first, paired, as the unweighted mean of the benchmarks; None without a shared problem."""
        if not len(self.places):
            return None
        names = np.array([self.one.index.benchmarks[p] for p in self.one.problems[self.places].tolist()])
        step = self.after - self.before
        return average([step[names == name].tolist() for name in dict.fromkeys(names.tolist())])


def _answer(index: Index, row: int) -> str | None:
    return index.answer(int(row)) if row >= 0 else None


def pairs(one: View, other: View) -> Pairs:
    """The positions, in each view, of the problems that both views answer: by id and prompt, else by a prompt that stands once in each."""
    by_key = {_key(other, p): at for at, p in enumerate(other.problems.tolist())}
    mine, theirs = _once(one), _once(other)
    found = []
    for at, p in enumerate(one.problems.tolist()):
        match = by_key.get(_key(one, p))
        prompt = one.index.problems[p].prompt
        if match is None and prompt and prompt in mine:
            match = theirs.get(prompt)
        if match is not None:
            found.append((at, match))
    both = np.array(found, np.int64).reshape(-1, 2)
    return both[:, 0], both[:, 1]


def _key(view: View, problem: int) -> tuple[str, str]:
    row = view.index.problems[problem]
    return row.id, content_key(row.prompt)


def _once(view: View) -> dict[str, int]:
    """The positions of the problems whose prompt stands once in the view."""
    found: dict[str, list[int]] = {}
    for at, p in enumerate(view.problems.tolist()):
        found.setdefault(view.index.problems[p].prompt, []).append(at)
    return {prompt: places[0] for prompt, places in found.items() if prompt and len(places) == 1}
