"""TRL's SFTTrainer, set up for packed rows, sharded checkpoints and this machine."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate.data_loader import SeedableRandomSampler
from datasets import Dataset
from torch.utils.data import Sampler
from transformers import AutoConfig, AutoModelForCausalLM, PrinterCallback, Trainer, TrainerCallback
from trl import SFTConfig, SFTTrainer

from acemath.errors import UserError
from acemath.models.chat import chat_template
from acemath.models.encoding import IGNORE
from acemath.models.hardware import (
    attention,
    device,
    has_bf16,
    leave_group_at_exit,
    pass_dtype,
    processes,
    rows_a_pass,
)
from acemath.models.layers import bounds_scores, keep_bounds
from acemath.models.loading import check_whole, loading
from acemath.models.score.attention import SEGMENTS, fits_segments, text_plan
from acemath.models.score.model import attend
from acemath.models.score.varlen import VARLEN, borders, fits_varlen
from acemath.notices import is_first_process
from acemath.train.checkpoints import STATE, checkpoint, remove_older
from acemath.train.kernels import check_liger, compile_layers
from acemath.train.lora import add_lora, shrink_frozen
from acemath.train.memory import room_for_passes
from acemath.train.packing import Collator, Layout, PackedRows, check_packing, keeps_apart, learned_alone
from acemath.train.sft.settings import SftSettings
from acemath.train.sharding import clip, is_sharded, shard, sharded_launch
from acemath.train.shards import load_shards, save_shards, written
from acemath.train.speed import Meter, matmul_rate, seen_alone, training_flops

SCHEDULE = "scheduler.pt"
Progress = Callable[[int, int, str], None]


def quiet(done: int, total: int, note: str) -> None:
    """Show no progress."""


def make_trainer(
    source: str,
    tokenizer: Any,
    rows: PackedRows,
    validation: PackedRows | None,
    work: Path,
    settings: SftSettings,
    seed: int,
    progress: Progress,
) -> SFTTrainer:
    """The trainer of one stage, on `rows`; it measures the loss of `validation` and keeps checkpoints in `work`."""
    width = int(rows.widths.max())
    sharded = sharded_launch()
    model = _model(source, width, settings, seed, sharded)
    longest = max(int(part.widths.max()) for part in (rows, validation) if part is not None)
    layout = use_layout(model, settings, longest)
    if rows.packed and layout is None and (sharded or is_first_process()):
        check_packing(model)
    if rows.packed:  # packed rows are full, so a smaller pass is no slower
        heads = model.config.get_text_config().num_attention_heads
        micro = rows_a_pass(device(), width, heads, settings.micro_batch)
        settings = settings.model_copy(update={"micro_batch": micro})
    pads = (tokenizer.pad_token_id, tokenizer.eos_token_id, chat_template(tokenizer).end)
    pad = next(token for token in pads if token is not None)
    if model.config.pad_token_id is None:
        model.config.pad_token_id = pad
    if settings.lora is not None and not sharded and pass_dtype(settings.bf16) is torch.bfloat16:
        shrink_frozen(model)
    if device().type == "cpu" and not sharded:
        room_for_passes(model)
    meter = _meter(model, rows, settings)
    trainer = _Trainer(
        meter,
        model=model,
        args=training_arguments(len(rows), work, settings, seed),
        rows=rows,
        validation=validation,
        data_collator=Collator(pad, meter.count, layout),
        processing_class=tokenizer,
        callbacks=[_ProgressCallback(progress, float(rows.widths.mean()))],
    )
    compile_layers(model, settings, device(), sharded)
    leave_group_at_exit()
    trainer.remove_callback(PrinterCallback)  # standard output belongs to results
    return trainer


def _model(source: str, width: int, settings: SftSettings, seed: int, sharded: bool) -> Any:
    """The policy in float32, with LoRA and shards if they are set, and attention chosen for rows of `width` tokens."""
    if settings.liger:
        check_liger()  # the trainer adds the kernels
    implementation = attention(device(), width) if settings.attention == "auto" else settings.attention
    try:
        with loading(source):
            if sharded and not is_first_process():
                model = empty_policy(source, implementation)  # the first process sends the weights
            else:
                model = _stored(source, implementation, "auto" if sharded else torch.float32)
    except ImportError as error:
        raise UserError(
            f"attention {implementation!r} does not run here ({str(error).splitlines()[0]}); set attention: auto"
        ) from error
    if settings.attention == "auto":
        keep_bounds(model)
    elif settings.attention == "sdpa" and bounds_scores(model.config):
        raise UserError(f"attention sdpa ignores the bound on scores that {source} has; set attention: auto")
    _make_saveable(model.generation_config, source)
    if settings.lora is not None:
        add_lora(model.base_model, settings.lora, seed)
    return shard(model, model, device(), settings.bf16 and has_bf16()) if sharded else model


def use_layout(model: Any, settings: SftSettings, width: int) -> Layout | None:
    """Give the model an attention without a mask, if one suits rows of `width` tokens on this machine.

    Returns its layout; None if the model keeps its own attention.
    """
    where, dtype = device(), pass_dtype(settings.bf16)
    layout: Layout
    if settings.attention != "auto":
        return None
    if fits_varlen(model.config, where, dtype):
        name, layout = VARLEN, borders
    elif where.type == "cpu" and fits_segments(model.config, width):
        name, layout = SEGMENTS, partial(text_plan, dtype=dtype)
    else:
        return None
    if not keeps_apart(model, name, layout):  # the model has a kind of attention that needs more
        return None
    attend(model, name)
    return layout


def _stored(source: str, implementation: str, dtype: torch.dtype | str) -> Any:
    """The policy with its weights. With dtype "auto" they stay in the stored dtype and are mapped, not loaded."""
    model, report = AutoModelForCausalLM.from_pretrained(
        source,
        dtype=dtype,
        attn_implementation=implementation,
        use_safetensors=True,
        output_loading_info=True,
    )
    check_whole(source, report["missing_keys"])
    return model


def empty_policy(source: str, implementation: str) -> Any:
    """A policy of this shape on the meta device: its weights take no memory."""
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(
            AutoConfig.from_pretrained(source), dtype=torch.float32, attn_implementation=implementation
        )


def _make_saveable(config: Any, source: str) -> None:
    """Repair a generation config that sets a temperature without sampling (Llama 2): transformers refuses to save it."""
    try:
        config.validate(strict=True)
    except ValueError:
        config.do_sample = True
    try:
        config.validate(strict=True)
    except ValueError as error:
        why = " ".join(str(error).split())
        raise UserError(
            f"the generation_config.json of {source} cannot be saved ({why}); correct it"
        ) from error


def _meter(model: Any, rows: PackedRows, settings: SftSettings) -> Meter:
    lengths = rows.lengths
    flops = training_flops(model, int(lengths.sum()), seen_alone(lengths))
    return Meter(flops / int(lengths.sum()), matmul_rate(device(), pass_dtype(settings.bf16)))


class _Trainer(SFTTrainer):  # type: ignore[misc]
    """TRL's trainer with sharded checkpoints, a mean validation loss over tokens, and speed logged with the loss.

    Tokens per second, padding and MFU are per process.
    """

    def __init__(
        self, meter: Meter, rows: PackedRows, validation: PackedRows | None, **arguments: Any
    ) -> None:
        self.meter, self.validation = meter, validation
        super().__init__(train_dataset=Dataset.from_list([rows[0]]), **arguments)
        self.train_dataset = rows  # TRL accepts only a datasets.Dataset, which would be a copy on disk
        if is_sharded(self.model):  # it averages its gradients itself, so accelerate must not wrap it in DDP
            prepare = self.accelerator.prepare_model
            self.accelerator.prepare_model = lambda model, **_: prepare(
                model, device_placement=False, evaluation_mode=True
            )

    def train(self, *arguments: Any, **options: Any) -> Any:
        self.meter.read_out()  # drop the counts of an evaluation before training
        return super().train(*arguments, **options)

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The loss through the model's own head, over the tokens with a label.

        TRL's fused head keeps no logits, which a GPU's memory needs. On a processor it projects prompts too, and multiplies
        gradients in float32 (docs/performance.md).
        """
        if self.args.device.type != "cpu" or self.aux_loss_enabled:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        return Trainer.compute_loss(self, model, learned_alone(inputs), return_outputs, num_items_in_batch)

    def log(self, logs: dict[str, float], *rest: Any) -> None:
        super().log({**logs, **self.meter.read_out()} if "loss" in logs else logs, *rest)

    def _get_train_sampler(self, *_: Any) -> Any:
        share = self.args.world_size
        return _PaddedSampler(self.train_dataset, 1 if share == 1 else share * self.args.train_batch_size)

    def _clip_grad_norm(self, model: Any) -> Any:
        if is_sharded(self.model):  # accelerate would clip by the norm of this process's shards
            return clip(model.parameters(), self.args.max_grad_norm)
        return super()._clip_grad_norm(model)

    @torch.no_grad()
    def validation_loss(self) -> float:
        """The mean loss over all response tokens of the validation rows, the same for any number of passes and processes."""
        size, rows = self.args.per_device_eval_batch_size, self.validation
        assert rows is not None
        found = torch.zeros(2, dtype=torch.float64, device=self.args.device)  # sum of losses, tokens
        self.model.eval()
        mine = range(self.args.process_index, math.ceil(len(rows) / size), self.args.world_size)
        for number in range(math.ceil(len(rows) / size / self.args.world_size)):
            counts = number < len(mine)  # with shards every process runs every pass; extra ones have weight 0
            at = size * mine[number] if counts else 0
            batch = self.data_collator([rows[i] for i in range(at, min(at + size, len(rows)))])
            batch = self._prepare_inputs(batch)
            with self.accelerator.autocast():
                loss = self.model(**learned_alone(batch)).loss
            tokens = int((batch["labels"][:, 1:] != IGNORE).sum())
            found += counts * torch.tensor([float(loss) * tokens, tokens], device=found.device)
        self.model.train()
        total, tokens = self.accelerator.reduce(found, "sum").tolist()
        self.log({"eval_loss": total / tokens})
        return float(total / tokens)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        work, step = Path(self.args.output_dir), self.state.global_step
        with written(checkpoint(work, step)) as folder:
            save_shards(folder, self.model, self.optimizer.optimizer)
            self._save_rng_state(str(folder))
            if is_first_process():
                torch.save(self.lr_scheduler.state_dict(), folder / SCHEDULE)
                self.state.save_to_json(str(folder / STATE))
        if is_first_process():
            remove_older(work, step)

    def _load_from_checkpoint(self, *_: Any, **__: Any) -> None:
        """Do nothing: `_load_optimizer_and_scheduler` loads the weights too."""

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is not None:
            load_shards(Path(checkpoint), self.model, self.optimizer.optimizer)
            self.lr_scheduler.load_state_dict(torch.load(Path(checkpoint) / SCHEDULE, weights_only=True))


