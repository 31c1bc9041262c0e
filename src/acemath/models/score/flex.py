"""Several groups in one row for FlexAttention, which takes the mask as a function and never builds a square of the row.

The row holds the prompt of group 1, its responses, the prompt of group 2, and so on. A token sees the prompt of its
own group, and its own response up to itself. Blocks of 128 x 128 tokens without a visible pair are skipped. On a GPU,
Triton compiles the kernel and the block mask.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from acemath.models.score.attention import FLEX
from acemath.models.score.layout import Row, padded
from acemath.models.score.model import attend, body

WIDTH_STEP = 1024  # tokens; the kernel is compiled for every new width, so there should be few


@dataclass(frozen=True, slots=True)
class PackedRow:
    """Groups in one row of T tokens: ids and positions [1, T], group and segment [T], ends [N].

    `group` is the number of a token's group, -1 for padding. `segment` is 0 in a prompt and i in the i-th response.
    `ends` are the indices of the last tokens of the responses, in order.
    """

    ids: Tensor
    positions: Tensor
    group: Tensor
    segment: Tensor
    ends: Tensor

    def to(self, device: torch.device) -> PackedRow:
        """The row on another device."""
        return PackedRow(
            *(p.to(device) for p in (self.ids, self.positions, self.group, self.segment, self.ends))
        )


def packed_row(rows: Sequence[Row], pad: int) -> PackedRow:
    """Groups one after another, padded to a multiple of WIDTH_STEP."""
    width = padded(sum(row.length for row in rows), WIDTH_STEP)
    ids = torch.full((1, width), pad)
    positions = torch.zeros(1, width, dtype=torch.long)
    group = torch.full((width,), -1, dtype=torch.int32)
    segment = torch.zeros(width, dtype=torch.int32)
    ends: list[int] = []
    at = 0
    for number, row in enumerate(rows):
        group[at : at + row.length] = number
        for which, text in enumerate([row.prompt, *row.responses]):
            stop = at + len(text)
            ids[0, at:stop] = torch.tensor(text)
            positions[0, at:stop] = (len(row.prompt) if which else 0) + torch.arange(len(text))
            segment[at:stop] = which
            if which:
                ends.append(stop - 1)
            at = stop
    return PackedRow(ids, positions, group, segment, torch.tensor(ends))


def block_mask(row: PackedRow) -> Any:
    """Which tokens see which, as FlexAttention's BlockMask on the row's device.

    On a GPU compiled code makes it block by block. On a CPU, which only tests use, it goes through a whole mask.
    """
    from torch.nn.attention.flex_attention import create_block_mask

    group, segment = row.group, row.segment

    def sees(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        mine = (segment[key] == 0) | (segment[key] == segment[query])
        return (query >= key) & (group[query] == group[key]) & mine

    width = len(group)
    device = group.device
    return create_block_mask(sees, None, None, width, width, device=device, _compile=device.type == "cuda")


def flex_states(model: Any, rows: Sequence[Row], pad: int) -> Tensor:
    """The states [N, H] of the last tokens of all responses, in order. The model keeps this attention afterwards."""
    row = packed_row(rows, pad).to(model.device)
    attend(model, FLEX)
    hidden = body(model)(
        input_ids=row.ids, attention_mask=block_mask(row), position_ids=row.positions, use_cache=False
    ).last_hidden_state
    return hidden[0, row.ends]
