"""Evolution of prompts: new questions inspired by given ones (paper, section 3.2.2 and appendix C).

A language model writes them from the templates below. Worksheet problems evolve without a model: "in-breadth" draws from
any family of the subject at a similar level, "in-depth" draws a question of the same family one level higher (at most 5).
All are from the training split, and none is from a held-out family.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from acemath.curate.dedup import dedup
from acemath.curate.filters import filter_problems
from acemath.curate.settings import EvolveSettings, FilterSettings, Method
from acemath.demo.worksheets.core import Question
from acemath.demo.worksheets.registry import family_named
from acemath.demo.worksheets.sheets import SOURCE, draw_question, pick_family, problem_of
from acemath.errors import UserError
from acemath.models.engine import Engine, Sampling
from acemath.records import LENGTH, REFUSED, ROOT, STOP, Dropped, Problem, Response, content_key, root_of

_FRAME = (
    "You write good mathematics questions.\n{task} The new question must make sense to people and must have a "
    "solution. Reply with the new question alone.\n\n# Given question\n{question}\n\n# New question\n"
)
TASKS: dict[Method, str] = {
    "in-breadth": "Let the given question inspire a brand-new one that is clearly different and rarer, of about the same length and difficulty.",
    "in-depth": "Let the given question inspire a brand-new one that is more complex and asks for more thought.",
    "add-constraints": "Rewrite the given question into a more complex one by adding conditions and requirements to it.",
}


_HEADING = re.compile(r"#*\s*(?:new|created) (?:math )?question\s*(?:#+\s*:?|:|\n)\s*", re.IGNORECASE)  # which a reply may repeat
# How a reply begins that refuses in words. No question begins so.
_REFUSAL = re.compile(
    r"(?:i['’]m|i am) (?:very )?(?:sorry\b|unable to\b)|sorry, (?:but )?i\b|as an ai\b"
    r"|i can(?:not|['’]t) (?:help|assist|create|write|generate|provide|comply)\b",
    re.IGNORECASE,
)


def evolution_prompt(question: str, method: Method) -> str:
    """The prompt with which a language model evolves a question."""
    return _FRAME.format(task=TASKS[method], question=question)


def evolve(
    rows: Sequence[Problem], settings: EvolveSettings, seed: int, filters: FilterSettings | None = None
) -> tuple[list[Problem], list[Dropped]]:
    """New problems from worksheet problems, with their parents in `meta`, and the new ones that `filters` drop.

    Each round evolves what the filters kept of the round before (`winnow`). UserError for a problem that is not from
    worksheets, which only a model can evolve (`evolve_with`).
    """
    made: list[Problem] = []
    dropped: list[Dropped] = []
    parents = list(rows)
    for turn in range(settings.rounds):
        born = []
        for row in parents:
            for method in settings.methods:
                rng = random.Random(f"{seed}:{turn}:{method}:{row.id}")
                if rng.random() < settings.share and (child := evolve_one(row, method, rng)):
                    born.append(child)
        if filters is not None:
            born, out = winnow(born, filters)
            dropped += out
        made += born
        parents = born
    return made, dropped


def winnow(born: Sequence[Problem], filters: FilterSettings) -> tuple[list[Problem], list[Dropped]]:
    """A round's new prompts without those that the filters drop, which would only have children like them.

    Copies with one root go too: a teacher that repeats itself gives one parent, not many. Copies with other roots stay,
    so that the result does not depend on which problems are evolved together.
    """
    kept, dropped = filter_problems(born, filters)
    families: dict[str, list[Problem]] = {}
    for row in kept:
        families.setdefault(root_of(row), []).append(row)
    found = [dedup(family) for family in families.values()]
    dropped += [row for _, copies in found for row in copies]
    return [row for rows, _ in found for row in rows], [replace(row, step="evolve") for row in dropped]


def evolve_with(
    engine: Engine, rows: Sequence[Problem], methods: Sequence[Method], sampling: Sampling
) -> tuple[list[Problem], list[Dropped]]:
    """New problems, without answers, that a language model writes from given ones, and the requests that it did not finish."""
    asked: list[Problem] = []
    parents: dict[str, tuple[Problem, Method]] = {}
    for row in rows:
        for method in methods:
            request = Problem(content_key(row.id, method), evolution_prompt(row.prompt, method))
            parents[request.id] = (row, method)
            asked.append(request)
    born, unfinished = [], []
    for response in sorted(engine.generate(asked, sampling), key=lambda r: r.problem_id):
        row, method = parents[response.problem_id]
        if (why := _unusable(response)) is not None:
            detail = f"{method}: {response.meta.get(REFUSED, response.text[:200])}"
            unfinished.append(Dropped(row.id, "evolve", why, row.prompt, row.source, detail))
            continue
        meta = {**_lineage(row, method), "written_by": engine.name}
        said = response.text.strip()
        text = said[heading.end() :] if (heading := _HEADING.match(said)) else said
        born.append(
            Problem(f"{row.id}-{method}", text, "", row.source, row.license, row.subject, row.level, meta)
        )
    return born, unfinished


def _unusable(response: Response) -> str | None:
    """Why a reply is no question: the reason code of its dropped row; None for a question."""
    if response.finish_reason == STOP:
        return "refused" if _REFUSAL.match(response.text.strip()) else None
    return {LENGTH: "cut-off", REFUSED: "refused"}.get(response.finish_reason, "incomplete")


def evolve_one(row: Problem, method: Method, rng: random.Random) -> Problem | None:
    """One new problem from a worksheet problem; None if the family is held out or has no training question at the level.

    UserError for a problem that is not from worksheets.
    """
    if row.source != SOURCE:
        raise UserError(
            f"problem {row.id!r} has source {row.source!r}: only worksheet problems evolve without a model; "
            "name a model as teacher (engine: transformers, vllm or endpoint)"
        )
    if method == "in-breadth":
        family = pick_family(row.subject, rng)
        level = min(5, max(1, row.level + rng.choice((-1, 0, 0, 1))))
    else:
        family = family_named(row.meta["family"])
        level = min(5, row.level + 1)
    if family.held_out:
        return None
    try:
        seed, question = draw_question(family, level, "train", rng)
    except LookupError:
        return None
    child = problem_of(family, level, seed, question)
    prompt = _constrained(question, rng) if method == "add-constraints" else child.prompt
    meta = {**child.meta, **_lineage(row, method)}
    return Problem(child.id, prompt, child.answer, child.source, child.license, child.subject, level, meta)


def _lineage(parent: Problem, method: Method) -> dict[str, Any]:
    """Where an evolved problem comes from, for its `meta`."""
    round = parent.meta.get("round", 0) + 1
    return {"parent": parent.id, ROOT: root_of(parent), "method": method, "round": round}


def _constrained(question: Question, rng: random.Random) -> str:
    """A question with a condition that its answer may violate, which is why the paper drops this method."""
    extra = rng.choice(
        ("The answer must be even.", "The answer must be larger than 50.", "Use each number once.")
    )
    return f"{question.text} {extra}"
