"""The losses of reward modelling, on one group's rewards at a time (paper, section 4.2 and Table 8)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def pair_margins(rewards: Tensor, labels: Tensor) -> Tensor:
    """reward(right) - reward(wrong) for all pairs of a group: rewards and labels [R] to [right * wrong]."""
    return (rewards[labels == 1][:, None] - rewards[labels == 0][None, :]).flatten()


def listwise(rewards: Tensor, labels: Tensor, margin: float = 0.0) -> Tensor:
    """Listwise Bradley-Terry: the mean of -log sigmoid over all right-wrong pairs of the group.

    A right response has to lead by `margin` before its pair counts as well as an even one does without.
    """
    return -F.logsigmoid(pair_margins(rewards, labels) - margin).mean()


def pairwise(rewards: Tensor, labels: Tensor, margin: float = 0.0) -> Tensor:
    """Bradley-Terry over one pair: the first right and the first wrong response. `margin` as in `listwise`."""
    return -F.logsigmoid(pair_margins(rewards, labels)[0] - margin)


def cross_entropy(rewards: Tensor, labels: Tensor, margin: float = 0.0) -> Tensor:
    """Each response a sample of its own: right or wrong. There are no pairs for a `margin`."""
    return F.binary_cross_entropy_with_logits(rewards, labels.to(rewards))


def mse(rewards: Tensor, labels: Tensor, margin: float = 0.0) -> Tensor:
    """Each response a sample of its own: the reward should be 1 or 0. There are no pairs for a `margin`."""
    return F.mse_loss(rewards, labels.to(rewards))


LOSSES = {"listwise": listwise, "pairwise": pairwise, "cross-entropy": cross_entropy, "mse": mse}


def batch_loss(
    name: str, rewards: list[Tensor], labels: list[Tensor], centring: float = 0.0, margin: float = 0.0
) -> Tensor:
    """The mean loss over the groups of a batch, with `centring` times the squared mean reward added."""
    each = [
        LOSSES[name](r, y, margin) + centring * r.mean() ** 2 for r, y in zip(rewards, labels, strict=True)
    ]
    return torch.stack(each).mean()
