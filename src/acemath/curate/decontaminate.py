"""Decontamination: no benchmark problem may sit in the training prompts (paper, section 3.2.3).

A math prompt is dropped when it shares 13 words in a row with a benchmark problem and the longest common
subsequence of the two is over 60 % of the prompt's words; any other prompt on the 13 words alone. A problem
of fewer than 13 words has no 13 in a row: it is looked for whole, in place of the 13 words. What a word is,
`words.py` says.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from acemath.curate.settings import DecontaminateSettings
from acemath.curate.words import words_of
from acemath.records import Problem
from acemath.store import Dropped

Gram = tuple[str, ...]
# Our choice: a problem of fewer words ("What is 7 * 8?" has 5) leaks only where it is the whole prompt,
# because longer prompts hold such a phrase by chance.
INSIDE = 6


@dataclass(frozen=True, slots=True)
class Hit:
    """A prompt that leaks a benchmark problem: which, what they share, and the common share of its words."""

    problem_id: str
    benchmark_id: str
    shared: str
    lcs: float
    benchmark: str = ""


def common_length(a: Sequence[str], b: Sequence[str]) -> int:
    """Length of the longest common subsequence, by bit-parallel dynamic programming (Hyyrö 2004)."""
    places: dict[str, int] = {}
    for at, word in enumerate(a):
        places[word] = places.get(word, 0) | (1 << at)
    full = (1 << len(a)) - 1
    row = full
    for word in b:
        match = places.get(word, 0)
        low = row & match
        row = ((row + low) | (row - low)) & full
    return len(a) - row.bit_count()


class Decontaminator:
    """An index of all benchmark problems, asked about one prompt at a time.

    A benchmark's name is its problems' subject, or their source where they have none.
    """

    def __init__(self, benchmarks: Sequence[Problem], settings: DecontaminateSettings) -> None:
        self.settings = settings
        # Problems go by their place: benchmarks that number their problems share ids.
        self.rows = list(benchmarks)
        self.texts = [words_of(row.prompt) for row in self.rows]
        self.grams: dict[Gram, list[int]] = {}
        self.whole: dict[Gram, list[int]] = {}  # short problems, all their words
        self.opening: dict[Gram, list[int]] = {}  # short problems, their first INSIDE words
        for place, words in enumerate(self.texts):
            if len(words) >= settings.ngram:
                for gram in set(_windows(words, settings.ngram)):
                    self.grams.setdefault(gram, []).append(place)
            elif words:
                self.whole.setdefault(tuple(words), []).append(place)
                if len(words) >= INSIDE:
                    self.opening.setdefault(tuple(words[:INSIDE]), []).append(place)

    def check(self, problem: Problem, math: bool) -> Hit | None:
        """The first benchmark problem that the prompt leaks, or None."""
        words = words_of(problem.prompt)
        tried: set[int] = set()
        for gram, place in self._shared(words):
            if place in tried:
                continue
            tried.add(place)
            share = common_length(words, self.texts[place]) / len(words)
            if not math or share > self.settings.lcs:
                row = self.rows[place]
                name = row.subject or row.source
                return Hit(problem.id, row.id, " ".join(gram), round(share, 3), name)
        return None

    def _shared(self, words: list[str]) -> Iterator[tuple[Gram, int]]:
        """What the prompt shares with which problem: 13 words in a row, or all of a shorter one."""
        if len(words) < self.settings.ngram:
            for place in self.whole.get(tuple(words), ()):
                yield tuple(words), place
        for gram in _windows(words, self.settings.ngram):
            for place in self.grams.get(gram, ()):
                yield gram, place
        if not self.opening:
            return
        for at, gram in enumerate(_windows(words, INSIDE)):
            for place in self.opening.get(gram, ()):
                text = self.texts[place]
                if words[at : at + len(text)] == text:
                    yield tuple(text), place


def _windows(words: list[str], size: int) -> list[Gram]:
    """All runs of `size` words, in order; none where there are fewer words."""
    return list(zip(*(words[start:] for start in range(size)), strict=False))


def decontaminate(
    rows: Sequence[Problem], benchmarks: Sequence[Problem], settings: DecontaminateSettings
) -> tuple[list[Problem], list[Dropped]]:
    """Prompts that leak nothing, and those dropped. Code and general prompts count as not math."""
    index = Decontaminator(benchmarks, settings)
    kept, dropped = [], []
    for row in rows:
        hit = index.check(row, math=row.subject not in ("code", "general"))
        if hit:
            detail = f"{hit.benchmark} {hit.benchmark_id}: {hit.shared!r}, common {hit.lcs:.0%}"
            dropped.append(Dropped(row.id, "decontaminate", "leak", row.prompt, row.source, detail))
        else:
            kept.append(row)
    return kept, dropped
