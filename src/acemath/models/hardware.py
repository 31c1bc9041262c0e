"""What suits this machine: the device, the precision, the attention implementation, the size of a forward pass."""

from __future__ import annotations

import atexit
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import torch
from accelerate import PartialState

from acemath.errors import UserError

# On CPUs, plain attention trains 25 to 35 % faster than the fused kernel on rows of up to about this many tokens, whose
# scores still fit into the cache (measured on 256 to 530 tokens, 4 heads, bfloat16).
PLAIN_ATTENTION_TOKENS = 640
SCORES_BYTES = 16 << 20  # of attention scores in float32, for one layer in one pass


def device() -> torch.device:
    """The first GPU, or the CPU if there is none."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def lacks_memory(error: BaseException) -> bool:
    """Whether an error means that the device has too little memory. For a CPU PyTorch has no class of its own."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


@contextmanager
def memory_for(what: str, fix: str) -> Iterator[None]:
    """Turn a lack of memory into a UserError that says for what, and the fix."""
    try:
        yield
    except RuntimeError as error:
        if not lacks_memory(error):
            raise
        raise UserError(f"the memory of {device()} is too small for {what}; {fix}") from error


def processes() -> PartialState:
    """The processes that share this work, on GPUs, or on CPUs over gloo.

    `cpu` must be set without a GPU: otherwise accelerate sees a single process.
    """
    return PartialState(cpu=device().type == "cpu")


def has_bf16() -> bool:
    """Whether the hardware computes in bfloat16. Emulated bfloat16 is slower than float32."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    found = dict(torch.cpu.get_capabilities())
    return any(found.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16"))


def pass_dtype(bf16: bool) -> torch.dtype:
    """What training computes in: bfloat16 if it is wanted and the hardware has it."""
    return torch.bfloat16 if bf16 and has_bf16() else torch.float32


def attention(where: torch.device, tokens: int) -> str:
    """The attention implementation, by its name in transformers, for padded rows of `tokens` tokens."""
    if where.type != "cpu":
        return "sdpa"
    return "eager" if tokens <= PLAIN_ATTENTION_TOKENS else "sdpa"


def pass_tokens(where: torch.device) -> int:
    """The number of tokens in a forward pass that keeps the device busy.

    Measured on a CPU with 45 million parameters: 2,048 tokens scored 5 to 20 % faster than 1,024 or 1,536, and as fast
    as 3,072.
    """
    return 2_048 if where.type == "cpu" else 16_384


def rows_a_pass(where: torch.device, width: int, heads: int, wanted: int) -> int:
    """The number of rows of `width` tokens in one pass, at most `wanted`.

    On CPUs the attention scores of a pass should stay in the cache. Measured with 45 million parameters, 8 heads and
    rows of 640 tokens, one row in a pass trains 28 % faster than two, and twice as fast as four.
    """
    if where.type != "cpu":
        return wanted
    return max(1, min(wanted, SCORES_BYTES // (heads * width * width * 4)))


@cache
def leave_group_at_exit() -> None:
    """Destroy the process group before the interpreter ends: gloo threads that outlive it abort the process."""
    atexit.register(_leave_group)


def meet() -> None:
    """Wait until every process has reached this point. A single process returns at once.

    Gloo runs its usual barrier in a thread of its own. That thread still holds the tensors gathered last and frees them
    after the barrier; if the interpreter ends by then, the process aborts. The monitored barrier runs in this thread.
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
    """Whether this process belongs to a process group: several processes share the work."""
    return torch.distributed.is_available() and torch.distributed.is_initialized()
