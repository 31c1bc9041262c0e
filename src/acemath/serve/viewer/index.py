"""The small columns of a set as arrays, and what follows from them for each problem.

Definitions, the same as in the tables: the judge picks the highest reward of all responses, the majority the answer with
most votes; ties share, so that a value lies between 0 and 1 where a tie holds right and wrong responses.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acemath.benchmarks.tables import BENCHMARK
from acemath.records import LENGTH, STATUSES, STOP, Problem, content_key
from acemath.serve.viewer.library import Source

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
UNGRADED = "not graded"
CODES = {name: code for code, name in enumerate((*STATUSES, UNGRADED))}


class Index:
    """The columns of one set, one item a response; rows keep the numbers that they have in the files."""

    def __init__(self, source: Source) -> None:
        import pyarrow as pa
        import pyarrow.compute as pc

        self.source = source
        table = source.rows.small()
        self.count = table.num_rows
        ids = pc.dictionary_encode(table.column("problem_id").combine_chunks())
        names = ids.dictionary.to_pylist()
        self.problems = [source.problems.get(name, Problem(name, "")) for name in names]
        self.problem: Ints = ids.indices.to_numpy().astype(np.int64)
        status = table.column("status").combine_chunks().fill_null(UNGRADED)
        self.status: Ints = (
            pc.index_in(status, pa.array(list(CODES))).to_numpy(zero_copy_only=False).astype(np.int64)
        )
        finish = table.column("finish_reason").combine_chunks().fill_null(STOP)
        self.cut: Bools = pc.equal(finish, LENGTH).to_numpy(zero_copy_only=False)
        self.complete: Bools = pc.equal(finish, STOP).to_numpy(zero_copy_only=False)
        self.right: Bools = (self.status == CODES["correct"]) & self.complete
        reward = table.column("reward").combine_chunks()
        self.scored: Bools = reward.is_valid().to_numpy(zero_copy_only=False)
        self.reward: Floats = reward.cast("float64").to_numpy(zero_copy_only=False).astype(float)
        models = pc.dictionary_encode(table.column("model").combine_chunks())
        self.models: list[str] = models.dictionary.to_pylist()
        self.model: Ints = models.indices.to_numpy().astype(np.int64)
        self.sample: Ints = (
            table.column("sample").combine_chunks().to_numpy(zero_copy_only=False).astype(np.int64)
        )
        self.extracted = table.column("extracted").combine_chunks()
        self.reason = table.column("reason").combine_chunks()
        tokens = table.column("tokens").combine_chunks().fill_null(0).to_numpy(zero_copy_only=False)
        self.unit = "tokens" if tokens.all() else "characters"
        self.length: Ints = tokens.astype(np.int64) if tokens.all() else self._characters()
        lacking = sum(problem.id not in source.problems for problem in self.problems)
        self.notes = [*source.notes]
        if lacking:
            self.notes.append(f"{lacking:,} problems are answered, but not in the folder")
        unanswered = len(source.problems) - (len(self.problems) - lacking)
        if unanswered:
            self.notes.append(f"{unanswered:,} of {len(source.problems):,} problems have no response here")
        self.notes += self._unknown()

    def _unknown(self) -> list[str]:
        """What to say of rewards and answers that are missing, and of responses that were not graded."""
        found = []
        lost = int((self.scored & np.isnan(self.reward)).sum())
        if lost:
            found.append(f"{lost:,} responses got no score from the judge; they rank below all others")
        if self.scored.any() and not self.scored.all():
            found.append(
                f"{int((~self.scored).sum()):,} responses have no reward; problems with such a response have no judge's pick"
            )
        silent = int((self.right & self.extracted.is_null().to_numpy(zero_copy_only=False)).sum())
        if silent:
            found.append(f"{silent:,} responses are right but have no answer (extracted or pred), so they win no vote")
        ungraded = int((self.status == CODES[UNGRADED]).sum())
        if ungraded:
            found.append(f"{ungraded:,} of {self.count:,} responses are not graded; they count as not right")
        return found

    def _characters(self) -> Ints:
        """The lengths of all texts, where the model's tokens were not counted."""
        import pyarrow.compute as pc

        lengths = [pc.utf8_length(texts).to_numpy() for _, texts in self.source.rows.pieces()]
        return np.concatenate(lengths).astype(np.int64) if lengths else np.zeros(0, np.int64)

    @cached_property
    def benchmarks(self) -> list[str]:
        """The benchmark of each problem; its source where it belongs to none. A subject is never the unit of an average."""
        return [str(problem.meta.get(BENCHMARK) or problem.source) for problem in self.problems]

    @cached_property
    def by_problem(self) -> Ints:
        """All rows, problem by problem, in the order of the files."""
        return np.argsort(self.problem, kind="stable")

    @cached_property
    def bounds(self) -> Ints:
        """Where each problem's rows begin in `by_problem`; one more for the end."""
        return np.searchsorted(self.problem[self.by_problem], np.arange(len(self.problems) + 1))

    def rows_of(self, problem: int) -> Ints:
        """The rows of one problem in the order of the files."""
        return self.by_problem[self.bounds[problem] : self.bounds[problem + 1]]

    def answer(self, row: int) -> str | None:
        """The answer of a response; None for one that was cut or refused, as in the tables."""
        return self.extracted[int(row)].as_py() if self.complete[row] else None

    @cached_property
    def keys(self) -> dict[tuple[str, str], int]:
        """Problems by id and prompt: the same in two sets if both are the same."""
        return {(p.id, content_key(p.prompt)): number for number, p in enumerate(self.problems)}

    def view(self, model: str = "") -> View:
        """The set, or only one model's responses."""
        mine = self.by_problem
        if model:
            code = self.models.index(model) if model in self.models else -1
            mine = mine[self.model[mine] == code]
        return View(self, mine)


