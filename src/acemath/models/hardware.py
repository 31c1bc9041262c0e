"""What the machine is good at: where to compute, in which precision, with which attention."""

from __future__ import annotations

import atexit
from functools import cache

import torch
from accelerate import PartialState

# On processors plain attention trains 25 to 35 % faster than the fused kernel up to about this many tokens a row
# (measured on 256 to 530 tokens, 4 heads, bfloat16), and its scores still fit into the cache.
PLAIN_ATTENTION_TOKENS = 640
SCORES_BYTES = 16 << 20  # of attention scores in float32, a layer and pass


def device() -> torch.device:
    """The first GPU where there is one, else the processor."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def processes() -> PartialState:
    """The processes that share this work, on GPUs, or on processors over gloo.

    Without being told of processors accelerate sees a single process on a machine that has no GPU.
    """
    return PartialState(cpu=device().type == "cpu")


def has_bf16() -> bool:
    """Whether bfloat16 is computed in hardware here; emulated it is slower than float32."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    found = dict(torch.cpu.get_capabilities())
    return any(found.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16"))


def attention(where: torch.device, tokens: int) -> str:
    """The attention implementation (transformers' name) for padded rows of so many tokens."""
    if where.type != "cpu":
        return "sdpa"
    return "eager" if tokens <= PLAIN_ATTENTION_TOKENS else "sdpa"


def pass_tokens(where: torch.device) -> int:
    """Tokens of one forward pass that keep this device busy.

    Measured on a processor with 45 million parameters: 2,048 scored 5 to 20 % faster than 1,024 or 1,536, 3,072 no faster.
    """
    return 2_048 if where.type == "cpu" else 16_384


def rows_a_pass(where: torch.device, width: int, heads: int, wanted: int) -> int:
    """Rows of `width` tokens for one pass, at most `wanted`.

    On processors the attention scores of a pass should stay in the cache: with 8 heads and rows of 640 tokens
    one row a pass trains 28 % faster than two, and twice as fast as four (measured, 45 million parameters).
    """
    if where.type != "cpu":
        return wanted
    return max(1, min(wanted, SCORES_BYTES // (heads * width * width * 4)))


@cache
def leave_group_at_exit() -> None:
    """End the process group before the interpreter does: gloo's threads that outlive it abort the process."""
    atexit.register(_leave_group)


def meet() -> None:
    """Wait until every process of the work is here, before each goes its way; alone, return at once.

    Gloo's usual barrier runs in a thread of gloo, which keeps the tensors gathered last and lets them go after the
    barrier: if the interpreter is ending by then, the process is aborted. Its monitored barrier runs in this thread.
    """
    if not in_group():
        return
    if torch.distributed.get_backend() == "gloo":
        torch.distributed.monitored_barrier()
    else:
        torch.distributed.barrier()


def _leave_group() -> None:
    if in_group():
        torch.distributed.destroy_process_group()


def in_group() -> bool:
    """Whether a process group is there: several processes share this work."""
    return torch.distributed.is_available() and torch.distributed.is_initialized()
