"""Near-duplicate prompts, found by MinHash and locality-sensitive hashing (Broder 1997; Leskovec et al., chapter 3).

Two prompts are near-duplicates if the Jaccard similarity of their runs of three words (shingles) is at least the
threshold AND they have the same numbers, signs and variables, each the same number of times. The first prompt stays.

Prompts of one template that differ in a number both stay. The numbers are part of each band's key, so a template of a
million problems yields no candidates. Every candidate is compared exactly, and only with prompts that stay, so a chain of
small changes never merges two dissimilar prompts.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acemath.curate.decontaminate.arrays import codes_of
from acemath.curate.settings import NearSettings
from acemath.curate.words import NUMBER, VARIABLE, Memo, fold, fold_one, mask_one, tokens_of
from acemath.curate.workers import CHUNK, in_processes, workers_for
from acemath.records import Dropped, Problem, content_key

RECALL = 0.995  # the share of pairs exactly at the threshold that are found; of more similar pairs, more are found
TRIES = 64  # the most comparisons per prompt; further candidates are counted as "untried"
SAMPLES = 3  # prompts shown of a cluster that raises an alarm
REMEMBERED = 5_000  # prompts whose shingles are cached

_NUMBERS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million billion half "
    "halves third thirds quarter quarters fourth fourths fifth fifths sixth seventh eighth ninth tenth tenths once "
    "twice thrice double triple quadruple dozen pair first second"
)
NUMBER_WORDS = frozenset(_NUMBERS.split())
# A changed sign changes the problem. The minus is left out, because it is also the hyphen.
SIGNS = frozenset([*"+*/=<>^%", "<=", ">="])
ARTICLES = frozenset(("a", "i", "s"))  # single letters that are words or the end of one ("Ann's"), not variables

U64 = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Cluster:
    """A prompt that stays, the number of its dropped near-duplicates, and some of their texts."""

    kept: str
    dropped: int
    samples: list[str]


@dataclass(slots=True)
class NearFacts:
    """What near-deduplication did, for the stage's manifest.

    `alarms` are the clusters larger than `NearSettings.alarm`, largest first; templates merged by mistake show up here.
    `compared` counts exact comparisons, `untried` candidates that were skipped because a prompt had more than TRIES.
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
        return asdict(self)


def amounts(text: str, tokens: Sequence[str]) -> tuple[tuple[str, int], ...]:
    """The counts that near-duplicates must share: of numbers (in digits or words), signs, variables and brackets.

    Variables count because "what is x?" and "what is y?" under one condition are two problems. `tokens` are the text's.
    """
    found = Counter(filter(None, map(_AMOUNTS.__getitem__, tokens)))
    found["("] = text.count("(") - text.count("\\(")
    return tuple(sorted(found.items()))


def _amount(token: str) -> str:
    """The word of a token that `amounts` counts, "" for others."""
    word = fold_one(token)
    counts = word in NUMBER_WORDS or word in SIGNS
    return word if counts or mask_one(token) in (NUMBER, VARIABLE) and word not in ARTICLES else ""


_AMOUNTS = Memo(_amount)


def shingles(words: Sequence[str], size: int) -> frozenset[tuple[str, ...]]:
    """All runs of `size` words; if there are fewer words, one run of them all."""
    if len(words) <= size:
        return frozenset((tuple(words),))
    return frozenset(zip(*(words[start:] for start in range(size)), strict=False))


def jaccard(a: frozenset[Any], b: frozenset[Any]) -> float:
    """The Jaccard similarity of two sets; 1.0 if both are empty."""
    union = len(a | b)
    return len(a & b) / union if union else 1.0


def bands_for(threshold: float, permutations: int) -> tuple[int, int]:
    """The number of bands and of rows per band: the most rows with which RECALL of the pairs at the threshold are found.

    A pair of similarity s shares a band with probability 1 - (1 - s^rows)^bands.
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

    The result is the same for any number of processes. None chooses it by `workers_for`; with more than one, see
    `in_processes`.
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
    """For each text that goes, the earlier one that stays, and their similarity; None for texts that stay.

    `ids` name the texts in the facts. Both arguments may be lazy sequences.
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
    """The key of each text in each band, shape [texts, bands]. Texts with an equal key in a band are candidates."""
    processes = workers_for(len(texts)) if processes is None else processes
    chunks = ((texts[at : at + CHUNK], settings) for at in range(0, len(texts), CHUNK))
    keys = np.empty((len(texts), bands_for(settings.threshold, settings.permutations)[0]), np.uint64)
    parts: Iterator[U64] = (
        map(_chunk_keys, chunks) if processes == 1 else in_processes(_chunk_keys, chunks, processes)
    )
    at = 0
    for part in parts:
        keys[at : at + len(part)] = part
        at += len(part)
    return keys


def _chunk_keys(work: tuple[Sequence[str], NearSettings]) -> U64:
    """The band keys of some texts, shape [texts, bands]."""
    texts, settings = work
    runs, starts, numbers = _hashed(texts, settings.shingle)
    bands, height = bands_for(settings.threshold, settings.permutations)
    rng = np.random.default_rng(settings.seed)
    # Multiply-shift hashing (Dietzfelbinger et al. 1997): odd factors, upper 32 of 64 bits.
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
    """The hashes of all texts' shingles in one array, each text's start in it, and a hash of each text's `amounts`."""
    every: list[str] = []  # the words of all texts; a text of fewer than `size` words is padded
    lengths, numbers = [], []
    for text in texts:
        tokens = tokens_of(text)
        words = fold(tokens)
        numbers.append(int(content_key(repr(amounts(text, tokens))), 16))
        words += [""] * max(0, size - len(words))
        lengths.append(max(1, len(words) - size + 1))
        every += words
    flat = codes_of(every)
    words_each = np.array(lengths) + size - 1
    first = np.concatenate(([0], np.cumsum(words_each)[:-1]))
    starts = np.concatenate(([0], np.cumsum(lengths)[:-1])).astype(np.int64)
    # The start of each shingle: its text's first word plus its number in the text.
    begins = np.repeat(first - starts, lengths) + np.arange(int(np.sum(lengths)))
    runs = np.zeros(len(begins), np.uint64)
    for place in range(size):
        runs = _mixed(runs ^ flat[begins + place])
    return runs, starts, np.array(numbers, np.uint64)


def _mixed(values: U64) -> U64:
    """64-bit values mixed by the finaliser of SplitMix64 (Steele et al. 2014)."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _buckets(keys: U64) -> NDArray[np.int32]:
    """The bucket of each text in each band, shape [texts, bands]: unique over all bands, -1 if no other text is in it."""
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
    """See `near_twins`. Counts comparisons in `facts`."""
    twin: list[tuple[int, float] | None] = [None] * len(given)
    # The texts that stay, by bucket: the first in an array, because nearly all buckets have just one.
    first = array("i", [-1]) * (int(buckets.max(initial=-1)) + 1)
    others: dict[int, list[int]] = {}
    texts = _Texts(given, settings.shingle)
    for at in np.flatnonzero((buckets >= 0).any(axis=1)).tolist():
        mine = [number for number in buckets[at].tolist() if number >= 0]
        # The texts that share the most buckets are the likeliest twins, so they are tried first.
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
    """The shingles and amounts of texts, cached."""

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
        """The exact Jaccard similarity of two texts; 0 if their `amounts` differ."""
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
        samples = [texts[at] for at in [kept, *found[: SAMPLES - 1]]]
        facts.alarms.append(Cluster(ids[kept], len(found), samples))
