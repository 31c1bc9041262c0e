"""Training a reward model on groups: each response is scored once, and all right-wrong pairs are compared."""

from __future__ import annotations

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
from accelerate.state import AcceleratorState

from acemath.errors import UserError
from acemath.models.builtin import resolve
from acemath.models.engine import ChatFormat
from acemath.models.hardware import has_bf16, leave_group_at_exit, meet
from acemath.models.score.heads import check_base, config_with
from acemath.models.score.layout import Row, encode_row
from acemath.models.score.model import body, tokenizer_of
from acemath.models.score.probe import check_sharing
from acemath.notices import is_first_process, say
from acemath.records import Group, content_key
from acemath.train.checkpoints import claim, weights_key
from acemath.train.kernels import add_liger, check_liger
from acemath.train.lora import add_lora
from acemath.train.reward.groups import check_group, same_problem
from acemath.train.reward.passes import best_of_candidates, evaluate, layout_of, step
from acemath.train.reward.settings import RewardSettings
from acemath.train.reward.start import (
    CHECK_TEMPLATE,
    checkpoint_gradients,
    empty_reward_model,
    new_reward_model,
)
from acemath.train.reward.state import RewardResult, State, best_weights, load_state, save_state
from acemath.train.sharding import parameter_groups, shard, sharded_launch
from acemath.train.shards import save_model, save_shards, written
from acemath.train.trackers import check_tracker

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
    candidates: Sequence[Group] = (),
) -> RewardResult:
    """Train a reward model from `policy` and write the weights of the best evaluation into `out`.

    `candidates` are problems with all their responses, for rm@k (`settings.rm_k`). `work` holds a checkpoint: after a
    stop, a call with the same arguments resumes from it with the same batches, also within an epoch; other arguments
    start again. All processes return when `out` is complete. UserError if there are no groups, labels are invalid
    (`check_group`), no problem has enough candidates, the loss is not finite, or the model cannot share a prompt and
    `settings.share_prefix` is true.
    """
    check_tracker(settings.report_to)
    check_base(policy)
    candidates = _check_data(groups, held_out, candidates, settings)
    tokenizer = tokenizer_of(policy, choose_pad=True)
    if settings.page == "check":
        tokenizer.chat_template = CHECK_TEMPLATE
    sharded = sharded_launch()
    accelerator = _accelerator(settings, work)
    if is_first_process():
        claim(work, identity_of(policy, (groups, held_out, candidates), settings, chat, seed))
    meet()
    model = _model(policy, tokenizer, settings, seed, accelerator.device, sharded)
    optimizer = torch.optim.AdamW(
        parameter_groups(model), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    train, tests, problems = (
        _encode(part, tokenizer, chat, settings) for part in (groups, held_out, candidates)
    )
    state = load_state(work, model, optimizer)
    result = state.result
    result.groups, result.cut = len(groups), train.cut + tests.cut
    result.held_out_groups = len(held_out)
    result.held_out_pairs = sum(sum(g.labels) * (len(g.labels) - sum(g.labels)) for g in held_out)
    loop = _Loop(
        model, optimizer, accelerator, tokenizer.pad_token_id, settings, seed, train.rows, tests.rows,
        problems.rows, state,
    )  # fmt: skip
    started = time.monotonic()
    loop.run(work, progress)
    if state.best is None:
        loop.keep(work)
    _save(policy, tokenizer, best_weights(work, state.best or 0), settings, chat, out)
    accelerator.end_training()
    result.seconds = time.monotonic() - started
    for warning in result.warnings:
        say(warning)
    return result


def _check_data(
    groups: Sequence[Group], held_out: Sequence[Group], candidates: Sequence[Group], settings: RewardSettings
) -> Sequence[Group]:
    """Check groups and labels; returns the problems with at least rm_k candidates, which rm@k is measured over."""
    if not groups:
        raise UserError(
            "there is no group with right and wrong responses; raise the number of problems, candidates or the temperature"
        )
    for group in (*groups, *held_out):
        check_group(group)
    learned = {same_problem(group.prompt) for group in groups}
    if shared := sum(same_problem(group.prompt) in learned for group in held_out):
        say(f"{shared:,} of {len(held_out):,} held-out groups have problems that are also trained on")
    if settings.rm_k is None:
        return ()
    enough = [c for c in candidates if len(c.responses) >= settings.rm_k]
    if not enough:
        raise UserError(
            f"rm_k is {settings.rm_k}, but none of {len(candidates)} held-out problems has that many candidates; give "
            "more candidates or lower rm_k"
        )
    return enough


def _model(
    policy: str | Path, tokenizer: Any, settings: RewardSettings, seed: int, where: torch.device, sharded: bool
) -> Any:
    """The model to train, on this process's device, with LoRA, kernels and shards if they are set."""
    if settings.liger:
        check_liger()
    if sharded and not is_first_process():
        model = empty_reward_model(policy, tokenizer)  # the first process sends the weights
    else:
        model = new_reward_model(policy, tokenizer, settings.head_words, seed, "auto" if sharded else torch.float32)
    if settings.lora is not None:
        add_lora(body(model), settings.lora, seed)
    if settings.liger:
        add_liger(model)
    # The head (one row) is not sharded: it is used outside the model's forward pass.
    model = shard(model, body(model), where, settings.bf16 and has_bf16()) if sharded else model.to(where)
    check_sharing(model, settings.max_length, layout_of(settings, where))
    if settings.gradient_checkpointing:
        checkpoint_gradients(model)
    return model


@dataclass(slots=True)
class _Loop:
    """The training loop and its state."""

    model: Any
    optimizer: torch.optim.Optimizer
    accelerator: Accelerator
    pad: int
    settings: RewardSettings
    seed: int
    rows: list[Row]
    tests: list[Row]
    candidates: list[Row]
    state: State

    def run(self, work: Path, progress: Progress) -> None:
        """Do all steps; evaluate at equal intervals, and save a checkpoint every `save_every` steps."""
        settings, state = self.settings, self.state
        per_epoch = math.ceil(len(self.rows) / settings.batch_groups)
        total = max(1, round(per_epoch * settings.epochs))
        marks = {round(total * (i + 1) / settings.evaluations) for i in range(settings.evaluations)}
        if state.step == 0:
            self.measure(work)
        while state.step < total:
            for group in self.optimizer.param_groups:
                group["lr"] = settings.learning_rate * rate(state.step, total, settings.warmup)
            batch = self.batch(*divmod(state.step, per_epoch))
            loss = step(self.model, self.optimizer, self.accelerator, batch, self.pad, settings)
            state.step += 1
            if not math.isfinite(loss):
                raise UserError(
                    f"the loss is {loss} at step {state.step} of {total}: training diverged; lower learning_rate (it is "
                    f"{settings.learning_rate:g}) or set bf16: false"
                )
            self.log({"step": state.step, "loss": loss})
            if state.step in marks:
                self.measure(work)
            if state.step % settings.save_every == 0:
                save_state(work, state, self.model, self.optimizer)
            progress(state.step, total, f"loss {loss:.3f}, {state.result.measured}")

    def batch(self, epoch: int, number: int) -> list[Row]:
        """The groups of one step. Each epoch has its own order, which depends only on the seed."""
        order = list(range(len(self.rows)))
        random.Random(f"{self.seed}:{epoch}").shuffle(order)
        size = self.settings.batch_groups
        return [self.rows[i] for i in order[number * size : (number + 1) * size]]

    def measure(self, work: Path) -> None:
        """Measure the held-out groups and candidates, and keep the weights if they are the best so far."""
        result, settings = self.state.result, self.settings
        if not self.tests:
            result.best_step = self.state.step
            return
        found = evaluate(self.model, self.accelerator, self.tests, self.pad, settings)
        row = {"step": self.state.step, "pair_accuracy": found.accuracy, "held_out_loss": found.loss}
        rm = None
        if settings.rm_k is not None:
            rm = row["rm"] = best_of_candidates(
                self.model, self.accelerator, self.candidates, self.pad, settings, settings.rm_k
            )
        self.log(row)
        mine: tuple[float, ...] = (found.accuracy, -found.loss)
        best: tuple[float, ...] | None = (
            None if result.best_loss is None else (result.best_accuracy, -result.best_loss)
        )
        if settings.keep == "rm" and rm is not None:
            mine = (rm, *mine)
            best = None if best is None or result.best_rm is None else (result.best_rm, *best)
        if best is None or mine > best:
            result.best_step, result.best_accuracy, result.best_loss = (
                self.state.step,
                found.accuracy,
                found.loss,
            )
            result.best_rm = rm
            self.keep(work)

    def keep(self, work: Path) -> None:
        """Save the current weights as the best. `save_state` removes older ones when no checkpoint names them."""
        self.state.best = self.state.step
        with written(best_weights(work, self.state.step)) as folder:
            save_shards(folder, self.model)

    def log(self, row: dict[str, float]) -> None:
        """Add a row to the curve and to the tracker."""
        self.state.result.curve.append(row)
        self.accelerator.log({k: v for k, v in row.items() if k != "step"}, step=self.state.step)


def rate(done: int, total: int, warmup: float) -> float:
    """The learning rate's factor: linear warm-up, then half a cosine down to zero."""
    start = max(1, round(warmup * total))
    if done < start:
        return (done + 1) / start
    return 0.5 * (1 + math.cos(math.pi * (done - start) / max(1, total - start)))


def _accelerator(settings: RewardSettings, work: Path) -> Accelerator:
    bf16 = settings.bf16 and has_bf16()
    reported = settings.report_to != "none"
    AcceleratorState._reset_state()  # an earlier training in this process may have used another precision
    try:
        accelerator = Accelerator(
            mixed_precision="bf16" if bf16 else "no",
            cpu=not torch.cuda.is_available(),
            log_with=settings.report_to if reported else None,
            project_dir=work.with_name(work.name + "-logs"),
        )
    except ValueError as error:
        raise UserError(f"report_to {settings.report_to!r}: {str(error).splitlines()[0]}") from error
    if reported and not accelerator.log_with:
        raise UserError(
            f"report_to {settings.report_to!r} is not installed; pip install {settings.report_to}, or set report_to: none"
        )
    leave_group_at_exit()
    if reported:
        accelerator.init_trackers("acemath-reward")
    return accelerator


def _save(
    policy: str | Path, tokenizer: Any, weights: Path, settings: RewardSettings, chat: ChatFormat, out: Path
) -> None:
    """Save the model, without adapters, as safetensors in bfloat16 (float32 if bf16 is off), then the tokenizer.

    `weights` is a folder of shards. The model's configuration holds the chat.
    """

    def empty() -> Any:
        model = empty_reward_model(policy, tokenizer)
        config_with(model.config, chat)
        return model

    save_model(weights, empty, out, torch.bfloat16 if settings.bf16 else torch.float32, settings.lora)
    if is_first_process():
        tokenizer.save_pretrained(out)
    meet()


@dataclass(slots=True)
class _Encoded:
    rows: list[Row]
    cut: int


def _encode(groups: Sequence[Group], tokenizer: Any, chat: ChatFormat, settings: RewardSettings) -> _Encoded:
    """Groups as rows with their labels. Ids take four bytes each, because there may be billions."""
    encoded = _Encoded([], 0)
    for group in groups:
        row, cut = encode_row(group.prompt, group.responses, tokenizer, chat, settings.max_length)
        compact: list[Sequence[int]] = [array("i", ids) for ids in row.responses]
        encoded.rows.append(Row(array("i", row.prompt), compact, torch.tensor(group.labels)))
        encoded.cut += cut
    if encoded.cut:
        say(
            f"{encoded.cut:,} responses are longer than {settings.max_length} tokens and are read without their middle"
        )
    return encoded


def identity_of(
    policy: str | Path,
    data: Sequence[Sequence[Group]],
    settings: RewardSettings,
    chat: ChatFormat,
    seed: int,
) -> dict[str, Any]:
    """All that a reward model's weights depend on, as a JSON value, and the data's licences, which its card states.

    `data` are groups, held-out groups and candidates.
    """
    source = resolve(policy)
    texts = (t for part in data for g in part for t in (g.prompt, *g.responses, str(g.labels)))
    return {
        "policy": [source, weights_key(source)],
        "groups": [*map(len, data), content_key(*texts)],
        "licences": sorted({str(g.meta.get("license") or "") for part in data for g in part}),
        "settings": settings.model_dump(exclude={"save_every", "report_to"}),
        "chat": chat.model_dump(),
        "seed": seed,
    }
