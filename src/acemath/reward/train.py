"""Training a reward model on groups: every response scored once, all right-wrong pairs compared."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from acemath.engines.base import ChatFormat
from acemath.errors import UserError
from acemath.records import Group
from acemath.reward.layout import Row, encode_row, shared_batch, token_batches
from acemath.reward.losses import batch_loss, pair_margins
from acemath.reward.model import CHECK_TEMPLATE, new_reward_model, rewards_of, tokenizer_of
from acemath.reward.settings import RewardSettings

Progress = Callable[[int, int, str], None]


@dataclass(slots=True)
class RewardResult:
    """What training came to. `curve` rows: {step, loss} or {step, pair_accuracy, held_out_loss}."""

    curve: list[dict[str, float]] = field(default_factory=list)
    best_step: int = 0
    best_accuracy: float = 0.0
    groups: int = 0
    seconds: float = 0.0


@dataclass(slots=True)
class _State:
    """Where a run stands: what a checkpoint holds beside the weights."""

    step: int = 0
    result: RewardResult = field(default_factory=RewardResult)


def train_reward(
    policy: str | Path,
    groups: Sequence[Group],
    held_out: Sequence[Group],
    out: Path,
    work: Path,
    settings: RewardSettings,
    chat: ChatFormat,
    seed: int = 0,
    progress: Progress = lambda *_: None,
) -> RewardResult:
    """Train a reward model from `policy` into `out`; of several evaluations the best weights are kept.

    `work` keeps a checkpoint: a stopped call with the same arguments goes on from it, in the middle of an
    epoch too, with the same batches. UserError without groups.
    """
    if not groups:
        raise UserError(
            "there is no group with right and wrong responses; raise the number of problems, candidates or the temperature"
        )
    tokenizer = tokenizer_of(policy)
    if settings.page == "check":
        tokenizer.chat_template = CHECK_TEMPLATE
    accelerator = Accelerator(mixed_precision="bf16" if settings.bf16 else "no")
    model = new_reward_model(policy, tokenizer, settings.head_words, seed)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    model, optimizer = accelerator.prepare(model, optimizer)
    rows, tests = ([_encoded(g, tokenizer, chat, settings) for g in part] for part in (groups, held_out))
    state, best = _load(work, model, optimizer)
    loop = _Loop(
        model, optimizer, accelerator, tokenizer.pad_token_id, settings, seed, rows, tests, state, best
    )
    started = time.time()
    loop.run(work, progress)
    if loop.best is not None:
        model.load_state_dict(loop.best)
    final = accelerator.unwrap_model(model).to(torch.bfloat16 if settings.bf16 else torch.float32)
    final.save_pretrained(out)
    tokenizer.save_pretrained(out)
    state.result.groups, state.result.seconds = len(groups), time.time() - started
    return state.result


@dataclass(slots=True)
class _Loop:
    """The training loop with all that it needs; `best` are the weights of the best evaluation so far."""

    model: Any
    optimizer: Any
    accelerator: Accelerator
    pad: int
    settings: RewardSettings
    seed: int
    rows: list[Row]
    tests: list[Row]
    state: _State
    best: dict[str, Tensor] | None

    def run(self, work: Path, progress: Progress) -> None:
        """Step through the epochs, evaluate at even distances, save now and then."""
        settings, state = self.settings, self.state
        per_epoch = math.ceil(len(self.rows) / settings.batch_groups)
        total = max(1, round(per_epoch * settings.epochs))
        marks = {round(total * (i + 1) / settings.evaluations) for i in range(settings.evaluations)}
        while state.step < total:
            for group in self.optimizer.param_groups:
                group["lr"] = settings.learning_rate * rate(state.step, total, settings.warmup)
            batch = self.batch(*divmod(state.step, per_epoch))
            loss = _step(self.model, self.optimizer, self.accelerator, batch, self.pad, settings)
            state.step += 1
            state.result.curve.append({"step": state.step, "loss": loss})
            if state.step in marks and self.tests:
                self.judge()
            if state.step % settings.save_every == 0:
                _save(work, self.model, self.optimizer, state, self.best)
            progress(state.step, total, f"loss {loss:.3f}, held-out pairs {state.result.best_accuracy:.3f}")

    def batch(self, epoch: int, place: int) -> list[Row]:
        """The groups of one step: each epoch has its own order, which depends on the seed alone."""
        order = list(range(len(self.rows)))
        random.Random(f"{self.seed}:{epoch}").shuffle(order)
        size = self.settings.batch_groups
        return [self.rows[i] for i in order[place * size : (place + 1) * size]]

    def judge(self) -> None:
        """Measure held-out pair accuracy, and keep the weights where it is the best yet."""
        result = self.state.result
        accuracy, loss = evaluate(self.model, self.tests, self.pad, self.settings)
        result.curve.append({"step": self.state.step, "pair_accuracy": accuracy, "held_out_loss": loss})
        if accuracy >= result.best_accuracy:
            result.best_accuracy, result.best_step = accuracy, self.state.step
            self.best = {k: v.detach().clone() for k, v in self.model.state_dict().items()}


def rate(step: int, total: int, warmup: float) -> float:
    """The learning rate's factor: linear warm-up, then half a cosine down to zero."""
    start = max(1, round(warmup * total))
    if step < start:
        return (step + 1) / start
    return 0.5 * (1 + math.cos(math.pi * (step - start) / max(1, total - start)))


