"""Many texts as arrays of tokens, and 64-bit hashes of tokens and of runs of words.

Tokens are found in bytes and are exactly those of `words.py`, which a test checks. What needs a Python string is done once
per distinct token. A hash collision only costs time, because the texts of all matches are compared afterwards.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from acemath.curate.decontaminate.features import PERCENT, SHARES, feature_of, is_telling
from acemath.curate.words import Memo, fold_one, mask_one, normalised

Hashes = NDArray[np.uint64]
Places = NDArray[np.int64]

BATCH_BYTES = 1 << 19  # texts per batch; its arrays fit in a processor's cache
_BASE = 0x9E3779B97F4A7C15 | 1  # of the polynomial hash; odd, so that it has an inverse modulo 2^64
_LETTER, _DIGIT, _SIGN = 1, 2, 3
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f\W]")  # a letter or digit that this tokeniser cannot read


def _powers(base: int, count: int) -> Hashes:
    return np.multiply.accumulate(np.array([1] + [base & (2**64 - 1)] * (count - 1), np.uint64))


_ROOM = BATCH_BYTES + 16
_POWERS = _powers(_BASE, _ROOM)
_INVERSES = _powers(pow(_BASE, -1, 2**64), _ROOM)
_VALUES = np.random.default_rng(0).integers(1, 2**64, 256, np.uint64, endpoint=False)
_KINDS = np.zeros(256, np.uint8)
_KINDS[[*range(65, 91), *range(97, 123)]] = _LETTER
_KINDS[48:58] = _DIGIT
_KINDS[list(b"<>-+*/=^%")] = _SIGN


def _code(word: str) -> int:
    return int.from_bytes(blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


_CODES = Memo(_code, limit=1_000_000)


def codes_of(words: Iterable[str]) -> Hashes:
    """The hash of each word: the same on every machine and in every process, as Python's own is not."""
    return np.array([_CODES[word] for word in words], np.uint64)


def hashes_of(runs: Sequence[Sequence[str]]) -> Hashes:
    """The hash of each run of words, equal to that of `Prefix`."""
    if not runs:
        return np.zeros(0, np.uint64)
    sizes = np.array([len(run) for run in runs])
    ends = np.cumsum(sizes)
    found = np.empty(len(runs), np.uint64)
    flat = codes_of(chain.from_iterable(runs))
    for size in np.unique(sizes):
        rows = np.flatnonzero(sizes == size)
        at = (ends[rows] - size)[:, None] + np.arange(size)
        found[rows] = (flat[at] * _POWERS[:size]).sum(axis=1, dtype=np.uint64)
    return found


class Prefix:
    """Hashes of runs of an array (of at most BATCH_BYTES numbers), from its prefix sums."""

    def __init__(self, values: Hashes) -> None:
        self._sums = np.zeros(len(values) + 1, np.uint64)
        np.cumsum(values * _POWERS[: len(values)], out=self._sums[1:])

    def of(self, starts: Places, ends: Places) -> Hashes:
        """The hash of each values[start:end]."""
        found: Hashes = (self._sums[ends] - self._sums[starts]) * _INVERSES[starts]
        return found

    def every(self, size: int) -> Hashes:
        """The hash of every run of `size` values, by its start."""
        count = max(0, len(self._sums) - size)
        found: Hashes = (self._sums[size : size + count] - self._sums[:count]) * _INVERSES[:count]
        return found


class Table:
    """A multimap from hashes to numbers."""

    def __init__(self, keys: Hashes, values: Sequence[int] | Places | None = None) -> None:
        values = np.zeros(len(keys), np.int64) if values is None else np.asarray(values, np.int64)
        order = np.argsort(keys, kind="stable")
        self._keys, self._first, self._count = np.unique(keys[order], return_index=True, return_counts=True)
        self._values = values[order]
        # Marks the leading bits of each key. With about 32 marks per key, they rule out nearly every unknown hash.
        bits = min(23, max(10, len(self._keys).bit_length() + 5))
        self._shift = np.uint64(64 - bits)
        self._bits = np.zeros(1 << bits, np.bool_)
        self._bits[self._keys >> self._shift] = True

    def maybe(self, asked: Hashes) -> Places:
        """The places in `asked` of all known hashes and of about one in thirty unknown ones; fast."""
        return np.flatnonzero(self._bits[asked >> self._shift])

    def find(self, asked: Hashes) -> tuple[Places, Places]:
        """The places in `asked` of the known hashes, and the key number of each."""
        maybe = self.maybe(asked)
        if not len(maybe):
            return maybe, maybe
        key = np.minimum(np.searchsorted(self._keys, asked[maybe]), len(self._keys) - 1)
        known = self._keys[key] == asked[maybe]
        return maybe[known], key[known]

    def pairs(self, asked: Hashes, owners: Places) -> tuple[Places, Places]:
        """Each owner of a known hash, paired with each number of that hash."""
        at, key = self.find(asked)
        return np.repeat(owners[at], self._count[key]), self._values[
            spread(self._first[key], self._count[key])
        ]


def spread(first: Places, count: Places) -> Places:
    """The concatenation of the ranges first[i], …, first[i] + count[i] - 1."""
    ends = np.cumsum(count)
    total = int(ends[-1]) if len(ends) else 0
    return np.arange(total) + np.repeat(first - (ends - count), count)


class Tokens(NamedTuple):
    """The tokens of several texts: the row of each in the vocabulary, and the number of its text."""

    ids: Places
    owners: Places


