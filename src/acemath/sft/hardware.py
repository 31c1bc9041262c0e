"""What the machine is good at: where to compute, in which precision, with which attention."""

from __future__ import annotations

import torch

# On processors plain attention is 25 to 35 % faster than the fused kernel up to about this many tokens a row
# (measured on 256 to 530 tokens, 4 heads, bfloat16), and its scores still fit into the cache.
PLAIN_ATTENTION_TOKENS = 640


def device() -> torch.device:
    """The first GPU where there is one, else the processor."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def has_bf16() -> bool:
    """Whether bfloat16 is computed in hardware here; emulated it is slower than float32."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    found = dict(torch.cpu.get_capabilities())
    return any(found.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16"))


def attention(where: torch.device, tokens: int) -> str:
    """The attention implementation (transformers' name) for rows of so many tokens."""
    return "eager" if where.type == "cpu" and tokens <= PLAIN_ATTENTION_TOKENS else "sdpa"


def pass_tokens(where: torch.device) -> int:
    """Padded tokens of one forward pass that keep this device busy; on processors, within its cache."""
    return 3_072 if where.type == "cpu" else 16_384


def row_tokens(where: torch.device) -> int:
    """Tokens of a row that shares one prompt among several responses, where there is a choice.

    On processors wider rows cost more in attention than they save in prompts (measured: nano, responses of 60).
    """
    return 320 if where.type == "cpu" else 8_192
