"""What several texts after one prompt begin with: worth reading once in their place."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

LEAST = 24  # tokens that an opening must save: it costs a pass of its own


class Opening(NamedTuple):
    """The tokens that texts after the same prompt begin with; `followers` are the places of those texts."""

    prompt: int
    text: Sequence[int]
    followers: list[int]


def shared_openings(texts: Sequence[tuple[int, Sequence[int]]]) -> tuple[list[Opening], list[int]]:
    """The openings that save most tokens, of texts as (prompt, tokens); and the places of the texts without one.

    Every text keeps at least one token after its opening.
    """
    openings: list[Opening] = []
    alone: list[int] = []
    order = sorted(range(len(texts)), key=lambda at: (texts[at][0], *texts[at][1]))
    for prompt, some in groupby(order, key=lambda at: texts[at][0]):
        places = list(some)
        for first, end, length in _best([texts[at][1] for at in places]):
            if length:
                opening = texts[places[first]][1][:length]
                openings.append(Opening(prompt, opening, places[first:end]))
            else:
                alone += places[first:end]
    return openings, sorted(alone)


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
