"""Drawing worksheet problems: the split of a question, and sets of problems without repeats.

A hash of a question's family and numbers decides its split, never its position or seed, so that splits cannot
overlap: train (80 %), validation (15 %) and test (5 %). Held-out families are in no training set; they are drawn
only by name or with `held_out`.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from acemath.demo.worksheets.core import Question
from acemath.demo.worksheets.registry import MATH_SUBJECTS, SUBJECTS, Family, families, family_named
from acemath.files.settings import Settings
from acemath.records import Problem, content_key

Split = Literal["train", "validation", "test"]
SPLIT_NOTES: dict[Split, str] = {  # the report's note on a benchmark, by the split that it is drawn from
    "train": "Worksheets' train split: nano and the policies were trained on such problems.",
    "validation": (
        "Worksheets' validation split: the demo's settings were chosen on its problems, so these numbers flatter it."
    ),
    "test": (
        "Worksheets' test split: nothing was trained or chosen on its problems. The problems' levels, the share that is to "
        "be found and checked, the temperature, the number of math conversations, the slips that nano learned to see and "
        "nano's weights were chosen on the validation split."
    ),
}
SOURCE = "worksheets"
LICENSE = "Apache-2.0"
LEVELS = (1, 2, 3, 4, 5)


def split_of(family: str, key: tuple[object, ...]) -> Split:
    """The split of a question, from its family and key alone."""
    share = int(content_key(family, repr(key)), 16) % 100
    return "train" if share < 80 else "test" if share < 85 else "validation"


def draw_question(family: Family, level: int, split: Split, rng: random.Random) -> tuple[int, Question]:
    """A question of the split, and the seed that recreates it. LookupError after 2,000 misses."""
    for _ in range(2000):
        seed = rng.getrandbits(48)
        question = family.draw(random.Random(seed), level)
        if split_of(family.name, question.key) == split:
            return seed, question
    raise LookupError(f"family {family.name!r}, level {level}: no question of split {split!r} in 2,000 draws")


def problem_of(family: Family, level: int, seed: int, question: Question) -> Problem:
    """The row of a question. Its `meta` is enough to recreate it (`question_of`)."""
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
    """The question behind a worksheet problem's row. KeyError if the row is not a worksheet's."""
    meta = problem.meta
    return family_named(meta["family"]).draw(random.Random(meta["seed"]), meta["level"])


def pick_family(subject: str, rng: random.Random, held_out: bool | None = False) -> Family:
    """A family of the subject, by weight."""
    return _by_weight(families(subject, held_out), rng)


def _by_weight(pool: Sequence[Family], rng: random.Random) -> Family:
    return rng.choices(pool, weights=[f.weight for f in pool])[0]


class Finding(Settings):
    """The share and the levels of math problems whose answer must be searched for, not computed step by step.

    Checking such an answer is easier than finding it, as in real mathematics: there a reward model has most to add.
    """


    share: float = Field(ge=0, le=1)
    """The share of such problems."""
    levels: tuple[int, ...] = ()
    """Their levels; by default those of the other problems."""


def draw_problems(
    split: Split,
    count: int,
    seed: int,
    subjects: Sequence[str] = SUBJECTS,
    levels: Sequence[int] = LEVELS,
    held_out: bool | None = False,
    finding: Finding | None = None,
) -> list[Problem]:
    """`count` different problems, the subjects in turn, families by weight, deterministic by seed.

    With `finding`, that share of a math subject's problems comes from its families of that kind, the rest from its
    others. A pool of families that yields nothing new in 200 tries is exhausted and not drawn from any more, so fewer
    problems may come back.
    """
    rng = random.Random(f"{split}:{seed}")
    seen: set[tuple[str, str]] = set()
    empty: set[tuple[str, int]] = set()
    rows: list[Problem] = []
    pools = {subject: _pools(subject, levels, held_out, finding) for subject in subjects}
    live = [subject for subject in subjects if pools[subject]]
    while live and len(rows) < count:
        subject = live[len(rows) % len(live)]
        pool = rng.choices(pools[subject], weights=[p.share for p in pools[subject]])[0]
        row = _new_problem(pool, split, rng, seen, empty)
        if row is not None:
            rows.append(row)
            continue
        pools[subject].remove(pool)
        if not pools[subject]:
            live.remove(subject)
    return rows


@dataclass(frozen=True, slots=True)
class _Pool:
    families: Sequence[Family]
    levels: Sequence[int]
    share: float


def _pools(
    subject: str, levels: Sequence[int], held_out: bool | None, finding: Finding | None
) -> list[_Pool]:
    every = families(subject, held_out)
    if finding is None or subject not in MATH_SUBJECTS:
        return [_Pool(every, levels, 1.0)] if every else []
    found, others = [f for f in every if f.finding], [f for f in every if not f.finding]
    pools = [_Pool(found, finding.levels or levels, finding.share), _Pool(others, levels, 1 - finding.share)]
    return [pool for pool in pools if pool.families and pool.share > 0]


def _new_problem(
    pool: _Pool,
    split: Split,
    rng: random.Random,
    seen: set[tuple[str, str]],
    empty: set[tuple[str, int]],
) -> Problem | None:
    """A problem that is not in `seen`, or None after 200 tries.

    `empty` remembers families and levels without a question in the split: each costs 2,000 draws to find.
    """
    for _ in range(200):
        family = _by_weight(pool.families, rng)
        level = rng.choice(list(pool.levels))
        if (family.name, level) in empty:
            continue
        try:
            number, question = draw_question(family, level, split, rng)
        except LookupError:
            empty.add((family.name, level))
            continue
        identity = (family.name, repr(question.key))
        if identity not in seen:
            seen.add(identity)
            return problem_of(family, level, number, question)
    return None
