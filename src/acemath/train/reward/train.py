"""Training a reward model on groups: each response is scored once, and all right-wrong pairs are compared."""

from __future__ import annotations

import math
import random
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from acemath.errors import UserError
from acemath.models.builtin import resolve
from acemath.models.engine import ChatFormat
from acemath.models.hardware import has_bf16, leave_group_at_exit, meet, memory_for, pass_dtype, pass_tokens
from acemath.models.score.heads import check_base, config_with
from acemath.models.score.layout import Row
from acemath.models.score.model import body, tokenizer_of
from acemath.models.score.probe import check_sharing
from acemath.notices import is_first_process, say
from acemath.records import Group, key_of_all
from acemath.train.checkpoints import claim, weights_key
from acemath.train.kernels import add_liger, check_liger, compile_layers
from acemath.train.lora import add_lora, shrink_frozen
from acemath.train.memory import free_memory, give_back, kept_by_pass
from acemath.train.reward.groups import check_group, same_problem
from acemath.train.reward.passes import best_of_candidates, evaluate, step
from acemath.train.reward.rows import GroupFiles, encoded
from acemath.train.reward.settings import RewardSettings
from acemath.train.reward.start import (
    CHECK_TEMPLATE,
    adamw,
    checkpoint_gradients,
    empty_reward_model,
    new_reward_model,
)
from acemath.train.reward.state import RewardResult, State, best_weights, load_state, save_state
from acemath.train.sharding import shard, sharded_launch
from acemath.train.shards import save_model, save_shards, written
from acemath.train.trackers import check_tracker

Progress = Callable[[int, int, str], None]


