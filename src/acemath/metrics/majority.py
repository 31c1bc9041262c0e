"""Exact maj@k of many problems at once.

For a class of s responses that wins with v votes, every other class has at most v; of those with exactly v each shares
the win. The number of such k-subsets is a coefficient of a product of polynomials in x, the number of responses taken:
C(s, v) x^v · Π_j F_j · (1 + x)^rest, where F_j = Σ_{i<v} C(o_j, i) x^i + y C(o_j, v) x^v for a class of o_j >= v
responses, and `rest` counts all other responses, which are bounded by nothing. The share 1 / (1 + ties) of a win is the
integral of y^ties over 0 … 1, which Gauss-Legendre nodes give exactly for a polynomial. So one product serves every k,
and problems with the same classes >= v share it. All terms are positive, so float64 keeps about 13 digits; tests
compare with whole numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import comb

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
LARGEST = 500  # responses a problem: C(500, 250) is 1e149, and products of two such numbers still fit float64
CHUNK = 4_000_000  # numbers in memory at a time, for one array


@lru_cache(maxsize=8)
def binomials(n: int) -> Floats:
    """C(a, b) for a, b = 0 … n, each the nearest float64: [a, b]."""
    return np.array([[float(comb(a, b)) for b in range(n + 1)] for a in range(n + 1)])


def maj_at_ks(classes: Ints, correct: Floats, ks: Sequence[int]) -> Floats:
    """The expected correctness of the majority answer among each k: [problem, k].

    `classes` and `correct` are [problem, response]. Equal answers share a class, -1 is no answer, ties share; k is 1 … n.
    """
    problems, n = classes.shape
    owner, own, others, share = _contenders(classes, correct)
    found = np.zeros((problems, len(ks)))
    for votes in range(1, int(own.max(initial=0)) + 1):
        able = np.flatnonzero(own >= votes)
        places = [(at, k) for at, k in enumerate(ks) if k >= votes]
        if not places or not len(able):
            break
        wins = _wins(votes, own[able], others[able], n, [k for _, k in places]) * share[able, None]
        for column, (at, _) in enumerate(places):
            np.add.at(found[:, at], owner[able], wins[:, column])
    return found


def _contenders(classes: Ints, correct: Floats) -> tuple[Ints, Ints, Ints, Floats]:
    """The classes that hold a right response: their problem, their size, the sizes of their problem's other classes,
    largest first, and the share of the class that is right."""
    problems = len(classes)
    width = int(classes.max(initial=0)) + 1
    flat = np.where(classes >= 0, classes + np.arange(problems)[:, None] * width, -1).ravel()
    given = flat >= 0
    sizes = np.bincount(flat[given], minlength=problems * width).reshape(problems, width)
    right = np.bincount(flat[given], correct.ravel()[given], problems * width).reshape(problems, width)
    owner, label = np.nonzero(right)
    own = sizes[owner, label]
    others = sizes[owner]
    others[np.arange(len(owner)), label] = 0
    others = -np.sort(-others, axis=1)
    used = int((others > 0).sum(axis=1).max(initial=0))
    return owner, own, others[:, :used], right[owner, label] / own


def _wins(votes: int, own: Ints, others: Ints, n: int, ks: Sequence[int]) -> Floats:
    """The probability that each class wins a random k with exactly `votes`, ties shared: [class, k]."""
    choose = binomials(n)
    rivals = np.where(others >= votes, others, 0)
    rivals = rivals[:, : int((rivals > 0).sum(axis=1).max(initial=0))]
    kinds, where = np.unique(rivals, axis=0, return_inverse=True)
    where = where.reshape(-1)
    degree = max(ks) - votes
    ways = _products(votes, kinds, degree, choose)  # [kind, responses taken]
    rest = n - own - rivals.sum(axis=1)
    found = np.empty((len(own), len(ks)))
    for column, k in enumerate(ks):
        # what the rivals leave of the other k - votes places is filled from the rest
        left = k - votes - np.arange(k - votes + 1)
        total = np.einsum("ij,ij->i", ways[where, : k - votes + 1], choose[rest[:, None], left])
        found[:, column] = choose[own, votes] * (total / choose[n, k])
    return found


def _products(votes: int, kinds: Ints, degree: int, choose: Floats) -> Floats:
    """Ways to take 0 … degree responses from the rivals of each kind, none above `votes`, ties shared: [kind, taken]."""
    counts = (kinds > 0).sum(axis=1)
    found = np.empty((len(kinds), degree + 1))
    order = np.argsort(counts, kind="stable")
    start = 0
    while start < len(order):
        step = max(1, CHUNK // ((degree + 1) * (int(counts[order[start:]].max()) // 2 + 1)))
        rows = order[start : start + step]
        found[rows] = _product(votes, kinds[rows, : int(counts[rows].max())], degree, choose)
        start += step
    return found


def _product(votes: int, kinds: Ints, degree: int, choose: Floats) -> Floats:
    ties = min(kinds.shape[1], degree // votes)
    nodes, weights = np.polynomial.legendre.leggauss(ties // 2 + 1)  # exact up to y^(2 nodes - 1)
    nodes, weights = (nodes + 1) / 2, weights / 2
    ways = np.zeros((len(kinds), len(nodes), degree + 1))
    ways[:, :, 0] = 1.0
    for place in range(kinds.shape[1]):
        rows = np.flatnonzero(kinds[:, place])
        terms = choose[kinds[rows, place], : votes + 1]  # [row, taken]
        before = ways[rows]
        after = before.copy()  # taking none: C(o, 0) = 1
        for taken in range(1, min(votes, degree) + 1):
            factor = terms[:, taken, None] * (nodes if taken == votes else np.ones_like(nodes))  # [row, node]
            after[:, :, taken:] += before[:, :, : degree + 1 - taken] * factor[:, :, None]
        ways[rows] = after
    return np.einsum("kqd,q->kd", ways, weights)
