"""Errors that a user can fix, each in one line, and the exit code after Ctrl-C."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

INTERRUPTED = 130  # exit code after Ctrl-C, as in shells
_TRAIN = (
    "accelerate", "datasets", "huggingface_hub", "jinja2", "psutil", "safetensors", "tokenizers", "torch", "transformers", "trl",
)  # fmt: skip
# By the name of an imported package: the extra of pyproject.toml that installs it.
EXTRAS = {
    **dict.fromkeys(_TRAIN, "train"),
    "pyarrow": "parquet",
    "peft": "lora",
    "liger_kernel": "liger",
    "vllm": "vllm",
}


class UserError(Exception):
    """A user's mistake: one line with the value, the rule and the fix. The commands exit with code 2."""

    exit_code = 2


class MissingExtra(UserError, ImportError):
    """A package that an extra installs is missing. The message gives the pip command."""

    def __init__(self, what: str, module: str) -> None:
        extra = EXTRAS[module]
        super().__init__(f"{what} needs {module}, which is not installed: pip install 'acemath[{extra}]'")


@contextmanager
def needing(what: str) -> Iterator[None]:
    """Turn the failed import of an extra's package into MissingExtra. `what` is the thing that needs it."""
    try:
        yield
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        if module not in EXTRAS:
            raise
        raise MissingExtra(what, module) from error


def require(what: str, *modules: str) -> None:
    """Raise MissingExtra if one of these packages is not installed, without importing any."""
    for module in modules:
        if find_spec(module) is None:
            raise MissingExtra(what, module)
