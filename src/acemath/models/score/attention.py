"""Attention over segments that are packed into one row of tokens, without a mask over the whole row.

A segment is a run of tokens of the row. It starts a text, or continues an earlier segment, its parent: a response
continues its prompt, or an opening that several responses share. A token attends to its own segment up to itself, and
to all of the parent, the parent's parent, and so on. The rest of a model works token by token, so the row needs no
padding. Only attention gathers segments of similar size into padded batches. What it gathers is planned once for each
row, and every layer follows that plan.
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

from acemath.models.hardware import attention
from acemath.models.layers import active_window

SEGMENTS = "acemath_segments"  # the name of this attention in transformers' registry
DROPOUT = ("attention_dropout", "attn_pdrop")  # settings of a model that our kinds of attention do not compute
# Padding may raise the scores of a batch to WASTE times those needed, and SPARE more: a call for a few scores takes as
# long as one for SPARE of them. All counts of scores are for one head.
WASTE = 1.25
SPARE = 1 << 15
CPU_SCORES = 1 << 17  # the most scores in one batch on a CPU; larger batches were no faster


class Segment(NamedTuple):
    """The tokens from `start` to `end` of a row. `parent` is the number of the segment that they continue."""

    start: int
    end: int
    parent: int | None


class Reach(NamedTuple):
    """Positions in the row of a segment's tokens [T], and of all tokens that its last token sees [S]."""

    queries: Tensor
    keys: Tensor


class Batch(NamedTuple):
    """Padded segments: the positions of their queries [n, T] and keys [n, S], and a bias on the scores [n, T, S]."""

    queries: Tensor
    keys: Tensor
    bias: Tensor


@dataclass(frozen=True, slots=True)
class Plan:
    """The batches of a row, and for each token its index among the padded queries of all batches [N].

    Not a named tuple: transformers' trainer rebuilds tuples from one iterator, which a named one does not accept.
    """

    batches: list[Batch]
    order: Tensor


def plan_row(segments: Sequence[Segment], dtype: torch.dtype, device: torch.device) -> Plan:
    """Plan the attention of a row that consists of these segments, in this order."""
    similar = list(_similar(reaches(segments), CPU_SCORES if device.type == "cpu" else 1 << 62))
    order = _order(similar, segments[-1].end).to(device)
    return Plan([_batch(members, dtype, device) for members in similar], order)


def fits_segments(config: Any, tokens: int) -> bool:
    """Whether this attention may replace a model's own in rows of `tokens` tokens: no dropout, and no shorter window."""
    window = active_window(config)
    dropout = any(getattr(config.get_text_config(), kind, None) for kind in DROPOUT)
    return not dropout and (window is None or window >= tokens)


def text_plan(positions: Tensor, dtype: torch.dtype) -> dict[str, Any]:
    """The options of a forward pass over rows [B, T] of texts, by the positions in them, which start at 0 in each text.

    The rows count as one. Padding is a text of its own.
    """
    starts = (positions.flatten() == 0).nonzero()[:, 0].tolist()
    ends = [*starts[1:], positions.numel()]
    texts = [Segment(start, end, None) for start, end in zip(starts, ends, strict=True)]
    return {"plan": plan_row(texts, dtype, positions.device)}


def reaches(segments: Sequence[Segment]) -> list[Reach]:
    """What each segment of a row sees."""
    found: list[Reach] = []
    for start, end, parent in segments:
        own = torch.arange(start, end)
        found.append(Reach(own, own if parent is None else torch.cat([found[parent].keys, own])))
    return found


def _similar(whole: Sequence[Reach], most: int) -> Iterator[list[Reach]]:
    """Segments of similar size together, with little padding and at most `most` scores."""
    members: list[Reach] = []
    longest = needed = 0
    for reach in sorted(whole, key=lambda r: (len(r.queries), len(r.keys))):
        longest = max(longest, len(reach.keys))
        size = len(reach.queries) * longest * (len(members) + 1)
        mine = len(reach.queries) * len(reach.keys)
        if members and (size > SPARE + WASTE * (needed + mine) or size > most):
            yield members
            members, longest, needed = [], len(reach.keys), 0
        members.append(reach)
        needed += mine
    yield members


def _batch(members: Sequence[Reach], dtype: torch.dtype, device: torch.device) -> Batch:
    """Padding points to token 0 of the row. Only padded queries see padded keys, and nobody reads their result."""
    queries = pad_sequence([member.queries for member in members], True)
    keys = pad_sequence([member.keys for member in members], True)
    before = torch.tensor([len(member.keys) - len(member.queries) for member in members])
    last = before[:, None] + torch.arange(queries.shape[1])  # the last key that each query sees
    hidden = torch.arange(keys.shape[1]) > last[..., None]
    bias = torch.zeros(hidden.shape, dtype=dtype).masked_fill_(hidden, float("-inf"))
    return Batch(queries.to(device), keys.to(device), bias.to(device))


