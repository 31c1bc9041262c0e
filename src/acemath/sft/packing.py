"""Conversations as token ids with labels, and several of them in one row without leaks.

A row holds whole conversations one after the other. Positions start again at 0 with each, and with no
attention mask given, transformers turns such positions into a block mask: no token sees another
conversation. A test holds this to the loss of unpacked rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from acemath.errors import UserError

IGNORE = -100


@dataclass(frozen=True, slots=True)
class Tokens:
    """One conversation: ids and labels of equal length; labels are -100 outside the response."""

    ids: list[int]
    labels: list[int]


def encode(messages: Sequence[Mapping[str, str]], tokenizer: Any) -> Tokens:
    """A conversation through the chat template; the last message is the response and alone is learned.

    The prompt is the template's text up to the response, so any template works. UserError where the
    template's prompt is not the beginning of its whole text (loss could not be placed).
    """
    *before, last = [dict(m) for m in messages]
    if last["role"] != "assistant":
        raise UserError(
            f"a training conversation ends with {last['role']!r}; its last message must be the assistant's"
        )
    prompt = tokenizer.apply_chat_template(before, tokenize=False, add_generation_prompt=True)
    whole = tokenizer.apply_chat_template([*before, last], tokenize=False)
    if not whole.startswith(prompt):
        raise UserError(
            "the chat template writes the prompt otherwise when a response follows; loss on responses alone is impossible"
        )
    head = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    tail = tokenizer(whole[len(prompt) :], add_special_tokens=False)["input_ids"]
    return Tokens(head + tail, [IGNORE] * len(head) + list(tail))


def pack(rows: Sequence[Tokens], room: int) -> list[list[Tokens]]:
    """Conversations in bins of at most `room` tokens, best fit on decreasing length. Longer ones are cut."""
    bins: list[list[Tokens]] = []
    space: dict[int, list[int]] = {}  # free tokens: bins with so many
    for row in sorted(rows, key=lambda r: -len(r.ids)):
        length = min(len(row.ids), room)
        fit = min((free for free, members in space.items() if free >= length and members), default=None)
        if fit is None:
            bins.append([])
            at, fit = len(bins) - 1, room
        else:
            at = space[fit].pop()
        bins[at].append(Tokens(row.ids[:room], row.labels[:room]))
        space.setdefault(fit - length, []).append(at)
    return bins


def as_example(members: Sequence[Tokens]) -> dict[str, list[int]]:
    """A bin as one example: input_ids, labels, position_ids, each of the bin's length.

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
    """Pads examples on the right. Padding counts positions from 0 again, so it is a block of its own."""

    pad: int

    def __call__(self, examples: Sequence[Mapping[str, Sequence[int]]]) -> dict[str, Tensor]:
        width = max(len(e["input_ids"]) for e in examples)

        def stack(name: str, fill: int | None) -> Tensor:
            rows = []
            for e in examples:
                missing = width - len(e[name])
                rows.append(list(e[name]) + ([fill] * missing if fill is not None else list(range(missing))))
            return torch.tensor(rows)

        return {
            "input_ids": stack("input_ids", self.pad),
            "labels": stack("labels", IGNORE),
            "position_ids": stack("position_ids", None),
        }
