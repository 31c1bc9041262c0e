"""Several conversations in one row, with no attention between them.

A row holds whole conversations one after the other. Positions restart at 0 with each conversation. Without an
attention mask, transformers makes a block mask from such positions, so no token attends to another conversation. Where
it can, attention gets the borders of the conversations instead (models/score/varlen.py) or a plan (attention.py there),
and there is no mask. A test compares the loss with that of unpacked rows. Some architectures ignore positions or carry a
recurrent state across the border; `check_packing` refuses them.
"""

from __future__ import annotations

import random
from array import array
from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import Dataset

from acemath.errors import UserError
from acemath.models.encoding import IGNORE, Tokens
from acemath.models.score.model import attend
from acemath.train.tokens import TokenFiles

Layout = Callable[[Tensor], dict[str, Any]]  # what an attention without a mask needs, from the positions [B, T] of a batch

# Differences up to this share of the largest logit count as rounding.
ROUNDING = {torch.float32: 1e-3, torch.bfloat16: 5e-2}


class Bins(Sequence[list[int]]):
    """Items in bins. `members` [items] lists their numbers bin by bin; `starts` [bins + 1] is where each bin begins in it."""

    def __init__(self, members: np.ndarray, starts: np.ndarray) -> None:
        self.members, self.starts = members, starts

    @classmethod
    def single(cls, numbers: np.ndarray) -> Bins:
        """One bin for each number."""
        return cls(numbers, np.arange(len(numbers) + 1))

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, number: Any) -> Any:
        return self.members[self.starts[number] : self.starts[number + 1]].tolist()

    def of(self, numbers: np.ndarray) -> Bins:
        """The same bins, holding `numbers[i]` in place of i."""
        return Bins(numbers[self.members], self.starts)


def pack(lengths: Sequence[int] | np.ndarray, room: int, seed: int = 0) -> Bins:
    """Pack conversations into rows of at most `room` tokens (best fit, longest first); returns their indices by row.

    A conversation longer than `room` fills a row (the caller cuts it). Conversations of equal length come in random
    order, so that rows mix sources.
    """
    shuffled = array("q", range(len(lengths)))
    random.Random(f"pack:{seed}").shuffle(shuffled)
    sizes = np.asarray(lengths, dtype=np.int64)
    order = np.frombuffer(shuffled, dtype=np.int64) if len(shuffled) else np.zeros(0, np.int64)
    order = order[np.argsort(-sizes[order], kind="stable")]
    bins = np.empty(len(order), np.int64)  # the bin of each conversation, in this order
    count = 0
    waiting: dict[int, list[int]] = {}  # free tokens -> a heap of the bins with that many free
    left_over: list[int] = []  # the keys of `waiting`, sorted: bisection finds the tightest fit
    for place, length in enumerate(np.minimum(sizes[order], room)):
        at = bisect_left(left_over, length)
        if at < len(left_over):
            left = left_over[at]
            number = heappop(waiting[left])
            if not waiting[left]:
                del waiting[left_over.pop(at)]
        else:
            left, number = room, count
            count += 1
        bins[place] = number
        if rest := left - int(length):
            if rest not in waiting:
                insort(left_over, rest)
            heappush(waiting.setdefault(rest, []), number)
    starts = np.concatenate([[0], np.cumsum(np.bincount(bins, minlength=count))])
    return Bins(order[np.argsort(bins, kind="stable")], starts)


class PackedRows(Dataset[dict[str, list[int]]]):
    """Packed rows, built on access: input_ids, labels and position_ids of each.

    Indices beyond the last row give blank rows: one token without a label.
    """

    def __init__(self, rows: Sequence[Tokens], bins: Bins, room: int) -> None:
        self.rows, self.bins, self.room = rows, bins, room
        sizes = rows.lengths if isinstance(rows, TokenFiles) else np.array([len(row.ids) for row in rows])
        self.lengths = np.minimum(sizes[bins.members], room)
        """Tokens of each conversation, at most `room`, in the order of `bins.members`."""

    def __len__(self) -> int:
        return len(self.bins)

    def __getitem__(self, number: int) -> dict[str, list[int]]:
        if number >= len(self):
            return {"input_ids": [0], "labels": [IGNORE], "position_ids": [0]}
        return as_example([self.rows[i].cut(self.room) for i in self.bins[number]])

    @property
    def packed(self) -> bool:
        """Whether any row holds several conversations."""
        return len(self.bins.members) > len(self.bins)

    @property
    def widths(self) -> np.ndarray:
        """Tokens of each row [rows]."""
        return np.add.reduceat(self.lengths, self.bins.starts[:-1])


