"""Blends: which checked responses a training stage sees (paper, section 3.3).

A pool is a subject group, narrowed where a word follows its dot: `code`, `general`, `math`, `math.checked`
(the cross-checked ones), `math.seeds` (not evolved). A stage takes pools in order; a prompt that several
name is taken once.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from acemath.engines.base import ChatFormat
from acemath.errors import UserError
from acemath.records import Chat, Problem, Response

POOLS = ("code", "general", "math", "math.checked", "math.unchecked", "math.seeds")


def in_pool(pool: str, problem: Problem, checked: bool) -> bool:
    """Whether a problem belongs to a pool. UserError on a pool that does not exist."""
    if pool not in POOLS:
        raise UserError(f"pool {pool!r} does not exist; a blend names any of {', '.join(POOLS)}")
    group = problem.subject if problem.subject in ("code", "general") else "math"
    name, _, narrowed = pool.partition(".")
    if name != group:
        return False
    if narrowed == "checked":
        return checked
    if narrowed == "unchecked":
        return not checked
    return narrowed != "seeds" or "parent" not in problem.meta


def make_blend(
    pools: Sequence[str],
    counts: Mapping[str, int],
    problems: Mapping[str, Problem],
    responses: Sequence[Response],
    checked: Mapping[str, bool],
    chat: ChatFormat,
    seed: int,
) -> list[Chat]:
    """The conversations of one stage, in a seeded order; `counts` caps a pool at a seeded subset."""
    taken: dict[str, Chat] = {}
    for pool in pools:
        members = [
            r for r in responses if in_pool(pool, problems[r.problem_id], checked.get(r.problem_id, False))
        ]
        members.sort(key=lambda r: r.problem_id)
        random.Random(f"{seed}:{pool}").shuffle(members)
        for response in members[: counts.get(pool)]:
            problem = problems[response.problem_id]
            messages = tuple(chat.messages(problem.prompt, response.text))
            taken.setdefault(
                problem.id, Chat(problem.id, messages, problem.source, problem.license, {"pool": pool})
            )
    chats = [taken[key] for key in sorted(taken)]
    random.Random(f"{seed}:order").shuffle(chats)
    return chats
