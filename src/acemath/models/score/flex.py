"""Several groups in one row for FlexAttention: the mask is a rule, and memory holds no square of the row.

Row: group 1's prompt, its responses, group 2's prompt, … Tokens see their own group's prompt and their own
response up to themselves, as in packed.py; blocks of 128 x 128 tokens in which nobody sees anybody are skipped.
The kernel and the mask of blocks are compiled, on a GPU by Triton.
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

WIDTH_STEP = 1024  # few widths, so that the kernel is compiled few times


@dataclass(frozen=True, slots=True)
class PackedRow:
    """Groups in one row of T tokens: ids and positions [1, T], group and segment [T], ends [N].

    `group` numbers the groups, -1 is padding; `segment` is 0 in a prompt and i in response i; `ends` are the
    indices of the responses' last tokens, in order, from lengths.
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
    """Groups one after the other, padded to a multiple of WIDTH_STEP."""
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
    """Who sees whom, as FlexAttention's BlockMask on the row's device.

    On a GPU it is made by compiled code, block by block; elsewhere through a whole mask, for tests.
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
    """The states [N, H] of all responses' last tokens, in order. The model attends in this way from then on."""
    row = packed_row(rows, pad).to(model.device)
    attend(model, FLEX)
    hidden = body(model)(
        input_ids=row.ids, attention_mask=block_mask(row), position_ids=row.positions, use_cache=False
    ).last_hidden_state
    return hidden[0, row.ends]
