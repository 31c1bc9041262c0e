"""The losses of reward modelling, each on the rewards of one group (paper, section 4.2 and Table 8)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def pair_margins(rewards: Tensor, labels: Tensor) -> Tensor:
    """reward(right) - reward(wrong) of all pairs of a group [right * wrong], from rewards and labels [R]."""
    return (rewards[labels == 1][:, None] - rewards[labels == 0][None, :]).flatten()


def listwise(rewards: Tensor, labels: Tensor, margin: float = 0.0) -> Tensor:
    """Listwise Bradley-Terry: the mean of -log sigmoid over all right-wrong pairs of the group.

    `margin` is subtracted from each difference, so a right response must lead by that much.
    """
    return -F.logsigmoid(pair_margins(rewards, labels) - margin).mean()


def pairwise(rewards: Tensor, labels: Tensor, margin: float = 0.0) -> Tensor:
    """Bradley-Terry over one pair, the first right and the first wrong response. `margin` as in `listwise`."""
    return -F.logsigmoid(pair_margins(rewards, labels)[0] - margin)


def cross_entropy(rewards: Tensor, labels: Tensor, margin: float = 0.0) -> Tensor:
    """Binary cross-entropy of each response alone. There are no pairs, so `margin` is ignored."""
    return F.binary_cross_entropy_with_logits(rewards, labels.to(rewards))


def mse(rewards: Tensor, labels: Tensor, margin: float = 0.0) -> Tensor:
    """Squared error of each reward from its label, 1 or 0. There are no pairs, so `margin` is ignored."""
    return F.mse_loss(rewards, labels.to(rewards))


LOSSES = {"listwise": listwise, "pairwise": pairwise, "cross-entropy": cross_entropy, "mse": mse}


def batch_loss(
    name: str, rewards: list[Tensor], labels: list[Tensor], centring: float = 0.0, margin: float = 0.0
) -> Tensor:
    """The mean loss over the groups of a batch, each with `centring` times its squared mean reward added."""
    each = [
        LOSSES[name](r, y, margin) + centring * r.mean() ** 2 for r, y in zip(rewards, labels, strict=True)
    ]
    return torch.stack(each).mean()
