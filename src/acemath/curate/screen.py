"""A screen before decontamination: most prompts resemble no benchmark problem, and it says so of thousands at once.

For each tier of `decontaminate.py` and `reworded.py` it asks, on arrays of hashes, what a hit of that tier needs. It may
suspect a prompt that is clean, and never clears one that is not: `scan` looks at the suspects one by one, and finds what
it would have found without a screen.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from acemath.curate.bulk import (
    BATCH_BYTES,
    Hashes,
    Places,
    Prefix,
    Table,
    Tokens,
    Vocabulary,
    ascii_of,
    codes_of,
    hashes_of,
    spread,
)
from acemath.curate.features import reading_of
from acemath.curate.limits import BLOCK, CANDIDATES, INSIDE, ONE_MORE, SHORT, TINY
from acemath.curate.reworded import BRIEF, FEW, LEFT, ROUGH, Rewordings
from acemath.curate.words import NUMBER, common_length

if TYPE_CHECKING:
    from acemath.curate.decontaminate import Decontaminator  # which imports this module

_MIX = np.uint64(0xD6E8FEB86659FD93)
_RUN_SIGNS = re.compile("[#~][^#~]*")


class Screen:
    """What all problems of an index look like as hashes."""

    def __init__(self, index: Decontaminator) -> None:
        reworded = index.reworded
        self.vocabulary = Vocabulary(reworded.weights if reworded else ())
        self._same_words = _SameWords(index)
        self._masked = _Masked(index)
        self._reworded = _Reworded(reworded, self.vocabulary) if reworded else None

    def suspects(self, prompts: Iterable[str]) -> list[int]:
        """The places of prompts that may have a hit, in order."""
        found: list[int] = []
        for places, texts in _batches(prompts, found):
            tokens = self.vocabulary.read(texts)
            suspected = self._same_words.suspects(
                self.vocabulary.words[tokens.ids], tokens.owners, len(texts)
            )
            suspected |= self._masked.suspects(self.vocabulary.masks[tokens.ids], tokens.owners, len(texts))
            if self._reworded:
                suspected |= self._reworded.suspects(tokens, len(texts))
            found += [places[at] for at in np.flatnonzero(suspected)]
        return sorted(found)


def _batches(prompts: Iterable[str], others: list[int]) -> Iterator[tuple[list[int], list[bytes]]]:
    """Prompts as bytes, as many as fit, with their places; the places of those that do not become bytes go to `others`."""
    places: list[int] = []
    texts: list[bytes] = []
    size = 0
    for place, prompt in enumerate(prompts):
        text = ascii_of(prompt)
        if text is None:
            others.append(place)
            continue
        if size + len(text) + 1 > BATCH_BYTES:
            yield places, texts
            places, texts, size = [], [], 0
        places.append(place)
        texts.append(text)
        size += len(text) + 1
    yield places, texts


def _lists(values: Hashes, owners: Places, count: int) -> tuple[Hashes, Places, Places, Places]:
    """What is not 0 of the values; whose each is; where each owner's begin and end."""
    there = values != 0
    values, owners = values[there], owners[there]
    ends = np.cumsum(np.bincount(owners, minlength=count))
    return values, owners, np.concatenate([[0], ends[:-1]]), ends


class _SameWords:
    """Leaks and contained problems: 13 words in a row, a short problem whole, a tiny one at an edge."""

    def __init__(self, index: Decontaminator) -> None:
        self.ngram = index.settings.ngram
        long = [text for text in index.texts if len(text) >= self.ngram]
        self._runs = Table(
            np.concatenate(
                [np.zeros(0, np.uint64), *(Prefix(codes_of(text)).every(self.ngram) for text in long)]
            )
        )
        short = [text for text in index.texts if 0 < len(text) < self.ngram]
        self._whole = Table(hashes_of(short))
        self._sizes = sorted({len(text) for text in short})
        self._openings = Table(hashes_of([text[:INSIDE] for text in short if len(text) >= INSIDE]))

    def suspects(self, words: Hashes, owners: Places, count: int) -> NDArray[np.bool_]:
        """Which of so many prompts share words enough with a problem."""
        words, owners, starts, ends = _lists(words, owners, count)
        prefix, found, sizes = Prefix(words), np.zeros(count, np.bool_), ends - starts
        runs = prefix.every(self.ngram)
        shared = self._runs.find(runs)[0]
        found[owners[shared[owners[shared] == owners[shared + self.ngram - 1]]]] = True
        openings = self._openings.find(prefix.every(INSIDE))[0]
        for size in self._sizes:
            if size >= INSIDE:
                at = openings[openings + size <= ends[owners[openings]]]
                found[owners[at[self._whole.find(prefix.of(at, at + size))[0]]]] = True
            at = np.flatnonzero(sizes == size)
            found[at[self._whole.find(prefix.of(starts[at], ends[at]))[0]]] = True
            if TINY <= size < INSIDE:
                at = np.flatnonzero((sizes >= size) & (sizes < INSIDE + ONE_MORE))
                for first in (starts[at], ends[at] - size):
                    found[at[self._whole.find(prefix.of(first, first + size))[0]]] = True
        return found


