"""Responses after their prompts' keys and values: a prompt is read once, its responses beside one another.

It costs less than one row with all responses (layout.py): no token is compared with tokens of other responses
only to be masked. Gradients flow through the keys and values into the prompt. Many problems share a pass.
In scoring, what several responses begin with is read once too, as a longer prompt of theirs (openings.py). Texts are
padded on the right, and the gap is masked; the place of a token is told by position_ids, so the gap does not count.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers import DynamicCache

from acemath.reward.layout import Row, padded
from acemath.reward.model import body, head_scores, use_attention
from acemath.reward.openings import Opening, shared_openings

KEPT_TOKENS = 16_384  # of prompts whose keys and values are held at a time
CACHE_SHARE = 4  # a pass may hold copies of keys and values of so many times its budget of tokens
STEP = 8  # widths of responses: sorted by length, they need less padding than rows of many


class Piece(NamedTuple):
    """Tokens that follow a prompt, by its place among those that were read; `key` is (row's number, response's)."""

    prompt: int
    text: Sequence[int]
    key: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Prompts:
    """Texts that were read: a layer's keys and values [B, heads, P, size], which tokens are no padding [B, P]."""

    layers: list[tuple[Tensor, Tensor]]
    seen: Tensor

    @property
    def width(self) -> int:
        """Tokens that every prompt is padded to."""
        return int(self.seen.shape[1])


def score_rows(model: Any, rows: Sequence[Row], pad: int, budget: int) -> Iterator[tuple[int, int, float]]:
    """The reward of every response, as (number of the row, number of the response, reward), as they come.

    `budget` bounds the padded tokens of one forward pass.
    """
    for part in _portions(rows):
        prompts = read_prompts(model, [rows[number].prompt for number in part], pad)
        pieces = [
            Piece(at, text, (number, which))
            for at, number in enumerate(part)
            for which, text in enumerate(rows[number].responses)
        ]
        yield from _scores(model, prompts, pieces, pad, budget)


def _scores(
    model: Any, prompts: Prompts, pieces: Sequence[Piece], pad: int, budget: int
) -> Iterator[tuple[int, int, float]]:
    """The rewards of texts after their prompts, those with a common opening after that."""
    openings, alone = shared_openings([(piece.prompt, piece.text) for piece in pieces])
    for batch in _passes([pieces[at] for at in alone], prompts.width, budget):
        rewards = rewards_after(model, prompts, [p.prompt for p in batch], [p.text for p in batch], pad)
        for piece, reward in zip(batch, rewards.tolist(), strict=True):
            yield *piece.key, reward
    begun = [Piece(opening.prompt, opening.text, (at, 0)) for at, opening in enumerate(openings)]
    for batch in _passes(begun, prompts.width, budget):
        _, longer = _read(model, prompts, [p.prompt for p in batch], [p.text for p in batch], pad)
        some = [openings[piece.key[0]] for piece in batch]
        yield from _scores(model, longer, _after(some, pieces), pad, budget)


def _after(openings: Sequence[Opening], pieces: Sequence[Piece]) -> list[Piece]:
    """What is left of the texts that begin with an opening, the opening as their prompt."""
    return [
        Piece(at, pieces[one].text[len(opening.text) :], pieces[one].key)
        for at, opening in enumerate(openings)
        for one in opening.followers
    ]


def rewards_of_rows(model: Any, rows: Sequence[Row], pad: int, budget: int) -> Tensor:
    """The rewards [N] of all responses of the rows, in their order, with gradients where they are on.

    Equal to `rewards_of` on `shared_batch`. Responses go through in parts of like length and at most `budget`
    padded tokens.
    """
    prompts = read_prompts(model, [row.prompt for row in rows], pad)
    parts: list[Tensor] = []
    order: list[tuple[int, int]] = []
    pieces = [Piece(n, text, (n, i)) for n, row in enumerate(rows) for i, text in enumerate(row.responses)]
    for batch in _passes(pieces, prompts.width, budget):
        parts.append(rewards_after(model, prompts, [p.prompt for p in batch], [p.text for p in batch], pad))
        order += [piece.key for piece in batch]
    at = torch.tensor(sorted(range(len(order)), key=order.__getitem__))
    found = torch.cat(parts)
    return found[at.to(found.device)]


