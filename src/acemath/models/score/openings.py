"""What several responses to one prompt begin with: worth reading once in their place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

LEAST = 8  # tokens that an opening must save: it costs a part of its own in each layer's attention; 4 saved next to no more tokens


class Branch(NamedTuple):
    """Tokens that follow those of the branch `after` (by its place, None: the prompt's), and how many follow them.

    `which` is the place of the text that ends with it, None for an opening.
    """

    ids: Sequence[int]
    after: int | None
    followers: int
    which: int | None


def branches(texts: Sequence[Sequence[int]]) -> list[Branch]:
    """Texts as a tree of openings, in as many levels as save tokens; a branch stands behind the one it follows.

    Every text keeps at least one token after its opening.
    """
    found: list[Branch] = []
    _grow(found, texts, sorted(range(len(texts)), key=lambda at: list(texts[at])), 0, None)
    followers = Counter(branch.after for branch in found)
    return [branch._replace(followers=followers[at]) for at, branch in enumerate(found)]


def _grow(
    found: list[Branch], texts: Sequence[Sequence[int]], places: Sequence[int], read: int, after: int | None
) -> None:
    """Add the texts at `places` (sorted), of which `read` tokens stand in `after` and those before it."""
    for first, end, length in _best([texts[at][read:] for at in places]):
        if not length:
            found += (Branch(texts[at][read:], after, 0, at) for at in places[first:end])
            continue
        found.append(Branch(texts[places[first]][read : read + length], after, 0, None))
        _grow(found, texts, places[first:end], read + length, len(found) - 1)


def _best(texts: Sequence[Sequence[int]]) -> list[tuple[int, int, int]]:
    """Sorted texts cut into stretches (first, end, tokens in common): the cut that saves most (dynamic programming)."""
    common = [0, *map(_common, texts, texts[1:])]  # of each with the one before
    saved = [0] * (len(texts) + 1)  # by the first so many texts
    cuts: list[tuple[int, int]] = [
        (0, 0)
    ]  # where the last stretch of these starts, and what it has in common
    for end in range(1, len(texts) + 1):
        saved[end], cut = saved[end - 1], (end - 1, 0)
        shortest = len(texts[end - 1]) - 1
        for first in range(end - 2, -1, -1):
            shortest = min(shortest, common[first + 1], len(texts[first]) - 1)
            if shortest <= 0:
                break
            gain = saved[first] + (end - first - 1) * shortest - LEAST
            if gain > saved[end]:
                saved[end], cut = gain, (first, shortest)
        cuts.append(cut)
    stretches = []
    end = len(texts)
    while end:
        first, length = cuts[end]
        stretches.append((first, end, length))
        end = first
    return stretches[::-1]


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    """Tokens that two texts begin with."""
    for at, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return at
    return min(len(one), len(other))
