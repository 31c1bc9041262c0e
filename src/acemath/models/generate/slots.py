"""The key-value cache of continuous batching: a fixed number of slots, each at its own position.

A slot holds one unfinished response. When it finishes, the next prompt takes its slot, so no response waits for the
longest one of its batch. A prompt is read once, however many responses it gets.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface, Cache, DynamicCache
from transformers.cache_utils import DynamicLayer
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

ATTENTION = "acemath_folded_sdpa"
FIRST = 512  # tokens that there is room for after the first prompts
BLOCK = 128  # tokens by which a GPU's attention grows: a graph serves so many steps
CPU_SLOTS, GPU_SLOTS = 512, 2048
SCORES = 1 << 28  # that bounded attention has in memory at a time
SHARE = 0.7  # of a GPU's free memory, for the cache and the logits; the rest is for reading prompts


def folded_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """SDPA for one new token in each row, with the heads that share a key folded into the length of the query.

    query [B, H, 1, D], key and value [B, KV, S, D]. Plain SDPA, which takes longer queries here, would copy every key
    H / KV times. It has no bound on scores (`softcap`, Gemma 2): those are computed here.
    """
    batch, heads, length, width = query.shape
    shared = key.shape[1]
    if kwargs.get("softcap") is not None:
        rows = max(1, SCORES // (heads * length * key.shape[2]))
        found = []
        for at in range(0, batch, rows):
            q, k, v = (side[at : at + rows] for side in (query, key, value))
            mask = None if attention_mask is None else attention_mask.expand(batch, -1, -1, -1)[at : at + rows]
            found.append(_bounded(q, k, v, mask, kwargs["scaling"], kwargs["softcap"]))
        return torch.cat(found), None
    if length != 1 or heads == shared:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)
    folded = query.view(batch, shared, heads // shared, width)  # [B, KV, H / KV, D]
    out = torch.nn.functional.scaled_dot_product_attention(
        folded, key, value, attn_mask=attention_mask, scale=kwargs.get("scaling")
    )
    return out.reshape(batch, 1, heads, width), None


def _bounded(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scaling: float, softcap: float
) -> Tensor:
    """Causal attention [B, T, H, D] with scores between -softcap and softcap, as transformers' eager attention computes it.

    query [B, H, T, D], key and value [B, KV, S, D]; mask [B, 1, T, S], True or 0 where a key is seen.
    """
    batch, heads, length, width = query.shape
    grouped = query.reshape(batch, key.shape[1], -1, width)  # [B, KV, H / KV · T, D]
    scores = (grouped @ key.transpose(2, 3) * scaling).view(batch, heads, length, -1)
    scores = softcap * torch.tanh(scores / softcap)
    if mask is None:
        mask = torch.ones(scores.shape[2:], dtype=torch.bool, device=scores.device).tril(scores.shape[3] - length)
    scores = scores.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else scores + mask
    weights = torch.softmax(scores, -1, dtype=torch.float32).to(query.dtype)
    found = weights.view(batch, key.shape[1], -1, scores.shape[3]) @ value
    return found.view(batch, heads, length, -1).transpose(1, 2)


AttentionInterface.register(ATTENTION, folded_attention)
AttentionMaskInterface.register(ATTENTION, sdpa_mask)


class SlotLayer(DynamicLayer):  # type: ignore[misc]
    """The keys and values of one layer [slots, KV, room, D], filled up to each slot's own length."""

    def __init__(self, owner: SlotCache) -> None:
        super().__init__()
        self.owner = owner

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Write a new key and value [B, KV, 1, D] into each slot; return all up to the longest slot."""
        owner = self.owner
        self.keys[owner.rows, :, owner.lengths] = key_states[:, :, 0]
        self.values[owner.rows, :, owner.lengths] = value_states[:, :, 0]
        return self.keys[:, :, : owner.reach], self.values[:, :, : owner.reach]


class SlotCache(Cache):  # type: ignore[misc]
    """The keys and values of `slots` unfinished responses, of at most `room` tokens with their prompts.

    Slot i holds `lengths[i]` tokens; the next one is written at that index. Memory grows with the longest slot, so a limit
    of many thousand tokens costs nothing until a response reaches them.
    """

    def __init__(self, slots: int, room: int, device: torch.device, block: int = 1) -> None:
        """Attention reaches over a multiple of `block` tokens."""
        self.rows = torch.arange(slots, device=device)
        self.lengths = torch.zeros_like(self.rows)
        self.reach = 0
        self.block = block
        self.room = self._blocks(room)
        super().__init__(layers=[])

    @property
    def size(self) -> tuple[int, int]:
        """The number of slots, and the tokens that each has room for at present."""
        return len(self.rows), self.layers[0].keys.shape[2] if self.layers else 0

    def admit(self, prefilled: DynamicCache, sources: Tensor, slots: Tensor) -> None:
        """Copy prompts into slots: row `sources[j]` of `prefilled` into slot `slots[j]`, with its padding."""
        if not self.layers:
            for layer in prefilled.layers:
                _, shared, _, width = layer.keys.shape
                mine = SlotLayer(self)
                mine.keys = layer.keys.new_zeros(len(self.rows), shared, 0, width)
                mine.values = layer.values.new_zeros(len(self.rows), shared, 0, layer.values.shape[3])
                mine.is_initialized = True
                self.layers.append(mine)
        self._reserve(prefilled.layers[0].keys.shape[2])
        for mine, layer in zip(self.layers, prefilled.layers, strict=True):
            length = layer.keys.shape[2]
            mine.keys[slots, :, :length] = layer.keys[sources]
            mine.values[slots, :, :length] = layer.values[sources]

    def _blocks(self, tokens: int) -> int:
        return -(-tokens // self.block) * self.block

    def _reserve(self, tokens: int) -> None:
        """Make room for so many tokens in each slot: twice as many as before, or `FIRST` more than the first prompts have."""
        for layer in self.layers:
            have = layer.keys.shape[2]
            if have < tokens:
                size = min(self.room, self._blocks(max(tokens, 2 * have) if have else tokens + FIRST))
                layer.keys, layer.values = _wider(layer.keys, size), _wider(layer.values, size)

    def shrink(self, keep: Tensor) -> None:
        """Keep only these slots: near the end, when no prompt is left to fill the others."""
        for layer in self.layers:
            layer.keys, layer.values = layer.keys[keep], layer.values[keep]
        self.lengths = self.lengths[keep]
        self.rows = torch.arange(len(keep), device=keep.device)

    def attend(self, tokens: int) -> None:
        """Make room for so many tokens, and let attention reach over them: the longest slot with its next token."""
        self.reach = self._blocks(tokens)
        self._reserve(self.reach)

    def mask(self, window: int | None = None) -> Tensor:
        """What is added to the scores of each slot's next token [B, 1, 1, reach]: 0 for the keys that it sees, else -inf.

        It sees those up to itself, at most `window` of them.
        """
        keys, last = torch.arange(self.reach, device=self.rows.device), self.lengths[:, None]
        hidden = keys > last
        if window is not None:
            hidden |= keys <= last - window
        bias = torch.zeros(hidden.shape, dtype=self.layers[0].keys.dtype, device=hidden.device)
        return bias.masked_fill_(hidden, -torch.inf)[:, None, None, :]


def most_slots(model: Any, room: int) -> int:
    """The number of slots that suits the device: on a GPU, so many of `room` tokens as fit into its free memory."""
    if model.device.type != "cuda":
        return CPU_SLOTS
    config = model.config.get_text_config()
    heads = config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // heads
    keys = getattr(config, "num_key_value_heads", None) or heads
    cached = 2 * config.num_hidden_layers * keys * width * model.dtype.itemsize  # bytes a token
    drawn = 20 * config.vocab_size  # bytes a slot: logits in the model's type, and four times in float32
    free = torch.cuda.mem_get_info()[0] + torch.cuda.memory_reserved() - torch.cuda.memory_allocated()
    return max(1, min(GPU_SLOTS, int(SHARE * free) // (cached * room + drawn)))


def _wider(old: Tensor, size: int) -> Tensor:
    """A tensor [slots, KV, size, D] that begins with the old one [slots, KV, S, D]."""
    found = old.new_zeros(*old.shape[:2], size, old.shape[3])
    found[:, :, : old.shape[2]] = old
    return found
