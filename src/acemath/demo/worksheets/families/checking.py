"""Checking: a worked solution is given; find its first wrong line, or say whether it is right."""

from __future__ import annotations

import random

from acemath.demo.worksheets.core import STYLES, Pen, Question, work_right, work_wrong
from acemath.demo.worksheets.registry import MATH_SUBJECTS, Family, families, family


def _inner(rng: random.Random) -> Family:
    """A math family, drawn by weight, whose solution is to be checked."""
    pool = [f for f in families() if f.subject in MATH_SUBJECTS]
    return rng.choices(pool, weights=[f.weight for f in pool])[0]


@family("find-wrong-line", "general", weight=1.5)
def find_wrong_line(rng: random.Random, level: int) -> Question:
    """The number of the first wrong line of a solution, 0 if all are right."""
    inner = _inner(rng)
    question = inner.draw(rng, level)
    style = rng.choice(STYLES)
    wrong = work_wrong(question, style, rng) if rng.random() < 0.6 else None
    work = wrong or work_right(question, style, rng)
    first = work.first_wrong or 0
    shown = "\n".join(f"{i}: {line}" for i, line in enumerate(work.lines, 1))
    asked = rng.choice(
        (
            "Which line is the first wrong one? 0 if none.",
            "Find the first wrong line, or say 0.",
            "Is it right? Give the first wrong line or 0.",
        )
    )
    text = f"{question.text}\n{shown}\n{asked}"

    def check(pen: Pen) -> None:
        at = pen.given(first, range(len(work.lines) + 1)) if first else first
        verdict = f"line {at} is wrong" if at else "all lines are right"
        pen.line(pen.say(f"I check each line: {verdict}.", f"{verdict}."))
        pen.answer(at)

    return Question(text, str(first), (inner.name, *question.key, work.text), check)


@family("is-it-right", "general", weight=1.5)
def is_it_right(rng: random.Random, level: int) -> Question:
    """Whether a solution is right: yes or no."""
    inner = _inner(rng)
    question = inner.draw(rng, level)
    style = rng.choice(STYLES)
    wrong = work_wrong(question, style, rng) if rng.random() < 0.5 else None
    work = wrong or work_right(question, style, rng)
    text = f"{question.text}\n{work.text}\n" + rng.choice(
        ("Is this solution right?", "Is that right? yes or no.", "Check it: is the answer right?")
    )
    right = "no" if wrong else "yes"

    def check(pen: Pen) -> None:
        number = pen.given(1 if wrong else 0, (0, 1))
        pen.line(
            pen.say(
                "The work is wrong." if number else "The work is right.", "wrong." if number else "right."
            )
        )
        pen.answer("no" if number else "yes")

    return Question(text, right, (inner.name, *question.key, work.text), check)
