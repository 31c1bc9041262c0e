"""A screen before the exact comparison, because most prompts resemble no benchmark problem.

It checks on arrays of hashes, for thousands of prompts at once, what a hit of each kind requires. It may suspect a clean
prompt, but never clears one that has a hit, so `scan` finds with it what it would find without it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from acemath.curate.decontaminate.arrays import (
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
from acemath.curate.decontaminate.features import PERCENT, SHARES, is_run
from acemath.curate.decontaminate.index import (
    CANDIDATES,
    MASKED_RUN,
    MIN_INSIDE,
    MIN_WORDS,
    SHORT_MASKED,
    BenchmarkIndex,
)
from acemath.curate.decontaminate.reworded import (
    BONUS,
    BONUS_LIMIT,
    MEETINGS,
    MIN_AGREEMENT,
    NUMBERLESS,
    NUMBERS,
    PENALTY,
    PENALTY_LIMIT,
    SAME_ANSWER,
    Rewordings,
)
from acemath.curate.words import NUMBER, common_length

_MIX = np.uint64(0xD6E8FEB86659FD93)
_RUN_SIGNS = re.compile("[#~][^#~]*")
MARGIN = 1e-9  # sums of the same weights in another order differ by less


class Screen:
    """The problems of an index as hashes."""

    def __init__(self, index: BenchmarkIndex) -> None:
        reworded = index.reworded
        self.vocabulary = Vocabulary(reworded.places, reworded.weight) if reworded else Vocabulary()
        self._same_words = _SameWords(index)
        self._masked = _Masked(index)
        self._reworded = _Reworded(reworded, self.vocabulary) if reworded else None

    def suspects(self, prompts: Iterable[str]) -> list[int]:
        """The places of the prompts that may have a hit, in order."""
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
    """Batches of prompts as bytes, with their places. Places of prompts that `ascii_of` refuses are added to `others`."""
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
    """The values that are not 0, the owner of each, and the start and end of each owner's values."""
    there = values != 0
    values, owners = values[there], owners[there]
    ends = np.cumsum(np.bincount(owners, minlength=count))
    return values, owners, np.concatenate([[0], ends[:-1]]), ends


class _SameWords:
    """Leaks and contained problems: 13 words in a row, or a short problem whole."""

    def __init__(self, index: BenchmarkIndex) -> None:
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
        self._openings = Table(hashes_of([text[:MIN_INSIDE] for text in short if len(text) >= MIN_INSIDE]))

    def suspects(self, words: Hashes, owners: Places, count: int) -> NDArray[np.bool_]:
        """Which of `count` prompts share enough words with a problem."""
        words, owners, starts, ends = _lists(words, owners, count)
        prefix, found, sizes = Prefix(words), np.zeros(count, np.bool_), ends - starts
        runs = prefix.every(self.ngram)
        shared = self._runs.find(runs)[0]
        found[owners[shared[owners[shared] == owners[shared + self.ngram - 1]]]] = True
        openings = self._openings.find(prefix.every(MIN_INSIDE))[0]
        for size in self._sizes:
            if size >= MIN_INSIDE:
                at = openings[openings + size <= ends[owners[openings]]]
                found[owners[at[self._whole.find(prefix.of(at, at + size))[0]]]] = True
            at = np.flatnonzero(sizes == size)
            found[at[self._whole.find(prefix.of(starts[at], ends[at]))[0]]] = True
            if MIN_WORDS <= size < MIN_INSIDE:
                at = self._whole.find(prefix.every(size))[0]
                found[owners[at[at + size <= ends[owners[at]]]]] = True
        return found


