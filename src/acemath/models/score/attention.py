"""Attention among texts that lie behind one another in one row, without a mask of the row and next to no padding.

A text goes on from at most one earlier text, whose tokens and whose past are its own past: a response from its prompt, or
both from an opening that several share. The earlier one stands in the same row, or was read before and kept its keys
and values. What a model computes token by token then has no padding. Attention takes parts of texts, those of like size
beside one another; where their tokens lie is planned once a row, and every layer gathers by that plan.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.utils.rnn import pad_sequence
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.flex_attention import flex_attention_forward

NAME = "acemath_texts"
FLEX = "flex_attention"  # transformers' FlexAttention
BLOCK = 128  # queries of a part: none looks at keys behind its block
WASTE = 1.25  # parts beside one another, padded, hold at most so many times their own scores
# And so many more, for a call for a few scores costs as much as these: without them 3 million parameters took 1.4 times as
# long to score. A group on a processor has at most SCORES a head; with more it was no faster (two cores, bfloat16).
SPARE = 1 << 15
SCORES = 1 << 17

Kept = dict[int, list[tuple[Tensor, Tensor]]]  # by a text's number, layer by layer: keys and values [S, K, D]


class Span(NamedTuple):
    """A text in a row: its tokens `start` to `end`, its own number, and that of the text it goes on from."""

    start: int
    end: int
    number: int
    after: int | None
    followers: int  # texts that go on from it, in this row or later ones


class Part(NamedTuple):
    """Places of a text's queries [T] and of the keys [S] that the last of them sees; each before it sees one fewer."""

    queries: Tensor
    keys: Tensor

    @property
    def size(self) -> int:
        """Scores that it takes, a head."""
        return len(self.queries) * len(self.keys)


class Group(NamedTuple):
    """Parts beside one another: places of queries [n, T] and of keys [n, S], and what to add to scores [n, T, C].

    That is for the last C keys: those before are seen by all queries.
    """

    queries: Tensor
    keys: Tensor
    hidden: Tensor


@dataclass(frozen=True, slots=True)
class Plan:
    """Where a row's attention finds what it looks at.

    Keys are places among the row's tokens and, behind those, the tokens of the texts `sources`, which were read before.
    `order` [N] is each token's place among the groups' queries. The layer `last` takes the groups `ends` in their place:
    the last tokens of texts without followers. The others get zeros there, for no later layer asks for theirs.
    `keep` are the texts whose keys and values later rows need, and their places [S].
    """

    groups: Sequence[Group]
    order: Tensor
    ends: Sequence[Group]
    last: int
    sources: Sequence[int]
    keep: Sequence[tuple[int, Tensor]]
    kept: Kept


def plan_row(spans: Sequence[Span], kept: Kept, last: int, dtype: torch.dtype, device: torch.device) -> Plan:
    """The plan of a row of `dtype` on `device`; `kept` holds what was read before, and gets what is to be kept."""
    sources = list(dict.fromkeys(span.after for span in spans if span.after in kept))
    # By a text's number, its tokens' places behind its past's.
    places: dict[int | None, Tensor] = {None: torch.arange(0)}
    size = spans[-1].end
    for number in sources:
        length = len(kept[number][0][0])
        places[number] = torch.arange(size, size + length)
        size += length
    later = {span.number: span.followers for span in spans}  # followers in later rows
    parts: list[Part] = []
    ends: list[Part] = []
    for span in spans:
        own = torch.arange(span.start, span.end)
        past = len(places[span.after])
        mine = places[span.number] = torch.cat([places[span.after], own])
        parts += (Part(own[at : at + BLOCK], mine[: past + at + BLOCK]) for at in range(0, len(own), BLOCK))
        if not span.followers:
            ends.append(Part(own[-1:], mine))
        if span.after in later:
            later[span.after] -= 1
    most = SCORES if device.type == "cpu" else 1 << 62
    together = list(_alike(parts, most))
    return Plan(
        groups=[_beside(some, dtype, device) for some in together],
        order=_order(together, spans[-1].end).to(device),
        ends=[_beside(some, dtype, device) for some in _alike(ends, most)],
        last=last,
        sources=sources,
        keep=[(number, places[number].to(device)) for number, left in later.items() if left],
        kept=kept,
    )


def _alike(parts: Sequence[Part], most: int) -> Iterator[list[Part]]:
    """Parts of like size together: padded, they waste little, and have at most so many scores a head."""
    group: list[Part] = []
    longest = own = 0
    for part in sorted(parts, key=lambda p: (len(p.queries), len(p.keys))):
        longest = max(longest, len(part.keys))
        size = len(part.queries) * longest * (len(group) + 1)
        if group and (size > SPARE + WASTE * (own + part.size) or size > most):
            yield group
            group, longest, own = [], len(part.keys), 0
        group.append(part)
        own += part.size
    if group:
        yield group


