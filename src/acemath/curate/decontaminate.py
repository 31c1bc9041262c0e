"""Decontamination: no benchmark problem may sit in the training prompts (paper, section 3.2.3).

A math prompt is dropped when it shares 13 words in a row with a benchmark problem and the longest common
subsequence of the two is over 60 % of the prompt's words; any other prompt on the 13 words alone. A problem
of fewer than 13 words has no 13 in a row: it is looked for whole, in place of the 13 words. What a word is,
`words.py` says. Such a prompt is a "leak". Instructions say nothing (`wrappers.py`): a problem that stands whole in a
prompt, with nothing but instructions around it, is a leak however long they are, and what stands around all problems
of a benchmark or all prompts of a source is taken off before anything is compared.

Three further kinds of hit are our own; they are reported, and dropped where a setting names them:
"contained", a benchmark problem word for word inside a math prompt so much longer that the 60 % let it pass,
"near-copy", the words alike once numbers and variables are masked, and "reworded", the same numbers, formulas and
rare words in other phrases (`reworded.py`).
"""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from multiprocessing import get_context
from typing import Literal

from acemath.curate.blocks import Blocks, run_around
from acemath.curate.columns import QUESTION
from acemath.curate.features import Reading, read
from acemath.curate.limits import (
    BLOCK,
    CANDIDATES,
    COMMON,
    CONTENT,
    INSIDE,
    ONE_MORE,
    SAYING,
    SHORT,
    TINY,
    WHOLE,
)
from acemath.curate.reworded import Rewordings
from acemath.curate.screen import Screen
from acemath.curate.settings import DecontaminateSettings
from acemath.curate.words import NUMBER, VARIABLE, common_length, tokens_of
from acemath.curate.wrappers import bare, edges_of, is_instruction
from acemath.errors import UserError
from acemath.records import Dropped, Problem

Kind = Literal["leak", "contained", "near-copy", "reworded"]
KINDS: tuple[Kind, ...] = ("leak", "contained", "near-copy", "reworded")
_STOCK = (
    "a an and are as at be by compute determine do does evaluate express find for from give given has have how if in "
    "is it let many much of on or simplify solve such that the then there to value was were what when which with"
)
STOCK = frozenset(_STOCK.split())
CHUNK = 2000  # prompts that a worker process is handed at a time
AHEAD = 4  # chunks that wait for each worker
Asked = tuple[str, str, str, bool]  # a prompt's id, its text, its answer, and whether it is math
SCREENED = 500  # prompts from which on a screen is worth building


@dataclass(frozen=True, slots=True)
class Hit:
    """A prompt that is too near a benchmark problem: which, how, what they share, and the common share of its words.

    `shared` is the first run of words that both have. `lcs` counts masked words where the kind is "near-copy"; where it
    is "reworded" it is the share of weight in common, and `shared` the words that weigh.
    """

    problem_id: str
    benchmark_id: str
    shared: str
    lcs: float
    benchmark: str = ""
    kind: Kind = "leak"
    place: int = -1  # of the benchmark problem in the list that was given


