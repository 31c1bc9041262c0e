"""One optimiser step over groups, and the measures over held-out groups and candidates.

Several groups are packed into a row, and each prompt is read once (models/score/packed.py).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor
from torch.distributed.tensor import DTensor

from acemath.metrics import rm_at_k
from acemath.models.hardware import pass_tokens
from acemath.models.score.layout import Row, plain_batch, split_rows, token_batches
from acemath.models.score.model import head_scores, plain_states
from acemath.models.score.packed import packed_states
from acemath.train.packing import pack
from acemath.train.reward.losses import batch_loss, listwise, pair_margins
from acemath.train.reward.settings import RewardSettings
from acemath.train.sharding import clip, is_sharded

# The `key` of a Row is its group's labels [R] here.


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Figures of a model on held-out groups.

    `accuracy` is pair accuracy (ties count half), `loss` the listwise loss; both are means over groups.
    """

    accuracy: float
    loss: float


def step(
    model: Any,
    optimizer: torch.optim.Optimizer,
    accelerator: Accelerator,
    rows: Sequence[Row],
    pad: int,
    settings: RewardSettings,
) -> float:
    """One optimiser step over a batch of groups, in forward passes of a bounded number of tokens.

    Each group has the same weight, however passes are made. Processes share the passes and sum their gradients, so
    their number changes only the time. Returns the mean loss over groups.
    """
    total = torch.zeros((), device=accelerator.device)
    plan = _plan(accelerator, rows, settings)
    for numbers, counts in _share(plan, accelerator, even=is_sharded(model)):
        batch = [rows[number] for number in numbers]
        with accelerator.autocast():
            rewards = _by_group(_rewards(model, batch, pad, settings.share_prefix), batch)
        labels = [row.key.to(accelerator.device) for row in batch]
        loss = batch_loss(settings.loss, rewards, labels, settings.centring, settings.margin)
        loss = loss * (counts * len(batch) / len(rows))
        (loss * accelerator.num_processes).backward()  # because gradients are averaged over the processes
        total += loss.detach()
    if accelerator.num_processes > 1:
        for weights in model.parameters():
            if not weights.requires_grad or isinstance(weights, DTensor):
                continue  # frozen, or sharded: FSDP has averaged the gradient
            weights.grad = torch.zeros_like(weights) if weights.grad is None else weights.grad
            weights.grad = accelerator.reduce(weights.grad, "mean")
        total = accelerator.reduce(total, "sum")
    clip(model.parameters(), settings.max_grad_norm)
    optimizer.step()
    optimizer.zero_grad()
    return float(total)


def _plan(accelerator: Accelerator, rows: Sequence[Row], settings: RewardSettings) -> list[list[int]]:
    """Indices of rows in forward passes of a bounded number of tokens."""
    budget = settings.micro_tokens or pass_tokens(accelerator.device)
    if settings.share_prefix:
        return list(pack([row.length for row in rows], budget))
    numbered = [Row(row.prompt, row.responses, number) for number, row in enumerate(rows)]
    return [[row.key for row in batch] for batch in token_batches(numbered, budget)]


def _share(
    plan: Sequence[list[int]], accelerator: Accelerator, even: bool
) -> Iterator[tuple[list[int], int]]:
    """This process's passes, each with a weight of 1 or 0.

    With shards all processes must run the same number of passes: with `even`, those with fewer get one more pass of
    weight 0.
    """
    mine = plan[accelerator.process_index :: accelerator.num_processes]
    for batch in mine:
        yield batch, 1
    if even and len(mine) < math.ceil(len(plan) / accelerator.num_processes):
        yield plan[0], 0


@torch.no_grad()
def evaluate(
    model: Any, accelerator: Accelerator, rows: Sequence[Row], pad: int, settings: RewardSettings
) -> HeldOut:
    """Pair accuracy and loss of held-out groups, the same in all processes."""
    accuracies, losses = [], []
    for mine, row in zip(_all_rewards(model, accelerator, rows, pad, settings), rows, strict=True):
        margins = pair_margins(mine, row.key)
        accuracies.append(((margins > 0).float() + 0.5 * (margins == 0).float()).mean().item())
        losses.append(listwise(mine, row.key).item())
    return HeldOut(math.fsum(accuracies) / len(rows), math.fsum(losses) / len(rows))


@torch.no_grad()
def best_of_candidates(
    model: Any, accelerator: Accelerator, rows: Sequence[Row], pad: int, settings: RewardSettings, k: int
) -> float:
    """rm@k, the mean over problems with at least k candidates; each row holds all candidates of a problem."""
    budget = settings.micro_tokens or pass_tokens(accelerator.device)
    parts = [
        part for n, row in enumerate(rows) for part in split_rows(Row(row.prompt, row.responses, n), budget)
    ]
    found = _all_rewards(model, accelerator, parts, pad, settings)
    values: list[list[float]] = [[] for _ in rows]
    for part, rewards in zip(parts, found, strict=True):
        values[part.key[0]] += rewards.tolist()
    right = [[bool(y) for y in row.key.tolist()] for row in rows]
    each = [rm_at_k(v, y, k) for v, y in zip(values, right, strict=True) if len(v) >= k]
    return math.fsum(each) / len(each)


def _all_rewards(
    model: Any, accelerator: Accelerator, rows: Sequence[Row], pad: int, settings: RewardSettings
) -> list[Tensor]:
    """Each row's rewards [R] on the CPU. Processes share the passes, and all of them get all rewards."""
    starts = [0]
    for row in rows:
        starts.append(starts[-1] + len(row.responses))
    flat = torch.zeros(starts[-1], device=accelerator.device)
    plan = _plan(accelerator, rows, settings)
    for numbers, counts in _share(plan, accelerator, even=is_sharded(model)):
        batch = [rows[number] for number in numbers]
        with accelerator.autocast():
            rewards = _rewards(model, batch, pad, settings.share_prefix)
        for number, mine in zip(numbers, _by_group(rewards, batch), strict=True):
            if counts:
                flat[starts[number] : starts[number + 1]] = mine
    if accelerator.num_processes > 1:
        flat = accelerator.reduce(flat, "sum")
    return _by_group(flat.cpu(), rows)


def _rewards(model: Any, batch: Sequence[Row], pad: int, share: bool) -> Tensor:
    """The rewards [N] of the responses of one pass."""
    states = packed_states(model, batch) if share else plain_states(model, plain_batch(batch, pad))
    return head_scores(model, states)


def _by_group(rewards: Tensor, batch: Sequence[Row]) -> list[Tensor]:
    return list(rewards.split([len(row.responses) for row in batch]))
