"""Groups packed one after another into a row: no padding, and what responses have in common is read once.

Of a problem with responses the prompt is read once, and so is each opening that several of the responses share. The states
equal those of separate calls, and gradients flow through the row as through any other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from acemath.models.score.attention import NAME, Span, plan_row, varied_shapes
from acemath.models.score.layout import Row
from acemath.models.score.model import attend, body

LEAST = 8  # tokens that an opening has at least: each adds a text to attention; openings of 4 saved next to no more


class Text(NamedTuple):
    """Tokens that go on from an earlier text of their group, by its place, or start it (None: the prompt).

    `which` is the response that ends with them, None for a prompt or an opening.
    """

    ids: Sequence[int]
    after: int | None
    which: int | None


def texts_of(row: Row) -> list[Text]:
    """A group as a tree of texts: the prompt, openings, and what remains of each response, at least its last token."""
    texts = [Text(row.prompt, None, None)]
    _grow(texts, row.responses, sorted(range(len(row.responses)), key=lambda i: list(row.responses[i])), 0, 0)
    return texts


def _grow(
    texts: list[Text], responses: Sequence[Sequence[int]], places: Sequence[int], read: int, after: int
) -> None:
    """Add the sorted responses at `places`, whose first `read` tokens are in the text `after` and those before it."""
    at = 0
    while at < len(places):
        first = responses[places[at]]
        end, common = at + 1, len(first) - 1
        while end < len(places):
            shared = min(common, _common(first, responses[places[end]]))
            if shared - read < LEAST:
                break
            end, common = end + 1, shared
        if end == at + 1:
            texts.append(Text(first[read:], after, places[at]))
        else:
            texts.append(Text(first[read:common], after, None))
            _grow(texts, responses, places[at:end], common, len(texts) - 1)
        at = end


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens both begin with, the last of `other` not counted."""
    length = min(len(one), len(other) - 1)
    return next((at for at in range(length) if one[at] != other[at]), length)


def passes(rows: Iterable[Row], budget: int) -> Iterator[list[Row]]:
    """Rows in forward passes of at most `budget` tokens, common openings counted each time.

    A problem is cut between responses where a pass is full; its prompt is then read again. A pass has at least one
    response. Keys become (key, numbers of the responses).
    """
    batch: list[Row] = []
    size = 0
    for row in rows:
        part: Row | None = None
        # Sorted, so that responses with a common opening come into one pass.
        for number in sorted(range(len(row.responses)), key=lambda i: list(row.responses[i])):
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
    """The states [N, H] of all responses' last tokens, in order, in one pass. The model attends by texts from then on."""
    ids: list[int] = []
    positions: list[Tensor] = []
    spans: list[Span] = []
    ends: list[int] = []
    for row in rows:
        first = len(spans)
        pasts: list[int] = []  # tokens up to the end of each text, its openings and prompt counted
        mine = [0] * len(row.responses)
        for text in texts_of(row):
            past = 0 if text.after is None else pasts[text.after]
            pasts.append(past + len(text.ids))
            positions.append(torch.arange(past, pasts[-1]))
            after = None if text.after is None else first + text.after
            spans.append(Span(len(ids), len(ids) + len(text.ids), after))
            ids += text.ids
            if text.which is not None:
                mine[text.which] = len(ids) - 1
        ends += mine
    attend(model, NAME)
    with varied_shapes():
        hidden = body(model)(
            input_ids=torch.tensor(ids, device=model.device)[None],
            position_ids=torch.cat(positions).to(model.device)[None],
            use_cache=False,
            texts=plan_row(spans, model.dtype, model.device),
        ).last_hidden_state
    return hidden[0, torch.tensor(ends, device=hidden.device)]
