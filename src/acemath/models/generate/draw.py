"""How a token is drawn from logits: the most likely one, or one by inverse transform, with or without top-p."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from acemath.errors import UserError
from acemath.models.engine import Sampling

# Top-p first looks at so many of the likeliest tokens. A row where they do not suffice is sorted whole, which takes
# several times as long for a vocabulary of 150,000.
CANDIDATES = 512
# The sum of a row's probabilities in float32 may be off by about 1e-7, so tokens are left out only beyond this margin.
MARGIN = 1e-6
SORTED_ROWS = 256  # whole rows sorted at a time: their memory is 16 bytes a token of the vocabulary


def draw(logits: Tensor, sampling: Sampling, shares: Tensor) -> Tensor:
    """One token for each row of logits [B, V]: the most likely one at temperature 0, else by inverse transform.

    Row i takes the first token, in the order of the vocabulary, at which the probabilities sum to more than `shares[i]`, a
    number in [0, 1). Nobody reads the token of a row whose share is negative. Top-p keeps the likeliest tokens, up to and
    with the one that crosses `top_p`; of equally likely tokens, the first in the vocabulary. UserError if a row that is
    read has no finite maximum.
    """
    best, tokens = logits.max(-1)
    read = shares >= 0
    checks = [~best.isfinite() & read]
    if sampling.temperature > 0:
        probs = torch.softmax(logits.float() / sampling.temperature, dim=-1)
        width = CANDIDATES if sampling.top_p < 1 else probs.shape[-1]
        tokens, sure = _inverse(probs, shares, sampling.top_p, width)
        checks.append(~sure & read)
    failed, *short = torch.stack(checks).any(-1).tolist()  # the only look at the device
    if failed:
        raise UserError(
            "the policy gives nan or inf for a token; its weights are damaged, or too large for its dtype: download it "
            "again, or give the model another dtype (bfloat16 or float32)"
        )
    if any(short):
        for rows in checks[1].nonzero()[:, 0].split(SORTED_ROWS):
            tokens[rows] = _inverse(probs[rows], shares[rows], sampling.top_p, probs.shape[-1])[0]
    return tokens


def _inverse(probs: Tensor, shares: Tensor, top_p: float, width: int) -> tuple[Tensor, Tensor]:
    """A token for each row of probabilities [B, V], from the `width` likeliest ones, and whether others have no part in it.

    The sums run in the order of the vocabulary, so the token does not depend on `width`.
    """
    whole = width >= probs.shape[-1]
    # topk and a plain sort leave equal values in any order, so candidates first return to the order of the vocabulary.
    index = None if whole else probs.topk(width, sorted=False).indices.sort(-1).values
    some = probs if index is None else probs.gather(-1, index)
    sure = torch.ones_like(shares, dtype=torch.bool)
    if top_p < 1:
        ranked, order = some.sort(dim=-1, descending=True, stable=True)
        before = ranked.cumsum(-1) - ranked
        kept = before <= top_p  # with the token that crosses top_p
        if not whole:
            least = ranked.masked_fill(~kept, torch.inf).amin(-1)  # an equal one may be outside
            sure = (before[:, -1] > top_p + MARGIN) & (least > ranked[:, -1])
        some = torch.zeros_like(some).scatter(-1, order, ranked * kept)
    sums = some.cumsum(-1)
    # Rounding to float32 may give 1.0, which would draw the last token of the vocabulary even if it is impossible.
    part = shares.to(sums).clamp(max=1 - 2**-24)[:, None] * sums[:, -1:]
    at = torch.searchsorted(sums, part, right=True).clamp(max=sums.shape[-1] - 1)  # nan finds no place
    return (at if index is None else index.gather(-1, at))[:, 0], sure


def uniform(seeds: ArrayLike, steps: ArrayLike) -> np.ndarray[Any, np.dtype[np.float64]]:
    """A number in [0, 1) for each (seed, step), by SplitMix64's finaliser: the same on every machine."""
    with np.errstate(over="ignore"):
        x = np.array(seeds, np.uint64) + np.array(steps, np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x ^= x >> np.uint64(31)
    return (x >> np.uint64(11)).astype(np.float64) / float(1 << 53)
