"""Forward passes of a bounded number of tokens, which become smaller where a device runs out of memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from acemath.errors import UserError
from acemath.models.engine import free_memory
from acemath.models.hardware import device, lacks_memory
from acemath.models.score.layout import Row
from acemath.notices import say

Read = TypeVar("Read")


class Passes:
    """Forward passes over rows, of at most `budget` tokens each.

    Where memory runs out, a batch is read in halves, and so are all later ones of that size; a notice says so once.
    `name` is the model's, for messages.
    """

    def __init__(self, name: str, budget: int) -> None:
        self.name, self.budget = name, budget
        self.lowered = False

    def read(self, batches: Iterable[list[Row]], states: Callable[[list[Row]], Read]) -> Iterator[tuple[list[Row], Read]]:
        """Each batch, or its parts, with what `states` gives for it. UserError if the memory is too small for one response."""
        for batch in batches:
            yield from self._read(batch, states)

    def _read(self, batch: list[Row], states: Callable[[list[Row]], Read]) -> Iterator[tuple[list[Row], Read]]:
        tokens, count = sum(row.length for row in batch), sum(len(row.responses) for row in batch)
        if tokens <= self.budget or count == 1:
            try:
                found = states(batch)
            except RuntimeError as error:
                if not lacks_memory(error):
                    raise
            else:
                yield batch, found
                return
            self._lower(tokens, count)  # here, where the error no longer holds what filled the memory
        for half in halves(batch):
            yield from self._read(half, states)

    def _lower(self, tokens: int, count: int) -> None:
        where = device()
        if count == 1:
            raise UserError(
                f"the memory of {where} is too small for model {self.name!r} with one response of {tokens:,} tokens; a shorter "
                "max_length, dtype: bfloat16, or engine: vllm with tensor_parallel needs less"
            )
        if not self.lowered:
            say(
                f"the memory of {where} is too small for {tokens:,} tokens of model {self.name!r} in one pass: smaller passes are "
                "read from here on"
            )
        self.lowered, self.budget = True, max(1, tokens // 2)
        free_memory()


def halves(batch: Sequence[Row]) -> list[list[Row]]:
    """A batch of at least two responses in two parts. The key of a row with several is (key, numbers of its responses)."""
    if len(batch) > 1:
        return [list(batch[: len(batch) // 2]), list(batch[len(batch) // 2 :])]
    (row,) = batch
    key, numbers = row.key
    middle = len(row.responses) // 2
    return [[Row(row.prompt, row.responses[part], (key, numbers[part]))] for part in (slice(middle), slice(middle, None))]
