"""Blends: which checked responses a training stage sees (paper, section 3.3).

A pool is a subject group, narrowed where a word follows its dot: `code`, `general`, `math`, `math.checked`
(the cross-checked ones), `math.unchecked`, `math.seeds` (not evolved). A recipe may declare more (`PoolSettings`): of
some sources or levels, seeds or evolved prompts alone, what an earlier stage left, a number of them. A stage takes
pools in order; a prompt that several name is taken once, for the first of them.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from acemath.curate.settings import PoolSettings
from acemath.errors import UserError
from acemath.models.engine import ChatFormat
from acemath.records import Chat, Problem, Response

POOLS = ("code", "general", "math", "math.checked", "math.unchecked", "math.seeds")


def in_pool(pool: str, problem: Problem, checked: bool) -> bool:
    """Whether a problem belongs to a pool. UserError on a pool that does not exist."""
    if pool not in POOLS:
        raise UserError(f"pool {pool!r} does not exist; a blend names any of {', '.join(POOLS)}")
    group = problem.group
    name, _, narrowed = pool.partition(".")
    if name != group:
        return False
    if narrowed == "checked":
        return checked
    if narrowed == "unchecked":
        return not checked
    return narrowed != "seeds" or "parent" not in problem.meta


@dataclass(frozen=True, slots=True)
class Stock:
    """What blends are made of: the prompts, their responses, which were cross-checked, the pools that a recipe declares.

    `used` holds the prompts that each earlier stage took, by the stage's name.
    """

    problems: Mapping[str, Problem]
    responses: Sequence[Response]
    checked: Container[str]
    declared: Mapping[str, PoolSettings] = field(default_factory=dict)
    used: Mapping[str, Container[str]] = field(default_factory=dict)

    def members(self, pool: str) -> list[Response]:
        """The responses of a pool, in an order of their own. UserError on a pool that does not exist."""
        rows = [r for r in self.responses if self._holds(pool, self.problems[r.problem_id])]
        return sorted(rows, key=lambda r: (r.problem_id, r.sample, r.model))

    def _holds(self, pool: str, problem: Problem) -> bool:
        narrowed = self.declared.get(pool)
        if narrowed is None:
            return in_pool(pool, problem, problem.id in self.checked)
        seed = "parent" not in problem.meta
        return (
            in_pool(narrowed.of, problem, problem.id in self.checked)
            and (not narrowed.sources or problem.source in narrowed.sources)
            and (not narrowed.levels or problem.level in narrowed.levels)
            and (narrowed.born == "any" or seed == (narrowed.born == "seeds"))
            and not any(problem.id in self.used[stage] for stage in narrowed.unused_by)
        )


def make_blend(
    pools: Sequence[str],
    counts: Mapping[str, int],
    stock: Stock,
    chat: ChatFormat,
    seed: int,
    shares: Mapping[str, float] | None = None,
) -> list[Chat]:
    """The conversations of one stage, in a seeded order.

    `counts` caps a pool at a seeded subset of so many, `shares` at such a share (0 to 1) of its members. The
    cap is on what the pool offers: prompts that an earlier pool has taken count towards it. The `take` of a declared
    pool counts what it adds. UserError on a pool that does not exist, and on a cap for a pool that the blend does not
    name.
    """
    shares = shares or {}
    _check_caps(pools, counts, shares)
    taken: dict[str, Chat] = {}  # by prompt
    for pool in pools:
        members = stock.members(pool)
        random.Random(f"{seed}:{pool}").shuffle(members)
        if pool in shares:
            members = members[: round(shares[pool] * len(members))]
        narrowed = stock.declared.get(pool)
        full = len(taken) + narrowed.take if narrowed is not None and narrowed.take else None
        for response in members[: counts.get(pool)]:
            if len(taken) == full:
                break
            problem = stock.problems[response.problem_id]
            messages = tuple(chat.messages(problem.prompt, response.text))
            taken.setdefault(
                problem.prompt.strip().lower(),
                Chat(problem.id, messages, problem.source, problem.license, {"pool": pool}),
            )
    chats = sorted(taken.values(), key=lambda row: row.problem_id)
    random.Random(f"{seed}:order").shuffle(chats)
    return chats


def shortfalls(chats: Sequence[Chat], pools: Sequence[str], stock: Stock) -> dict[str, tuple[int, int]]:
    """Declared pools that added fewer prompts than they were to take: what each was asked for, and what it had."""
    added = Counter(str(row.meta.get("pool")) for row in chats)
    asked = {pool: stock.declared[pool].take for pool in pools if pool in stock.declared}
    return {pool: (take, added[pool]) for pool, take in asked.items() if take and added[pool] < take}


def blend_facts(chats: Sequence[Chat]) -> dict[str, Any]:
    """How many conversations a blend has, in all and by pool, source and licence."""
    return {
        "conversations": len(chats),
        "pools": dict(sorted(Counter(str(row.meta.get("pool", "")) for row in chats).items())),
        "sources": dict(sorted(Counter(row.source or "unknown" for row in chats).items())),
        "licences": dict(sorted(Counter(row.license or "unknown" for row in chats).items())),
    }


def _check_caps(pools: Sequence[str], counts: Mapping[str, int], shares: Mapping[str, float]) -> None:
    for name, caps in (("counts", counts), ("shares", shares)):
        for pool in caps:
            if pool not in pools:
                raise UserError(
                    f"{name} caps pool {pool!r}, which the blend {list(pools)} does not name; "
                    "add it to the blend or remove its cap"
                )
    for pool, share in shares.items():
        if not 0 < share <= 1:
            raise UserError(f"share of pool {pool!r} is {share}; it must be above 0 and at most 1")