class Decontaminator:
    """An index of all benchmark problems, asked about one prompt at a time.

    A benchmark's name is its problems' subject, or their source where they have none.
    """

    def __init__(self, benchmarks: Sequence[Problem], settings: DecontaminateSettings) -> None:
        self.settings = settings
        # Problems go by their place: benchmarks that number their problems share ids.
        self.benchmarks = list(benchmarks)
        # A multiple-choice problem leaks without its choices too.
        bare_ones = [
            (place, replace(row, prompt=row.meta[QUESTION]))
            for place, row in enumerate(self.benchmarks)
            if isinstance(row.meta.get(QUESTION), str)
        ]
        self.rows = [*self.benchmarks, *(row for _, row in bare_ones)]
        self._origins = [*range(len(self.benchmarks)), *(place for place, _ in bare_ones)]
        self.edges = edges_of((row.subject or row.source, row.prompt) for row in self.rows)
        readings = [read(tokens_of(bare(row.prompt, self.edges))) for row in self.rows]
        self.texts = [text.words for text in readings]
        self.masked = [text.masked for text in readings]
        self._long = Blocks((settings.ngram + 1) // 2)
        self._short = Blocks(INSIDE // 2)
        self._whole: dict[tuple[str, ...], list[int]] = {}  # short problems, all their words
        self._tiny: dict[int, dict[tuple[str, ...], list[int]]] = {}  # those of few words, by how many
        self.near: dict[tuple[str, ...], list[int]] = {}  # runs of BLOCK masked words
        self.near_whole: dict[tuple[str, ...], int] = {}
        for place in range(len(self.rows)):
            self._add(place)
        self.near = {block: places for block, places in self.near.items() if len(places) <= COMMON}
        self.reworded = Rewordings(readings, [row.answer for row in self.rows]) if settings.reworded else None

    @cached_property
    def screen(self) -> Screen:
        """What clears most prompts without a look at each."""
        return Screen(self)

    def _add(self, place: int) -> None:
        words, masked = self.texts[place], self.masked[place]
        if len(words) >= self.settings.ngram:
            self._long.add(place, words, range(len(words) - self._long.size + 1))
        elif words:
            self._whole.setdefault(tuple(words), []).append(place)
            if len(words) >= INSIDE:
                self._short.add(place, words, range(self._short.size))
            elif len(words) >= TINY:
                self._tiny.setdefault(len(words), {}).setdefault(tuple(words), []).append(place)
        if _says_something(masked):
            for block in set(zip(*(masked[start:] for start in range(BLOCK)))):
                self.near.setdefault(block, []).append(place)
            if len(masked) <= SHORT:
                self.near_whole.setdefault(tuple(masked), place)

    def find(self, problem: Problem, math: bool) -> Hit | None:
        """The strongest hit of any kind, in the order of `KINDS`."""
        text = read(tokens_of(bare(problem.prompt, self.edges)))
        return (
            self._exact(problem.id, text.words, math)
            or self._near_copy(problem.id, text.masked)
            or self._in_other_words(problem, text)
        )

    def _exact(self, identity: str, words: list[str], math: bool) -> Hit | None:
        best: tuple[bool, float] | None = None  # of hits: leaks first, then the larger common share
        found: Hit | None = None
        for place, at, size in self._shared(words):
            text = self.texts[place]
            common = common_length(words, text)
            share = common / len(words)
            leak = share > self.settings.lcs or not math
            if not leak and size == len(text):
                leak = is_instruction(words[:at] + words[at + size :])
            kind: Kind = "leak" if leak else "contained"
            if not leak and common < WHOLE * len(text):
                continue
            if best is None or (leak, share) > best:
                best = leak, share
                shared = " ".join(words[at : at + min(size, self.settings.ngram)])
                found = self._hit(identity, place, kind, shared, share)
        return found or self._tiny_inside(identity, words)

    def _shared(self, words: list[str]) -> Iterator[tuple[int, int, int]]:
        """Which problem, and where in the prompt and how long is what they share: each problem once."""
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
        """A problem of few words among instructions: a leak; at an edge of a prompt of about one sentence more: contained."""
        for size, known in self._tiny.items():
            keys = list(zip(*(words[start:] for start in range(size)), strict=False))
            if known.keys().isdisjoint(keys):
                continue
            for at, key in enumerate(keys):
                more = len(words) - size
                if key not in known or not more:  # nothing more: the whole prompt, which has been looked for
                    continue
                leak = is_instruction(words[:at] + words[at + size :])
                if leak or at in (0, more) and more <= ONE_MORE:
                    kind: Kind = "leak" if leak else "contained"
                    return self._hit(identity, known[key][0], kind, " ".join(key), size / len(words))
        return None

    def _near_copy(self, identity: str, masked: list[str]) -> Hit | None:
        place = self.near_whole.get(tuple(masked)) if len(masked) <= SHORT else None
        if place is not None:
            return self._hit(identity, place, "near-copy", " ".join(masked), 1.0)
        met = list(filter(None, map(self.near.get, zip(*[iter(masked)] * BLOCK))))
        if not met:
            return None
        votes = Counter(chain.from_iterable(met))
        need, least = max(1, len(masked) // BLOCK // 3), self.settings.near_copy
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

    def _in_other_words(self, problem: Problem, text: Reading) -> Hit | None:
        found = self.reworded.find(text, problem.answer) if self.reworded is not None else None
        if found is None or self.reworded is None:
            return None
        place, share = found
        theirs = self.reworded.stems[place] | {number for number, _ in self.reworded.numbers[place]}
        shared = dict.fromkeys(feature.lstrip("#~") for feature in text.said if feature in theirs)
        return self._hit(problem.id, place, "reworded", " ".join(shared), share)

    def _hit(self, identity: str, place: int, kind: Kind, shared: str, share: float) -> Hit:
        row = self.rows[place]
        return Hit(
            identity, row.id, shared, round(share, 3), row.subject or row.source, kind, self._origins[place]
        )


def _says_something(masked: list[str]) -> bool:
    """Whether masked words still say what the problem is about."""
    if len(masked) >= SAYING:
        return True
    words = {word for word in masked if word.isalpha() and word not in (NUMBER, VARIABLE)}
    return len(words - STOCK) >= CONTENT


def scan(rows: Sequence[Problem], index: Decontaminator, processes: int | None = 1) -> list[Hit | None]:
    """The strongest hit of every prompt, in order; the same whatever the number of processes.

    None processes: one for few prompts, one a core from 50,000 on. Workers are spawned: a script that calls
    this with more than one needs the usual `if __name__ == "__main__"`.
    """
    processes = workers_for(len(rows)) if processes is None else processes
    hits: list[Hit | None] = [None] * len(rows)
    chunks = [range(at, min(at + CHUNK, len(rows))) for at in range(0, len(rows), CHUNK)]
    edges = edges_of((row.source, row.prompt) for row in rows)
    asked = (
        [
            (rows[at].id, bare(rows[at].prompt, edges), rows[at].answer, rows[at].group == "math")
            for at in chunk
        ]
        for chunk in chunks
    )
    for chunk, some in zip(chunks, _hits_of_all(asked, index, processes), strict=True):
        for at, hit in some:
            hits[chunk[at]] = hit
    return hits


def _hits_of_all(
    asked: Iterable[Sequence[Asked]], index: Decontaminator, processes: int
) -> Iterator[list[tuple[int, Hit]]]:
    """The hits of each chunk, in order. A worker is handed texts alone and gives hits alone: rows cost more to copy."""
    if processes == 1:
        yield from (_hits(some, index) for some in asked)
        return
    pool = ProcessPoolExecutor(
        processes, get_context("spawn"), initializer=_start, initargs=(index.benchmarks, index.settings)
    )
    with pool:
        waiting: deque[Future[list[tuple[int, Hit]]]] = deque()
        for some in asked:
            waiting.append(pool.submit(_hits_of_chunk, some))
            if len(waiting) > AHEAD * processes:  # chunks that wait hold memory
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def workers_for(count: int) -> int:
    """How many processes so many prompts are worth: one, or one a core from 50,000 on."""
    return len(os.sched_getaffinity(0)) if count >= 25 * CHUNK else 1


_index: list[Decontaminator] = []  # of a worker process


def _start(benchmarks: list[Problem], settings: DecontaminateSettings) -> None:
    _index[:] = [Decontaminator(benchmarks, settings)]


def _hits_of_chunk(asked: Sequence[Asked]) -> list[tuple[int, Hit]]:
    return _hits(asked, _index[0])


def _hits(asked: Sequence[Asked], index: Decontaminator) -> list[tuple[int, Hit]]:
    """The hits of some prompts with their places: a look at the suspects alone, where there are many prompts."""
    many = len(asked) >= SCREENED
    suspects = (
        index.screen.suspects(bare(prompt, index.edges) for _, prompt, *_ in asked)
        if many
        else range(len(asked))
    )
    found = ((at, index.find(Problem(*asked[at][:3]), asked[at][3])) for at in suspects)
    return [(at, hit) for at, hit in found if hit is not None]


def decontaminate(
    rows: Sequence[Problem],
    benchmarks: Sequence[Problem],
    settings: DecontaminateSettings,
    processes: int | None = 1,
) -> tuple[list[Problem], list[Dropped]]:
    """Prompts that leak nothing, and those dropped: leaks, and the kinds of hit that `settings.drop` names."""
    return sorted_out(rows, scan(rows, Decontaminator(benchmarks, settings), processes), settings)


def sorted_out(
    rows: Sequence[Problem], hits: Sequence[Hit | None], settings: DecontaminateSettings
) -> tuple[list[Problem], list[Dropped]]:
    """Prompts that stay and those that their hits drop."""
    kept, dropped = [], []
    for row, hit in zip(rows, hits, strict=True):
        if hit is not None and _drops(hit, settings):
            dropped.append(Dropped(row.id, "decontaminate", hit.kind, row.prompt, row.source, detail_of(hit)))
        else:
            kept.append(row)
    return kept, dropped


def reported_of(hits: Sequence[Hit | None], settings: DecontaminateSettings) -> dict[str, int]:
    """How many prompts have a hit and stay, by kind: all kinds that are not dropped, in the order of `KINDS`."""
    found = Counter(hit.kind for hit in hits if hit is not None and not _drops(hit, settings))
    return {kind: found[kind] for kind in KINDS if kind != "leak" and kind not in settings.drop}


def _drops(hit: Hit, settings: DecontaminateSettings) -> bool:
    return hit.kind == "leak" or hit.kind in settings.drop


def some_problems(name: str, rows: Sequence[Problem]) -> list[Problem]:
    """The problems of a benchmark. UserError where there are none: nothing would be found, and nobody told."""
    if not any(row.prompt.strip() for row in rows):
        raise UserError(
            f"benchmark {name}: 0 problems in it, so no prompt could leak it; name a file that has some, or leave it out"
        )
    return list(rows)


def detail_of(hit: Hit) -> str:
    """A hit in one line, as the dropped row says it."""
    return f"{hit.benchmark} {hit.benchmark_id}: {hit.shared!r}, common {hit.lcs:.0%}"