@dataclass
class View:
    """Some responses of a set, problem by problem, and the numbers of each problem that has any."""

    index: Index
    rows: Ints  # sorted by problem

    @cached_property
    def problems(self) -> Ints:
        """The problems' numbers; every array below has one item for each."""
        return np.unique(self.index.problem[self.rows])

    @cached_property
    def starts(self) -> Ints:
        """Where each problem's rows begin in `rows`."""
        return np.searchsorted(self.index.problem[self.rows], self.problems)

    def total(self, values: NDArray[Any]) -> Floats:
        """The sum over each problem's responses of one value a response of the set."""
        return (
            np.add.reduceat(values[self.rows].astype(float), self.starts) if len(self.rows) else np.zeros(0)
        )

    def best(self, values: Floats, among: Bools) -> Floats:
        """The highest value among some responses of each problem; -inf where there is none."""
        kept = np.where(among, values, -np.inf)[self.rows]
        return np.maximum.reduceat(kept, self.starts) if len(kept) else np.zeros(0)

    @cached_property
    def n(self) -> Floats:
        """The number of responses."""
        return self.total(np.ones(self.index.count))

    @cached_property
    def right(self) -> Floats:
        """The number of right responses."""
        return self.total(self.index.right)

    @cached_property
    def cut(self) -> Floats:
        """The number of responses that were cut at the token limit."""
        return self.total(self.index.cut)

    @cached_property
    def length(self) -> Floats:
        """The mean length, in the unit of the set."""
        return self.total(self.index.length) / self.n

    @cached_property
    def judged(self) -> Bools:
        """Whether every response of the problem has a reward."""
        return self.total(self.index.scored) == self.n

    @cached_property
    def _ranks(self) -> Floats:
        """Rewards in which a score that the judge could not give is below all others."""
        return np.nan_to_num(self.index.reward, nan=-np.inf, posinf=np.inf, neginf=-np.inf)

    @cached_property
    def top(self) -> Floats:
        """The highest reward."""
        return self.best(self._ranks, np.ones(self.index.count, bool))

    @cached_property
    def picked(self) -> Bools:
        """For each of `rows`: whether it has the highest reward of its problem (several do, in a tie)."""
        sizes = np.diff(np.append(self.starts, len(self.rows)))
        return self._ranks[self.rows] == np.repeat(self.top, sizes)

    @cached_property
    def judge(self) -> Floats:
        """rm@n: whether the judge's pick is right, from 0 to 1; nan where a reward is missing."""
        if not len(self.rows):
            return np.zeros(0)
        right = np.add.reduceat((self.picked & self.index.right[self.rows]).astype(float), self.starts)
        value = right / np.add.reduceat(self.picked.astype(float), self.starts)
        return np.where(self.judged, value, np.nan)

    @cached_property
    def margin(self) -> Floats:
        """The best reward of a right response minus the best of a wrong one; nan where there is none of either."""
        right = self.best(self._ranks, self.index.right)
        wrong = self.best(self._ranks, ~self.index.right)
        known = np.isfinite(right) & np.isfinite(wrong) & self.judged
        return np.subtract(right, wrong, out=np.full(len(right), np.nan), where=known)

    @cached_property
    def first(self) -> Floats:
        """Whether the response with the lowest sample number is right."""
        return self.index.right[self.first_rows].astype(float)

    @cached_property
    def first_rows(self) -> Ints:
        """The row with the lowest sample number of each problem."""
        order = np.lexsort((self.index.sample[self.rows], self.index.problem[self.rows]))
        return self.rows[order][self.starts]

    @cached_property
    def judge_rows(self) -> Ints:
        """The row that the judge picks for each problem, the first of several in a tie."""
        return _first_where(self.picked, self.rows, self.starts)

    def votes(self, classes: Ints) -> Votes:
        """The vote of each problem, for the classes of equal answers of all rows (-1: no answer)."""
        mine, owner = classes[self.rows], self.index.problem[self.rows]
        given = mine >= 0
        keys, first, place, counts = np.unique(
            owner[given] * (self.index.count + 1) + mine[given],
            return_index=True,
            return_inverse=True,
            return_counts=True,
        )
        share = np.bincount(place, self.index.right[self.rows][given], len(keys)) / np.maximum(counts, 1)
        slot = np.searchsorted(self.problems, keys // (self.index.count + 1))
        most = np.zeros(len(self.problems))
        np.maximum.at(most, slot, counts)
        winning = counts == most[slot]
        winners = np.bincount(slot[winning], minlength=len(self.problems))
        value = np.bincount(slot[winning], share[winning], len(self.problems)) / np.maximum(winners, 1)
        rows = np.full(len(self.problems), -1)
        where = np.flatnonzero(given)[
            first[winning]
        ]  # of several winners, the one that came first in the files
        np.maximum.at(rows, slot[winning], len(self.rows) - where)
        picked = np.where(
            rows >= 0, self.rows[(len(self.rows) - rows).clip(0, max(0, len(self.rows) - 1))], -1
        )
        return Votes(value, most, winners, picked)


@dataclass(frozen=True, slots=True)
class Votes:
    """The majority of each problem; an answer that nobody gave wins no vote."""

    value: Floats  # maj@n: whether the winner is right, from 0 to 1; 0 where no response has an answer
    most: Floats  # the votes of the winner
    winners: Ints  # how many answers share the most votes
    rows: Ints  # the first response with the winning answer; -1 where there is none


def _first_where(chosen: Bools, rows: Ints, starts: Ints) -> Ints:
    """Of each segment, the first row that is chosen; every segment has one."""
    places = np.where(chosen, np.arange(len(rows)), len(rows))
    return rows[np.minimum.reduceat(places, starts)] if len(rows) else rows
