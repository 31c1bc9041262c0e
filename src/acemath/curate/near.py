"""Near-duplicate prompts, found by MinHash and locality-sensitive hashing (Broder 1997; Leskovec et al., chapter 3).

Two prompts are near-duplicates when the Jaccard similarity of their runs of three words is at least the threshold
AND they hold the same numbers, signs and variables, each as often. Prompts of one template that differ in a number
both stay: the numbers are part of the key by which candidates meet, so that a template of a million problems costs
nothing. Every candidate is verified exactly, against the prompt that stays and no other: no chain of small steps
merges two prompts that are not alike. The first in order of arrival stays.
"""

from __future__ import annotations

import zlib
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from multiprocessing import get_context
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acemath.curate.decontaminate import workers_for
from acemath.curate.settings import NearSettings
from acemath.curate.words import NUMBER, VARIABLE, fold, mask, tokens_of
from acemath.records import Dropped, Problem, content_key

CHUNK = 2000  # prompts that are hashed at a time
RECALL = 0.995  # of pairs right at the threshold; pairs above it are found more surely
TRIES = 64  # prompts that one prompt is compared with in full; more are counted as "untried"
SAMPLES = 3  # of an alarming cluster
REMEMBERED = 5_000  # prompts whose shingles are kept for the next comparison

_NUMBERS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million billion half "
    "halves third thirds quarter quarters fourth fourths fifth fifths sixth seventh eighth ninth tenth tenths once "
    "twice thrice double triple quadruple dozen pair first second"
)
NUMBER_WORDS = frozenset(_NUMBERS.split())
# A sign changes what is asked as a number does. The minus is left out, because it is the hyphen too.
SIGNS = frozenset([*"+*/=<>^%", "<=", ">="])
ARTICLES = frozenset(("a", "i", "s"))  # single letters that are words, or the end of one ("Ann's")

U64 = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Cluster:
    """A prompt that stays and how many near-duplicates of it were dropped, with some of their texts."""

    kept: str
    dropped: int
    samples: tuple[str, ...]


@dataclass(slots=True)
class NearFacts:
    """What near-deduplication did, for the stage's manifest.

    `alarms` are the clusters over the size that the settings name, largest first: templates merged by mistake show
    here. `compared` counts exact verifications, `untried` candidates that were left out because a prompt had too many.
    """

    dropped: int = 0
    clusters: int = 0
    largest: int = 0
    compared: int = 0
    untried: int = 0
    bands: int = 0
    rows_a_band: int = 0
    alarms: list[Cluster] = field(default_factory=list)

    def record(self) -> dict[str, Any]:
        """The facts as plain values."""
        names = ("dropped", "clusters", "largest", "compared", "untried", "bands", "rows_a_band")
        alarms = [{"kept": c.kept, "dropped": c.dropped, "samples": list(c.samples)} for c in self.alarms]
        return {**{name: getattr(self, name) for name in names}, "alarms": alarms}


def amounts(text: str, tokens: Sequence[str]) -> tuple[tuple[str, int], ...]:
    """What must be the same in both: numbers (digits or words), signs, variables and brackets, each as often.

    Variables count because "what is x?" and "what is y?" under one condition are two problems. `tokens` are the text's.
    """
    if len(_KINDS) > _KINDS.limit:
        _KINDS.clear()
    found = Counter(filter(None, map(_KINDS.__getitem__, tokens)))
    found["("] = text.count("(") - text.count("\\(")
    return tuple(sorted(found.items()))


class _Kinds(dict[str, str]):
    """The word of a token that is an amount, "" for others; remembered."""

    limit = 200_000

    def __missing__(self, token: str) -> str:
        word, masked = "".join(fold([token])), "".join(mask([token]))
        amount = (
            word in NUMBER_WORDS or word in SIGNS or masked in (NUMBER, VARIABLE) and word not in ARTICLES
        )
        found = self[token] = word if amount else ""
        return found


_KINDS = _Kinds()


def shingles(words: Sequence[str], size: int) -> frozenset[tuple[str, ...]]:
    """All runs of `size` words; all the words as one run where there are fewer."""
    if len(words) <= size:
        return frozenset((tuple(words),))
    return frozenset(zip(*(words[start:] for start in range(size)), strict=False))


def jaccard(a: frozenset[Any], b: frozenset[Any]) -> float:
    """The share of two sets that they have in common; 1.0 for two empty ones."""
    union = len(a | b)
    return len(a & b) / union if union else 1.0


def bands_for(threshold: float, permutations: int) -> tuple[int, int]:
    """How many bands of how many rows: the longest rows that still find a pair at the threshold in 99.5 % of cases.

    The chance that a pair of similarity s shares a band is 1 - (1 - s^rows)^bands.
    """
    best = (permutations, 1)
    for rows in range(2, 33):
        bands = permutations // rows
        if bands and 1 - (1 - threshold**rows) ** bands >= RECALL:
            best = (bands, rows)
    return best


