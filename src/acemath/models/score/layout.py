"""A problem's responses in one row: the prompt once, then each response as if it alone followed.

Row: prompt tokens, response 1, response 2, … A token sees the prompt and its own response up to itself;
positions of every response go on from the prompt's end. The hidden states equal those of separate rows, and
the prompt is read once in place of once a response. Training and scoring share this module. Architectures that
do not take such rows (acemath.models.score.probe) are read in plain rows, one a response.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from acemath.errors import UserError
from acemath.models.chat import chat_template
from acemath.models.encoding import texts_of
from acemath.models.engine import ChatFormat
from acemath.models.segments import visible

WIDTH_STEP = 32


def padded(length: int, step: int = WIDTH_STEP) -> int:
    """The width that a row of this length is padded to.

    Matrix kernels are made and kept for every new shape: with few widths they are made once, with as many
    widths as batches they cost time and hundreds of megabytes.
    """
    return -(-length // step) * step


@dataclass(frozen=True, slots=True)
class Row:
    """One problem's prompt [P] with some of its responses, each [R_i], as token ids. `key` is the caller's."""

    prompt: Sequence[int]
    responses: list[Sequence[int]]
    key: Any = None

    @property
    def length(self) -> int:
        """Tokens of the row."""
        return len(self.prompt) + sum(map(len, self.responses))


@dataclass(frozen=True, slots=True)
class SharedBatch:
    """Rows padded to one width T: ids and positions [B, T], and where responses end.

    `mask` is [B, 1, T, T], what each token sees, for rows that share a prompt; [B, T], which tokens are no
    padding, for plain rows. `ends` [N, 2] holds (row, index of the last token) of every response, in order; its
    indices come from lengths, never from pad ids.
    """

    ids: Tensor
    positions: Tensor
    mask: Tensor
    ends: Tensor

    def to(self, device: torch.device) -> SharedBatch:
        """The batch on another device."""
        return SharedBatch(*(part.to(device) for part in (self.ids, self.positions, self.mask, self.ends)))


def encode_row(
    prompt: str, responses: Sequence[str], tokenizer: Any, chat: ChatFormat, max_length: int, key: Any = None
) -> tuple[Row, int]:
    """A problem and responses through the chat template, and how many responses had to be cut.

    A response that is too long loses its middle, not its end: the last token carries the score. UserError
    where the prompt alone fills `max_length`.
    """
    coded = chat_template(tokenizer).encode(
        texts_of([chat.messages(prompt, text) for text in responses], tokenizer)
    )
    head, tails = coded[0][0], [tail for _, tail in coded]
    room = max_length - len(head)
    if room < 2:
        raise UserError(
            f"a prompt of {len(head)} tokens leaves no room for a response in max_length {max_length}; raise it"
        )
    cut = sum(len(tail) > room for tail in tails)
    return Row(head, [_without_middle(tail, room) for tail in tails], key), cut


def _without_middle(ids: list[int], room: int) -> list[int]:
    return ids if len(ids) <= room else ids[: room // 2] + ids[len(ids) - (room - room // 2) :]


def shared_batch(rows: Sequence[Row], pad: int) -> SharedBatch:
    """Rows as one batch."""
    width = padded(max(row.length for row in rows))
    ids = torch.full((len(rows), width), pad)
    positions = torch.zeros(len(rows), width, dtype=torch.long)
    segment = torch.full((len(rows), width), -1)
    ends = []
    for b, row in enumerate(rows):
        at = len(row.prompt)
        ids[b, :at] = torch.tensor(row.prompt)
        positions[b, :at] = torch.arange(at)
        segment[b, :at] = 0
        for number, response in enumerate(row.responses, 1):
            stop = at + len(response)
            ids[b, at:stop] = torch.tensor(response)
            positions[b, at:stop] = len(row.prompt) + torch.arange(len(response))
            segment[b, at:stop] = number
            ends.append((b, stop - 1))
            at = stop
    return SharedBatch(ids, positions, visible(segment), torch.tensor(ends))


def plain_batch(rows: Sequence[Row], pad: int) -> SharedBatch:
    """Rows as one batch in which every response has a row of its own, after a copy of its prompt."""
    texts = [[*row.prompt, *response] for row in rows for response in row.responses]
    width = padded(max(map(len, texts)))
    ids = torch.full((len(texts), width), pad)
    mask = torch.zeros(len(texts), width, dtype=torch.long)
    for b, text in enumerate(texts):
        ids[b, : len(text)] = torch.tensor(text)
        mask[b, : len(text)] = 1
    ends = torch.tensor([(b, len(text) - 1) for b, text in enumerate(texts)])
    return SharedBatch(ids, torch.arange(width).expand(len(texts), width), mask, ends)


def batch_of(rows: Sequence[Row], pad: int, share: bool) -> SharedBatch:
    """Rows as one batch: with `share` one row a problem, else one row a response."""
    return shared_batch(rows, pad) if share else plain_batch(rows, pad)


def split_rows(row: Row, width: int) -> list[Row]:
    """A row cut into rows of at most `width` tokens, each with the prompt and at least one response.

    The mask grows with the square of a row, so many responses are better spread. Keys become
    (key, number of the first response).
    """
    parts: list[Row] = []
    for number, response in enumerate(row.responses):
        if parts and parts[-1].length + len(response) <= width:
            parts[-1].responses.append(response)
        else:
            parts.append(Row(row.prompt, [response], (row.key, number)))
    return parts


def token_batches(rows: Iterable[Row], budget: int, share: bool = True) -> Iterator[list[Row]]:
    """Rows of like length together, each batch at most `budget` tokens with its padding.

    A row is never cut, so one that is over the budget alone makes a batch of its own. `share` as in `batch_of`.
    """

    def width(row: Row) -> int:
        return row.length if share else len(row.prompt) + max(map(len, row.responses))

    batch: list[Row] = []
    count = 0  # rows of the model's input
    for row in sorted(rows, key=width):
        more = 1 if share else len(row.responses)
        if batch and padded(width(row)) * (count + more) > budget:
            yield batch
            batch, count = [], 0
        batch.append(row)
        count += more
    if batch:
        yield batch
