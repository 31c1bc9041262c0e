"""How fast training is against what the device can do: tokens a second, padding, and MFU.

MFU (model FLOPs utilisation) counts the arithmetic that the model needs for its tokens, not what is computed
again or for padding, and divides by the rate of large matrix products, which is measured here.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import torch

TRIES = 3  # timings of a product; the best of them counts


def training_flops(model: Any, tokens: int, seen: float) -> float:
    """FLOPs of forward and backward (twice as much) over so many tokens, which look at `seen` tokens in all.

    Each weight of a matrix is used once a token, 2 FLOPs; looking a token up is free. Looking at a token is a
    score and a weighted sum over the heads' width, 4 FLOPs a layer.
    """
    config = model.config.get_text_config()
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    attention = 4 * config.num_hidden_layers * config.num_attention_heads * size * seen
    return 3.0 * (2 * _matrix_weights(model) * tokens + attention)


def seen_alone(lengths: Iterable[int]) -> float:
    """How many tokens are looked at where each text sees itself up to each token: half of its square."""
    return float(sum(length * (length + 1) / 2 for length in lengths))


def _matrix_weights(model: Any) -> int:
    """Weights that take part in matrix products: all but the table of the tokens, unless it is tied to the output."""
    total = sum(p.numel() for p in model.parameters() if p.dim() > 1)
    table = model.get_input_embeddings().weight
    output = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
    return total if output is not None and output.weight is table else total - table.numel()


@cache
def matmul_rate(device: torch.device, dtype: torch.dtype) -> float:
    """FLOPs a second of a large matrix product on this device, measured once a process."""
    size = 8192 if device.type == "cuda" else 1024
    one = torch.randn(size, size, device=device, dtype=dtype)
    best = float("inf")
    for _ in range(TRIES + 1):  # the first makes the kernel ready
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
    """Counts what goes through the model since the last `read_out`.

    `flops` is the arithmetic of one token of the whole data set on average, `rate` the device's.
    """

    flops: float
    rate: float
    tokens: int = 0  # without padding
    slots: int = 0  # with it
    since: float = field(default_factory=time.monotonic)

    def count(self, tokens: int, slots: int) -> None:
        """A batch of so many tokens in so many places."""
        self.tokens += tokens
        self.slots += slots

    def read_out(self) -> dict[str, float]:
        """Tokens a second of this process, the share of padding and MFU since the last call, for the log."""
        now = time.monotonic()
        speed = self.tokens / max(1e-9, now - self.since)
        found = {
            "tokens_per_second": round(speed, 1),
            "padding": round(1 - self.tokens / max(1, self.slots), 4),
            "mfu": round(speed * self.flops / self.rate, 4),
        }
        self.tokens, self.slots, self.since = 0, 0, now
        return found
