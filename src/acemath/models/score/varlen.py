"""Attention over texts that lie one after another, through torch's fused kernel for GPUs: no mask and no padding.

The kernel takes the borders of the texts. Where a text has more keys than queries, as a response that continues a
prompt, its queries are the last of its tokens. On a CPU, where torch has no such kernel, each text is computed apart;
checks and tests use that.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import AttentionInterface

from acemath.models.score.attention import DROPOUT, Segment, reaches, take

try:
    from torch.nn.attention import varlen
except ImportError:  # before torch 2.10
    KERNEL: Any = None
else:
    KERNEL = varlen.varlen_attn

VARLEN = "acemath_varlen"  # the name of this attention in transformers' registry
OPTIONS = frozenset(inspect.signature(KERNEL).parameters if KERNEL else ())
LARGEST_HEAD = 256
# Settings of attention that the kernel does not compute: bounded scores (Gemma 2), compressed keys (DeepSeek), dropout.
OTHER_KINDS = ("attn_logit_softcapping", "kv_lora_rank", *DROPOUT)


def fits_varlen(config: Any, where: torch.device, dtype: torch.dtype) -> bool:
    """Whether the kernel computes the attention of a model of this configuration, on this device and in this dtype."""
    config = config.get_text_config()
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return (
        where.type == "cuda"
        and torch.version.hip is None
        and torch.cuda.get_device_capability(where) >= (8, 0)
        and "window_size" in OPTIONS
        and dtype in (torch.bfloat16, torch.float16)
        and size % 8 == 0
        and size <= LARGEST_HEAD
        and not any(getattr(config, kind, None) for kind in OTHER_KINDS)
    )


def borders(positions: Tensor) -> dict[str, Any]:
    """The options of a forward pass over rows [B, T] of texts, by the positions in them, which start at 0 in each text.

    They have the names that transformers passes on to attention.
    """
    starts = (positions.flatten() == 0).nonzero()[:, 0].tolist()
    return _options(starts, starts, positions.numel(), positions.numel())


def varlen_plan(segments: Sequence[Segment], where: torch.device) -> dict[str, Any]:
    """The options of a forward pass over a row of these segments; `seen` [S] are the tokens of all keys."""
    found = [reach.keys for reach in reaches(segments)]
    ends = torch.tensor([len(keys) for keys in found]).cumsum(0).tolist()
    plan = _options([segment.start for segment in segments], [0, *ends[:-1]], segments[-1].end, ends[-1])
    plan["seen"] = torch.cat(found)
    return {name: part.to(where) if isinstance(part, Tensor) else part for name, part in plan.items()}


def _options(queries: Sequence[int], keys: Sequence[int], last_query: int, last_key: int) -> dict[str, Any]:
    """Where the queries and the keys of each text start, and where the last ones end."""
    plan: dict[str, Any] = {}
    for name, starts, end in (("q", queries, last_query), ("k", keys, last_key)):
        edges = torch.tensor([*starts, end], dtype=torch.int32)
        plan[f"cu_seq_lens_{name}"] = edges
        plan[f"max_length_{name}"] = int(edges.diff().max())
    return plan


def varlen_attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: None,
    scaling: float,
    cu_seq_lens_q: Tensor | None = None,
    cu_seq_lens_k: Tensor | None = None,
    max_length_q: int = 0,
    max_length_k: int = 0,
    seen: Tensor | None = None,
    sliding_window: int | None = None,
    dropout: float = 0.0,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """The attention [B, T, H, D] of query [B, H, T, D] over key and value [B, K, T, D]; K divides H.

    `seen` are the tokens whose keys the texts see, all tokens in their order by default. TypeError if the model does not
    pass the borders on to its layers, or wants another kind of attention.
    """
    if cu_seq_lens_q is None or cu_seq_lens_k is None:
        raise TypeError("the model does not pass the borders of texts on to its attention")
    if (
        attention_mask is not None
        or dropout
        or softcap is not None
        or s_aux is not None
        or key.shape != value.shape
    ):
        raise TypeError("the model has a kind of attention that needs more than the borders of texts")
    # [B · T, heads, D]. Under autocast, rotary embedding leaves queries and keys in float32; multiply in the values' type.
    q, k, v = (side.transpose(1, 2).flatten(0, 1).to(value.dtype) for side in (query, key, value))
    if seen is not None:
        both = take(torch.cat([k, v], 1).flatten(1), seen).view(len(seen), -1, v.shape[2])
        k, v = (side.contiguous() for side in both.chunk(2, 1))
    window = -1 if sliding_window is None else sliding_window - 1
    if q.is_cuda:
        grouped = {"enable_gqa": True} if "enable_gqa" in OPTIONS else {}
        found: Tensor = KERNEL(
            q, k, v, cu_seq_lens_q, cu_seq_lens_k, max_length_q, max_length_k,
            scale=scaling, window_size=(window, 0), **grouped,
        )  # fmt: skip
    else:
        found = _text_by_text(q, k, v, cu_seq_lens_q.diff().tolist(), cu_seq_lens_k.diff().tolist(), scaling, window)
    return found.view(query.shape[0], query.shape[2], *found.shape[1:]), None


def _text_by_text(
    q: Tensor, k: Tensor, v: Tensor, queries: list[int], keys: list[int], scaling: float, window: int
) -> Tensor:
    """The attention [N, H, D] of texts with these numbers of queries and keys; a query sees `window` keys before it."""
    found = []
    for one, two, three in zip(q.split(queries), k.split(keys), v.split(keys), strict=True):
        before = len(two) - len(one)
        sees = torch.ones(len(one), len(two), dtype=torch.bool).tril(before)
        if window >= 0:
            sees = sees.triu(before - window)
        q1, k1, v1 = (side.transpose(0, 1)[None] for side in (one, two, three))
        mine = functional.scaled_dot_product_attention(q1, k1, v1, attn_mask=sees, scale=scaling, enable_gqa=True)
        found.append(mine[0].transpose(0, 1))
    return torch.cat(found)


# Without an entry among the masks, transformers makes none.
AttentionInterface.register(VARLEN, varlen_attention)
