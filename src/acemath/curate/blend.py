"""Blends: which checked responses a training stage sees (paper, section 3.3).

A pool is a set of responses: `code`, `general`, `math`, or a part of `math`: `math.checked` (cross-checked),
`math.unchecked`, `math.seeds` (to prompts that are not evolved). A recipe may declare further pools (`PoolSettings`). A
stage takes its pools in order. A prompt that is in several pools is taken by the first of them alone.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Container, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acemath.curate.filters import is_evolved
from acemath.curate.settings import PoolSettings
from acemath.errors import UserError
from acemath.models.engine import ChatFormat
from acemath.records import Chat, Problem, Response, content_key

POOLS = ("code", "general", "math", "math.checked", "math.unchecked", "math.seeds")


def in_pool(pool: str, problem: Problem, checked: bool) -> bool:
    """Whether a problem belongs to a built-in pool. UserError if there is no such pool."""
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
    return narrowed != "seeds" or not is_evolved(problem)


class Picker:
    """Picks the responses for one stage of training, without holding their texts.

    Offer the responses one at a time, in any order; `picked` then says which are taken, and by which pool. The choice
    depends only on hashes of the seed and the ids. Memory: 8 bytes per response and 12 per response and pool.

    `counts` limits a pool to a seeded subset of that size, `shares` to that share (0 to 1) of its responses. Both limit
    what the pool offers, including prompts that an earlier pool takes. The `take` of a declared pool instead counts what
    it adds. Of a prompt, at most `each` responses are taken. UserError for a pool that does not exist, and for a limit on
    a pool that is not in the blend.
    """

    def __init__(
        self,
        pools: Sequence[str],
        counts: Mapping[str, int],
        shares: Mapping[str, float],
        declared: Mapping[str, PoolSettings],
        seed: int,
        each: int = 1,
    ) -> None:
        _check_caps(pools, counts, shares)
        self.each = each
        self.pools, self.counts, self.shares, self.declared, self.seed = pools, counts, shares, declared, seed
        self._keys = array("Q")  # by response: a hash of its prompt
        self._members = {pool: array("I") for pool in pools}  # the numbers of its responses …
        self._ranks = {pool: array("Q") for pool in pools}  # … and the hashes that order them

    def offer(
        self, problem: Problem, response: str, prompt: str, checked: bool, used: Container[str] = ()
    ) -> None:
        """Offer one response to a problem.

        `response` identifies it among the responses to the problem. `prompt` identifies the prompt, which is taken once.
        `used` names the earlier stages that took this problem.
        """
        number = len(self._keys)
        self._keys.append(_number("prompt", prompt))
        for pool in self.pools:
            if self._holds(pool, problem, checked, used):
                self._members[pool].append(number)
                self._ranks[pool].append(_number(str(self.seed), pool, problem.id, response))

    def _holds(self, pool: str, problem: Problem, checked: bool, used: Container[str]) -> bool:
        narrowed = self.declared.get(pool)
        if narrowed is None:
            return in_pool(pool, problem, checked)
        return (
            in_pool(narrowed.of, problem, checked)
            and (not narrowed.sources or problem.source in narrowed.sources)
            and (not narrowed.levels or problem.level in narrowed.levels)
            and (narrowed.born == "any" or is_evolved(problem) == (narrowed.born == "evolved"))
            and not any(stage in used for stage in narrowed.unused_by)
        )

    def picked(self) -> NDArray[np.int16]:
        """The number of the pool that takes each response, in the order of the offers; -1 for none."""
        keys = np.unique(np.frombuffer(self._keys, np.uint64), return_inverse=True)[1]
        taken = np.zeros(len(keys), np.bool_)  # by number of the prompt
        found = np.full(len(keys), -1, np.int16)
        for place, pool in enumerate(self.pools):
            order = np.argsort(np.frombuffer(self._ranks[pool], np.uint64), kind="stable")
            mine = np.frombuffer(self._members[pool], np.uint32)[order]
            if pool in self.shares:
                mine = mine[: round(self.shares[pool] * len(mine))]
            mine = mine[: self.counts.get(pool)]
            mine = mine[_earlier(keys[mine]) < self.each]
            mine = mine[~taken[keys[mine]]]
            if pool in self.declared:
                mine = mine[: self.declared[pool].take]
            taken[keys[mine]] = True
            found[mine] = place
        return found


def _earlier(keys: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each key, how many equal ones come before it."""
    order = np.argsort(keys, kind="stable")
    first = np.concatenate(([True], np.diff(keys[order]) != 0))[: len(keys)]
    starts = np.maximum.accumulate(np.where(first, np.arange(len(keys)), 0))
    found = np.empty_like(order)
    found[order] = np.arange(len(keys)) - starts
    return found


def _number(*parts: str) -> int:
    return int(content_key(*parts), 16)


def conversation(problem: Problem, response: Response, chat: ChatFormat, pool: str) -> Chat:
    """A problem and its response as a conversation to train on."""
    messages = tuple(chat.messages(problem.prompt, response.text))
    return Chat(problem.id, messages, problem.source, problem.license, {"pool": pool})


def shuffled(chats: Sequence[Chat], seed: int) -> list[Chat]:
    """Conversations in a seeded order, which depends on the given one only among those to one problem."""
    seen: Counter[str] = Counter()

    def place(chat: Chat) -> str:
        seen[chat.problem_id] += 1
        again = [] if seen[chat.problem_id] == 1 else [str(seen[chat.problem_id])]
        return content_key(str(seed), "order", chat.problem_id, *again)

    return sorted(chats, key=place)


def make_blend(
    picker: Picker, problems: Mapping[str, Problem], responses: Sequence[Response], checked: Sequence[Response], chat: ChatFormat
) -> list[Chat]:
    """The conversations of one stage, in a seeded order, from rows in memory: the responses that `picker` takes.

    `problems` is by id. `checked` are the cross-checked ones among the responses.
    """
    # by text, because a file whose rows have no sample numbers gets numbers of its own
    confirmed = {(row.problem_id, row.model, row.text) for row in checked}
    for row in responses:
        problem, key = problems[row.problem_id], (row.problem_id, row.model, row.text)
        picker.offer(problem, f"{row.sample} {row.model}", problem.prompt.strip().lower(), key in confirmed)
    chats = [
        conversation(problems[row.problem_id], row, chat, picker.pools[place])
        for row, place in zip(responses, picker.picked().tolist(), strict=True)
        if place >= 0
    ]
    return shuffled(chats, picker.seed)


def shortfalls(
    added: Mapping[str, int], pools: Sequence[str], declared: Mapping[str, PoolSettings]
) -> dict[str, tuple[int, int]]:
    """Declared pools that added fewer prompts than their `take`: for each, that number and what it added."""
    asked = {pool: declared[pool].take for pool in pools if pool in declared}
    return {
        pool: (take, added.get(pool, 0)) for pool, take in asked.items() if take and added.get(pool, 0) < take
    }


def blend_facts(chats: Sequence[Chat]) -> dict[str, Any]:
    """The number of conversations in a blend, in total and by pool, source and licence."""
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
