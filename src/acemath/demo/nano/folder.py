"""The folder of a pre-training run: weights, the state to resume from, the loss curve and the model card."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from shutil import copy
from typing import Any

import numpy as np
import torch
from torch import nn

from acemath.errors import UserError

CARD, CURVE = "README.md", "curve.jsonl"

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Progress:
    """How far a run is: tokens read, chunks of pages finished, seconds."""

    tokens: int = 0
    chunk: int = 0
    seconds: float = 0.0


class Window:
    """The losses of the steps since the last line of the loss curve."""

    def __init__(self, out: Path) -> None:
        self.path = out / CURVE
        self.steps: list[tuple[float, float, float]] = []

    def add(self, figures: tuple[float, float, float]) -> None:
        """Add a step's writing loss, marking loss and share of right marks."""
        self.steps.append(figures)

    def write(self, at: Progress, least: int) -> None:
        """Write the means as a line of the curve and start anew, if there are at least `least` steps."""
        if len(self.steps) < least:
            return
        writing, marking, hits = (float(np.nanmean([s[i] for s in self.steps])) for i in range(3))
        row = {
            "tokens": at.tokens,
            "writing": round(writing, 4),
            "marking": round(marking, 4),
            "marks_right": round(hits, 4),
            "seconds": round(at.seconds),
        }
        with self.path.open("a") as file:
            file.write(json.dumps(row) + "\n")
        log.info("%s", json.dumps(row))
        self.steps = []


def save(
    out: Path, model: nn.Module, tokenizer: Any, steppers: list[Any], at: Progress, settings: dict[str, Any]
) -> None:
    """Write the weights for use (bfloat16 safetensors), then, atomically, the state for resuming."""
    state = {
        "model": model.state_dict(),
        "steppers": [s.state_dict() for s in steppers],
        "progress": asdict(at),
        "settings": settings,
    }
    tokenizer.save_pretrained(out)
    half = new_like(model)
    half.save_pretrained(out)
    # Last: a run that is killed before this resumes from the previous state and writes the weights again.
    torch.save(state, out / "state.tmp")
    (out / "state.tmp").rename(out / "state.pt")


def new_like(model: Any) -> Any:
    """A bfloat16 copy of a model, for saving."""
    copy = type(model)(model.config)
    copy.load_state_dict(model.state_dict())
    copy.generation_config = model.generation_config
    return copy.to(torch.bfloat16)


def load_state(out: Path, model: nn.Module, steppers: list[Any], settings: dict[str, Any]) -> Progress:
    """Restore the weights and optimisers of the run in `out`. Returns its progress, or a new one if there is no run.

    UserError if the run in `out` was started with other settings.
    """
    path = out / "state.pt"
    if not path.exists():
        return Progress()
    state = torch.load(path, weights_only=True)
    begun = state.get("settings", {})
    changed = [
        f"{name} {begun.get(name)}, now {value}"
        for name, value in settings.items()
        if begun.get(name) != value
    ]
    if changed:
        raise UserError(f"{out} holds a run with other settings ({'; '.join(changed)}): name another folder")
    model.load_state_dict(state["model"])
    for stepper, saved in zip(steppers, state["steppers"], strict=True):
        stepper.load_state_dict(saved)
    return Progress(**state["progress"])


def trim_curve(out: Path, tokens: int) -> None:
    """Drop the curve's lines after the last save: the resumed run writes them again."""
    path = out / CURVE
    if path.exists():
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join(line for line in lines if json.loads(line)["tokens"] <= tokens))


def check_run(folder: Path) -> None:
    """UserError if the folder is not one of a finished pre-training run, whose last file is the card."""
    missing = next(
        (name for name in (CARD, CURVE, "model.safetensors") if not (folder / name).exists()), None
    )
    if missing:
        raise UserError(f"base {str(folder)!r} holds no {missing}: name a folder of acemath pretrain-nano")


def keep_base(base: Path, out: Path) -> None:
    """Copy the cards and curves of the run that `out` continues, and of the runs before that one."""
    for path in sorted([*base.glob("README*.md"), *base.glob("curve*.jsonl")]):
        copy(path, out / f"{path.stem}-base{path.suffix}")


def write_card(out: Path, settings: dict[str, Any]) -> None:
    """The model card: how the weights were made, from the settings and the loss curve beside them."""
    curve = [json.loads(line) for line in (out / CURVE).read_text().splitlines()]
    shown = [curve[round(i * (len(curve) - 1) / 7)] for i in range(8)]
    rows = "".join(
        f"| {r['tokens']:,} | {r['writing']:.3f} | {r['marking']:.3f} | {100 * r['marks_right']:.1f} | {r['seconds']:,} |\n"
        for r in shown
    )
    went_on = (
        "It went on from the weights of another run: `README-base.md` is their card. "
        if settings["base"]
        else ""
    )
    text = (
        "---\nlicense: apache-2.0\nlibrary_name: transformers\n---\n# nano-base\n\n"
        "A small Qwen2 that read acemath's worksheets and nothing else: half solving, half checking, plain text. "
        "It carries a ChatML template but has never seen a chat.\n\n"
        f"Made by `acemath pretrain-nano` with seed {settings['seed']}, {curve[-1]['tokens']:,} tokens with padding, "
        f"{curve[-1]['seconds']:,} seconds. {went_on}`curve.jsonl` holds the whole curve:\n\n"
        "| tokens | loss on solutions | loss on marks | marks right (%) | seconds |\n|---|---|---|---|---|\n"
        f"{rows}\nSettings:\n\n```json\n{json.dumps(settings, indent=1)}\n```\n"
    )
    (out / CARD).write_text(text)
