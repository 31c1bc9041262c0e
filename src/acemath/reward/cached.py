"""Responses after their prompts' keys and values: a prompt is read once, its responses beside one another.

It costs less than one row with all responses (layout.py): no token is compared with tokens of other responses
only to be masked. Gradients flow through the keys and values into the prompt. Many problems share a pass.
Prompts are padded on the right, and the gap is masked; the place of a token is told by position_ids, so the
gap does not count.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from acemath.reward.layout import Row, padded
from acemath.reward.model import body, head_scores, use_attention

KEPT_TOKENS = 16_384  # of prompts whose keys and values are held at a time
CACHE_SHARE = 4  # a pass may hold copies of keys and values of so many times its budget of tokens
STEP = 8  # widths of responses: sorted by length, they need less padding than rows of many
Ask = tuple[int, int]  # (number of the row, number of the response in it)


@dataclass(frozen=True, slots=True)
class Prompts:
    """Prompts that were read: a layer's keys and values [B, heads, P, size], lengths [B]."""

    layers: list[tuple[Tensor, Tensor]]
    lengths: Tensor

    @property
    def width(self) -> int:
        """Tokens that every prompt is padded to."""
        return int(self.layers[0][0].shape[2])


def score_rows(model: Any, rows: Sequence[Row], pad: int, budget: int) -> Iterator[tuple[int, int, float]]:
    """The reward of every response, as (number of the row, number of the response, reward), as they come.

    `budget` bounds the padded tokens of one forward pass.
    """
    for part in _portions(rows):
        prompts = read_prompts(model, [rows[number].prompt for number in part], pad)
        for asks in _passes([rows[number] for number in part], prompts.width, budget):
            texts = [rows[part[row]].responses[which] for row, which in asks]
            rewards = rewards_after(model, prompts, [row for row, _ in asks], texts, pad)
            for (row, which), reward in zip(asks, rewards.tolist(), strict=True):
                yield part[row], which, reward


def rewards_of_rows(model: Any, rows: Sequence[Row], pad: int, budget: int) -> Tensor:
    """The rewards [N] of all responses of the rows, in their order, with gradients where they are on.

    Equal to `rewards_of` on `shared_batch`. Responses go through in parts of like length and at most `budget`
    padded tokens.
    """
    prompts = read_prompts(model, [row.prompt for row in rows], pad)
    parts: list[Tensor] = []
    order: list[Ask] = []
    for asks in _passes(rows, prompts.width, budget):
        texts = [rows[row].responses[which] for row, which in asks]
        parts.append(rewards_after(model, prompts, [row for row, _ in asks], texts, pad))
        order += asks
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


def _passes(rows: Sequence[Row], width: int, budget: int) -> Iterator[list[Ask]]:
    """Responses of like length together, in passes of at most `budget` tokens and a bounded cache."""
    asks = [(n, which) for n, row in enumerate(rows) for which in range(len(row.responses))]
    batch: list[Ask] = []
    for ask in sorted(asks, key=lambda a: len(rows[a[0]].responses[a[1]])):
        size = padded(len(rows[ask[0]].responses[ask[1]]), STEP)
        count = len(batch) + 1
        if batch and (size * count > budget or (size + width) * count > CACHE_SHARE * budget):
            yield batch
            batch = []
        batch.append(ask)
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
    ids, mask = _padded_batch(texts, pad, max(map(len, texts)))
    cache = DynamicCache()
    use_attention(model, ids.shape[1])
    body(model)(
        input_ids=ids.to(model.device),
        attention_mask=mask.to(model.device),
        position_ids=torch.arange(ids.shape[1], device=model.device).expand_as(ids),
        past_key_values=cache,
        use_cache=True,
    )
    return Prompts([(layer.keys, layer.values) for layer in cache.layers], mask.sum(1))


def rewards_after(
    model: Any, prompts: Prompts, which: Sequence[int], responses: Sequence[Sequence[int]], pad: int
) -> Tensor:
    """The rewards [N] of responses, the i-th after the prompt `which[i]`, in float32."""
    chosen = torch.tensor(which)
    ids, mask = _padded_batch(responses, pad, padded(max(map(len, responses)), STEP))
    lengths = prompts.lengths[chosen]  # [N]
    seen = torch.arange(prompts.width) < lengths[:, None]  # [N, P]
    cache = DynamicCache()
    for layer, (keys, values) in enumerate(prompts.layers):
        rows = chosen.to(keys.device)
        cache.update(keys[rows], values[rows], layer)
    use_attention(model, prompts.width + ids.shape[1])
    hidden = body(model)(
        input_ids=ids.to(model.device),
        attention_mask=torch.cat([seen.long(), mask], 1).to(model.device),
        position_ids=(lengths[:, None] + torch.arange(ids.shape[1])).to(model.device),
        past_key_values=cache,
        use_cache=True,
    ).last_hidden_state
    last = mask.sum(1) - 1
    return head_scores(model, hidden[torch.arange(len(ids)), last.to(hidden.device)])