class _Masked:
    """Near-copies: runs of masked words, or a short problem whole."""

    def __init__(self, index: BenchmarkIndex) -> None:
        self.least = index.settings.near_copy
        runs = list(index.masked_runs)
        counts = np.array([len(index.masked_runs[run]) for run in runs], np.int64)
        self._runs = Table(
            np.repeat(hashes_of(runs), counts), list(chain.from_iterable(index.masked_runs.values()))
        )
        self._whole = Table(hashes_of(list(index.masked_whole)))
        self._texts = [codes_of(text).tolist() for text in index.masked]
        self._lengths = np.array([len(text) for text in self._texts], np.int64)
        self._number = codes_of([NUMBER])[0]

    def suspects(self, masks: Hashes, owners: Places, count: int) -> NDArray[np.bool_]:
        """Which of `count` prompts are near-copies of a problem, up to hash collisions."""
        masks, owners, *_ = _lists(masks, owners, count)
        again = np.zeros(len(masks), np.bool_)  # adjacent numbers count once
        again[1:] = (masks[1:] == self._number) & (masks[1:] == masks[:-1]) & (owners[1:] == owners[:-1])
        masks, owners, starts, ends = _lists(np.where(again, np.uint64(0), masks), owners, count)
        prefix, found, sizes = Prefix(masks), np.zeros(count, np.bool_), ends - starts
        at = np.flatnonzero(sizes <= SHORT_MASKED)
        found[at[self._whole.find(prefix.of(starts[at], ends[at]))[0]]] = True
        runs = sizes // MASKED_RUN
        whose = np.repeat(np.arange(count), runs)
        first = np.repeat(starts, runs) + MASKED_RUN * spread(np.zeros_like(runs), runs)
        met, places = self._runs.pairs(prefix.of(first, first + MASKED_RUN), whose)
        pairs, votes = np.unique(met * len(self._lengths) + places, return_counts=True)
        met, places = np.divmod(pairs, max(1, len(self._lengths)))
        theirs, ours = self._lengths[places], sizes[met]
        enough = votes >= np.maximum(1, ours // MASKED_RUN // 3)
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
    """Each owner with its problems, from pairs sorted by owner."""
    firsts = np.flatnonzero(np.diff(owners, prepend=-1)).tolist()
    values = places.tolist()
    for first, end in zip(firsts, [*firsts[1:], len(values)], strict=False):
        yield int(owners[first]), values[first:end]


class _Reworded:
    """Rewordings: rare features in common, numbers that agree, and a score that may reach the limit."""

    def __init__(self, index: Rewordings, vocabulary: Vocabulary) -> None:
        self._vocabulary, self._least = vocabulary, index.limit + SAME_ANSWER
        given = vocabulary.features
        rare = [(given[feature], place) for feature, places in index.places.items() for place in places]
        self._rare = _Owners(rare, len(given))
        runs = sorted({stem for stems in index.stems for stem in stems if is_run(stem)})
        self._runs = Table(hashes_of([_RUN_SIGNS.findall(run) for run in runs]), range(len(runs)))
        self._run_codes = codes_of(runs)
        self._run_weights = np.array([index.weight(run) for run in runs], np.float64)
        held = [(feature, 0, place) for place, stems in enumerate(index.stems) for feature in stems]
        held += [(number, nth, place) for place, some in enumerate(index.numbers) for number, nth in some]
        self._held = Table(
            _mixed(
                codes_of(feature for feature, *_ in held),
                np.array([nth for _, nth, _ in held], np.int64),
                np.array([place for *_, place in held], np.int64),
            )
        )
        self._number_totals, self._stem_totals = np.array(index.number_totals), np.array(index.stem_totals)
        self._percent = given[PERCENT]
        self._fractions = np.zeros((2, len(given)), np.int64)
        for share, parts in SHARES.items():
            self._fractions[:, given[share]] = [given[part] for part in parts]

    def suspects(self, tokens: Tokens, count: int) -> NDArray[np.bool_]:
        """Which of `count` prompts may reword a problem."""
        found = np.zeros(count, np.bool_)
        features = self._with_fractions(self._vocabulary.feature[tokens.ids], tokens.owners)
        items = self._items(features, tokens.owners)
        met, places = self._candidates(items)
        # Twice: the fast lookup first removes most pairs, and none whose numbers agree.
        for held in (self._held.maybe, self._known):
            numbers, every = self._shared(met, places, items, items.numbers, count, held)
            every = every + self._number_totals[places]
            agreement = np.where(every > 0, 2 * numbers / np.maximum(every, MARGIN), NUMBERLESS)
            worth = np.flatnonzero(agreement >= MIN_AGREEMENT - MARGIN)
            met, places, agreement, numbers = met[worth], places[worth], agreement[worth], numbers[worth]
        stems, every = self._shared(met, places, items, items.stems, count, self._known)
        every = every + self._stem_totals[places]
        # The prompt's runs of signs that no problem has are left out, so this is an upper bound of the score.
        most = (
            NUMBERS * agreement + 2 * stems / np.maximum(every, MARGIN) + BONUS * np.minimum(numbers, BONUS_LIMIT)
        )
        most -= PENALTY * np.maximum(0, 1 - (numbers + stems) / PENALTY_LIMIT)
        found[met[most >= self._least - MARGIN]] = True
        return found

    def _items(self, features: Places, owners: Places) -> _Items:
        """The features of prompts with their occurrences, and those runs of signs that some problem has."""
        known = self._vocabulary
        wide = len(known.names)
        signs = known.signs[features]
        # Three signs in a row in one prompt that are a run of some problem.
        start = np.flatnonzero((signs[:-2] != 0) & (signs[1:-1] != 0) & (signs[2:] != 0))
        start = start[owners[start] == owners[start + 2]]
        owner, run = self._runs.pairs(Prefix(signs).of(start, start + 3), owners[start])
        there = np.flatnonzero(features)
        every = wide + len(self._run_codes)
        keys = np.concatenate([owners[there] * every + features[there], owner * every + wide + run])
        keys.sort()
        first = np.ones(len(keys), np.bool_)
        first[1:] = keys[1:] != keys[:-1]
        starts = np.flatnonzero(first)
        nth = np.arange(len(keys)) - np.repeat(starts, np.diff(starts, append=len(keys)))
        owner, held = np.divmod(keys, every)
        numbers = np.concatenate([known.number_weights[:wide], np.zeros(len(self._run_codes))])[held]
        stems = np.concatenate([known.stem_weights[:wide], self._run_weights])[held] * first
        codes = np.concatenate([known.feature_codes[:wide], self._run_codes])[held]
        return _Items(owner, held, nth, codes, numbers, stems)

    def _candidates(self, items: _Items) -> tuple[Places, Places]:
        """The pairs of prompt and problem with enough rare features in common."""
        at = np.flatnonzero((items.nth == 0) & self._rare.has(items.features))
        met, places = self._rare.pairs(items.features[at], items.owners[at])
        pairs, votes = np.unique(met * len(self._stem_totals) + places, return_counts=True)
        met, places = np.divmod(pairs[votes >= MEETINGS], len(self._stem_totals))
        return met, places

    def _with_fractions(self, features: Places, owners: Places) -> Places:
        """`features.with_fractions` on arrays."""
        signs = np.flatnonzero(features == self._percent)
        shares = np.where((signs > 0) & (owners[signs] == owners[signs - 1]), features[signs - 1], 0)
        features[signs] = 0
        signs, shares = signs[shares < len(self._fractions[0])], shares[shares < len(self._fractions[0])]
        round_ones = self._fractions[0, shares] > 0
        signs, shares = signs[round_ones], shares[round_ones]
        features[signs - 1], features[signs] = self._fractions[:, shares]
        return features

    def _known(self, asked: Hashes) -> Places:
        return self._held.find(asked)[0]

    def _shared(
        self,
        met: Places,
        places: Places,
        items: _Items,
        weights: NDArray[np.float64],
        count: int,
        held: Callable[[Hashes], Places],
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """For each pair of prompt and problem, the weight that they share, and the prompt's whole weight.

        `held` gives the places of those hashes that a problem has.
        """
        at = np.flatnonzero(weights)
        counts = np.bincount(items.owners[at], minlength=count)
        first = np.cumsum(counts) - counts
        pair = np.repeat(np.arange(len(met)), counts[met])
        asked = at[spread(first[met], counts[met])]
        known = held(_mixed(items.codes[asked], items.nth[asked], places[pair]))
        shared = np.bincount(pair[known], weights[asked[known]], len(met)).astype(np.float64)
        return shared, np.bincount(items.owners[at], weights[at], count)[met].astype(np.float64)


class _Items(NamedTuple):
    """One entry per feature of a prompt and occurrence: prompt, feature, occurrence from 0, hash, weights."""

    owners: Places
    features: Places
    nth: Places
    codes: Hashes
    numbers: NDArray[np.float64]
    stems: NDArray[np.float64]


class _Owners:
    """The problems that have each feature, by the feature's number."""

    def __init__(self, pairs: Sequence[tuple[int, int]], count: int) -> None:
        table = np.array(sorted(pairs), np.int64).reshape(-1, 2)
        self._values = table[:, 1]
        self._count = np.bincount(table[:, 0], minlength=count)
        self._first = np.cumsum(self._count) - self._count

    def has(self, keys: Places) -> NDArray[np.bool_]:
        """Which features any problem has."""
        found = np.zeros(len(keys), np.bool_)
        known = keys < len(self._count)
        found[known] = self._count[keys[known]] > 0
        return found

    def pairs(self, keys: Places, owners: Places) -> tuple[Places, Places]:
        """Each owner, paired with each problem that has its feature."""
        return np.repeat(owners, self._count[keys]), self._values[
            spread(self._first[keys], self._count[keys])
        ]


def _mixed(codes: Hashes, nth: Places, places: Places) -> Hashes:
    """A hash of each feature's n-th occurrence in a problem."""
    mixed: Hashes = (codes ^ ((places * 64 + np.minimum(nth, 63) + 1).astype(np.uint64) * _MIX)) * _MIX
    return mixed
