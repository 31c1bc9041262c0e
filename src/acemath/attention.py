"""Attention among texts that lie behind one another in one row, without padding and without a mask of the row.

A text goes on from at most one earlier text, whose tokens and whose past are its own past: a response from its prompt, or
both from an opening that several share. The earlier one stands in the same row, or was read before and kept its keys
and values. What a model computes token by token then has no padding; only attention looks at one text at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence
from transformers import AttentionInterface, AttentionMaskInterface

NAME = "acemath_texts"
BLOCK = 128  # queries: scores of a block fit into a processor's cache, and products are still large
LIKE = 1.25  # texts that are padded to one length differ by at most this factor


class Span(NamedTuple):
    """A text in a row: its tokens `start` to `end`, its own number, and that of the text it goes on from."""

    start: int
    end: int
    number: int
    after: int | None
    keep: bool  # whether others go on from it

    @property
    def length(self) -> int:
        """Tokens of the text."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Texts:
    """What a model's attention is told of the row that it reads.

    `kept` holds, by a text's number, its layers' keys and values [K, S, D] with those of its past; texts of this row are
    added to it. In the layer `last` only the last token of a text that none follows gets its attention, the others
    zeros: no later layer asks for theirs. `beside`: several texts at a time, padded (on a GPU), or each alone.
    """

    spans: Sequence[Span]
    kept: dict[int, list[tuple[Tensor, Tensor]]]
    last: int
    beside: bool

    def whole(self, span: Span, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """A text's keys and values [K, S, D] with those of its past, kept where others go on from it."""
        own = key[:, span.start : span.end], value[:, span.start : span.end]
        if span.after is not None:
            past = self.kept[span.after][layer]
            own = torch.cat([past[0], own[0]], 1), torch.cat([past[1], own[1]], 1)
        if span.keep:
            self.kept.setdefault(span.number, []).append(own)
        return own


def attention_of_texts(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: None,
    scaling: float,
    softcap: float | None = None,
    texts: Texts | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """query [1, H, N, D] over key and value [1, K, N, D], H a multiple of K, as [1, N, H, D].

    `softcap` bounds the scores (Gemma 2). TypeError where the model does not hand on `texts`.
    """
    if texts is None:
        raise TypeError("the model does not tell its attention which texts a row holds")
    layer, groups = module.layer_idx, key.shape[1]
    # [K, N, H/K, D]: the heads that share keys are rows of one product.
    queries = query[0].unflatten(0, (groups, -1)).transpose(1, 2).contiguous()
    wholes = [texts.whole(span, layer, key[0], value[0]) for span in texts.spans]
    if layer == texts.last:
        found = _of_ends(queries, wholes, texts.spans, scaling, softcap)
    elif texts.beside and softcap is None:
        found = _beside(queries, wholes, texts.spans, scaling)
    else:
        found = torch.cat(
            [
                part
                for span, (keys, values) in zip(texts.spans, wholes, strict=True)
                for part in _blocks(queries[:, span.start : span.end], keys, values, scaling, softcap)
            ]
        )
    return found.view(1, *found.shape[:1], -1, found.shape[-1]), None


def _blocks(
    queries: Tensor, keys: Tensor, values: Tensor, scaling: float, softcap: float | None
) -> Iterator[Tensor]:
    """The last T of S tokens, queries [K, T, G, D], in blocks that do not look at what is later: [n, K, G, D] each."""
    groups, length, heads, size = queries.shape
    past = keys.shape[1] - length
    keys = keys.transpose(1, 2)
    for start in range(0, length, BLOCK):
        end = min(length, start + BLOCK)
        seen = past + end
        rows = queries[:, start:end].reshape(groups, -1, size)
        scores = _scores(rows, keys[:, :, :seen], scaling, softcap).view(groups, -1, heads, seen)
        scores[..., past + start :] += _later(end - start, scores.dtype, scores.device)
        found = torch.bmm(_weights(scores).view(groups, -1, seen), values[:, :seen])
        yield found.view(groups, end - start, heads, size).transpose(0, 1)


def _scores(rows: Tensor, keys: Tensor, scaling: float, softcap: float | None) -> Tensor:
    """rows [K, R, D] times keys [K, D, S], scaled."""
    scores = torch.baddbmm(rows.new_empty(()), rows, keys, beta=0, alpha=scaling)
    return scores if softcap is None else softcap * torch.tanh(scores / softcap)


def _weights(scores: Tensor) -> Tensor:
    """Softmax, in float32 where gradients are asked for."""
    if torch.is_grad_enabled():
        return torch.softmax(scores, -1, dtype=torch.float32).to(scores.dtype)
    return torch.softmax(scores, -1)


@lru_cache(maxsize=BLOCK)
def _later(length: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """[n, 1, n], to add to scores: minus infinity where the key is later than the query."""
    with torch.inference_mode(False):
        return torch.full((length, length), float("-inf"), dtype=dtype, device=device).triu_(1)[:, None]


def _of_ends(
    queries: Tensor,
    wholes: Sequence[tuple[Tensor, Tensor]],
    spans: Sequence[Span],
    scaling: float,
    softcap: float | None,
) -> Tensor:
    """The last tokens' attention alone, in [N, K, G, D] of zeros."""
    ends = [(span.end - 1, whole) for span, whole in zip(spans, wholes, strict=True) if not span.keep]
    parts = []
    for at, (keys, values) in ends:
        scores = _scores(queries[:, at], keys.transpose(1, 2), scaling, softcap)
        parts.append(torch.bmm(_weights(scores), values))
    found = queries.new_zeros(queries.shape[1], queries.shape[0], *queries.shape[2:])
    if parts:
        places = torch.tensor([end for end, _ in ends], device=queries.device)
        found = found.to(parts[0].dtype).index_copy(0, places, torch.stack(parts))
    return found


def _beside(
    queries: Tensor, wholes: Sequence[tuple[Tensor, Tensor]], spans: Sequence[Span], scaling: float
) -> Tensor:
    """Texts of like length at a time, padded, through torch's fused kernel: [N, K, G, D]."""
    heads = queries.transpose(0, 1)
    found: list[Tensor] = [heads] * len(spans)
    for places in _alike([span.length for span in spans]):
        some = [spans[at] for at in places]
        q = pad_sequence([heads[span.start : span.end] for span in some], True).flatten(2, 3)  # [n, T, H, D]
        k, v = (pad_sequence([wholes[at][side].transpose(0, 1) for at in places], True) for side in (0, 1))
        past = torch.tensor([wholes[at][0].shape[1] - spans[at].length for at in places], device=q.device)
        queried, keyed = (torch.arange(size, device=q.device) for size in (q.shape[1], k.shape[1]))
        seen = keyed <= (past[:, None] + queried)[..., None]  # [n, T, S]; padding of keys lies beyond
        given = functional.scaled_dot_product_attention(
            q.transpose(1, 2),
            k.to(q.dtype).transpose(1, 2),
            v.to(q.dtype).transpose(1, 2),
            attn_mask=seen[:, None],
            scale=scaling,
            enable_gqa=True,
        ).transpose(1, 2)
        for at, span, mine in zip(places, some, given, strict=True):
            found[at] = mine[: span.length].unflatten(1, heads.shape[1:3])
    return torch.cat(found)


def _alike(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Places of texts of like length."""
    group: list[int] = []
    for at in sorted(range(len(lengths)), key=lengths.__getitem__):
        if group and lengths[at] > LIKE * lengths[group[0]] + 8:
            yield group
            group = []
        group.append(at)
    yield group


def _no_mask(*_: Any, **__: Any) -> None:
    """What a token sees follows from its text."""


AttentionInterface.register(NAME, attention_of_texts)
AttentionMaskInterface.register(NAME, _no_mask)
