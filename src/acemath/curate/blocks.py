"""Runs of words that texts share: where they stand, and how far they go."""

from __future__ import annotations

from collections.abc import Iterable, Iterator


class Blocks:
    """Where runs of `size` words stand in some texts."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.places: dict[tuple[str, ...], list[tuple[int, int]]] = {}

    def add(self, place: int, words: list[str], starts: Iterable[int]) -> None:
        """Remember the runs that start at some places of a text."""
        for at in starts:
            self.places.setdefault(tuple(words[at : at + self.size]), []).append((place, at))

    def find(self, words: list[str]) -> Iterator[tuple[int, int, int]]:
        """Where in `words`, which text, where in it: for every `size`-th run of words.

        Every run of 2·size - 1 words holds one of these whole, so no longer run that is shared is missed.
        """
        size, known = self.size, self.places
        # zip over one iterator cuts the words into runs; most prompts end at this line, which is all in C.
        if known.keys().isdisjoint(zip(*[iter(words)] * size)):
            return
        for number, key in enumerate(zip(*[iter(words)] * size)):
            for place, there in known.get(key, ()):
                yield number * size, place, there


def run_around(a: list[str], i: int, b: list[str], j: int, size: int) -> tuple[int, int]:
    """Where in `a` the run of common words around a[i : i + size] and b[j : j + size] starts, and its length."""
    start, there, end, other = i, j, i + size, j + size
    while start > 0 and there > 0 and a[start - 1] == b[there - 1]:
        start, there = start - 1, there - 1
    while end < len(a) and other < len(b) and a[end] == b[other]:
        end, other = end + 1, other + 1
    return start, end - start
