"""Which responses are picked from: all k-subsets, some that are drawn, or the first k."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from functools import lru_cache
from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import NDArray

Masks = NDArray[np.float64]  # 1 where a response is in the subset, else 0
SUBSETS = 20_000  # where no closed form is known, at most this many subsets are enumerated; beyond, some are drawn
DRAWS = 400  # subsets that are drawn then


def is_exact(n: int, k: int) -> bool:
    """Whether `subsets` enumerates all k-subsets of n responses. Beyond `SUBSETS` of them it draws."""
    return comb(n, k) <= SUBSETS


@lru_cache(maxsize=8)
def _all(n: int, k: int) -> Masks:
    places = np.array(list(combinations(range(n), k)))
    masks = np.zeros((len(places), n))
    np.put_along_axis(masks, places, 1.0, axis=1)
    masks.flags.writeable = False
    return masks


def subsets(n: int, k: int, draws: int = DRAWS, seed: int = 0) -> Masks:
    """All k-subsets of n responses if `is_exact`, else `draws` seeded ones: [subset, n]."""
    if is_exact(n, k):
        return _all(n, k)
    drawn = np.argsort(np.random.default_rng(seed).random((draws, n)), axis=1)[:, :k]
    masks = np.zeros((draws, n))
    np.put_along_axis(masks, drawn, 1.0, axis=1)
    return masks


def orders(n: int, draws: int, seed: int, keys: Sequence[str]) -> NDArray[np.int64]:
    """Seeded random orders of each problem's n responses, as ranks from 0: [problem, draw, n].

    The k responses below rank k are a random k-subset. A problem's orders follow from the seed and its key alone, so they
    do not depend on the other problems.
    """
    found = np.empty((len(keys), draws, n), np.int64)
    for at, key in enumerate(keys):
        rng = np.random.default_rng([seed, zlib.crc32(key.encode("utf-8", "surrogatepass"))])
        found[at] = rng.permuted(np.broadcast_to(np.arange(n), (draws, n)), axis=1)
    return found


def first(n: int, k: int) -> Masks:
    """The subset of the first k responses: [1, n]."""
    return (np.arange(n) < k).astype(float)[None]