def as_example(members: Sequence[Tokens]) -> dict[str, list[int]]:
    """Conversations as one row: input_ids, labels, position_ids, each [T].

    The first label of each conversation is -100 (it belongs to the prompt), so no token is predicted from the
    conversation before it.
    """
    return {
        "input_ids": [i for m in members for i in m.ids],
        "labels": [i for m in members for i in m.labels],
        "position_ids": [p for m in members for p in range(len(m.ids))],
    }


@dataclass(frozen=True, slots=True)
class Collator:
    """Pads examples on the right to [B, T]. Positions restart at 0 in the padding, so it is a block of its own.

    `count` is called with each batch's tokens, without and with padding. `layout` adds what the model's attention takes
    in place of a mask.
    """

    pad: int
    count: Callable[[int, int], None] = lambda *_: None
    layout: Layout | None = None

    def __call__(self, examples: Sequence[Mapping[str, Sequence[int]]]) -> dict[str, Any]:
        width = max(len(e["input_ids"]) for e in examples)
        self.count(sum(len(e["input_ids"]) for e in examples), width * len(examples))
        padding: dict[str, Callable[[int], Iterable[int]]] = {
            "input_ids": lambda n: [self.pad] * n,
            "labels": lambda n: [IGNORE] * n,
            "position_ids": range,
        }
        batch = {
            name: torch.tensor([[*e[name], *fill(width - len(e[name]))] for e in examples])
            for name, fill in padding.items()
        }
        return {**batch, **(self.layout(batch["position_ids"]) if self.layout else {})}


def learned_alone(batch: Mapping[str, Any]) -> dict[str, Any]:
    """The batch for a forward pass that computes logits and loss only where a row of it has a label.

    The product with the vocabulary is the largest one of a small model, and prompts have no loss.
    """
    targets = functional.pad(batch["labels"][:, 1:], (0, 1), value=IGNORE)
    places = (targets != IGNORE).any(0).nonzero()[:, 0]
    kept = targets[:, places]
    return {**batch, "labels": kept, "shift_labels": kept, "logits_to_keep": places, "use_cache": False}


def check_packing(model: Any) -> None:
    """UserError if a model attends to other conversations in a packed row; its mode does not change.

    All processes call it if they hold shards of the model.
    """
    if not keeps_apart(model):
        raise UserError(
            f"{type(model).__name__} attends to other conversations in a packed row, so it cannot be trained on packed rows; "
            "set packing: false"
        )


@torch.no_grad()
def keeps_apart(model: Any, attention: str = "", layout: Layout | None = None) -> bool:
    """Whether a conversation has the same logits alone and after another one in a packed row.

    The row is read with the model's own attention, or with `attention`, which takes `layout` in place of a mask; False if
    the model cannot use that. The test is two short conversations. Kernels that run only on GPUs, where the model is not
    yet, are not tested.
    """
    size = int(model.get_input_embeddings().num_embeddings)
    first, second = torch.randint(size, (2, 12), generator=torch.Generator().manual_seed(0)).to(model.device)
    implementation, training = model.config._attn_implementation, model.training
    plain = implementation if implementation in ("eager", "sdpa") else "sdpa"
    places = torch.arange(12).repeat(2)[None]
    options = {"position_ids": places, **(layout(places) if layout else {})}
    options = {name: part.to(model.device) if isinstance(part, Tensor) else part for name, part in options.items()}
    model.eval()
    try:
        attend(model, plain)
        alone = model(input_ids=second[None], use_cache=False).logits[0]
        attend(model, attention or plain)
        packed = model(input_ids=torch.cat([first, second])[None], use_cache=False, **options)
    except (TypeError, ValueError, RuntimeError, IndexError):  # it does not pass the layout on, or has keys of another shape
        if not attention:
            raise
        return False
    finally:
        model.train(training)
        attend(model, implementation)
    apart = (packed.logits[0, 12:] - alone).abs().max()
    return bool(apart <= ROUNDING[alone.dtype] * alone.abs().max())
