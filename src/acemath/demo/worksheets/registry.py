"""The registry of worksheet families, by subject, with those that are held out of training."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from acemath.demo.worksheets.core import Pen, Question

Draw = Callable[[random.Random, int], Question]
MATH_SUBJECTS: tuple[str, ...] = (
    "arithmetic",
    "word-problems",
    "fractions",
    "algebra",
    "number-theory",
    "geometry",
    "counting",
)
SUBJECTS: tuple[str, ...] = (*MATH_SUBJECTS, "code", "general")


@dataclass(frozen=True, slots=True)
class Family:
    """A kind of question. `weight` is its share within its subject; `held_out` keeps it from training."""

    name: str
    subject: str
    draw: Draw
    weight: float = 1.0
    held_out: bool = False

    @property
    def finding(self) -> bool:
        """Whether its answer is guessed and checked (find x with x*x+4x=96), not computed step by step."""
        if self.name not in _FINDING:
            pen = Pen(random.Random(0))
            self.draw(random.Random(0), 1).work(pen)
            _FINDING[self.name] = "guess" in pen.chances
        return _FINDING[self.name]


_FINDING: dict[str, bool] = {}
_FAMILIES: dict[str, Family] = {}


def family(name: str, subject: str, weight: float = 1.0, held_out: bool = False) -> Callable[[Draw], Draw]:
    """Register a function `(rng, level) -> Question` as a family."""
    if subject not in SUBJECTS:
        raise ValueError(f"family {name!r}: subject {subject!r} is not one of {', '.join(SUBJECTS)}")
    if name in _FAMILIES:
        raise ValueError(f"family {name!r} is registered twice")

    def register(draw: Draw) -> Draw:
        _FAMILIES[name] = Family(name, subject, draw, weight, held_out)
        return draw

    return register


def families(subject: str | None = None, held_out: bool | None = False) -> list[Family]:
    """The families of a subject (None: of all), either held out or not (None: both)."""
    import acemath.demo.worksheets.families  # noqa: F401  (importing it fills the registry)

    return [
        f
        for f in _FAMILIES.values()
        if (subject is None or f.subject == subject) and (held_out is None or f.held_out == held_out)
    ]


def family_named(name: str) -> Family:
    """One family by its name. KeyError if there is none."""
    families(held_out=None)
    return _FAMILIES[name]
