"""Runs of consecutive words that two texts share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator


class Runs:
    """An index of texts by their runs of `size` words."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.places: dict[tuple[str, ...], list[tuple[int, int]]] = {}

    def add(self, place: int, words: list[str], starts: Iterable[int]) -> None:
        """Index the runs of text number `place` that begin at `starts`."""
        for at in starts:
            self.places.setdefault(tuple(words[at : at + self.size]), []).append((place, at))

    def find(self, words: list[str]) -> Iterator[tuple[int, int, int]]:
        """Shared runs, as (start in `words`, number of the text, start in the text).

        Only every `size`-th run of `words` is looked up. Any 2·size - 1 words in a row hold one of these whole, so no
        shared run of that length is missed.
        """
        size, known = self.size, self.places
        # zip over one iterator cuts the words into runs. Most prompts share none and end here, without a Python loop.
        if known.keys().isdisjoint(zip(*[iter(words)] * size)):
            return
        for number, key in enumerate(zip(*[iter(words)] * size)):
            for place, there in known.get(key, ()):
                yield number * size, place, there


def run_around(a: list[str], i: int, b: list[str], j: int, size: int) -> tuple[int, int]:
    """Extend the shared run a[i : i + size] == b[j : j + size] both ways: its start in `a`, and its length."""
    start, there, end, other = i, j, i + size, j + size
    while start > 0 and there > 0 and a[start - 1] == b[there - 1]:
        start, there = start - 1, there - 1
    while end < len(a) and other < len(b) and a[end] == b[other]:
        end, other = end + 1, other + 1
    return start, end - start
