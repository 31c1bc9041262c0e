"""The state of a reward model's training, saved so that it survives a stop at any moment."""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from acemath.files.atomic import read_json, write_json
from acemath.notices import is_first_process
from acemath.train.checkpoints import STATE, checkpoint, last_checkpoint, remove_older
from acemath.train.shards import load_shards, save_shards, written

FEW = 20  # held-out groups; pair accuracy over fewer is too uncertain


@dataclass(slots=True)
class RewardResult:
    """The figures of a training. `curve` rows: {step, loss} or {step, pair_accuracy, held_out_loss, rm}.

    The row of step 0 is the model before training. `best_step` is the step whose weights were kept, 0 if training did
    not help. `best_accuracy`, `best_loss` and `best_rm` (rm@k) are the held-out figures of that step, over
    `held_out_groups` groups with `held_out_pairs` right-wrong pairs. `cut` counts responses that were longer than
    max_length and were read without their middle.
    """

    curve: list[dict[str, float]] = field(default_factory=list)
    best_step: int = 0
    best_accuracy: float = 0.0
    best_loss: float | None = None  # None: there were no held-out groups
    best_rm: float | None = None  # None: not measured
    held_out_groups: int = 0
    held_out_pairs: int = 0
    groups: int = 0
    cut: int = 0
    seconds: float = 0.0

    @property
    def improved(self) -> bool | None:
        """Whether the kept weights do better on held-out groups than the first ones; None if there are no held-out groups."""
        start = next((row for row in self.curve if "pair_accuracy" in row), None)
        if start is None or self.best_loss is None:
            return None
        return self.best_step > 0 and (
            self.best_accuracy > start["pair_accuracy"]
            or self.best_loss < start["held_out_loss"]
            or (self.best_rm is not None and self.best_rm > start["rm"])
        )

    @property
    def measured(self) -> str:
        """Held-out pair accuracy in words, with the numbers of groups and pairs."""
        if not self.held_out_groups:
            return "no group held out to measure pair accuracy"
        return f"held-out pair accuracy {self.best_accuracy:.3f} over {_over(self)}"

    def record(self) -> dict[str, Any]:
        """The figures without the curve, for JSON. `pair_accuracy` is None if there are no held-out groups."""
        return {
            "groups": self.groups,
            "pair_accuracy": self.best_accuracy if self.held_out_groups else None,
            "held_out_groups": self.held_out_groups,
            "held_out_pairs": self.held_out_pairs,
            "improved": self.improved,
            "rm_at_k": self.best_rm,
            "best_step": self.best_step,
            "warnings": self.warnings,
        }

    @property
    def warnings(self) -> list[str]:
        """Reasons to doubt the result, one line each."""
        found = []
        if self.improved is False:
            found.append(
                f"training did not improve the model ({self.measured}); the weights from before training were kept"
            )
        if not self.held_out_groups:
            found.append("no group was held out: whether training helped is not known")
        elif self.held_out_groups < FEW:
            found.append(
                f"held-out pair accuracy is measured over only {_over(self)}, too few to choose weights by; give more groups"
            )
        return found


def _over(result: RewardResult) -> str:
    groups, pairs = result.held_out_groups, result.held_out_pairs
    return (
        f"{groups:,} {'group' if groups == 1 else 'groups'} ({pairs:,} {'pair' if pairs == 1 else 'pairs'})"
    )


@dataclass(slots=True)
class State:
    """What a checkpoint holds besides model and optimiser. `best` is the step of the best weights so far.

    The best weights have their own folder of shards (`best_weights`), which is kept as long as a checkpoint names it.
    """

    step: int = 0
    result: RewardResult = field(default_factory=RewardResult)
    best: int | None = None


def best_weights(work: Path, step: int) -> Path:
    """The folder of the weights after `step` steps, which were the best so far."""
    return work / f"best-{step}"


def save_state(work: Path, state: State, model: Any, optimizer: torch.optim.Optimizer) -> None:
    """Write a checkpoint atomically, and remove older checkpoints and weights. All processes call it."""
    with written(checkpoint(work, state.step)) as folder:
        save_shards(folder, model, optimizer)
        if is_first_process():
            write_json(folder / STATE, asdict(state))
    if is_first_process():
        remove_older(work, state.step)
        for old in work.glob("best-*"):
            if state.best is None or old != best_weights(work, state.best):
                shutil.rmtree(old)


def load_state(work: Path, model: Any, optimizer: torch.optim.Optimizer) -> State:
    """Load the last checkpoint into the model and the optimiser and return its state; a new state if there is none."""
    folder = last_checkpoint(work)
    if folder is None:
        return State()
    load_shards(folder, model, optimizer)
    saved = read_json(folder / STATE)
    return State(saved["step"], RewardResult(**saved["result"]), saved["best"])
