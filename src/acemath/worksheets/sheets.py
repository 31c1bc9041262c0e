"""Drawing worksheet problems: which split a question belongs to, and sets of problems without repeats.

A question's split is cut by a hash of its family and its numbers, never by position or seed, so the sets
cannot overlap however they are drawn: train (80 %), validation (5 %) and test (15 %). Families that are
held out are in no training set at all; they are drawn only where asked for by name or by `held_out`.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Literal

from acemath.records import Problem, content_key
from acemath.worksheets.core import Question
from acemath.worksheets.registry import SUBJECTS, Family, families, family_named

Split = Literal["train", "validation", "test"]
SOURCE = "worksheets"
LICENSE = "Apache-2.0"
LEVELS = (1, 2, 3, 4, 5)


def split_of(family: str, key: tuple[object, ...]) -> Split:
    """The split that a question belongs to, from what it is alone."""
    share = int(content_key(family, repr(key)), 16) % 100
    return "train" if share < 80 else "validation" if share < 85 else "test"


def draw_question(family: Family, level: int, split: Split, rng: random.Random) -> tuple[int, Question]:
    """A question of the split with the seed that draws it again. LookupError after 2,000 misses."""
    for _ in range(2000):
        seed = rng.getrandbits(48)
        question = family.draw(random.Random(seed), level)
        if split_of(family.name, question.key) == split:
            return seed, question
    raise LookupError(f"family {family.name!r}, level {level}: no question of split {split!r} in 2,000 draws")


def problem_of(family: Family, level: int, seed: int, question: Question) -> Problem:
    """The row of a question. Its `meta` is enough to draw it again (`question_of`)."""
    return Problem(
        id=f"{family.name}-{content_key(question.text)}",
        prompt=question.text,
        answer=question.answer,
        source=SOURCE,
        license=LICENSE,
        subject=family.subject,
        level=level,
        meta={"family": family.name, "seed": seed, "level": level},
    )


def question_of(problem: Problem) -> Question:
    """The question behind a worksheet problem's row. KeyError where the row is not a worksheet's."""
    meta = problem.meta
    return family_named(meta["family"]).draw(random.Random(meta["seed"]), meta["level"])


def pick_family(subject: str, rng: random.Random, held_out: bool | None = False) -> Family:
    """A family of the subject, by weight."""
    pool = families(subject, held_out)
    return rng.choices(pool, weights=[f.weight for f in pool])[0]


def draw_problems(
    split: Split,
    count: int,
    seed: int,
    subjects: Sequence[str] = SUBJECTS,
    levels: Sequence[int] = LEVELS,
    held_out: bool | None = False,
) -> list[Problem]:
    """`count` different problems, the subjects in turn, deterministic by seed.

    Fewer come back where the families have no more: a subject that draws nothing new 200 times in a row
    is exhausted and left out from there on.
    """
    rng = random.Random(f"{split}:{seed}")
    seen: set[tuple[str, str]] = set()
    rows: list[Problem] = []
    live = list(subjects)
    while live and len(rows) < count:
        subject = live[len(rows) % len(live)]
        for _ in range(200):
            family = pick_family(subject, rng, held_out)
            level = rng.choice(list(levels))
            try:
                number, question = draw_question(family, level, split, rng)
            except LookupError:
                continue
            identity = (family.name, repr(question.key))
            if identity not in seen:
                seen.add(identity)
                rows.append(problem_of(family, level, number, question))
                break
        else:
            live.remove(subject)
    return rows