def near_dedup(
    rows: Sequence[Problem], settings: NearSettings, processes: int | None = 1
) -> tuple[list[Problem], list[Dropped], NearFacts]:
    """Prompts without near-duplicates, those dropped (reason "near-duplicate"), and the facts.

    The same for the same rows and settings, whatever the number of processes (None: one for few prompts, one a
    core from 50,000 on; spawned, so a script needs `if __name__ == "__main__"`).
    """
    twin, facts = near_twins([row.prompt for row in rows], [row.id for row in rows], settings, processes)
    kept = [row for row, of in zip(rows, twin, strict=True) if of is None]
    dropped = []
    for row, of in zip(rows, twin, strict=True):
        if of is not None:
            detail = f"near {rows[of[0]].id}, similarity {of[1]:.2f}"
            dropped.append(Dropped(row.id, "near-dedup", "near-duplicate", row.prompt, row.source, detail))
    return kept, dropped, facts


def near_twins(
    texts: Sequence[str], ids: Sequence[str], settings: NearSettings, processes: int | None = 1
) -> tuple[list[tuple[int, float] | None], NearFacts]:
    """For each text the earlier one that stays in its place, with their similarity; None for texts that stay.

    `ids` are the texts' names in the facts. Both may be sequences that make their items as they are asked for.
    """
    bands, height = bands_for(settings.threshold, settings.permutations)
    facts = NearFacts(bands=bands, rows_a_band=height)
    if not len(texts):
        return [], facts
    buckets = _buckets(_keys(texts, settings, processes))
    twin = _twins(texts, buckets, settings, facts)
    _count_clusters(texts, ids, twin, settings, facts)
    return twin, facts


def _keys(texts: Sequence[str], settings: NearSettings, processes: int | None) -> U64:
    """One key a text and band, shape (texts, bands): texts that share one are candidates."""
    processes = workers_for(len(texts)) if processes is None else processes
    chunks = ((texts[at : at + CHUNK], settings) for at in range(0, len(texts), CHUNK))
    keys = np.empty((len(texts), bands_for(settings.threshold, settings.permutations)[0]), np.uint64)
    if processes == 1:
        parts: Iterator[U64] = map(_chunk_keys, chunks)
        _fill(keys, parts)
    else:
        with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
            # A few chunks at a time: those that wait hold memory.
            groups = iter(lambda: list(islice(chunks, 8 * processes)), [])
            _fill(keys, (part for group in groups for part in pool.map(_chunk_keys, group)))
    return keys


def _fill(keys: U64, parts: Iterator[U64]) -> None:
    at = 0
    for part in parts:
        keys[at : at + len(part)] = part
        at += len(part)


def _chunk_keys(work: tuple[Sequence[str], NearSettings]) -> U64:
    """The band keys of some texts, shape (texts, bands)."""
    texts, settings = work
    runs, starts, numbers = _hashed(texts, settings.shingle)
    bands, height = bands_for(settings.threshold, settings.permutations)
    rng = np.random.default_rng(settings.seed)
    # Multiply-shift hashing (Dietzfelbinger et al. 1997): odd factors, the upper 32 of 64 bits.
    factors = rng.integers(0, 2**63, bands * height, np.uint64) * np.uint64(2) + np.uint64(1)
    offsets = rng.integers(0, 2**63, bands * height, np.uint64)
    keys = np.empty((len(texts), bands), np.uint64)
    for band in range(bands):
        key = numbers.copy()
        for row in range(band * height, (band + 1) * height):
            least = np.minimum.reduceat((runs * factors[row] + offsets[row]) >> np.uint64(32), starts)
            key = _mixed(key ^ least)
        keys[:, band] = key
    return keys


def _hashed(texts: Sequence[str], size: int) -> tuple[U64, NDArray[np.int64], U64]:
    """The hashes of all texts' shingles in one row, where each text's start, and a hash of each text's numbers."""
    codes: list[int] = []  # of all words of all texts, with size - 1 empty places after each text
    lengths, numbers = [], []
    known = _Codes()
    for text in texts:
        tokens = tokens_of(text)
        words = fold(tokens)
        numbers.append(int(content_key(repr(amounts(text, tokens))), 16))
        words += [""] * max(0, size - len(words))
        lengths.append(max(1, len(words) - size + 1))
        codes += map(known.__getitem__, words)
    flat = np.array(codes, np.uint64)
    words_each = np.array(lengths) + size - 1
    first = np.concatenate(([0], np.cumsum(words_each)[:-1]))
    starts = np.concatenate(([0], np.cumsum(lengths)[:-1])).astype(np.int64)
    # Where each shingle begins: its text's first word, and its number in the text.
    begins = np.repeat(first - starts, lengths) + np.arange(int(np.sum(lengths)))
    runs = np.zeros(len(begins), np.uint64)
    for place in range(size):
        runs = _mixed(runs ^ flat[begins + place])
    return runs, starts, np.array(numbers, np.uint64)


