"""The offline teacher: it answers worksheet problems as a large model would, without a model.

It recreates the question from its row and solves it in several styles. Most solutions are right, some carry a
wrong step through, and some are malformed: without a box, in a loop, cut off or far too long. So the filters and
the cross-check of a laptop run have something to find. Harder levels are answered wrong more often.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import cycle, islice

from acemath.demo.worksheets.core import STYLES, Work, work_right, work_wrong
from acemath.demo.worksheets.sheets import SOURCE, question_of
from acemath.errors import UserError
from acemath.models.engine import Sampling
from acemath.records import Problem, Response

RAMBLING_LINES = 260  # of at least ten words each: more than the 2,500 words that the filters allow


class WorksheetTeacher:
    """An engine that answers only worksheet problems. `skill` is the share of right answers at level 3.

    `malformed` is the share of malformed responses; `styles` are the styles of solutions. A response depends on these,
    the teacher's name, the problem, the sample number and the seed. UserError for a share outside 0 to 1 and for an
    unknown style.
    """

    def __init__(
        self, name: str, skill: float, malformed: float = 0.03, styles: Sequence[str] = STYLES
    ) -> None:
        for what, share in (("skill", skill), ("malformed", malformed)):
            if not 0 <= share <= 1:
                raise UserError(f"{what} of teacher {name!r} is {share}; it is a share, from 0 to 1")
        unknown = [style for style in styles if style not in STYLES]
        if unknown or not styles:
            raise UserError(
                f"styles of teacher {name!r} are {list(styles)}; name one or more of {', '.join(STYLES)}"
            )
        self.name = name
        self.skill = skill
        self.malformed = malformed
        self.styles = tuple(styles)

    def generate(self, problems: Sequence[Problem], sampling: Sampling) -> Iterator[Response]:
        """`sampling.n` responses to each problem. UserError for a problem that is not from worksheets."""
        for problem in problems:
            if problem.source != SOURCE:
                raise UserError(
                    f"problem {problem.id!r} has source {problem.source!r}: the offline teacher answers only worksheets; "
                    "name a model as teacher (engine: transformers, vllm or endpoint)"
                )
            for sample in range(sampling.n):
                yield self._answer(problem, sample, sampling.seed)

    def _answer(self, problem: Problem, sample: int, seed: int) -> Response:
        rng = random.Random(f"{self.name}:{seed}:{problem.id}:{sample}")
        try:
            question = question_of(problem)
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"problem {problem.id!r} has the source worksheets, but its meta does not identify the question ({error}); "
                "give the row as acemath drew it, with family, seed and level in meta"
            ) from error
        style = rng.choice(self.styles)
        # The error rate grows with the level: half of 1 - skill at level 1, one and a half times it at level 5.
        wrong = rng.random() < (1.0 - self.skill) * (0.25 + 0.25 * problem.level)
        work = (work_wrong(question, style, rng) if wrong else None) or work_right(question, style, rng)
        text, reason = work.text, "stop"
        if rng.random() < self.malformed:
            text, reason = _malformed(work, rng)
        words = len(text.split())
        return Response(problem.id, sample, text, self.name, reason, tokens=words, meta={"style": style})


def _malformed(work: Work, rng: random.Random) -> tuple[str, str]:
    """A malformed response and its finish reason: no box, a loop, cut at the length limit, or far too long."""
    kind = rng.choice(("no box", "loop", "cut"))
    if kind == "no box":
        return "\n".join((*work.lines[:-1], f"The answer is {work.answer}.")), "stop"
    if kind == "cut":
        return work.text[: max(4, len(work.text) // 2)], "length"
    if rng.random() < 0.5:
        return _rambling(work), "stop"
    return "\n".join([*work.lines[:-1], *[work.lines[0]] * 12, work.lines[-1]]), "stop"


def _rambling(work: Work) -> str:
    """A solution that repeats its checks hundreds of times before its boxed answer."""
    lines = islice(cycle(work.lines[:-1] or work.lines), RAMBLING_LINES)
    checks = [
        f"Check {turn}, which looks again at every line in turn: {line}" for turn, line in enumerate(lines, 1)
    ]
    return "\n".join([*work.lines[:-1], *checks, work.lines[-1]])