class _PaddedSampler(Sampler[int]):
    """Rows in the trainer's usual random order, then blank rows up to a multiple of `size`.

    Without them accelerate repeats rows, and the last step has another loss in several processes than in one.
    """

    def __init__(self, rows: PackedRows, size: int) -> None:
        self.order = SeedableRandomSampler(rows)
        self.numbers = range(len(rows), len(rows) + -len(rows) % size)

    def __len__(self) -> int:
        return len(self.order) + len(self.numbers)

    def __iter__(self) -> Iterator[int]:
        yield from self.order
        yield from self.numbers

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of this epoch."""
        self.order.set_epoch(epoch)


def training_arguments(rows: int, work: Path, settings: SftSettings, seed: int) -> SFTConfig:
    """The trainer's arguments for `rows` rows and these settings. UserError if the processes cannot share a batch evenly."""
    count = processes().num_processes
    if settings.global_batch % count:
        raise UserError(
            f"global_batch {settings.global_batch} is not a multiple of the {count} processes; choose one that is"
        )
    share = settings.global_batch // count
    micro = next(n for n in range(min(settings.micro_batch, share), 0, -1) if share % n == 0)
    steps = math.ceil(math.ceil(rows / settings.global_batch) * settings.epochs)
    # The first step of a warm-up has a learning rate of 0, which a short training cannot afford.
    warm = math.ceil(settings.warmup * steps) if settings.warmup * steps >= 1 else 0
    return SFTConfig(
        output_dir=str(work),
        per_device_train_batch_size=micro,
        per_device_eval_batch_size=micro,
        gradient_accumulation_steps=share // micro,
        learning_rate=settings.learning_rate,
        num_train_epochs=settings.epochs,
        lr_scheduler_type=settings.schedule,
        warmup_steps=min(warm, steps - 1),
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm,
        bf16=settings.bf16 and has_bf16(),
        gradient_checkpointing=settings.gradient_checkpointing,
        use_liger_kernel=settings.liger,
        save_steps=settings.save_every,
        logging_steps=max(1, steps // 20),
        logging_nan_inf_filter=False,  # a loss that is not finite is an error here, not skipped
        report_to=settings.report_to,
        disable_tqdm=True,
        remove_unused_columns=False,
        dataset_kwargs={"skip_prepare_dataset": True},  # the rows are laid out already
        max_length=None,
        seed=seed,
        use_cpu=device().type == "cpu",
    )


class _ProgressCallback(TrainerCallback):  # type: ignore[misc]
    """Reports steps, loss, speed, padding and MFU to a progress function; UserError if a loss or gradient is not finite."""

    def __init__(self, progress: Progress, row_tokens: float) -> None:
        self.progress = progress
        self.row_tokens = row_tokens
        self.first_step, self.started, self.loss, self.waste = 0, time.monotonic(), "", ""
        self.passes = 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.first_step, self.started = state.global_step, time.monotonic()

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        for name in ("loss", "eval_loss", "grad_norm"):
            if logs and not math.isfinite(logs.get(name, 0.0)):
                raise UserError(
                    f"the {name} is {logs[name]} at step {state.global_step}: training diverged; lower learning_rate"
                )
        if logs and "loss" in logs:
            self.loss = f"loss {float(logs['loss']):.3f}, "
            self.waste = f", {logs['padding']:.1%} padding, MFU {logs['mfu']:.1%}"

    def on_substep_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.passes += 1
        note = f"{self.loss}pass {self.passes} of {args.gradient_accumulation_steps}"
        self.progress(state.global_step, state.max_steps, note)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.passes = 0
        rows = args.train_batch_size * args.gradient_accumulation_steps * args.world_size
        tokens = (state.global_step - self.first_step) * rows * self.row_tokens
        speed = tokens / max(1e-9, time.monotonic() - self.started)
        self.progress(state.global_step, state.max_steps, f"{self.loss}{speed:,.0f} tokens/s{self.waste}")