def train_reward(
    policy: str | Path,
    groups: Iterable[Group],
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

    `groups` is iterated twice, by the first process only, and need not be in memory. `candidates` are problems with all
    their responses, for rm@k (`settings.rm_k`). `work` holds the tokens and a checkpoint: after a stop, a call with the
    same arguments resumes from it with the same batches, also within an epoch; other arguments start again. All
    processes return when `out` is complete. UserError if there are no groups, labels are invalid (`check_group`), no
    problem has enough candidates, the loss is not finite, or the model cannot share a prompt and `settings.share_prefix`
    is true.
    """
    check_tracker(settings.report_to)
    check_base(policy)
    candidates = _with_enough(candidates, settings)
    tokenizer = tokenizer_of(policy, choose_pad=True)
    if settings.page == "check":
        tokenizer.chat_template = CHECK_TEMPLATE
    sharded = sharded_launch()
    accelerator = _accelerator(settings, work)
    if is_first_process():
        claim(work, identity_of(policy, (groups, held_out, candidates), settings, chat, seed))
    meet()
    try:
        train, tests, problems = (
            encoded(part, tokenizer, chat, settings.max_length, work / name)
            for name, part in (
                ("groups", _checked(groups, held_out)), ("held-out", held_out), ("candidates", candidates)
            )
        )  # fmt: skip
        if not len(train):
            raise UserError(
                "there is no group with right and wrong responses; raise the number of problems, candidates or the temperature"
            )
    except UserError:
        shutil.rmtree(work, ignore_errors=True)
        raise
    model = _model(policy, tokenizer, settings, seed, accelerator.device, sharded)
    optimizer = adamw(model, settings)
    state = load_state(work, model, optimizer)
    result = state.result
    result.groups, result.cut = len(train), train.cut + tests.cut
    result.held_out_groups, result.held_out_pairs = len(tests), tests.pairs
    if cut := result.cut + problems.cut:
        say(
            f"{cut:,} responses are longer than {settings.max_length} tokens and are read without their middle"
        )
    loop = _Loop(
        model, optimizer, accelerator, tokenizer.pad_token_id, settings, seed, train, tests, problems, state
    )
    started = time.monotonic()
    with memory_for("a training step", "lower micro_tokens, or set gradient_checkpointing: true or lora"):
        loop.run(work, progress)
    if state.best is None:
        loop.keep(work)
    _save(policy, tokenizer, best_weights(work, state.best or 0), settings, chat, out)
    accelerator.end_training()
    result.seconds = time.monotonic() - started
    for warning in result.warnings:
        say(warning)
    return result


def _checked(groups: Iterable[Group], held_out: Sequence[Group]) -> Iterator[Group]:
    """The groups unchanged. A notice counts held-out groups whose problems are also trained on.

    UserError if a group has invalid labels (`check_group`), held-out groups included.
    """
    for group in held_out:
        check_group(group)
    aside = Counter(same_problem(group.prompt) for group in held_out)
    learned: set[str] = set()
    for group in groups:
        check_group(group)
        if (problem := same_problem(group.prompt)) in aside:
            learned.add(problem)
        yield group
    if shared := sum(aside[problem] for problem in learned):
        say(f"{shared:,} of {len(held_out):,} held-out groups have problems that are also trained on")


def _with_enough(candidates: Sequence[Group], settings: RewardSettings) -> Sequence[Group]:
    """The problems with at least rm_k candidates, over which rm@k is measured. UserError if there are none."""
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
    policy: str | Path,
    tokenizer: Any,
    settings: RewardSettings,
    seed: int,
    where: torch.device,
    sharded: bool,
) -> Any:
    """The model to train, on this process's device, with LoRA, kernels and shards if they are set."""
    if settings.liger:
        check_liger()
    if sharded and not is_first_process():
        model = empty_reward_model(policy, tokenizer)  # the first process sends the weights
    else:
        model = new_reward_model(
            policy, tokenizer, settings.head_words, seed, "auto" if sharded else torch.float32
        )
    if settings.lora is not None:
        add_lora(body(model), settings.lora, seed)
    if settings.liger:
        add_liger(model)
    # The head (one row) is not sharded: it is used outside the model's forward pass.
    model = shard(model, body(model), where, settings.bf16 and has_bf16()) if sharded else model.to(where)
    if settings.share_prefix:
        check_sharing(model, settings.max_length)
    if settings.lora is not None and not sharded and pass_dtype(settings.bf16) is torch.bfloat16:
        shrink_frozen(model)
    checkpoint_gradients(model, settings)
    compile_layers(model, settings, where, sharded)
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
    rows: GroupFiles
    tests: GroupFiles
    candidates: GroupFiles
    state: State

    def run(self, work: Path, progress: Progress) -> None:
        """Do all steps; evaluate at equal intervals, and save a checkpoint every `save_every` steps."""
        settings, state = self.settings, self.state
        per_epoch = math.ceil(len(self.rows) / settings.batch_groups)
        total = max(1, round(per_epoch * settings.epochs))
        marks = {round(total * (i + 1) / settings.evaluations) for i in range(settings.evaluations)}
        if state.step == 0:
            self.measure(work)
        on_processor = self.accelerator.device.type == "cpu"
        needed = kept_by_pass(self.model, settings.micro_tokens or pass_tokens(self.accelerator.device)) if on_processor else 0
        progress(state.step, total, state.result.measured)
        while state.step < total:
            for group in self.optimizer.param_groups:
                group["lr"] = settings.learning_rate * rate(state.step, total, settings.warmup)
            batch = self.batch(*divmod(state.step, per_epoch))
            loss = step(self.model, self.optimizer, self.accelerator, batch, self.pad, settings)
            state.step += 1
            if free_memory() < needed:
                give_back()
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


def identity_of(
    policy: str | Path,
    data: Sequence[Iterable[Group]],
    settings: RewardSettings,
    chat: ChatFormat,
    seed: int,
) -> dict[str, Any]:
    """All that a reward model's weights depend on, as a JSON value, and the data's licences, which its card states.

    `data` are groups, held-out groups and candidates.
    """
    source = resolve(policy)
    counts, licences = [0] * len(data), set[str]()

    def texts() -> Iterator[str]:
        for place, part in enumerate(data):
            for group in part:
                counts[place] += 1
                licences.add(str(group.meta.get("license") or ""))
                yield from (group.prompt, *group.responses, str(group.labels))

    key = key_of_all(texts())
    return {
        "policy": [source, weights_key(source)],
        "groups": [*counts, key],
        "licences": sorted(licences),
        "settings": settings.of_weights(),
        "chat": chat.model_dump(),
        "seed": seed,
    }
