"""Problems with their responses, packed one after another into a row, so that nothing is padded or read twice.

The prompt of a problem is read once, and so is each opening that several of its responses share. The states equal
those of separate calls up to rounding, and gradients flow through the row as through any other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from acemath.models.score.attention import SEGMENTS, Segment, plan_row, varied_shapes
from acemath.models.score.layout import Row
from acemath.models.score.model import attend, body
from acemath.models.score.varlen import VARLEN, fits_varlen, varlen_plan

# The shortest opening that is read once, in tokens. Each opening is one more segment for attention; openings of four
# tokens saved almost nothing.
MIN_OPENING = 8


class Node(NamedTuple):
    """Tokens of a prefix tree. `parent` is the number of the node that they continue, None for the prompt.

    `response` is the number of the response that ends here, None for the prompt and openings.
    """

    ids: Sequence[int]
    parent: int | None
    response: int | None


def prefix_tree(row: Row) -> list[Node]:
    """The prompt, the openings, and the rest of each response (at least its last token), parents first."""
    nodes = [Node(row.prompt, None, None)]
    _grow(nodes, row.responses, _sorted(row.responses), 0, 0)
    return nodes


def _sorted(responses: Sequence[Sequence[int]]) -> list[int]:
    """The numbers of responses in the order of their tokens: those with a common opening are neighbours."""
    return sorted(range(len(responses)), key=lambda i: list(responses[i]))


def _grow(
    nodes: list[Node], responses: Sequence[Sequence[int]], numbers: Sequence[int], read: int, parent: int
) -> None:
    """Add the sorted responses `numbers` below `parent`, which ends after the first `read` tokens of each."""
    at = 0
    while at < len(numbers):
        first = responses[numbers[at]]
        end, common = at + 1, len(first) - 1
        while end < len(numbers):
            shared = min(common, _common(first, responses[numbers[end]]))
            if shared - read < MIN_OPENING:
                break
            end, common = end + 1, shared
        if end == at + 1:
            nodes.append(Node(first[read:], parent, numbers[at]))
        else:
            nodes.append(Node(first[read:common], parent, None))
            _grow(nodes, responses, numbers[at:end], common, len(nodes) - 1)
        at = end


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    """The number of tokens with which both begin, not counting the last token of `other`."""
    length = min(len(one), len(other) - 1)
    return next((at for at in range(length) if one[at] != other[at]), length)


def passes(rows: Iterable[Row], budget: int) -> Iterator[list[Row]]:
    """Split rows into forward passes of at most `budget` tokens, counting shared openings once for each response.

    When a pass is full, the remaining responses of a problem go into the next one, which reads the prompt again. A
    pass has at least one response, whatever its length. Keys become (key, numbers of the responses).
    """
    batch: list[Row] = []
    size = 0
    for row in rows:
        part: Row | None = None
        for number in _sorted(row.responses):
            response = row.responses[number]
            if batch and size + len(response) + (0 if part else len(row.prompt)) > budget:
                yield batch
                batch, size, part = [], 0, None
            if part is None:
                part = Row(row.prompt, [], (row.key, []))
                batch.append(part)
                size += len(row.prompt)
            part.responses.append(response)
            part.key[1].append(number)
            size += len(response)
    if batch:
        yield batch


def packed_states(model: Any, rows: Sequence[Row]) -> Tensor:
    """The states [N, H] of the last tokens of all responses, in order, in one pass.

    The model keeps this attention afterwards.
    """
    ids: list[int] = []
    positions: list[Tensor] = []
    segments: list[Segment] = []
    ends: list[int] = []
    for row in rows:
        first = len(segments)
        depths: list[int] = []  # the number of tokens from the start of the prompt to the end of each node
        last = [0] * len(row.responses)
        for node in prefix_tree(row):
            before = 0 if node.parent is None else depths[node.parent]
            depths.append(before + len(node.ids))
            positions.append(torch.arange(before, depths[-1]))
            parent = None if node.parent is None else first + node.parent
            segments.append(Segment(len(ids), len(ids) + len(node.ids), parent))
            ids += node.ids
            if node.response is not None:
                last[node.response] = len(ids) - 1
        ends += last
    attention, options = _attention(model, segments)
    attend(model, attention)
    with varied_shapes():
        hidden = body(model)(
            input_ids=torch.tensor(ids, device=model.device)[None],
            position_ids=torch.cat(positions).to(model.device)[None],
            use_cache=False,
            **options,
        ).last_hidden_state
    return hidden[0, torch.tensor(ends, device=hidden.device)]


def _attention(model: Any, segments: Sequence[Segment]) -> tuple[str, dict[str, Any]]:
    """The attention that suits the model here, by its name, and the options of a pass over a row of segments."""
    kind = model.device.type
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else model.dtype
    if fits_varlen(model.config, model.device, dtype):
        return VARLEN, varlen_plan(segments, model.device)
    return SEGMENTS, {"plan": plan_row(segments, model.dtype, model.device)}
