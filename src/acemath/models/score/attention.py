"""Attention among texts that lie one after another in a row of tokens, without a mask of the whole row.

A text goes on from at most one earlier text of its row: a response from its prompt, or from an opening that several
responses share. A token sees its own text up to itself, and all of the texts that its text goes on from. Whatever a model
computes token by token then needs no padding; only attention puts texts of similar size side by side. Where their
tokens lie is planned once a row, and every layer gathers them by that plan.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.utils.rnn import pad_sequence
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.flex_attention import flex_attention_forward

from acemath.models.hardware import attention

NAME = "acemath_texts"
FLEX = "flex_attention"  # transformers' FlexAttention
WASTE = 1.25  # texts side by side, padded, have at most this many times the scores that they need
SPARE = 1 << 15  # scores a head that may be wasted on top: a call for a few texts costs as much as these
SCORES = 1 << 17  # scores a head of one call on a processor; larger calls were no faster


class Span(NamedTuple):
    """A text's tokens, `start` to `end` in its row, and the place among the row's spans of the text it goes on from."""

    start: int
    end: int
    after: int | None


class Text(NamedTuple):
    """Places in the row of a text's queries [T], and of the keys [S] that its last token sees."""

    queries: Tensor
    keys: Tensor


class Group(NamedTuple):
    """Texts side by side: places of their queries [n, T] and keys [n, S], and a bias for their scores [n, T, S]."""

    queries: Tensor
    keys: Tensor
    bias: Tensor


class Plan(NamedTuple):
    """The groups of a row, and each token's place among the groups' queries [N]."""

    groups: list[Group]
    order: Tensor


def plan_row(spans: Sequence[Span], dtype: torch.dtype, device: torch.device) -> Plan:
    """The plan of a row whose texts lie one after another."""
    texts: list[Text] = []
    for span in spans:
        own = torch.arange(span.start, span.end)
        texts.append(Text(own, own if span.after is None else torch.cat([texts[span.after].keys, own])))
    together = list(_alike(texts, SCORES if device.type == "cpu" else 1 << 62))
    return Plan(
        [_beside(group, dtype, device) for group in together], _order(together, spans[-1].end).to(device)
    )


def _alike(texts: Sequence[Text], most: int) -> Iterator[list[Text]]:
    """Texts of similar size together, with little padding and at most `most` scores a head."""
    group: list[Text] = []
    longest = needed = 0
    for text in sorted(texts, key=lambda t: (len(t.queries), len(t.keys))):
        longest = max(longest, len(text.keys))
        size = len(text.queries) * longest * (len(group) + 1)
        mine = len(text.queries) * len(text.keys)
        if group and (size > SPARE + WASTE * (needed + mine) or size > most):
            yield group
            group, longest, needed = [], len(text.keys), 0
        group.append(text)
        needed += mine
    yield group


def _beside(texts: Sequence[Text], dtype: torch.dtype, device: torch.device) -> Group:
    """Texts as a group. Padded queries and keys point to token 0; only padded queries see padded keys."""
    queries = pad_sequence([text.queries for text in texts], True)
    keys = pad_sequence([text.keys for text in texts], True)
    before = torch.tensor([len(text.keys) - len(text.queries) for text in texts])
    last = before[:, None] + torch.arange(queries.shape[1])  # the last key that each query sees
    hidden = torch.arange(keys.shape[1]) > last[..., None]
    bias = torch.zeros(hidden.shape, dtype=dtype).masked_fill_(hidden, float("-inf"))
    return Group(queries.to(device), keys.to(device), bias.to(device))


def _order(together: Sequence[Sequence[Text]], length: int) -> Tensor:
    """For each token of a row, its place among the padded queries of all groups."""
    order = torch.empty(length, dtype=torch.long)
    at = 0
    for texts in together:
        width = len(texts[-1].queries)
        for text in texts:
            order[text.queries] = torch.arange(at, at + len(text.queries))
            at += width
    return order


