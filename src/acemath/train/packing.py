"""Several conversations in one row without leaks.

A row holds whole conversations one after the other. Positions start again at 0 with each, and with no
attention mask given, transformers turns such positions into a block mask: no token sees another
conversation. A test holds this to the loss of unpacked rows, through the trainer. Some architectures take no such
positions, or carry a state on; `check_packing` refuses them.
"""

from __future__ import annotations

import random
from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from acemath.errors import UserError
from acemath.models.encoding import IGNORE, Tokens

ROUNDING = 1e-3  # the largest difference in float32 that is rounding, as a share of the logits' size


def pack(lengths: Sequence[int], room: int, seed: int = 0) -> list[list[int]]:
    """Rows of at most `room` tokens: the indices of the conversations in each, best fit, longest first.

    What is longer than the room counts as a full row (the caller cuts it). Among equals the order is drawn,
    so that rows mix sources.
    """
    order = list(range(len(lengths)))
    random.Random(f"pack:{seed}").shuffle(order)
    order.sort(key=lambda i: -lengths[i])
    bins: list[list[int]] = []
    free: list[tuple[int, int]] = []  # (tokens left, bin), sorted: the tightest fit is found by bisection
    for index in order:
        length = min(lengths[index], room)
        at = bisect_left(free, (length, -1))
        if at < len(free):
            left, number = free.pop(at)
        else:
            left, number = room, len(bins)
            bins.append([])
        bins[number].append(index)
        if left > length:
            insort(free, (left - length, number))
    return bins


class PackedRows(Dataset[dict[str, list[int]]]):
    """Packed rows, laid out when they are asked for: input_ids, labels and position_ids of each."""

    def __init__(self, rows: Sequence[Tokens], bins: Sequence[Sequence[int]], room: int) -> None:
        self.rows = rows
        self.bins = bins
        self.room = room

    def __len__(self) -> int:
        return len(self.bins)

    def __getitem__(self, number: int) -> dict[str, list[int]]:
        return as_example([self.rows[i].cut(self.room) for i in self.bins[number]])

    @property
    def packed(self) -> bool:
        """Whether any row holds several conversations."""
        return any(len(members) > 1 for members in self.bins)

    @property
    def lengths(self) -> list[int]:
        """Tokens of each conversation, cut to the room."""
        return [min(self.room, len(self.rows[i].ids)) for members in self.bins for i in members]

    @property
    def widths(self) -> list[int]:
        """Tokens of each row."""
        return [sum(min(self.room, len(self.rows[i].ids)) for i in members) for members in self.bins]


def as_example(members: Sequence[Tokens]) -> dict[str, list[int]]:
    """Conversations as one row: input_ids, labels, position_ids, each [T].

    The first label of each conversation is -100 already (it belongs to the prompt), so nothing is learned
    across a border.
    """
    return {
        "input_ids": [i for m in members for i in m.ids],
        "labels": [i for m in members for i in m.labels],
        "position_ids": [p for m in members for p in range(len(m.ids))],
    }


@dataclass(frozen=True, slots=True)
class Collator:
    """Pads examples on the right to [B, T]. Padding counts from 0 again: it is a block of its own.

    `count` is told the tokens of each batch without and with padding.
    """

    pad: int
    count: Callable[[int, int], None] = lambda *_: None

    def __call__(self, examples: Sequence[Mapping[str, Sequence[int]]]) -> dict[str, Tensor]:
        width = max(len(e["input_ids"]) for e in examples)
        self.count(sum(len(e["input_ids"]) for e in examples), width * len(examples))
        padding: dict[str, Callable[[int], Iterable[int]]] = {
            "input_ids": lambda n: [self.pad] * n,
            "labels": lambda n: [IGNORE] * n,
            "position_ids": range,
        }
        return {
            name: torch.tensor([[*e[name], *fill(width - len(e[name]))] for e in examples])
            for name, fill in padding.items()
        }


@torch.no_grad()
def check_packing(model: Any) -> None:
    """UserError where a model in float32 sees other conversations in a packed row. It is left in the mode it was in.

    Two conversations of a few tokens through the model show it. Nothing is asked where the weights lie elsewhere.
    """
    if any(weight.is_meta or not weight.numel() for weight in model.parameters()):
        return
    size = int(model.get_input_embeddings().num_embeddings)
    first, second = torch.randint(size, (2, 12), generator=torch.Generator().manual_seed(0))
    way, training = model.config._attn_implementation, model.training
    if way not in ("eager", "sdpa"):  # kernels for GPUs; the model is not there yet
        model.set_attn_implementation("sdpa")
    model.eval()
    try:
        places = torch.arange(12).repeat(2)[None]
        alone = model(input_ids=second[None], use_cache=False).logits[0]
        packed = model(input_ids=torch.cat([first, second])[None], position_ids=places, use_cache=False)
    finally:
        model.train(training)
        if model.config._attn_implementation != way:
            model.set_attn_implementation(way)
    if not (packed.logits[0, 12:] - alone).abs().max() <= ROUNDING * alone.abs().max():
        raise UserError(
            f"{type(model).__name__} sees other conversations in a packed row, so it cannot be trained on packed rows; set "
            "packing: false"
        )
