"""What this machine has."""

from __future__ import annotations

import os
import platform
import shutil
from importlib import metadata
from pathlib import Path
from typing import Any

from acemath.errors import EXTRAS
from acemath.models.builtin import WEIGHTS

PACKAGES = ("acemath", "numpy", "sympy", "pyarrow", "torch", "transformers", "trl", "accelerate", "datasets", "peft")
GPU_PACKAGES = ("liger_kernel", "vllm")


def examine() -> dict[str, Any]:
    """Versions, cores, memory, accelerators, nano's weights, and the command for each missing extra."""
    found: dict[str, Any] = {"python": platform.python_version(), "cores": len(os.sched_getaffinity(0))}
    found["free disk (GB)"] = round(shutil.disk_usage(Path.cwd()).free / 1e9, 1)
    found["gpus"] = _gpus()
    found["nano"] = (
        str(WEIGHTS) if (WEIGHTS / "model.safetensors").exists() else "missing: acemath pretrain-nano"
    )
    return found | {name: _version(name) for name in (*PACKAGES, *GPU_PACKAGES)}


def _gpus() -> int | str:
    try:
        import torch
    except ModuleNotFoundError:
        return "unknown without torch"
    return torch.cuda.device_count()


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        extra = EXTRAS.get(name)
        return "missing" if extra is None else f"missing: pip install 'acemath[{extra}]'"