def attention_of_texts(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: None,
    scaling: float,
    softcap: float | None = None,
    texts: Plan | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """query [1, H, N, D] over key and value [1, K, N, D], H a multiple of K, as [1, N, H, D].

    `softcap` bounds the scores (Gemma 2). TypeError where the model does not hand on `texts`.
    """
    if texts is None:
        raise TypeError("the model does not tell its attention which texts a row holds")
    # [N, heads, D]. Under autocast rotation leaves queries and keys in float32; the products are in the values' type.
    queries, keys, values = (side[0].transpose(0, 1).to(value.dtype) for side in (query, key, value))
    found = [_attend(group, queries, keys, values, scaling, softcap) for group in texts.groups]
    return _rows(torch.cat(found), texts.order).view(1, *queries.shape), None


def _attend(
    group: Group, queries: Tensor, keys: Tensor, values: Tensor, scaling: float, softcap: float | None
) -> Tensor:
    """A group's attention [n · T, H · D], from queries [N, H, D] and keys and values [N, K, D]."""
    (n, length), heads, size = group.queries.shape, keys.shape[1], keys.shape[2]
    # [n, K, T, H/K · D], [n, K, S, D]: the heads that share keys are rows of one product.
    q = _by_head(queries.reshape(len(queries) * heads, -1), group.queries, heads)
    k, v = (_by_head(side.reshape(-1, size), group.keys, heads) for side in (keys, values))
    bias = group.bias.to(q.dtype)
    fused = softcap is None and attention(q.device, group.keys.shape[1]) == "sdpa"
    found = _fused(q, k, v, bias, scaling) if fused else _plain(q, k, v, bias, scaling, softcap)
    return found.reshape(n * length, -1)


def _plain(q: Tensor, k: Tensor, v: Tensor, bias: Tensor, scaling: float, softcap: float | None) -> Tensor:
    """q [n, K, T, G · D] over k and v [n, K, S, D] with a bias [n, T, S]: [n, T, K, G · D]."""
    n, heads, length, _ = q.shape
    rows = q.view(n * heads, -1, k.shape[3])
    k, v = k.flatten(0, 1), v.flatten(0, 1)
    scores = torch.baddbmm(rows.new_empty(()), rows, k.transpose(1, 2), beta=0, alpha=scaling)
    if softcap is not None:
        scores = softcap * torch.tanh(scores / softcap)
    scores.view(n, heads, length, -1, k.shape[1]).add_(bias[:, None, :, None])
    # In float32 where gradients are asked for, as transformers' plain attention does.
    exact = torch.float32 if torch.is_grad_enabled() else None
    weights = torch.softmax(scores, -1, dtype=exact).to(scores.dtype)
    return torch.bmm(weights, v).view(n, heads, length, -1).transpose(1, 2)


def _fused(q: Tensor, k: Tensor, v: Tensor, bias: Tensor, scaling: float) -> Tensor:
    """The same through torch's fused kernel: no scores in memory."""
    n, heads, length, _ = q.shape
    q = q.reshape(
        n, heads, -1, k.shape[3]
    )  # [n, K, T · G, D]: under a mask no kernel shares keys among heads
    bias = bias.repeat_interleave(q.shape[2] // length, 1)[:, None]
    found = functional.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=scaling)
    return found.reshape(n, heads, length, -1).transpose(1, 2)


def _by_head(rows: Tensor, places: Tensor, heads: int) -> Tensor:
    """Rows [N · heads, D] of tokens and their heads, at places [n, T]: [n, heads, T, D]."""
    at = places.to(rows.device)[:, None] * heads + torch.arange(heads, device=rows.device)[:, None]
    return _rows(rows, at)


def _rows(rows: Tensor, places: Tensor) -> Tensor:
    """rows[places], with a backward pass that always adds in the same order; that of plain indexing depends on threads."""
    return functional.embedding(places.to(rows.device), rows)


@contextmanager
def varied_shapes() -> Iterator[None]:
    """Within: torch's fused attention through kernels that take any shape; cuDNN's makes a plan for each new one."""
    with sdpa_kernel([SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]):
        yield


def _no_mask(*_: Any, **__: Any) -> None:
    """What a token sees follows from its text."""


def flex_in_one_type(module: Any, query: Tensor, key: Tensor, *given: Any, **options: Any) -> Any:
    """transformers' FlexAttention with queries and keys in the values' type.

    Under autocast rotation leaves these two in float32, and the kernel's matrix products would be in float32 too.
    """
    value = given[0] if given else options["value"]
    return flex_attention_forward(module, query.to(value.dtype), key.to(value.dtype), *given, **options)


AttentionInterface.register(FLEX, flex_in_one_type)
AttentionInterface.register(NAME, attention_of_texts)
AttentionMaskInterface.register(NAME, _no_mask)
