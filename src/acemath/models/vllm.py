"""Starting vLLM's engine and shutting it down, for responses and rewards alike.

The engine is a process of its own, with a worker for each GPU. `stop` ends them, so that the next model finds the memory
free. What was not stopped is stopped when the interpreter ends, before anything that the engine needs is gone. If this
process is killed, the engine ends by itself, and vLLM's workers end with their engine.

vLLM's build for CPUs is for tests and small models. It cannot rewind a seeded random number generator (`CPU Generator does
not use offset`), which it does if only a part of a prompt fits into a step. So on a CPU each prompt is read in one step.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import re
import signal
import threading
import time
import weakref
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from multiprocessing import parent_process
from typing import Any

from acemath.errors import UserError, needing
from acemath.models.engine import free_memory
from acemath.models.hardware import device, in_group
from acemath.models.hub import model_file
from acemath.notices import say

# Standard output belongs to results, the user's set-up is reported to nobody, and no port is open to other machines.
_ENVIRONMENT = {
    "VLLM_LOGGING_STREAM": "ext://sys.stderr",
    "VLLM_LOGGING_LEVEL": "WARNING",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_HOST_IP": "127.0.0.1",
}
CPU_CACHE = "VLLM_CPU_KVCACHE_SPACE"  # vLLM's variable for the gigabytes of keys and values on a CPU
CPU_GIGABYTES = 2  # by default; vLLM's own default is most of the machine's memory
PATIENCE = 60.0  # seconds for an engine to end by itself, before it is killed
LOOK = 0.5  # seconds between two looks of an engine at the process that started it
_running: weakref.WeakSet[Any] = weakref.WeakSet()
_theirs: list[Any] = []  # vLLM's own function for an engine's process, once `_watched` has replaced it


def start(model: str, what: str, **options: Any) -> Any:
    """vLLM's `LLM` of a folder or hub name, with these options of its. `what` is the thing that needs vLLM.

    MissingExtra without vLLM. UserError if vLLM refuses the model or an option, or lacks memory.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    with needing(what):
        from vllm import LLM
    _watched()
    free_memory()  # the engine is another process, which finds only what this one gives back
    try:
        found = LLM(model=model, **_for_cpu() | options)
    except (ValueError, RuntimeError, OSError) as error:
        raise UserError(
            f"vLLM cannot start with model {model!r} ({_why(error)}); correct its settings (where memory is short: a higher "
            "memory_share or tensor_parallel, or a shorter max_length), or use the engine transformers"
        ) from error
    _stop_at_exit()
    _running.add(found)
    return found


def stop(llm: Any) -> None:
    """End an engine's processes and free its memory. A second call does nothing."""
    if llm not in _running:
        return
    _running.discard(llm)
    core = llm.llm_engine.engine_core
    inside = hasattr(core, "engine_core")  # with VLLM_ENABLE_V1_MULTIPROCESSING=0 it runs in this process
    core.shutdown(timeout=PATIENCE)
    if inside and in_group():
        from vllm.distributed import cleanup_dist_env_and_memory

        cleanup_dist_env_and_memory()  # gloo threads that outlive the interpreter abort the process
    gc.collect()


@cache
def _watched() -> None:
    """Have vLLM run `run_engine` in each engine's process. A notice if this version of vLLM starts them in another way."""
    try:
        from vllm.v1.engine.core import EngineCoreProc

        _theirs.append(EngineCoreProc.run_engine_core)
    except (ImportError, AttributeError):
        say("this version of vLLM is not known: if acemath is killed, end the processes called VLLM by hand")
        return
    EngineCoreProc.run_engine_core = staticmethod(run_engine)


def run_engine(*arguments: Any, **options: Any) -> None:
    """What an engine's process runs: vLLM's function, beside a thread that ends the process once its parent is gone.

    A forked process has the parent's `_theirs`; a spawned one imports this module anew.
    """
    from vllm.v1.engine.core import EngineCoreProc

    if (parent := parent_process()) is not None and parent.pid is not None:
        threading.Thread(target=_end_after, args=(parent.pid,), daemon=True).start()
    (_theirs or [EngineCoreProc.run_engine_core])[0](*arguments, **options)


def _end_after(parent: int) -> None:
    """End this process, with no chance to hang, once it has another parent than this one."""
    while os.getppid() == parent:
        time.sleep(LOOK)
    os.kill(os.getpid(), signal.SIGKILL)


@cache
def _stop_at_exit() -> None:
    # Registered after vLLM's own hooks, so it runs before them.
    atexit.register(_stop_all)


def _stop_all() -> None:
    for llm in list(_running):
        stop(llm)


def _for_cpu() -> dict[str, Any]:
    """The options that vLLM's build for CPUs needs; none on a GPU."""
    if device().type != "cpu":
        return {}
    os.environ.setdefault(CPU_CACHE, str(CPU_GIGABYTES))
    return {"enforce_eager": True, "enable_chunked_prefill": False}  # compiling takes minutes


def config_of(model: str) -> dict[str, Any]:
    """A model's config.json; empty if it has none."""
    file = model_file(model, "config.json", fetch=True)
    return {} if file is None else dict(json.loads(file.read_text()))


def cpu_build() -> str:
    """The version of vLLM's build for CPUs if that is what is installed, as vLLM itself finds out; "" otherwise."""
    for name in ("vllm-cpu", "vllm"):
        with suppress(PackageNotFoundError):
            found = version(name)
            return found if name == "vllm-cpu" or "cpu" in found else ""
    return ""


def fitting(model: str, length: int) -> int:
    """`length`, or the number of positions that the model has if that is lower; vLLM refuses a greater length.

    Models whose positions are scaled are left to vLLM.
    """
    config = config_of(model)
    scaling = config.get("rope_scaling") or config.get("rope_parameters") or {}
    positions = config.get("max_position_embeddings")
    return min(length, positions) if isinstance(positions, int) and "factor" not in scaling else length


def _why(error: Exception) -> str:
    """The first sentence of an error that says something; for what failed in vLLM's own process, that its log says more."""
    lines = [line.strip().removeprefix("Value error, ") for line in str(error).splitlines() if line.strip()]
    told = [line for line in lines if "validation error for" not in line]
    first = re.split(r"\.\s+(?=[A-Z])", (told or lines or [type(error).__name__])[0])[0]
    return first + ("; its log above says why" if "See root cause above" in str(error) else "")
