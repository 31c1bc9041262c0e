"""Conversations as token ids: through the chat template, once, with no special tokens added."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from acemath.errors import UserError

IGNORE = -100
Messages = Sequence[Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Tokens:
    """One conversation's ids [T]; from `start` on they are the response, which alone is learned.

    Four bytes a token: the paper's two million conversations fit into the memory of one machine.
    """

    ids: array[int]
    start: int

    @property
    def labels(self) -> list[int]:
        """What is learned [T]: -100 outside the response."""
        return [IGNORE] * min(self.start, len(self.ids)) + list(self.ids[self.start :])

    def cut(self, room: int) -> Tokens:
        """The first `room` tokens."""
        return self if len(self.ids) <= room else Tokens(self.ids[:room], self.start)


def texts_of(conversations: Sequence[Messages], tokenizer: Any) -> list[tuple[str, str]]:
    """Each conversation as (prompt, response): the template's text up to the last message, and the rest.

    Works with any template, marked with {% generation %} or not. UserError where a conversation does not end
    with a response, or where the template writes the prompt otherwise when a response follows.
    """
    rows = [[dict(message) for message in messages] for messages in conversations]
    for row in rows:
        if len(row) < 2 or row[-1].get("role") != "assistant":
            roles = [message.get("role") for message in row]
            raise UserError(
                f"a conversation has the roles {roles}; it must hold a question and end with the assistant's response"
            )
    prompts = tokenizer.apply_chat_template(
        [row[:-1] for row in rows], tokenize=False, add_generation_prompt=True
    )
    wholes = tokenizer.apply_chat_template(rows, tokenize=False)
    for prompt, whole in zip(prompts, wholes, strict=True):
        if not whole.startswith(prompt):
            raise UserError(
                f"the chat template writes the prompt otherwise when a response follows ({prompt[-40:]!r} does not "
                "lead into it); loss on responses alone is impossible: use a template that only appends"
            )
    return [(prompt, whole[len(prompt) :]) for prompt, whole in zip(prompts, wholes, strict=True)]


def encode_all(conversations: Sequence[Messages], tokenizer: Any, at_once: int = 1024) -> Iterator[Tokens]:
    """Conversations as tokens, in their order, tokenised `at_once` of them at a time."""
    for at in range(0, len(conversations), at_once):
        pairs = texts_of(conversations[at : at + at_once], tokenizer)
        coded = tokenizer([text for pair in pairs for text in pair], add_special_tokens=False)["input_ids"]
        for head, tail in zip(coded[::2], coded[1::2], strict=True):
            yield Tokens(array("i", head + tail), len(head))
