"""What this machine has."""

from __future__ import annotations

import os
import platform
import shutil
from importlib import metadata, util
from pathlib import Path
from typing import Any

from acemath.models.builtin import WEIGHTS

EXTRAS = {"vllm": "vllm", "fastapi": "serve", "ray": "ray"}


def examine() -> dict[str, Any]:
    """Versions, cores, memory, accelerators, nano's weights, and the command for each missing extra."""
    found: dict[str, Any] = {"python": platform.python_version(), "cores": len(os.sched_getaffinity(0))}
    found["free disk (GB)"] = round(shutil.disk_usage(Path.cwd()).free / 1e9, 1)
    for name in ("acemath", "torch", "transformers", "trl", "accelerate", "datasets", "math-verify"):
        found[name] = metadata.version(name)
    import torch

    found["gpus"] = torch.cuda.device_count()
    found["nano"] = (
        str(WEIGHTS) if (WEIGHTS / "model.safetensors").exists() else "missing: acemath pretrain-nano"
    )
    for module, extra in EXTRAS.items():
        found[module] = "installed" if util.find_spec(module) else f"missing: pip install 'acemath[{extra}]'"
    return found