def _portions(rows: Sequence[Row]) -> Iterator[list[int]]:
    """Numbers of rows whose prompts are of like length, as many as are held at a time."""
    part: list[int] = []
    for number in sorted(range(len(rows)), key=lambda n: len(rows[n].prompt)):
        if part and len(rows[number].prompt) * (len(part) + 1) > KEPT_TOKENS:
            yield part
            part = []
        part.append(number)
    if part:
        yield part


def _passes(pieces: Sequence[Piece], width: int, budget: int) -> Iterator[list[Piece]]:
    """Texts of like length together, in passes of at most `budget` tokens and a bounded cache."""
    batch: list[Piece] = []
    for piece in sorted(pieces, key=lambda p: (len(p.text), p.key)):
        size = padded(len(piece.text), STEP)
        count = len(batch) + 1
        if batch and (size * count > budget or (size + width) * count > CACHE_SHARE * budget):
            yield batch
            batch = []
        batch.append(piece)
    if batch:
        yield batch


def _padded_batch(texts: Sequence[Sequence[int]], pad: int, width: int) -> tuple[Tensor, Tensor]:
    """Ids and mask (1: no padding), both [B, width], padded on the right."""
    ids = torch.full((len(texts), width), pad)
    mask = torch.zeros(len(texts), width, dtype=torch.long)
    for b, text in enumerate(texts):
        ids[b, : len(text)] = torch.tensor(text)
        mask[b, : len(text)] = 1
    return ids, mask


def read_prompts(model: Any, texts: Sequence[Sequence[int]], pad: int) -> Prompts:
    """Prompts through the model once."""
    nothing = Prompts([], torch.zeros(len(texts), 0, dtype=torch.bool))
    return _read(model, nothing, range(len(texts)), texts, pad, step=1)[1]


def rewards_after(
    model: Any, prompts: Prompts, which: Sequence[int], responses: Sequence[Sequence[int]], pad: int
) -> Tensor:
    """The rewards [N] of responses, the i-th after the prompt `which[i]`, in float32."""
    last = torch.tensor([len(text) - 1 for text in responses])
    with _last_tokens_alone(model, last):
        hidden, _ = _read(model, prompts, which, responses, pad)
    return head_scores(model, hidden[torch.arange(len(last)), last.to(hidden.device)])


def _read(
    model: Any,
    before: Prompts,
    which: Sequence[int],
    texts: Sequence[Sequence[int]],
    pad: int,
    step: int = STEP,
) -> tuple[Tensor, Prompts]:
    """Texts through the model, the i-th after the prompt `which[i]`: states [N, T, H], and both as longer prompts."""
    chosen = torch.tensor(which)
    ids, mask = _padded_batch(texts, pad, padded(max(map(len, texts)), step))
    seen = before.seen[chosen]  # [N, P]
    cache = DynamicCache()
    for layer, (keys, values) in enumerate(before.layers):
        rows = chosen.to(keys.device)
        cache.update(keys[rows], values[rows], layer)
    use_attention(model, before.width + ids.shape[1])
    seen = torch.cat([seen, mask.bool()], 1)
    hidden = body(model)(
        input_ids=ids.to(model.device),
        attention_mask=seen.long().to(model.device),
        position_ids=(before.seen[chosen].sum(1)[:, None] + torch.arange(ids.shape[1])).to(model.device),
        past_key_values=cache,
        use_cache=True,
    ).last_hidden_state
    return hidden, Prompts([(layer.keys, layer.values) for layer in cache.layers], seen)


@contextmanager
def _last_tokens_alone(model: Any, last: Tensor) -> Iterator[None]:
    """Within: the last layer's feed-forward part computes one token a row, the only one whose state is asked for.

    What it gives is added to every token of its row, and is right for that one. Layers without such a part by
    the usual name compute all.
    """
    part = getattr(body(model).layers[-1], "mlp", None) if hasattr(body(model), "layers") else None
    if part is None:
        yield
        return

    def narrowed(_: Any, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        states = given[0]
        return (states[torch.arange(len(last)), last.to(states.device)][:, None], *given[1:])

    handle = part.register_forward_pre_hook(narrowed)
    try:
        yield
    finally:
        handle.remove()