def _beside(parts: Sequence[Part], dtype: torch.dtype, device: torch.device) -> Group:
    """Parts as a group; padding looks like queries of place 0, and as keys it is hidden from all but padding."""
    queries = pad_sequence([part.queries for part in parts], True)
    keys = pad_sequence([part.keys for part in parts], True)
    past = torch.tensor([len(part.keys) - len(part.queries) for part in parts])
    seen = past[:, None] + torch.arange(queries.shape[1])
    hidden = torch.arange(int(past.min()) + 1, keys.shape[1]) > seen[..., None]
    bias = torch.zeros(hidden.shape, dtype=dtype).masked_fill_(hidden, float("-inf"))
    return Group(queries.to(device), keys.to(device), bias.to(device))


def _order(together: Sequence[Sequence[Part]], length: int) -> Tensor:
    """For each token of a row, its place among the padded queries of all groups."""
    order = torch.empty(length, dtype=torch.long)
    at = 0
    for parts in together:
        width = max(len(part.queries) for part in parts)
        for part in parts:
            order[part.queries] = torch.arange(at, at + len(part.queries))
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
    layer = module.layer_idx
    queries, keys, values = (side[0].transpose(0, 1) for side in (query, key, value))  # [N, heads, D]
    if texts.sources:
        keys, values = (
            torch.cat([own, *(texts.kept[number][layer][side] for number in texts.sources)])
            for side, own in enumerate((keys, values))
        )
    for number, places in texts.keep:
        texts.kept.setdefault(number, []).append((keys[places], values[places]))
    groups = texts.ends if layer == texts.last else texts.groups
    found = [_attend(group, queries, keys, values, scaling, softcap) for group in groups]
    if layer != texts.last:
        return _rows(torch.cat(found), texts.order).view(1, *queries.shape), None
    whole = queries.new_zeros(len(queries), queries[0].numel())
    if found:
        given = torch.cat(found)
        places = torch.cat([group.queries[:, 0] for group in groups])
        whole = whole.to(given.dtype).index_copy(0, places.to(whole.device), given)
    return whole.view(1, *queries.shape), None


def _attend(
    group: Group, queries: Tensor, keys: Tensor, values: Tensor, scaling: float, softcap: float | None
) -> Tensor:
    """A group's attention [n · T, H · D], from queries [N, H, D] and keys and values [M, K, D]."""
    (n, length), heads, size = group.queries.shape, keys.shape[1], keys.shape[2]
    # [n, K, T, H/K · D], [n, K, S, D]: the heads that share keys are rows of one product.
    q = _by_head(queries.reshape(len(queries) * heads, -1), group.queries, heads)
    k, v = (_by_head(side.reshape(-1, size), group.keys, heads) for side in (keys, values))
    hidden = group.hidden.to(q.device, q.dtype)
    fused = q.is_cuda and softcap is None
    found = _fused(q, k, v, hidden, scaling) if fused else _plain(q, k, v, hidden, scaling, softcap)
    return found.reshape(n * length, -1)


def _plain(q: Tensor, k: Tensor, v: Tensor, hidden: Tensor, scaling: float, softcap: float | None) -> Tensor:
    """q [n, K, T, G · D] over k and v [n, K, S, D], `hidden` [n, T, C] added to the last scores: [n, T, K, G · D]."""
    n, heads, length, _ = q.shape
    rows = q.view(n * heads, -1, k.shape[3])
    k, v = k.flatten(0, 1), v.flatten(0, 1)
    scores = torch.baddbmm(rows.new_empty(()), rows, k.transpose(1, 2), beta=0, alpha=scaling)
    if softcap is not None:
        scores = softcap * torch.tanh(scores / softcap)
    seen = k.shape[1] - hidden.shape[2]  # keys that no query misses
    scores.view(n, heads, length, -1, k.shape[1])[..., seen:].add_(hidden[:, None, :, None])
    # In float32 where gradients are asked for, as transformers' plain attention does.
    exact = torch.float32 if torch.is_grad_enabled() else None
    weights = torch.softmax(scores, -1, dtype=exact).to(scores.dtype)
    return torch.bmm(weights, v).view(n, heads, length, -1).transpose(1, 2)


def _fused(q: Tensor, k: Tensor, v: Tensor, hidden: Tensor, scaling: float) -> Tensor:
    """The same through torch's fused kernel, which a GPU does best: no scores in memory."""
    n, heads, length, _ = q.shape
    q = q.reshape(n, heads, -1, k.shape[3])  # [n, K, T · G, D]: under a mask no kernel shares keys among heads
    hidden = functional.pad(hidden, (k.shape[2] - hidden.shape[2], 0))
    hidden = hidden.repeat_interleave(q.shape[2] // length, 1)[:, None]
    found = functional.scaled_dot_product_attention(
        q, k.to(q.dtype), v.to(q.dtype), attn_mask=hidden, scale=scaling
    )
    return found.reshape(n, heads, length, -1).transpose(1, 2)


def _by_head(rows: Tensor, places: Tensor, heads: int) -> Tensor:
    """Rows [N · heads, D] of tokens and their heads, at places [n, T]: [n, heads, T, D]."""
    at = places.to(rows.device)[:, None] * heads + torch.arange(heads, device=rows.device)[:, None]
    return _rows(rows, at)


def _rows(rows: Tensor, places: Tensor) -> Tensor:
    """rows[places]. The backward pass of plain indexing adds up in an order that threads decide, this one in the places'."""
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
