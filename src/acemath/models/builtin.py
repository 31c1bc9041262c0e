"""The folder of nano-base, the base model that ships with acemath, and its short name "nano"."""

from __future__ import annotations

from pathlib import Path

from acemath.errors import UserError

WEIGHTS = Path(__file__).parents[1] / "demo" / "nano" / "weights"


def resolve(model: str | Path) -> str:
    """The folder or hub name of a model; "nano" is the base that ships with acemath. UserError for a file."""
    if Path(model).is_file():
        raise UserError(f"model {str(model)!r} is a file; give the model's folder, or a hub name")
    if str(model) != "nano":
        return str(model)
    if not (WEIGHTS / "model.safetensors").exists():
        raise UserError(
            f"the weights of nano are not in {WEIGHTS}; install acemath again, or make them with acemath pretrain-nano"
        )
    return str(WEIGHTS)
