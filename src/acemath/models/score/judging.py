"""What every judge does: it reads problems with responses, and gives each response a number."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from acemath.records import Response, by_problem

Item = tuple[str, Sequence[str]]  # a problem's text with responses to it
Progress = Callable[[int, int, str], None]  # done, total, a note


def silent(done: int, total: int, note: str) -> None:
    """Progress that nobody watches."""


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
