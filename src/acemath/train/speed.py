"""The speed of training: tokens per second, share of padding, and MFU.

MFU (model FLOPs utilisation) is the arithmetic that the model needs for its tokens, without recomputation and padding,
as a share of the device's rate of large matrix products, which is measured here.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import torch

TRIES = 3  # timings of the matrix product; the best counts


def training_flops(model: Any, tokens: int, seen: float) -> float:
    """FLOPs of the forward and backward passes over `tokens` tokens with `seen` query-key pairs in all.

    A token costs 2 FLOPs for each weight of a matrix; embedding lookups are free. A query-key pair costs 4 FLOPs per
    layer and dimension of the heads (score and weighted sum). The backward pass costs twice the forward pass.
    """
    config = model.config.get_text_config()
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    attention = 4 * config.num_hidden_layers * config.num_attention_heads * size * seen
    return 3.0 * (2 * _matrix_weights(model) * tokens + attention)


def seen_alone(lengths: Iterable[int]) -> float:
    """The query-key pairs of causal attention within each text: about half the square of its length."""
    return float(sum(length * (length + 1) / 2 for length in lengths))


def _matrix_weights(model: Any) -> int:
    """The number of weights in matrix products: all except the embeddings, unless these are tied to the output."""
    total = sum(p.numel() for p in model.parameters() if p.dim() > 1)
    table = model.get_input_embeddings().weight
    output = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
    return total if output is not None and output.weight is table else total - table.numel()


@cache
def matmul_rate(device: torch.device, dtype: torch.dtype) -> float:
    """FLOPs per second of a large matrix product on this device, measured once per process."""
    size = 8192 if device.type == "cuda" else 1024
    one = torch.randn(size, size, device=device, dtype=dtype)
    best = float("inf")
    for _ in range(TRIES + 1):  # the first one compiles
        started = _now(device)
        one @ one
        best = min(best, _now(device) - started)
    return 2 * size**3 / best


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


@dataclass(slots=True)
class Meter:
    """Counts the tokens that go through the model between calls of `read_out`.

    `flops` is the mean number of FLOPs per token of the data; `rate` the device's FLOPs per second.
    """

    flops: float
    rate: float
    tokens: int = 0  # without padding
    slots: int = 0  # with padding
    since: float = field(default_factory=time.monotonic)

    def count(self, tokens: int, slots: int) -> None:
        """Add a batch: its tokens without padding, and with it (`slots`)."""
        self.tokens += tokens
        self.slots += slots

    def read_out(self) -> dict[str, float]:
        """This process's tokens per second, share of padding and MFU since the last call, for the log."""
        now = time.monotonic()
        speed = self.tokens / max(1e-9, now - self.since)
        found = {
            "tokens_per_second": round(speed, 1),
            "padding": round(1 - self.tokens / max(1, self.slots), 4),
            "mfu": round(speed * self.flops / self.rate, 4),
        }
        self.tokens, self.slots, self.since = 0, 0, now
        return found
