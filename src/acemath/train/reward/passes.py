"""One optimiser step over groups, and the measures over held-out groups and candidates.

Several groups are packed into a row, and each prompt is read once (models/score/packed.py). A group that is larger than
a pass is read in parts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor
from torch.distributed.tensor import DTensor

from acemath.metrics import rm_at_k
from acemath.models.hardware import pass_tokens
from acemath.models.score.layout import Row, plain_batch, token_batches
from acemath.models.score.model import head_scores, plain_states
from acemath.models.score.packed import packed_states
from acemath.train.packing import pack
from acemath.train.reward.losses import batch_loss, listwise, pair_margins
from acemath.train.reward.settings import RewardSettings
from acemath.train.sharding import clip, is_sharded

# The `key` of a group's Row is its labels [R]. The `key` of a part is the number of its group, and the numbers of the
# part's responses in it.
Learn = Callable[[Sequence[Row], Sequence[Tensor], int], None]


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

    A group's loss depends on all its rewards. If the group has several parts, each is learned by itself, with the
    rewards of the others as constants; the gradients of the parts sum up to the group's. For that all parts but the
    largest are read once more, without gradients, at first.
    """
    largest, others = _parts(rows, settings, accelerator)
    rewards = _read(model, accelerator, rows, others, pad, settings)
    known = _by_group(rewards, rows)  # views
    labels = [row.key.to(accelerator.device) for row in rows]

    def loss_of(found: list[Tensor], right: list[Tensor]) -> Tensor:
        return batch_loss(settings.loss, found, right, settings.centring, settings.margin)

    def learn(parts: Sequence[Row], found: Sequence[Tensor], counts: int) -> None:
        whole = [
            known[part.key[0]].scatter(0, part.key[1].to(mine.device), mine)
            for part, mine in zip(parts, found, strict=True)
        ]
        loss = loss_of(whole, [labels[part.key[0]] for part in parts])
        loss = loss * (counts * len(parts) / len(rows))
        (loss * accelerator.num_processes).backward()  # because gradients are averaged over the processes

    rewards += _read(model, accelerator, rows, largest, pad, settings, learn)
    _read(model, accelerator, rows, others, pad, settings, learn)
    if accelerator.num_processes > 1:
        for weights in model.parameters():
            if not weights.requires_grad or isinstance(weights, DTensor):
                continue  # frozen, or sharded: FSDP has averaged the gradient
            weights.grad = torch.zeros_like(weights) if weights.grad is None else weights.grad
            weights.grad = accelerator.reduce(weights.grad, "mean")
    clip(model.parameters(), settings.max_grad_norm)
    optimizer.step()
    optimizer.zero_grad()
    return float(loss_of(known, labels))


def _parts(
    rows: Sequence[Row], settings: RewardSettings, accelerator: Accelerator
) -> tuple[list[Row], list[Row]]:
    """The rows in parts of at most a pass each: the largest part of each row, and all others.

    A part holds the prompt and some of the responses; a response is never split, whatever its length.
    """
    budget = _budget(settings, accelerator)
    largest: list[Row] = []
    others: list[Row] = []
    for number, row in enumerate(rows):
        if settings.share_prefix:
            bins: Iterable[list[int]] = pack(list(map(len, row.responses)), max(1, budget - len(row.prompt)))
        else:
            single = [Row(row.prompt, [response], i) for i, response in enumerate(row.responses)]
            bins = [[one.key for one in batch] for batch in token_batches(single, budget)]
        parts = [
            Row(row.prompt, [row.responses[i] for i in members], (number, torch.tensor(members)))
            for members in map(sorted, bins)
        ]
        parts.sort(key=lambda part: part.length)
        largest.append(parts.pop())
        others += parts
    return largest, others


def _read(
    model: Any,
    accelerator: Accelerator,
    rows: Sequence[Row],
    parts: Sequence[Row],
    pad: int,
    settings: RewardSettings,
    learn: Learn | None = None,
) -> Tensor:
    """The rewards of all responses of the rows, one row after another, as far as they are in `parts`; 0 for the others.

    Processes share the passes, and all of them get all rewards. `learn` gets the parts of each pass, their rewards with
    gradients, and the weight of the pass; without it there are no gradients.
    """
    flat = torch.zeros(sum(len(row.responses) for row in rows), device=accelerator.device)
    known = _by_group(flat, rows)  # views
    plan = _plan(parts, settings, accelerator)
    for batch, counts in _share(plan, accelerator, even=is_sharded(model)):
        with accelerator.autocast(), torch.set_grad_enabled(learn is not None):
            found = _by_group(_rewards(model, batch, pad, settings.share_prefix), batch)
        if learn is not None:
            learn(batch, found, counts)
        for part, mine in zip(batch, found, strict=True):
            number, members = part.key
            known[number][members] = counts * mine.detach()
    if accelerator.num_processes > 1:
        flat = accelerator.reduce(flat, "sum")
    return flat


def _plan(parts: Sequence[Row], settings: RewardSettings, accelerator: Accelerator) -> list[list[Row]]:
    """The parts in forward passes of a bounded number of tokens."""
    budget = _budget(settings, accelerator)
    if settings.share_prefix:
        return [[parts[i] for i in members] for members in pack([part.length for part in parts], budget)]
    return list(token_batches(parts, budget))


def _budget(settings: RewardSettings, accelerator: Accelerator) -> int:
    return settings.micro_tokens or pass_tokens(accelerator.device)


def _share(
    plan: Sequence[list[Row]], accelerator: Accelerator, even: bool
) -> Iterator[tuple[list[Row], int]]:
    """This process's passes, each with a weight of 1 or 0.

    With shards all processes must run the same number of passes: with `even`, those with fewer get one more pass of
    weight 0.
    """
    mine = plan[accelerator.process_index :: accelerator.num_processes]
    for batch in mine:
        yield batch, 1
    if even and len(mine) < math.ceil(len(plan) / accelerator.num_processes):
        yield plan[0], 0


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


def best_of_candidates(
    model: Any, accelerator: Accelerator, rows: Sequence[Row], pad: int, settings: RewardSettings, k: int
) -> float:
    """rm@k, the mean over problems with at least k candidates; each row holds all candidates of a problem."""
    values = [mine.tolist() for mine in _all_rewards(model, accelerator, rows, pad, settings)]
    right = [[bool(y) for y in row.key.tolist()] for row in rows]
    each = [rm_at_k(v, y, k) for v, y in zip(values, right, strict=True) if len(v) >= k]
    return math.fsum(each) / len(each)


def _all_rewards(
    model: Any, accelerator: Accelerator, rows: Sequence[Row], pad: int, settings: RewardSettings
) -> list[Tensor]:
    """Each row's rewards [R] on the CPU, in all processes."""
    largest, others = _parts(rows, settings, accelerator)
    flat = _read(model, accelerator, rows, [*largest, *others], pad, settings)
    return _by_group(flat.cpu(), rows)


def _rewards(model: Any, batch: Sequence[Row], pad: int, share: bool) -> Tensor:
    """The rewards [N] of the responses of one pass."""
    states = packed_states(model, batch) if share else plain_states(model, plain_batch(batch, pad))
    return head_scores(model, states)


def _by_group(rewards: Tensor, batch: Sequence[Row]) -> list[Tensor]:
    return list(rewards.split([len(row.responses) for row in batch]))
