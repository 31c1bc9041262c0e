"""The exact comparison of one prompt with all benchmark problems.

All limits beyond the paper's 13 words and 60 % are our choice, made while looking at real hits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Literal

from acemath.curate.columns import QUESTION
from acemath.curate.decontaminate.features import Reading, read
from acemath.curate.decontaminate.instructions import is_instruction, unwrapped, wrappers_of
from acemath.curate.decontaminate.reworded import Rewordings
from acemath.curate.decontaminate.runs import Runs, run_around
from acemath.curate.settings import DecontaminateSettings
from acemath.curate.words import NUMBER, VARIABLE, common_length, tokens_of
from acemath.records import Problem, benchmark_of

Kind = Literal["leak", "contained", "near-copy", "reworded"]
KINDS: tuple[Kind, ...] = ("leak", "contained", "near-copy", "reworded")

# Leaks and contained problems. A shorter problem ("What is 7 * 8?" has 5 words) stands in longer prompts by chance, so it
# leaks only if it is the whole prompt or only instructions surround it.
MIN_INSIDE = 6  # words of a problem that is looked for anywhere inside a prompt
MIN_WORDS = 3  # words of a problem that is looked for among instructions, or as "contained" at an end of a prompt …
MAX_EXTRA = 14  # … with at most this many other words, about one sentence
CONTAINED = 0.9  # the share of a problem's words that must be in a prompt that contains it
# Near-copies.
MASKED_RUN = 8  # masked words in a row that a prompt and a problem share before they are compared
SHORT_MASKED = 3 * MASKED_RUN  # a problem of at most this many masked words is also looked up whole
MAX_OWNERS = 32  # a masked run of more problems than this is ignored as too common
CANDIDATES = 3  # problems that a prompt is compared with in full
# A problem can have near-copies only if it says more than a stock phrase ("find the greatest common divisor of 0 and 0"):
MIN_MASKED = 10  # this many masked words, or …
MIN_CONTENT = 4  # … this many different words that are neither masks nor in STOCK
_STOCK = (
    "a an and are as at be by compute determine do does evaluate express find for from give given has have how if in "
    "is it let many much of on or simplify solve such that the then there to value was were what when which with"
)
STOCK = frozenset(_STOCK.split())


@dataclass(frozen=True, slots=True)
class Hit:
    """A prompt that is too similar to a benchmark problem.

    `shared` is the first run of words in both texts; for "reworded", the words, numbers and signs in both.
    `lcs` is the longest common subsequence as a share of the prompt's words; for "near-copy", of the longer text's masked
    words; for "reworded", the share of both texts' weight that they have in common.
    """

    problem_id: str
    benchmark_id: str
    shared: str
    lcs: float
    benchmark: str = ""
    kind: Kind = "leak"
    place: int = -1  # position of the benchmark problem in the list that was indexed


class BenchmarkIndex:
    """All benchmark problems, indexed so that one prompt is compared with those that it may copy.

    A benchmark's name is that of `benchmark_of` its problems.
    """

    def __init__(self, benchmarks: Sequence[Problem], settings: DecontaminateSettings) -> None:
        self.settings = settings
        # Problems are identified by position: benchmarks that number their problems share ids.
        self.benchmarks = list(benchmarks)
        # A multiple-choice problem is indexed a second time, without its choices.
        questions = [
            (place, replace(row, prompt=row.meta[QUESTION]))
            for place, row in enumerate(self.benchmarks)
            if isinstance(row.meta.get(QUESTION), str)
        ]
        self.rows = [*self.benchmarks, *(row for _, row in questions)]
        self._origins = [*range(len(self.benchmarks)), *(place for place, _ in questions)]
        self.wrappers = wrappers_of((benchmark_of(row), row.prompt) for row in self.rows)
        readings = [read(tokens_of(unwrapped(row.prompt, self.wrappers))) for row in self.rows]
        self.texts = [text.words for text in readings]
        self.masked = [text.masked for text in readings]
        self._long = Runs((settings.ngram + 1) // 2)
        self._short = Runs(MIN_INSIDE // 2)
        self._whole: dict[tuple[str, ...], list[int]] = {}  # problems shorter than an n-gram, by all their words
        self._tiny: dict[int, dict[tuple[str, ...], int]] = {}  # MIN_WORDS to MIN_INSIDE - 1 words, by their number
        self.masked_runs: dict[tuple[str, ...], list[int]] = {}
        self.masked_whole: dict[tuple[str, ...], int] = {}
        for place in range(len(self.rows)):
            self._add(place)
        self.masked_runs = {run: places for run, places in self.masked_runs.items() if len(places) <= MAX_OWNERS}
        self.reworded = Rewordings(readings, [row.answer for row in self.rows]) if settings.reworded else None

    def _add(self, place: int) -> None:
        words, masked = self.texts[place], self.masked[place]
        if len(words) >= self.settings.ngram:
            self._long.add(place, words, range(len(words) - self._long.size + 1))
        elif words:
            self._whole.setdefault(tuple(words), []).append(place)
            if len(words) >= MIN_INSIDE:
                self._short.add(place, words, range(self._short.size))
            elif len(words) >= MIN_WORDS:
                self._tiny.setdefault(len(words), {}).setdefault(tuple(words), place)
        if _is_specific(masked):
            for run in set(zip(*(masked[start:] for start in range(MASKED_RUN)))):
                self.masked_runs.setdefault(run, []).append(place)
            if len(masked) <= SHORT_MASKED:
                self.masked_whole.setdefault(tuple(masked), place)

    def find(self, problem: Problem, math: bool) -> Hit | None:
        """The hit of a prompt, of the first kind in the order of `KINDS` that applies. `math` selects the rule for leaks."""
        text = read(tokens_of(unwrapped(problem.prompt, self.wrappers)))
        return (
            self._exact(problem.id, text.words, math)
            or self._near_copy(problem.id, text.masked)
            or self._reworded(problem, text)
        )

    def _exact(self, identity: str, words: list[str], math: bool) -> Hit | None:
        best: tuple[bool, float] | None = None  # leaks before contained problems, then by the share in common
        found: Hit | None = None
        for place, at, size in self._shared(words):
            text = self.texts[place]
            common = common_length(words, text)
            share = common / len(words)
            leak = share > self.settings.lcs or not math
            if not leak and size == len(text):
                leak = is_instruction(words[:at] + words[at + size :])
            kind: Kind = "leak" if leak else "contained"
            if not leak and common < CONTAINED * len(text):
                continue
            if best is None or (leak, share) > best:
                best = leak, share
                shared = " ".join(words[at : at + min(size, self.settings.ngram)])
                found = self._hit(identity, place, kind, shared, share)
        return found or self._tiny_inside(identity, words)

    def _shared(self, words: list[str]) -> Iterator[tuple[int, int, int]]:
        """Each problem that shares enough words in a row: its position, where in `words` the run starts, and its length."""
        seen = set()
        ngram = self.settings.ngram
        for place in self._whole.get(tuple(words), ()) if len(words) < ngram else ():
            seen.add(place)
            yield place, 0, len(words)
        for at, place, there in self._long.find(words):
            if place not in seen:
                start, size = run_around(words, at, self.texts[place], there, self._long.size)
                if size >= ngram:
                    seen.add(place)
                    yield place, start, size
        for at, place, there in self._short.find(words):
            text, start = self.texts[place], at - there
            if place not in seen and start >= 0 and words[start : start + len(text)] == text:
                seen.add(place)
                yield place, start, len(text)

    def _tiny_inside(self, identity: str, words: list[str]) -> Hit | None:
        """The hit of a problem of 3 to 5 words in a longer prompt.

        It is a leak if all other words are instructions, and "contained" at either end of a prompt with at most MAX_EXTRA
        other words.
        """
        for size, known in self._tiny.items():
            keys = list(zip(*(words[start:] for start in range(size)), strict=False))
            if known.keys().isdisjoint(keys):
                continue
            for at, key in enumerate(keys):
                extra = len(words) - size
                if key not in known or not extra:  # a whole prompt was already looked up in `_shared`
                    continue
                leak = is_instruction(words[:at] + words[at + size :])
                if leak or at in (0, extra) and extra <= MAX_EXTRA:
                    kind: Kind = "leak" if leak else "contained"
                    return self._hit(identity, known[key], kind, " ".join(key), size / len(words))
        return None

    def _near_copy(self, identity: str, masked: list[str]) -> Hit | None:
        place = self.masked_whole.get(tuple(masked)) if len(masked) <= SHORT_MASKED else None
        if place is not None:
            return self._hit(identity, place, "near-copy", " ".join(masked), 1.0)
        owners = list(filter(None, map(self.masked_runs.get, zip(*[iter(masked)] * MASKED_RUN))))
        if not owners:
            return None
        votes = Counter(chain.from_iterable(owners))
        need, least = max(1, len(masked) // MASKED_RUN // 3), self.settings.near_copy
        ranked = [
            (-count, place)
            for place, count in votes.items()
            if count >= need and least * len(masked) <= len(self.masked[place]) <= len(masked) / least
        ]
        for _, place in sorted(ranked)[:CANDIDATES]:
            text = self.masked[place]
            share = common_length(text, masked) / max(len(text), len(masked))
            if share >= least:
                return self._hit(identity, place, "near-copy", " ".join(masked), share)
        return None

    def _reworded(self, problem: Problem, text: Reading) -> Hit | None:
        found = self.reworded.find(text, problem.answer) if self.reworded is not None else None
        if found is None or self.reworded is None:
            return None
        place, share = found
        theirs = self.reworded.stems[place] | {number for number, _ in self.reworded.numbers[place]}
        shared = dict.fromkeys(feature.lstrip("#~") for feature in text.features if feature in theirs)
        return self._hit(problem.id, place, "reworded", " ".join(shared), share)

    def _hit(self, identity: str, place: int, kind: Kind, shared: str, share: float) -> Hit:
        row = self.rows[place]
        return Hit(
            identity, row.id, shared, round(share, 3), benchmark_of(row), kind, self._origins[place]
        )


def _is_specific(masked: list[str]) -> bool:
    """Whether masked words say more than a stock phrase."""
    if len(masked) >= MIN_MASKED:
        return True
    words = {word for word in masked if word.isalpha() and word not in (NUMBER, VARIABLE)}
    return len(words - STOCK) >= MIN_CONTENT
