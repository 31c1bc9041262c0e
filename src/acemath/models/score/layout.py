"""A problem with its responses as token ids, and the plain layout: one padded row for each response.

packed.py reads a prompt once for all of its responses. The plain layout is for architectures that cannot
share a prompt (probe.py).
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

WIDTH_STEP = 32


class NoRoom(UserError):
    """A prompt fills the length that a model may read, and leaves no room for a response."""


def no_room(lost: int, problems: int, max_length: int) -> str:
    """The notice about problems whose responses get no score for this reason."""
    return (
        f"the prompts of {lost:,} of {problems:,} problems leave no room for a response in max_length {max_length:,}: their "
        "responses get no score, and rank last"
    )


def padded(length: int, step: int = WIDTH_STEP) -> int:
    """The width that a row of this length is padded to: the next multiple of `step`.

    Matrix kernels are built and kept for every new shape. A new width in every batch would cost time and hundreds of
    megabytes.
    """
    return -(-length // step) * step


@dataclass(frozen=True, slots=True)
class Row:
    """The prompt of a problem [P] and some of its responses, each [R_i], as token ids. `key` is for the caller."""

    prompt: Sequence[int]
    responses: list[Sequence[int]]
    key: Any = None

    @property
    def length(self) -> int:
        """The number of tokens in the row."""
        return len(self.prompt) + sum(map(len, self.responses))


@dataclass(frozen=True, slots=True)
class PlainBatch:
    """Each response in a row of its own after a copy of its prompt, padded to one width T.

    `ids` [N, T]; `mask` [N, T] is 0 for padding; `ends` [N] are the indices of the last tokens. They come from
    lengths, because a pad id may occur in a text.
    """

    ids: Tensor
    mask: Tensor
    ends: Tensor

    def to(self, device: torch.device) -> PlainBatch:
        """The batch on another device."""
        return PlainBatch(*(part.to(device) for part in (self.ids, self.mask, self.ends)))


def encode_row(
    prompt: str, responses: Sequence[str], tokenizer: Any, chat: ChatFormat, max_length: int, key: Any = None
) -> tuple[Row, int]:
    """A problem and its responses through the chat template, and the number of responses that had to be cut.

    A response that is too long loses its middle, because the score is read at its last token. NoRoom if the prompt alone
    fills `max_length`.
    """
    coded = chat_template(tokenizer).encode(
        texts_of([chat.messages(prompt, text) for text in responses], tokenizer)
    )
    head, tails = coded[0][0], [tail for _, tail in coded]
    room = max_length - len(head)
    if room < 2:
        raise NoRoom(
            f"a prompt of {len(head)} tokens leaves no room for a response in max_length {max_length}; raise it"
        )
    cut = sum(len(tail) > room for tail in tails)
    return Row(head, [without_middle(tail, room) for tail in tails], key), cut


def without_middle(ids: list[int], room: int) -> list[int]:
    """The ids, without their middle if there are more than `room`."""
    return ids if len(ids) <= room else ids[: room // 2] + ids[len(ids) - (room - room // 2) :]


def plain_batch(rows: Sequence[Row], pad: int) -> PlainBatch:
    """All responses of the rows as one batch."""
    texts = [[*row.prompt, *response] for row in rows for response in row.responses]
    width = padded(max(map(len, texts)))
    ids = torch.full((len(texts), width), pad)
    mask = torch.zeros(len(texts), width, dtype=torch.long)
    for b, text in enumerate(texts):
        ids[b, : len(text)] = torch.tensor(text)
        mask[b, : len(text)] = 1
    return PlainBatch(ids, mask, torch.tensor([len(text) - 1 for text in texts]))


def token_batches(rows: Iterable[Row], budget: int) -> Iterator[list[Row]]:
    """Batches of rows of similar length for `plain_batch`, each of at most `budget` tokens with padding.

    A row is never split: one that is over the budget makes a batch of its own.
    """

    def width(row: Row) -> int:
        return len(row.prompt) + max(map(len, row.responses))

    batch: list[Row] = []
    count = 0  # of responses
    for row in sorted(rows, key=width):
        if batch and padded(width(row)) * (count + len(row.responses)) > budget:
            yield batch
            batch, count = [], 0
        batch.append(row)
        count += len(row.responses)
    if batch:
        yield batch