def _order(similar: Sequence[Sequence[Reach]], length: int) -> Tensor:
    """The index of each of the row's `length` tokens among the padded queries of all batches."""
    order = torch.empty(length, dtype=torch.long)
    at = 0
    for members in similar:
        width = len(members[-1].queries)
        for member in members:
            order[member.queries] = torch.arange(at, at + len(member.queries))
            at += width
    return order


def segment_attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: None,
    scaling: float,
    softcap: float | None = None,
    plan: Plan | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """The attention [B, T, H, D] of query [B, H, T, D] over key and value [B, K, T, D]; K divides H.

    The plan is that of all rows one after another. `softcap` bounds the scores (Gemma 2). TypeError if the model does not
    pass `plan` on to its layers.
    """
    if plan is None:
        raise TypeError("the model does not pass the plan of a packed row on to its attention")
    # [B · T, heads, D]. Under autocast, rotary embedding leaves queries and keys in float32; multiply in the values' type.
    queries, keys, values = (side.transpose(1, 2).flatten(0, 1).to(value.dtype) for side in (query, key, value))
    found = [_attend(batch, queries, keys, values, scaling, softcap) for batch in plan.batches]
    return take(torch.cat(found), plan.order).view(query.shape[0], -1, *queries.shape[1:]), None


def _attend(
    batch: Batch, queries: Tensor, keys: Tensor, values: Tensor, scaling: float, softcap: float | None
) -> Tensor:
    """The attention [n · T, H · D] of a batch, from queries [N, H, D] and keys and values [N, K, D]."""
    (n, length), heads, size = batch.queries.shape, keys.shape[1], keys.shape[2]
    # [n, K, T, H/K · D] and [n, K, S, D]: heads that share keys become rows of one matrix product.
    q = _take_heads(queries.reshape(len(queries) * heads, -1), batch.queries, heads)
    k, v = (_take_heads(side.reshape(-1, size), batch.keys, heads) for side in (keys, values))
    bias = batch.bias.to(q.dtype)
    fused = softcap is None and attention(q.device, batch.keys.shape[1]) == "sdpa"
    found = _fused(q, k, v, bias, scaling) if fused else _plain(q, k, v, bias, scaling, softcap)
    return found.reshape(n * length, -1)


def _plain(q: Tensor, k: Tensor, v: Tensor, bias: Tensor, scaling: float, softcap: float | None) -> Tensor:
    """The attention [n, T, K, G · D] of q [n, K, T, G · D] over k and v [n, K, S, D] with a bias [n, T, S]."""
    n, heads, length, _ = q.shape
    rows = q.view(n * heads, -1, k.shape[3])
    k, v = k.flatten(0, 1), v.flatten(0, 1)
    scores = torch.baddbmm(rows.new_empty(()), rows, k.transpose(1, 2), beta=0, alpha=scaling)
    if softcap is not None:
        scores = softcap * torch.tanh(scores / softcap)
    scores.view(n, heads, length, -1, k.shape[1]).add_(bias[:, None, :, None])
    # The kernel computes in float32 and rounds at the end. A softmax in float32 would be kept for the backward pass too.
    weights = torch.softmax(scores, -1)
    return torch.bmm(weights, v).view(n, heads, length, -1).transpose(1, 2)


def _fused(q: Tensor, k: Tensor, v: Tensor, bias: Tensor, scaling: float) -> Tensor:
    """The same as `_plain` through torch's fused kernel, which keeps no scores in memory."""
    n, heads, length, _ = q.shape
    q = q.reshape(n, heads, -1, k.shape[3])  # [n, K, T · G, D]: no kernel takes both a mask and shared keys
    bias = bias.repeat_interleave(q.shape[2] // length, 1)[:, None]
    found = functional.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=scaling)
    return found.reshape(n, heads, length, -1).transpose(1, 2)


def _take_heads(rows: Tensor, positions: Tensor, heads: int) -> Tensor:
    """The rows [n, heads, T, D] at token positions [n, T], from rows [N · heads, D] of each token's heads."""
    at = positions.to(rows.device)[:, None] * heads + torch.arange(heads, device=rows.device)[:, None]
    return take(rows, at)


def take(rows: Tensor, index: Tensor) -> Tensor:
    """rows[index]. Its gradient is always summed in the same order; that of plain indexing depends on threads."""
    return functional.embedding(index.to(rows.device), rows)


@contextmanager
def varied_shapes() -> Iterator[None]:
    """Keep torch's fused attention off cuDNN, which builds a plan for every new shape; its other kernels do not."""
    with sdpa_kernel([SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]):
        yield


def _no_mask(*_: Any, **__: Any) -> None:
    """No mask: the plan says what each token sees."""


AttentionInterface.register(SEGMENTS, segment_attention)
AttentionMaskInterface.register(SEGMENTS, _no_mask)