class _Masked:
    """Near-copies: runs of masked words, and short problems whole."""

    def __init__(self, index: Decontaminator) -> None:
        self.least = index.settings.near_copy
        blocks = list(index.near)
        counts = np.array([len(index.near[block]) for block in blocks], np.int64)
        self._blocks = Table(
            np.repeat(hashes_of(blocks), counts), list(chain.from_iterable(index.near.values()))
        )
        self._whole = Table(hashes_of(list(index.near_whole)))
        self._texts = [codes_of(text).tolist() for text in index.masked]
        self._lengths = np.array([len(text) for text in self._texts], np.int64)
        self._number = codes_of([NUMBER])[0]

    def suspects(self, masks: Hashes, owners: Places, count: int) -> NDArray[np.bool_]:
        """Which of so many prompts are worth comparing with a problem, numbers and variables masked."""
        masks, owners, *_ = _lists(masks, owners, count)
        again = np.zeros(len(masks), np.bool_)  # numbers next to each other count once
        again[1:] = (masks[1:] == self._number) & (masks[1:] == masks[:-1]) & (owners[1:] == owners[:-1])
        masks, owners, starts, ends = _lists(np.where(again, np.uint64(0), masks), owners, count)
        prefix, found, sizes = Prefix(masks), np.zeros(count, np.bool_), ends - starts
        at = np.flatnonzero(sizes <= SHORT)
        found[at[self._whole.find(prefix.of(starts[at], ends[at]))[0]]] = True
        blocks = sizes // BLOCK
        whose = np.repeat(np.arange(count), blocks)
        first = np.repeat(starts, blocks) + BLOCK * spread(np.zeros_like(blocks), blocks)
        met, places = self._blocks.pairs(prefix.of(first, first + BLOCK), whose)
        pairs, votes = np.unique(met * len(self._lengths) + places, return_counts=True)
        met, places = np.divmod(pairs, max(1, len(self._lengths)))
        theirs, ours = self._lengths[places], sizes[met]
        enough = votes >= np.maximum(1, ours // BLOCK // 3)
        alike = (self.least * ours <= theirs) & (theirs <= ours / self.least)
        worth = enough & alike
        ranked = np.lexsort((-votes[worth], met[worth]))
        for prompt, rivals in _by_owner(met[worth][ranked], places[worth][ranked]):
            text = masks[starts[prompt] : ends[prompt]].tolist()
            for place in rivals[:CANDIDATES]:
                theirs = self._texts[place]
                found[prompt] |= common_length(theirs, text) / max(len(theirs), len(text)) >= self.least
        return found


def _by_owner(owners: Places, places: Places) -> Iterator[tuple[int, list[int]]]:
    """Each owner with its problems, of pairs in the order of their owners."""
    firsts = np.flatnonzero(np.diff(owners, prepend=-1)).tolist()
    values = places.tolist()
    for first, end in zip(firsts, [*firsts[1:], len(values)], strict=False):
        yield int(owners[first]), values[first:end]


class _Reworded:
    """Rewordings: numbers that agree, rare words in common, and enough features of all."""

    def __init__(self, index: Rewordings, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        given = vocabulary.features
        self._index = index
        self._features = [frozenset(given[feature] for feature in features) for features in index.features]
        rare = [(given[feature], place) for feature, places in index.places.items() for place in places]
        self._rare = _Stretches(rare, len(given))
        runs = [(feature, place) for feature, places in index.places.items() for place in places]
        runs = [(feature, place) for feature, place in runs if len(_RUN_SIGNS.findall(feature)) > 1]
        self._runs = Table(
            hashes_of([_RUN_SIGNS.findall(feature) for feature, _ in runs]), [place for _, place in runs]
        )
        codes = {key: self._set_hash(key) for key in index.by_numbers}
        groups = [(codes[key], place) for key, places in index.by_numbers.items() for place in places]
        keys = np.array([code for code, _ in groups], np.uint64)
        self._groups = Table(_mixed(keys, np.array([place for _, place in groups], np.int64)))
        self._sets = Table(np.array(list(codes.values()), np.uint64))
        few = [(codes[key], p) for key, ps in index.by_numbers.items() if key and len(ps) <= FEW for p in ps]
        self._few = Table(np.array([code for code, _ in few], np.uint64), [place for _, place in few])

    @staticmethod
    def _set_hash(numbers: Iterable[str]) -> int:
        return int(codes_of(numbers).sum(dtype=np.uint64))

    def suspects(self, tokens: Tokens, count: int) -> NDArray[np.bool_]:
        """Which of so many prompts are worth weighing against a problem."""
        found = np.zeros(count, np.bool_)
        sizes = np.bincount(tokens.owners, minlength=count)
        every, owners, hashes = self._number_sets(tokens, count)
        known = np.zeros(count, np.bool_)
        known[owners[self._sets.find(hashes)[0]]] = True
        features = self._vocabulary.feature[tokens.ids]
        met, places = self._votes(tokens, features, known, sizes <= BRIEF)
        wide = max(1, len(self._features))
        pairs, votes = np.unique(met * wide + places, return_counts=True)
        met, places = np.divmod(pairs, wide)
        worth = votes >= np.where(every[met] == 0, 2, 1)
        met, places = self._of_a_group(met[worth], places[worth], owners, hashes, count)
        same, few = self._few.pairs(every, np.arange(count))
        met, places = np.divmod(np.unique(np.concatenate([met * wide + places, same * wide + few])), wide)
        ends = np.cumsum(sizes)
        for prompt, rivals in _by_owner(met, places):
            said = features[ends[prompt] - sizes[prompt] : ends[prompt]].tolist()
            found[prompt] = self._rewords(said, rivals)
        return found

    def _rewords(self, said: list[int], places: list[int]) -> bool:
        """Whether a prompt of these features, in their order, rewords one of some problems."""
        if (
            len(said) > BRIEF
        ):  # in a shorter one runs of signs may be all that is shared: no features of single tokens
            distinct = set(said)
            sizes = self._index.sizes
            places = [
                place
                for place in places
                if len(distinct & self._features[place]) >= max(3, ROUGH * (len(distinct) + sizes[place]) / 2)
            ]
        if not places:
            return False
        text = reading_of([self._vocabulary.names[feature] for feature in said])
        features = text.features()
        return any(self._index.alike(features, text.numbers, place) is not None for place in places)

    def _number_sets(self, tokens: Tokens, count: int) -> tuple[Hashes, Places, Hashes]:
        """The hash of each prompt's numbers; and of all of them and all but one, with whose they are."""
        wide = len(self._vocabulary.features)
        at = np.flatnonzero(self._vocabulary.number[tokens.ids])
        owners, numbers = np.divmod(
            np.unique(tokens.owners[at] * wide + self._vocabulary.number[tokens.ids[at]]), wide
        )
        codes = self._vocabulary.feature_codes[numbers]
        sums = np.zeros(len(codes) + 1, np.uint64)
        np.cumsum(codes, out=sums[1:])
        counts = np.bincount(owners, minlength=count)
        ends = np.cumsum(counts)
        every: Hashes = sums[ends] - sums[ends - counts]
        several = counts[owners] > LEFT
        return (
            every,
            np.concatenate([np.arange(count), owners[several]]),
            np.concatenate([every, every[owners[several]] - codes[several]]),
        )

    def _votes(
        self, tokens: Tokens, features: Places, known: NDArray[np.bool_], brief: NDArray[np.bool_]
    ) -> tuple[Places, Places]:
        """Each prompt with each problem that shares a rare feature with it, once for each."""
        wide = len(self._vocabulary.features)
        at = np.flatnonzero(known[tokens.owners] & self._rare.has(features))
        owners, rare = np.divmod(np.unique(tokens.owners[at] * wide + features[at]), wide)
        met, places = self._rare.pairs(rare, owners)
        at = np.flatnonzero((known & brief)[tokens.owners])
        signs, whose = self._vocabulary.signs[tokens.ids[at]], tokens.owners[at]
        runs = Prefix(signs).every(3)
        last = len(runs)
        whole = (
            (signs[:last] != 0) & (signs[1 : last + 1] != 0) & (signs[2:] != 0) if last else signs[:0] != 0
        )
        whole = np.flatnonzero(whole)
        whole = whole[whose[whole] == whose[whole + 2]]
        more, theirs = self._runs.pairs(runs[whole], whose[whole])
        return np.concatenate([met, more]), np.concatenate([places, theirs])

    def _of_a_group(
        self, met: Places, places: Places, owners: Places, hashes: Hashes, count: int
    ) -> tuple[Places, Places]:
        """The pairs of prompt and problem whose numbers agree, all or nearly all."""
        order = np.argsort(owners, kind="stable")
        counts = np.bincount(owners, minlength=count)
        first = np.cumsum(counts) - counts
        pair = np.repeat(np.arange(len(met)), counts[met])
        asked = hashes[order][spread(first[met], counts[met])]
        agreed = np.unique(pair[self._groups.find(_mixed(asked, places[pair]))[0]])
        return met[agreed], places[agreed]


class _Stretches:
    """The problems of each feature, by the feature's number."""

    def __init__(self, pairs: Sequence[tuple[int, int]], count: int) -> None:
        table = np.array(sorted(pairs), np.int64).reshape(-1, 2)
        self._values = table[:, 1]
        self._count = np.bincount(table[:, 0], minlength=count)
        self._first = np.cumsum(self._count) - self._count

    def has(self, keys: Places) -> NDArray[np.bool_]:
        """Which of the features have problems."""
        found = np.zeros(len(keys), np.bool_)
        known = keys < len(self._count)
        found[known] = self._count[keys[known]] > 0
        return found

    def pairs(self, keys: Places, owners: Places) -> tuple[Places, Places]:
        """Each owner with each problem of its feature."""
        return np.repeat(owners, self._count[keys]), self._values[
            spread(self._first[keys], self._count[keys])
        ]


def _mixed(hashes: Hashes, places: Places) -> Hashes:
    mixed: Hashes = (hashes ^ ((places.astype(np.uint64) + np.uint64(1)) * _MIX)) * _MIX
    return mixed