def _encoded(group: Group, tokenizer: Any, chat: ChatFormat, settings: RewardSettings) -> Row:
    row, _ = encode_row(
        group.prompt, group.responses, tokenizer, chat, settings.max_length, torch.tensor(group.labels)
    )
    return row


def _step(
    model: Any, optimizer: Any, accelerator: Any, rows: Sequence[Row], pad: int, settings: RewardSettings
) -> float:
    """One optimiser step over a batch of groups, in forward passes of a bounded number of tokens."""
    total = 0.0
    for batch in token_batches(rows, settings.micro_tokens):
        with accelerator.autocast():
            rewards = rewards_of(model, shared_batch(batch, pad))
        split = list(rewards.split([len(r.responses) for r in batch]))
        # Each group weighs the same whatever the number of passes.
        loss = batch_loss(settings.loss, split, [r.key for r in batch], settings.centring) * (
            len(batch) / len(rows)
        )
        accelerator.backward(loss)
        total += loss.item()
    accelerator.clip_grad_norm_(model.parameters(), settings.max_grad_norm)
    optimizer.step()
    optimizer.zero_grad()
    return total


@torch.no_grad()
def evaluate(model: Any, rows: Sequence[Row], pad: int, settings: RewardSettings) -> tuple[float, float]:
    """Held-out pair accuracy (ties count half), a mean over groups, and the listwise loss."""
    accuracies, losses = [], []
    device = torch.device("cpu") if not torch.cuda.is_available() else torch.device("cuda")
    for batch in token_batches(rows, settings.micro_tokens):
        with torch.autocast(device.type, torch.bfloat16, enabled=settings.bf16):
            rewards = rewards_of(model, shared_batch(batch, pad))
        for mine, row in zip(rewards.split([len(r.responses) for r in batch]), batch, strict=True):
            margins: Tensor = pair_margins(mine, row.key)
            accuracies.append(((margins > 0).float() + 0.5 * (margins == 0).float()).mean().item())
            losses.append(-torch.nn.functional.logsigmoid(margins).mean().item())
    return sum(accuracies) / len(accuracies), sum(losses) / len(losses)


def _save(work: Path, model: Any, optimizer: Any, state: _State, best: Any) -> None:
    work.mkdir(parents=True, exist_ok=True)
    result = state.result
    facts = {
        "step": state.step,
        "curve": result.curve,
        "best_step": result.best_step,
        "best_accuracy": result.best_accuracy,
    }
    torch.save(
        {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "facts": facts, "best": best},
        work / "state.tmp",
    )
    (work / "state.tmp").replace(work / "state.pt")


def _load(work: Path, model: Any, optimizer: Any) -> tuple[_State, Any]:
    path = work / "state.pt"
    if not path.exists():
        return _State(), None
    saved = torch.load(path, weights_only=True)
    model.load_state_dict(saved["model"])
    optimizer.load_state_dict(saved["optimizer"])
    facts = saved["facts"]
    result = RewardResult(facts["curve"], facts["best_step"], facts["best_accuracy"])
    return _State(facts["step"], result), saved["best"]