class Vocabulary:
    """The word, the masked word and the feature of each distinct token; a token is added when it is first met.

    The features in `features` get the lowest numbers. `weigh` gives the weight of a feature.
    """

    limit = 200_000  # tokens; then all are forgotten
    slots = 18  # leading bits of a token's hash, the key of the lookup table

    def __init__(
        self, features: Iterable[str] = (), weigh: Callable[[str], float] = lambda feature: 0.0
    ) -> None:
        self._given = list(
            dict.fromkeys(["", *features, PERCENT, *SHARES, *chain.from_iterable(SHARES.values())])
        )
        self._weigh = weigh
        self.clear()

    def clear(self) -> None:
        """Forget all tokens, and all features except the given ones."""
        self.features: dict[str, int] = {}
        self.names: list[str] = []  # of features, by number
        self._rows: dict[int, int] = {}
        self._keys = np.zeros(1 << self.slots, np.uint64)
        self._ids = np.zeros(1 << self.slots, np.int64)
        room = 1 << max(12, len(self._given).bit_length())
        # By token: the hashes of its word and masked word (0 for none), and its feature.
        self.words, self.masks = np.zeros(room, np.uint64), np.zeros(room, np.uint64)
        self.feature = np.zeros(room, np.int64)
        # By feature: its hash, its hash if it is a sign of a formula (else 0), and its weight as a number or as a stem.
        self.feature_codes, self.signs = np.zeros(room, np.uint64), np.zeros(room, np.uint64)
        self.number_weights, self.stem_weights = np.zeros(room), np.zeros(room)
        for feature in self._given:
            self._feature(feature)

    def _make_room(self) -> None:
        """Double the room for tokens and features."""
        for name in ("words", "masks", "feature", "feature_codes", "signs", "number_weights", "stem_weights"):
            old = getattr(self, name)
            setattr(self, name, np.concatenate([old, np.zeros_like(old)]))

    def _feature(self, feature: str) -> int:
        """The number of a feature, which is added if it is new."""
        place = self.features.get(feature)
        if place is not None:
            return place
        place = self.features[feature] = len(self.names)
        if place == len(self.feature_codes):
            self._make_room()
        self.names.append(feature)
        self.feature_codes[place] = _CODES[feature]
        self.signs[place] = _CODES[feature] if feature[:1] in ("#", "~") else 0
        if is_telling(feature):
            self.number_weights[place] = self._weigh(feature)
        elif feature and not self.signs[place]:
            self.stem_weights[place] = self._weigh(feature)
        return place

    def read(self, texts: Sequence[bytes]) -> Tokens:
        """The tokens of ASCII texts, together at most BATCH_BYTES long, counting one byte more per text."""
        if len(self._rows) > self.limit:
            self.clear()
        data = np.frombuffer(b"\n".join([*texts, b"\0\0\0\0\0"]), np.uint8)
        starts, ends = _spans(data)
        hashes = Prefix(_VALUES[data]).of(starts, ends)
        slot = hashes >> np.uint64(64 - self.slots)
        ids = self._ids[slot]
        for at in np.flatnonzero(self._keys[slot] != hashes):
            ids[at] = self._row(int(hashes[at]), data[starts[at] : ends[at]], int(slot[at]))
        bounds = np.searchsorted(starts, np.cumsum([0, *(len(text) + 1 for text in texts)]))
        return Tokens(ids, np.repeat(np.arange(len(texts)), np.diff(bounds)))

    def _row(self, key: int, spelled: NDArray[np.uint8], slot: int) -> int:
        row = self._rows.get(key)
        if row is not None:
            return row
        token, row = spelled.tobytes().decode(), len(self._rows)
        if row == len(self.words):
            self._make_room()
        self._rows[key] = row
        if not self._keys[slot]:  # the first token keeps a shared slot; common ones come first
            self._keys[slot], self._ids[slot] = key, row
        word, masked = fold_one(token), mask_one(token)
        self.words[row] = _CODES[word] if word else 0
        self.masks[row] = _CODES[masked] if masked else 0
        self.feature[row] = self._feature(feature_of(token))
        return row


def _spans(data: NDArray[np.uint8]) -> tuple[Places, Places]:
    """The starts and ends of tokens in bytes that end with five zeros, by the rule of `words._TOKEN`."""
    kind = _KINDS[data]
    forced = kind == _SIGN  # starts a token after any character …
    equal = np.flatnonzero(data == ord("="))
    forced[equal[(data[equal - 1] == ord("<")) | (data[equal - 1] == ord(">"))]] = False  # … but in <= and >=
    comma = np.flatnonzero(data == ord(","))
    after = [kind[np.minimum(comma + step, len(kind) - 1)] == _DIGIT for step in (1, 2, 3, 4)]
    thousands = (kind[comma - 1] == _DIGIT) & after[0] & after[1] & after[2] & ~after[3]
    backslash = np.flatnonzero(data == ord("\\"))
    backslash = backslash[kind[backslash + 1] == _LETTER]
    kind[comma[thousands]] = _DIGIT
    kind[backslash] = _LETTER
    forced[backslash] = True
    edge = forced
    edge[1:] |= kind[1:] != kind[:-1]
    edge[0] = True
    inside = kind != 0
    return np.flatnonzero(edge & inside), np.flatnonzero(edge[1:] & inside[:-1]) + 1


def ascii_of(text: str) -> bytes | None:
    """A text for `Vocabulary.read`; None if it has letters beyond ASCII or is too long."""
    text = normalised(text)
    if not text.isascii() and _BEYOND_ASCII.search(text):
        return None
    # Any other character beyond ASCII separates words, as a question mark does.
    return text.encode("ascii", "replace") if len(text) < BATCH_BYTES // 4 else None
