"""Decontamination: no benchmark problem may sit in the training prompts (paper, section 3.2.3).

A math prompt is dropped when it shares 13 words in a row with a benchmark problem and the longest common
subsequence of the two is over 60 % of the prompt's words; any other prompt on the 13 words alone. A prompt
or problem of fewer than 13 words is compared whole. Words are compared after folding case, Unicode forms,
LaTeX spacing and punctuation; numbers count as words.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from acemath.curate.settings import DecontaminateSettings
from acemath.records import Problem
from acemath.store import Dropped

_LATEX_SPACE = re.compile(r"\\[,;:!> ]|\\(?:quad|qquad|left|right|displaystyle)\b|~")
_WORD = re.compile(r"[^\W_]+|[-+*/=<>^%$]")


def words_of(text: str) -> list[str]:
    """The words, numbers and operators of a text, normalised."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    found = _WORD.findall(_LATEX_SPACE.sub(" ", folded))
    return [w for w in found if w != "$"]


@dataclass(frozen=True, slots=True)
class Hit:
    """A prompt that leaks a benchmark problem: which, what they share, and the common share of its words."""

    problem_id: str
    benchmark_id: str
    shared: str
    lcs: float


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
    """An index of all benchmark problems, asked about one prompt at a time."""

    def __init__(self, benchmarks: Sequence[Problem], settings: DecontaminateSettings) -> None:
        self.settings = settings
        self.texts = {row.id: words_of(row.prompt) for row in benchmarks}
        self.grams: dict[tuple[str, ...], list[str]] = {}
        for key, words in self.texts.items():
            for gram in set(self._grams(words)):
                self.grams.setdefault(gram, []).append(key)

    def _grams(self, words: list[str]) -> list[tuple[str, ...]]:
        size = self.settings.ngram
        if len(words) < size:
            return [tuple(words)] if words else []
        return [tuple(words[i : i + size]) for i in range(len(words) - size + 1)]

    def check(self, problem: Problem, math: bool) -> Hit | None:
        """The first benchmark problem that the prompt leaks, or None."""
        words = words_of(problem.prompt)
        tried: set[str] = set()
        for gram in self._grams(words):
            for key in self.grams.get(gram, ()):
                if key in tried:
                    continue
                tried.add(key)
                share = common_length(words, self.texts[key]) / len(words)
                if not math or share > self.settings.lcs:
                    return Hit(problem.id, key, " ".join(gram), round(share, 3))
        return None


def decontaminate(
    rows: Sequence[Problem], benchmarks: Sequence[Problem], settings: DecontaminateSettings
) -> tuple[list[Problem], list[Dropped]]:
    """Prompts that leak nothing, and those dropped. Code and general prompts count as not math."""
    index = Decontaminator(benchmarks, settings)
    kept, dropped = [], []
    for row in rows:
        hit = index.check(row, math=row.subject not in ("code", "general"))
        if hit:
            detail = f"{hit.benchmark_id}: {hit.shared!r}, common {hit.lcs:.0%}"
            dropped.append(Dropped(row.id, "decontaminate", "leak", row.prompt, row.source, detail))
        else:
            kept.append(row)
    return kept, dropped
