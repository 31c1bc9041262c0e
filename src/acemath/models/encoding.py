"""Conversations as token ids: through the chat template, once, with no special tokens added."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Any

from acemath.errors import UserError
from acemath.models.chat import Messages, Rendered, chat_template
from acemath.notices import say, say_once

IGNORE = -100


@dataclass(frozen=True, slots=True)
class Tokens:
    """One conversation's ids [T]. The `spans` (first, end) of them are its responses, which alone are learned.

    Four bytes a token.
    """

    ids: array[int]
    spans: tuple[tuple[int, int], ...]

    @property
    def labels(self) -> list[int]:
        """What is learned [T]: -100 outside the responses."""
        found = [IGNORE] * len(self.ids)
        for first, end in self.spans:
            found[first:end] = self.ids[first:end]
        return found

    @property
    def learned(self) -> int:
        """How many tokens are learned."""
        return sum(end - first for first, end in self.spans)

    def cut(self, room: int) -> Tokens:
        """The first `room` tokens."""
        if len(self.ids) <= room:
            return self
        spans = tuple((first, min(end, room)) for first, end in self.spans if first < room)
        return Tokens(self.ids[:room], spans)


def texts_of(conversations: Sequence[Messages], tokenizer: Any) -> list[tuple[str, str]]:
    """Each conversation as (what generation sees, the last response with the end of its turn).

    UserError where a conversation does not end with a response, or where the template refuses it.
    """
    rendered = [chat_template(tokenizer).conversation(messages) for messages in conversations]
    return [(row.text[: row.spans[-1][0]], row.text[row.spans[-1][0] :]) for row in rendered]


def encode_all(conversations: Iterable[Messages], tokenizer: Any, at_once: int = 1024) -> Iterator[Tokens]:
    """Conversations as tokens, in their order, read and tokenised `at_once` of them at a time.

    All responses are learned, except earlier ones that the template rewrites once they are part of the history. One
    notice at the end counts these, another the conversations whose last prompt or response the template would change.
    UserError naming the conversation (from 1 on) that cannot be encoded.
    """
    count = unlearned = shortened = rebuilt = 0
    numbered = enumerate(conversations, 1)
    while rows := [_rendered(messages, number, tokenizer) for number, messages in islice(numbered, at_once)]:
        for pieces in chat_template(tokenizer).encode([_pieces(row) for row in rows]):
            yield _joined(pieces, tokenizer)
        count += len(rows)
        unlearned += sum(row.unlearned for row in rows)
        shortened += sum(row.unlearned > 0 for row in rows)
        rebuilt += sum(row.rebuilt for row in rows)
    _say(tokenizer, count, unlearned, shortened, rebuilt)


def _rendered(messages: Messages, number: int, tokenizer: Any) -> Rendered:
    try:
        return chat_template(tokenizer).conversation(messages)
    except UserError as error:
        raise UserError(f"conversation {number}: {error}") from error


def _pieces(row: Rendered) -> list[str]:
    """The text in pieces, every second of which is learned."""
    borders = [0, *(at for span in row.spans for at in span)]
    return [row.text[first:end] for first, end in pairwise(borders)]


def _joined(pieces: Sequence[Sequence[int]], tokenizer: Any) -> Tokens:
    """Pieces of ids, every second of which is learned, as one conversation.

    If the template ends no turn with a token, the tokenizer's end token is added.
    """
    ids = array("i")
    spans = []
    for number, part in enumerate(pieces):
        if number % 2:
            spans.append((len(ids), len(ids) + len(part)))
        ids.extend(part)
    if chat_template(tokenizer).end is None:
        ids.append(_end_of(tokenizer))
        spans[-1] = (spans[-1][0], len(ids))
    return Tokens(ids, tuple(spans))


def _end_of(tokenizer: Any) -> int:
    name = chat_template(tokenizer).model
    if tokenizer.eos_token_id is None:
        raise UserError(
            f"neither the chat template of {name} nor its tokenizer ends a response with a token, so a policy could "
            "never stop; set the tokenizer's eos_token"
        )
    say_once(
        f"the chat template of {name} ends no response with a token; {tokenizer.eos_token} is learned after the last"
    )
    return int(tokenizer.eos_token_id)


def _say(tokenizer: Any, count: int, unlearned: int, shortened: int, rebuilt: int) -> None:
    template = chat_template(tokenizer)
    if unlearned:
        say(
            f"the chat template of {template.model} rewrites earlier turns: in {shortened:,} of {count:,} conversations "
            f"the last response is learned, {unlearned:,} earlier ones are not"
        )
    if rebuilt:
        opened = template.opening.strip()
        why = f"opens {opened} in the generation prompt and" if opened else "changes prompt or response and"
        say(
            f"the chat template of {template.model} {why} would not give {rebuilt:,} of {count:,} conversations back as they "
            "are generated: they are learned as the generation prompt, then the response"
        )
