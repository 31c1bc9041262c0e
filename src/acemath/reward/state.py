"""Where a reward model's training stands, and how it survives a stop at any moment."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from acemath.reward.sharding import optimizer_of, put_back, weights_of
from acemath.store import explained

Weights = dict[str, Tensor]


@dataclass(slots=True)
class RewardResult:
    """What training came to. `curve` rows: {step, loss} or {step, pair_accuracy, held_out_loss, rm}.

    The row of step 0 is the model before training. `best_step` is the step whose weights were kept, 0 where
    training did not help; `best_accuracy`, `best_loss` and `best_rm` (rm@k, where it is measured) are its
    held-out figures. `cut` counts responses that were longer than max_length and were read without their
    middle.
    """

    curve: list[dict[str, float]] = field(default_factory=list)
    best_step: int = 0
    best_accuracy: float = 0.0
    best_loss: float | None = None  # None: there were no held-out groups
    best_rm: float | None = None  # None: not measured
    groups: int = 0
    cut: int = 0
    seconds: float = 0.0


@dataclass(slots=True)
class State:
    """What a checkpoint holds beside the model and the optimiser. `best` are the weights kept so far."""

    step: int = 0
    result: RewardResult = field(default_factory=RewardResult)
    best: Weights | None = None


def save_state(work: Path, state: State, model: Any, optimizer: torch.optim.Optimizer, write: bool) -> None:
    """Write a checkpoint, whole or not at all. All processes call it, one of them with `write`."""
    content = {
        "step": state.step,
        "result": asdict(state.result),
        "best": state.best,
        "model": weights_of(model),
        "optimizer": optimizer_of(model, optimizer),
    }
    if not write:
        return
    temporary = work / "state.tmp"
    with explained(work):
        with temporary.open("wb") as file:
            torch.save(content, file)
        temporary.replace(work / "state.pt")


def load_state(work: Path, model: Any, optimizer: torch.optim.Optimizer) -> State:
    """The state in `work`, its weights put into the model and the optimiser; a fresh one where none stands."""
    path = work / "state.pt"
    if not path.exists():
        return State()
    saved = torch.load(path, weights_only=True, map_location="cpu")
    put_back(model, optimizer, saved["model"], saved["optimizer"])
    return State(saved["step"], RewardResult(**saved["result"]), saved["best"])
