"""What every judge does: it reads problems with responses, and gives each response a number."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from acemath.errors import UserError
from acemath.records import Response, by_problem

Item = tuple[str, Sequence[str]]  # a problem's text with responses to it
SEVERAL = 4  # problems from which on equal scores in each of them are a sign of a fault
SAME = 1e-6
Progress = Callable[[int, int, str], None]  # done, total, a note


def silent(done: int, total: int, note: str) -> None:
    """Progress that nobody watches."""


def equal_scores(
    scores: Sequence[Sequence[float]], everywhere: str, within: str, word: str = "score"
) -> list[str]:
    """A line if all scores, or all scores of each problem, are equal: signs of a fault that raised no error.

    `scores` are those of distinct responses (`of_distinct`). The questions `everywhere` and `within` name the likely cause
    of each.
    """
    known = [[value for value in row if not math.isnan(value)] for row in scores]
    flat = [value for row in known for value in row]
    if len(flat) >= 8 and max(flat) - min(flat) < SAME:
        return [f"all {len(flat)} {word}s are {flat[0]:g}: {everywhere}"]
    several = [row for row in known if len(row) > 1]
    if len(several) >= SEVERAL and all(max(row) - min(row) < SAME for row in several):
        return [
            f"different responses to a problem have the same {word}, in all of {len(several)} problems: {within}"
        ]
    return []


def of_distinct(items: Sequence[Item], scores: Sequence[Sequence[float]]) -> list[list[float]]:
    """The scores of the distinct responses to each problem."""
    return [
        list(dict(zip(texts, row, strict=True)).values())
        for (_, texts), row in zip(items, scores, strict=True)
    ]


class NoScore(UserError):
    """A judge gave no score for any of the responses that it was asked about."""


class Judge(Protocol):
    """Gives scores to responses: the higher, the better. `name` is for tables and files.

    Scores of different problems need not be comparable. A score is nan if the judge gave none; such a response ranks
    below all others, and the judge has said how many there are.
    """

    name: str

    def identity(self) -> dict[str, Any]:
        """All that the scores depend on, as JSON: stored scores are valid as long as it is unchanged."""
        ...

    def score_many(self, items: Sequence[Item], progress: Progress = silent) -> list[list[float]]:
        """The scores of responses to many problems: scores[i][j] belongs to response j of items[i]."""
        ...

    def score_responses(
        self, prompts: Mapping[str, str], responses: Sequence[Response], progress: Progress = silent
    ) -> list[float]:
        """The score of each response, in their order. `prompts` are the texts of the problems by id."""
        mine = by_problem(responses)
        items = [(prompts[key], [r.text for r in rows]) for key, rows in mine.items()]
        found = dict(zip(mine, map(iter, self.score_many(items, progress)), strict=True))
        return [next(found[r.problem_id]) for r in responses]