class _Codes(dict[str, int]):
    """A number for each word, the same on every machine and in every process (Python's own hash is not)."""

    def __missing__(self, word: str) -> int:
        data = word.encode("utf-8", "surrogatepass")
        self[word] = code = zlib.crc32(data) << 32 | zlib.adler32(data)
        return code


def _mixed(values: U64) -> U64:
    """64-bit values well mixed: the finaliser of SplitMix64 (Steele et al. 2014)."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _buckets(keys: U64) -> NDArray[np.int32]:
    """For each text and band the number of its bucket, unique over all bands; -1 where it is alone. Same shape."""
    buckets = np.full(keys.shape, -1, np.int32)
    count = 0
    for band in range(keys.shape[1]):
        column = keys[:, band]
        order = np.argsort(column, kind="stable")
        new = np.concatenate(([True], np.diff(column[order]) != 0))
        group = np.cumsum(new) - 1
        crowded = np.bincount(group)[group] > 1
        numbers = np.cumsum(new & crowded) - 1 + count
        buckets[order[crowded], band] = numbers[crowded]
        count += int(np.sum(new & crowded))
    return buckets


def _twins(
    given: Sequence[str], buckets: NDArray[np.int32], settings: NearSettings, facts: NearFacts
) -> list[tuple[int, float] | None]:
    """For each text the earlier one that stays and is like it, with their similarity; None for texts that stay."""
    twin: list[tuple[int, float] | None] = [None] * len(given)
    # Rows that stay, by bucket: the first in an array, because nearly all buckets have no other.
    first = array("i", [-1]) * (int(buckets.max(initial=-1)) + 1)
    others: dict[int, list[int]] = {}
    texts = _Texts(given, settings.shingle)
    for at in np.flatnonzero((buckets >= 0).any(axis=1)).tolist():
        mine = [number for number in buckets[at].tolist() if number >= 0]
        # Those that share most buckets come first: the likeliest twin is tried first.
        shared = Counter(first[number] for number in mine if first[number] >= 0)
        shared.update(other for number in mine for other in others.get(number, ()))
        ranked = sorted(shared.items(), key=lambda item: (-item[1], item[0]))
        facts.untried += max(0, len(ranked) - TRIES)
        for other, _ in ranked[:TRIES]:
            facts.compared += 1
            similarity = texts.similarity(at, other)
            if similarity >= settings.threshold:
                twin[at] = (other, similarity)
                break
        else:
            for number in mine:
                if first[number] < 0:
                    first[number] = at
                else:
                    others.setdefault(number, []).append(at)
    return twin


class _Texts:
    """The shingles and amounts of texts, remembered for a while."""

    def __init__(self, texts: Sequence[str], size: int) -> None:
        self.texts, self.size = texts, size
        self.known: dict[int, tuple[frozenset[tuple[str, ...]], tuple[tuple[str, int], ...]]] = {}

    def _get(self, at: int) -> tuple[frozenset[tuple[str, ...]], tuple[tuple[str, int], ...]]:
        found = self.known.get(at)
        if found is None:
            if len(self.known) >= REMEMBERED:
                self.known.clear()
            text = self.texts[at]
            tokens = tokens_of(text)
            found = self.known[at] = (shingles(fold(tokens), self.size), amounts(text, tokens))
        return found

    def similarity(self, a: int, b: int) -> float:
        """The exact Jaccard similarity of two rows; 0 where their numbers differ."""
        (one, mine), (other, theirs) = self._get(a), self._get(b)
        return jaccard(one, other) if mine == theirs else 0.0


def _count_clusters(
    texts: Sequence[str],
    ids: Sequence[str],
    twin: Sequence[tuple[int, float] | None],
    settings: NearSettings,
    facts: NearFacts,
) -> None:
    members: dict[int, list[int]] = {}
    for at, of in enumerate(twin):
        if of is not None:
            members.setdefault(of[0], []).append(at)
    facts.dropped = sum(map(len, members.values()))
    facts.clusters = len(members)
    facts.largest = 1 + max(map(len, members.values()), default=0)
    alarming = [(kept, found) for kept, found in members.items() if len(found) + 1 > settings.alarm]
    for kept, found in sorted(alarming, key=lambda item: (-len(item[1]), item[0])):
        samples = tuple(texts[at] for at in [kept, *found[: SAMPLES - 1]])
        facts.alarms.append(Cluster(ids[kept], len(found), samples))
