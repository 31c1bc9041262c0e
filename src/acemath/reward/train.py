"""Training a reward model on groups: every response scored once, all right-wrong pairs compared."""

from __future__ import annotations

import logging
import math
import random
import time
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from acemath.engines.base import ChatFormat
from acemath.errors import UserError
from acemath.nano.home import resolve
from acemath.records import Group, content_key
from acemath.reward.layout import Row, encode_row
from acemath.reward.model import CHECK_TEMPLATE, new_reward_model, tokenizer_of
from acemath.reward.passes import evaluate, step
from acemath.reward.probe import check_sharing
from acemath.reward.settings import RewardSettings
from acemath.reward.sharding import check_strategy, parameter_groups, shard, wanted, weights_of
from acemath.reward.state import RewardResult, State, Weights, load_state, save_state
from acemath.sft.checkpoints import claim, weights_key
from acemath.sft.hardware import has_bf16, leave_group_at_exit

log = logging.getLogger(__name__)
Progress = Callable[[int, int, str], None]


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
    epoch too, with the same batches; other arguments start anew. UserError without groups, and for
    architectures that cannot share a prompt among rows where `settings.share_prefix` asks for it.
    """
    if not groups:
        raise UserError(
            "there is no group with right and wrong responses; raise the number of problems, candidates or the temperature"
        )
    tokenizer = tokenizer_of(policy)
    if settings.page == "check":
        tokenizer.chat_template = CHECK_TEMPLATE
    accelerator = _accelerator(settings)
    if accelerator.is_main_process:
        claim(work, _identity(policy, groups, held_out, settings, chat, seed))
    accelerator.wait_for_everyone()
    model = new_reward_model(policy, tokenizer, settings.head_words, seed).to(accelerator.device)
    if settings.share_prefix:
        check_sharing(model, settings.max_length, cached=not wanted(accelerator))
    shard(model, accelerator)
    optimizer = torch.optim.AdamW(
        parameter_groups(model), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    train, tests = (_encode(part, tokenizer, chat, settings) for part in (groups, held_out))
    state = load_state(work, model, optimizer)
    state.result.groups, state.result.cut = len(groups), train.cut + tests.cut
    loop = _Loop(
        model, optimizer, accelerator, tokenizer.pad_token_id, settings, seed, train.rows, tests.rows, state
    )
    started = time.monotonic()
    loop.run(work, progress)
    weights = weights_of(model) if state.best is None else state.best
    if accelerator.is_main_process:
        _save(model, weights, torch.bfloat16 if settings.bf16 else torch.float32, out)
        tokenizer.save_pretrained(out)
    state.result.seconds = time.monotonic() - started
    return state.result


@dataclass(slots=True)
class _Loop:
    """The training loop with all that it needs."""

    model: Any
    optimizer: torch.optim.Optimizer
    accelerator: Accelerator
    pad: int
    settings: RewardSettings
    seed: int
    rows: list[Row]
    tests: list[Row]
    state: State

    def run(self, work: Path, progress: Progress) -> None:
        """Step through the epochs, evaluate at even distances, save now and then."""
        settings, state = self.settings, self.state
        per_epoch = math.ceil(len(self.rows) / settings.batch_groups)
        total = max(1, round(per_epoch * settings.epochs))
        marks = {round(total * (i + 1) / settings.evaluations) for i in range(settings.evaluations)}
        if state.step == 0:
            self.judge()
        while state.step < total:
            for group in self.optimizer.param_groups:
                group["lr"] = settings.learning_rate * rate(state.step, total, settings.warmup)
            batch = self.batch(*divmod(state.step, per_epoch))
            loss = step(self.model, self.optimizer, self.accelerator, batch, self.pad, settings)
            state.step += 1
            state.result.curve.append({"step": state.step, "loss": loss})
            if state.step in marks:
                self.judge()
            if state.step % settings.save_every == 0:
                save_state(work, state, self.model, self.optimizer, self.accelerator.is_main_process)
            progress(state.step, total, f"loss {loss:.3f}, held-out pairs {state.result.best_accuracy:.3f}")

    def batch(self, epoch: int, place: int) -> list[Row]:
        """The groups of one step: each epoch has its own order, which depends on the seed alone."""
        order = list(range(len(self.rows)))
        random.Random(f"{self.seed}:{epoch}").shuffle(order)
        size = self.settings.batch_groups
        return [self.rows[i] for i in order[place * size : (place + 1) * size]]

    def judge(self) -> None:
        """Measure held-out pair accuracy, and keep the weights where it is the best yet (then the loss)."""
        if not self.tests:
            self.state.result.best_step = self.state.step
            return
        result = self.state.result
        accuracy, loss = evaluate(self.model, self.accelerator, self.tests, self.pad, self.settings)
        result.curve.append({"step": self.state.step, "pair_accuracy": accuracy, "held_out_loss": loss})
        before = None if result.best_loss is None else (result.best_accuracy, -result.best_loss)
        if before is None or (accuracy, -loss) > before:
            result.best_step, result.best_accuracy, result.best_loss = self.state.step, accuracy, loss
            self.state.best = weights_of(self.model)


def rate(done: int, total: int, warmup: float) -> float:
    """The learning rate's factor: linear warm-up, then half a cosine down to zero."""
    start = max(1, round(warmup * total))
    if done < start:
        return (done + 1) / start
    return 0.5 * (1 + math.cos(math.pi * (done - start) / max(1, total - start)))


def _accelerator(settings: RewardSettings) -> Accelerator:
    bf16 = settings.bf16 and has_bf16()
    accelerator = Accelerator(mixed_precision="bf16" if bf16 else "no", cpu=not torch.cuda.is_available())
    check_strategy(accelerator)
    leave_group_at_exit()
    return accelerator


def _save(model: Any, weights: Weights, dtype: torch.dtype, out: Path) -> None:
    """The model's folder with these whole weights, as safetensors in `dtype`."""
    model.config.dtype = dtype
    model.save_pretrained(out, state_dict={name: value.to(dtype) for name, value in weights.items()})


@dataclass(slots=True)
class _Encoded:
    rows: list[Row]
    cut: int


def _encode(groups: Sequence[Group], tokenizer: Any, chat: ChatFormat, settings: RewardSettings) -> _Encoded:
    """Groups as rows that carry their labels; ids take four bytes each, for there may be billions."""
    encoded = _Encoded([], 0)
    for group in groups:
        row, cut = encode_row(group.prompt, group.responses, tokenizer, chat, settings.max_length)
        compact: list[Sequence[int]] = [array("i", ids) for ids in row.responses]
        encoded.rows.append(Row(array("i", row.prompt), compact, torch.tensor(group.labels)))
        encoded.cut += cut
    if encoded.cut:
        log.warning(
            "%d responses are longer than %d tokens: read without their middle",
            encoded.cut,
            settings.max_length,
        )
    return encoded


def _identity(
    policy: str | Path,
    groups: Sequence[Group],
    held_out: Sequence[Group],
    settings: RewardSettings,
    chat: ChatFormat,
    seed: int,
) -> dict[str, Any]:
    source = resolve(policy)
    texts = (t for g in (*groups, *held_out) for t in (g.prompt, *g.responses, str(g.labels)))
    return {
        "policy": [source, weights_key(source)],
        "groups": [len(groups), len(held_out), content_key(*texts)],
        "settings": settings.model_dump(exclude={"save_every"}),
        "chat": chat.model_dump(),
        "seed": seed,
    }
