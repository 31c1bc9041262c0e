"""What `from_pretrained` of transformers raises, as one clear line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from acemath.errors import UserError

# Raised where a folder's JSON has another shape than expected, or its weights are torn.
_DAMAGED = (TypeError, AttributeError, KeyError, RecursionError, SafetensorError)


@contextmanager
def loading(model: str | Path) -> Iterator[None]:
    """Turn what `from_pretrained` raises for a wrong name, folder or file into a UserError that names the model."""
    try:
        yield
    except (OSError, ValueError, *_DAMAGED) as error:
        raise UserError(
            f"cannot load model {str(model)!r} ({first_line(error)}); give a model's folder with safetensors, or a hub "
            "name that can be reached"
        ) from error


def first_line(error: Exception) -> str:
    """The first line of an error's message; its type where it has none."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
