"""Groups through the model: one optimiser step, and the measure of held-out pair accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from acemath.reward.layout import Row, shared_batch, token_batches
from acemath.reward.losses import batch_loss, listwise, pair_margins
from acemath.reward.model import rewards_of
from acemath.reward.settings import RewardSettings
from acemath.sft.hardware import pass_tokens

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
    plan = list(token_batches(rows, settings.micro_tokens or pass_tokens(accelerator.device)))
    for batch in plan[accelerator.process_index :: accelerator.num_processes]:
        with accelerator.autocast():
            rewards = _by_group(rewards_of(model, shared_batch(batch, pad)), batch)
        labels = [row.key.to(accelerator.device) for row in batch]
        loss = batch_loss(settings.loss, rewards, labels, settings.centring) * (len(batch) / len(rows))
        loss.backward()
        total += loss.detach()
    if accelerator.num_processes > 1:
        for weights in model.parameters():
            weights.grad = torch.zeros_like(weights) if weights.grad is None else weights.grad
            weights.grad = accelerator.reduce(weights.grad, "sum")
        total = accelerator.reduce(total, "sum")
    torch.nn.utils.clip_grad_norm_(model.parameters(), settings.max_grad_norm)
    optimizer.step()
    optimizer.zero_grad()
    return float(total)


@torch.no_grad()
def evaluate(
    model: Any, accelerator: Accelerator, rows: Sequence[Row], pad: int, settings: RewardSettings
) -> tuple[float, float]:
    """Held-out pair accuracy (ties count half) and the listwise loss, both means over groups."""
    accuracies, losses = [], []
    for batch in token_batches(rows, settings.micro_tokens or pass_tokens(accelerator.device)):
        with accelerator.autocast():
            rewards = rewards_of(model, shared_batch(batch, pad)).cpu()
        for mine, row in zip(_by_group(rewards, batch), batch, strict=True):
            margins = pair_margins(mine, row.key)
            accuracies.append(((margins > 0).float() + 0.5 * (margins == 0).float()).mean().item())
            losses.append(listwise(mine, row.key).item())
    return sum(accuracies) / len(accuracies), sum(losses) / len(losses)


def _by_group(rewards: Tensor, batch: Sequence[Row]) -> list[Tensor]:
    return list(rewards.split([len(row.responses) for row in batch]))
