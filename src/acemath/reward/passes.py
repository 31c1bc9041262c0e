"""Groups through the model: one optimiser step, and the measure of held-out pair accuracy."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor
from torch.distributed.tensor import DTensor

from acemath.reward.cached import rewards_of_rows
from acemath.reward.layout import Row, batch_of, token_batches
from acemath.reward.losses import batch_loss, listwise, pair_margins
from acemath.reward.model import rewards_of
from acemath.reward.settings import RewardSettings
from acemath.reward.sharding import clip, is_sharded
from acemath.sft.hardware import part_tokens, pass_tokens

# Rows here carry their group's labels [R] as `key`.


def step(
    model: Any,
    optimizer: torch.optim.Optimizer,
    accelerator: Accelerator,
    rows: Sequence[Row],
    pad: int,
    settings: RewardSettings,
) -> float:
    """One optimiser step over a batch of groups, in forward passes of a bounded number of tokens.

    Each group weighs the same whatever the passes are. Processes share the passes and add their gradients
    up, so their number changes nothing but the time. Returns the loss, a mean over groups.
    """
    total = torch.zeros((), device=accelerator.device)
    plan = _plan(accelerator, rows, settings)
    for batch, weight in _share(plan, len(rows), accelerator, even=is_sharded(model)):
        with accelerator.autocast():
            rewards = _by_group(_rewards(model, batch, pad, settings), batch)
        labels = [row.key.to(accelerator.device) for row in batch]
        loss = batch_loss(settings.loss, rewards, labels, settings.centring) * weight
        (loss * accelerator.num_processes).backward()  # gradients become means over the processes
        total += loss.detach()
    if accelerator.num_processes > 1:
        for weights in model.parameters():
            if isinstance(weights, DTensor):
                continue  # sharded: the backward pass took the mean
            weights.grad = torch.zeros_like(weights) if weights.grad is None else weights.grad
            weights.grad = accelerator.reduce(weights.grad, "mean")
        total = accelerator.reduce(total, "sum")
    clip(model.parameters(), settings.max_grad_norm)
    optimizer.step()
    optimizer.zero_grad()
    return float(total)


def _plan(accelerator: Accelerator, rows: Sequence[Row], settings: RewardSettings) -> list[list[Row]]:
    """Groups in forward passes of a bounded number of tokens."""
    budget = settings.micro_tokens or pass_tokens(accelerator.device)
    return list(token_batches(rows, budget, settings.share_prefix))


def _share(
    plan: Sequence[list[Row]], groups: int, accelerator: Accelerator, even: bool
) -> Iterator[tuple[list[Row], float]]:
    """This process's passes, each with its weight in the mean over all groups.

    Processes that hold shards need each other in every pass: with `even` all get the same number, the last
    of some with no weight.
    """
    mine = plan[accelerator.process_index :: accelerator.num_processes]
    for batch in mine:
        yield batch, len(batch) / groups
    if even and len(mine) < math.ceil(len(plan) / accelerator.num_processes):
        yield plan[0], 0.0


@torch.no_grad()
def evaluate(
    model: Any, accelerator: Accelerator, rows: Sequence[Row], pad: int, settings: RewardSettings
) -> tuple[float, float]:
    """Held-out pair accuracy (ties count half) and the listwise loss, both means over groups.

    Every process reads all groups: all of them know then whether these are the best weights.
    """
    accuracies, losses = [], []
    for batch in _plan(accelerator, rows, settings):
        with accelerator.autocast():
            rewards = _rewards(model, batch, pad, settings).cpu()
        for mine, row in zip(_by_group(rewards, batch), batch, strict=True):
            margins = pair_margins(mine, row.key)
            accuracies.append(((margins > 0).float() + 0.5 * (margins == 0).float()).mean().item())
            losses.append(listwise(mine, row.key).item())
    return sum(accuracies) / len(accuracies), sum(losses) / len(losses)


def _rewards(model: Any, batch: Sequence[Row], pad: int, settings: RewardSettings) -> Tensor:
    """The rewards [N] of a pass's responses.

    Shards meet in every call of the model, so all processes must call it equally often: there a group is one
    row and a pass one call. Elsewhere a pass is several calls, which costs less.
    """
    if settings.share_prefix and not is_sharded(model):
        return rewards_of_rows(model, batch, pad, part_tokens(model.device))
    return rewards_of(model, batch_of(batch, pad, settings.share_prefix))


def _by_group(rewards: Tensor, batch: Sequence[Row]) -> list[Tensor]:
    return list(rewards.split([len(row.responses) for row in batch]))
