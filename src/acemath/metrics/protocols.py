"""How a number at k is taken from n responses: three protocols with names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from acemath.errors import UserError
from acemath.metrics.pickers import Picker, chunks
from acemath.metrics.subsets import first, orders

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Protocol:
    """A protocol's name, and for the one that draws the number of subsets a problem and the seed."""

    name: str
    draws: int = 0
    seed: int = 0


EXACT = Protocol("exact")  # the expectation over all k-subsets; ties share
DRAWS = Protocol("draws", 100)  # the paper's: the mean of 100 seeded draws of k (section 4.3.1); ties share
FIRST = Protocol("first-k")  # the Qwen2.5-Math harness's: the first k responses; of equals the one that comes first
PROTOCOLS = {protocol.name: protocol for protocol in (EXACT, DRAWS, FIRST)}


def protocol_of(name: str, draws: int = DRAWS.draws, seed: int = 0) -> Protocol:
    """The protocol of that name. UserError if there is none, or if there is less than one draw."""
    if name not in PROTOCOLS:
        raise UserError(f"there is no protocol {name!r}; use {', '.join(PROTOCOLS)}")
    if draws < 1:
        raise UserError(f"the protocol draws needs at least 1 draw a problem, not {draws}")
    return Protocol(name, draws, seed) if name == DRAWS.name else PROTOCOLS[name]


def picked(picker: Picker, ks: Sequence[int], protocol: Protocol, keys: Sequence[str]) -> Floats:
    """The value of each problem at each k: [problem, k]; nan where k exceeds the responses.

    `keys` names each problem, for draws that do not depend on the other problems. UserError if k is below 1.
    """
    problems, n = picker.correct.shape
    low = next((k for k in ks if k < 1), None)
    if low is not None:
        raise UserError(f"k is {low}; it is a number of responses, at least 1")
    found = np.full((problems, len(ks)), np.nan)
    columns = [column for column, k in enumerate(ks) if k <= n]
    if protocol.name == EXACT.name:
        if columns and problems:
            found[:, columns] = picker.exact([ks[column] for column in columns])
        return found
    for rows in chunks(problems, n * n * max(1, protocol.draws)):
        ranks = None if protocol.name == FIRST.name else orders(n, protocol.draws, protocol.seed, keys[rows])
        for column in columns:
            k = ks[column]
            masks = first(n, k)[None] if ranks is None else (ranks < k).astype(float)
            found[rows, column] = picker.on(masks, rows, first=ranks is None).mean(axis=1)
    return found
