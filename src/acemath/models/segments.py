"""Several texts that share a beginning, in one row of tokens: which token sees which."""

from __future__ import annotations

import torch
from torch import Tensor


def visible(segment: Tensor) -> Tensor:
    """What each token sees, [B, 1, T, T], from segments [B, T]: 0 the common beginning, i text i, -1 padding.

    A token sees the beginning and its own text up to itself. Padding sees itself alone, so that no row of the
    mask is empty.
    """
    width = segment.shape[1]
    same = segment[:, :, None] == segment[:, None, :]  # [B, T, T]
    seen = (same | (segment[:, None, :] == 0)) & torch.ones(width, width, dtype=torch.bool).tril()
    seen &= (segment[:, :, None] >= 0) | torch.eye(width, dtype=torch.bool)
    return seen[:, None]
