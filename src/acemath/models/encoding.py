"""Conversations as token ids, through the chat template, with no special tokens added to it."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Any

from acemath.errors import UserError
from acemath.models.chat import Messages, Rendered, chat_template
from acemath.notices import say, say_once

IGNORE = -100  # the label of tokens that are not learned


@dataclass(frozen=True, slots=True)
class Tokens:
    """The ids [T] of a conversation. Its `spans` (start, end) are the responses, the only tokens that are learned.

    A token takes four bytes.
    """

    ids: array[int]
    spans: tuple[tuple[int, int], ...]

    @property
    def labels(self) -> list[int]:
        """The labels [T]: the ids of the responses, and -100 elsewhere."""
        found = [IGNORE] * len(self.ids)
        for first, end in self.spans:
            found[first:end] = self.ids[first:end]
        return found

    @property
    def learned(self) -> int:
        """The number of tokens that are learned."""
        return sum(end - first for first, end in self.spans)

    def cut(self, room: int) -> Tokens:
        """The first `room` tokens."""
        if len(self.ids) <= room:
            return self
        spans = tuple((first, min(end, room)) for first, end in self.spans if first < room)
        return Tokens(self.ids[:room], spans)


def texts_of(conversations: Sequence[Messages], tokenizer: Any) -> list[tuple[str, str]]:
    """Each conversation as (prompt for generation, last response with its end of turn).

    UserError if a conversation does not end with a response, or if the template refuses it.
    """
    rendered = [chat_template(tokenizer).conversation(messages) for messages in conversations]
    return [(row.text[: row.spans[-1][0]], row.text[row.spans[-1][0] :]) for row in rendered]


def encode_all(conversations: Iterable[Messages], tokenizer: Any, at_once: int = 1024) -> Iterator[Tokens]:
    """Conversations as tokens, in their order. `at_once` of them are read and tokenised together.

    All responses are learned, except earlier ones that the template rewrites once they are part of the history. Notices
    at the end count those, the conversations whose last prompt or response the template would change, and responses that hold
    the token of their end. UserError with the number of a conversation, from 1, that cannot be encoded.
    """
    count = unlearned = shortened = rebuilt = ended = 0
    numbered = enumerate(conversations, 1)
    while rows := [_rendered(messages, number, tokenizer) for number, messages in islice(numbered, at_once)]:
        for pieces in chat_template(tokenizer).encode([_pieces(row) for row in rows]):
            ended += ended_inside(pieces[1::2], tokenizer)
            yield _joined(pieces, tokenizer)
        count += len(rows)
        unlearned += sum(row.unlearned for row in rows)
        shortened += sum(row.unlearned > 0 for row in rows)
        rebuilt += sum(row.rebuilt for row in rows)
    _say(tokenizer, count, unlearned, shortened, rebuilt)
    if ended:
        say(ended_words(ended, tokenizer))


def _rendered(messages: Messages, number: int, tokenizer: Any) -> Rendered:
    try:
        return chat_template(tokenizer).conversation(messages)
    except UserError as error:
        raise UserError(f"conversation {number}: {error}") from error


def _pieces(row: Rendered) -> list[str]:
    """The text in pieces, of which every second one is a response."""
    borders = [0, *(at for span in row.spans for at in span)]
    return [row.text[first:end] for first, end in pairwise(borders)]


def _joined(pieces: Sequence[Sequence[int]], tokenizer: Any) -> Tokens:
    """One conversation from the ids of its pieces, of which every second one is a response.

    If no token of the template ends a turn, the tokenizer's end token is added at the end.
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
        f"the chat template of {name} ends no response with a token; {tokenizer.eos_token} is learned after the last one"
    )
    return int(tokenizer.eos_token_id)


def ended_inside(responses: Iterable[Sequence[int]], tokenizer: Any) -> int:
    """How many responses, each given with its end of turn, hold the token that ends a response earlier too."""
    end = chat_template(tokenizer).end
    return 0 if end is None else sum(list(ids).count(end) > 1 for ids in responses)


def ended_words(count: int, tokenizer: Any) -> str:
    """What to say of that many responses."""
    token = tokenizer.convert_ids_to_tokens(chat_template(tokenizer).end)
    return (
        f"{count:,} responses hold {token}, as texts of a server do that keeps special tokens: it is read as their end, and the chat "
        "template writes another one; remove it"
    )


def _say(tokenizer: Any, count: int, unlearned: int, shortened: int, rebuilt: int) -> None:
    template = chat_template(tokenizer)
    if unlearned:
        say(
            f"the chat template of {template.model} rewrites earlier turns: in {shortened:,} of {count:,} conversations "
            f"the last response is learned, {unlearned:,} earlier ones are not"
        )
    if rebuilt:
        opened = template.opening.strip()
        why = f"opens {opened} in the generation prompt" if opened else "changes the last prompt or response"
        say(
            f"the chat template of {template.model} {why}: {rebuilt:,} of {count:,} conversations are learned as the "
            "generation prompt followed by the response instead"
        )
