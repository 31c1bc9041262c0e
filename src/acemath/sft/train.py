"""One stage of fine-tuning, with TRL's SFTTrainer for the loop, the checkpoints and many devices."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import SFTConfig, SFTTrainer

from acemath.errors import UserError
from acemath.nano.home import resolve
from acemath.records import Chat
from acemath.sft.packing import Collator, Tokens, as_example, encode, pack
from acemath.sft.settings import SftSettings

Progress = Callable[[int, int, str], None]


def quiet(done: int, total: int, note: str) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True, slots=True)
class SftResult:
    """What a stage's training came to: curve rows {step, loss, …}, losses, tokens and time."""

    curve: list[dict[str, float]]
    validation_before: float | None
    validation_after: float | None
    tokens: int
    learned_tokens: int
    padding: float  # share of padding among the tokens of a batch
    seconds: float


def train_sft(
    base: str | Path,
    chats: Sequence[Chat],
    out: Path,
    work: Path,
    settings: SftSettings,
    seed: int = 0,
    progress: Progress = quiet,
) -> SftResult:
    """Train `base` on conversations; the model and tokenizer go into `out`.

    `work` keeps the checkpoints: a stopped call with the same arguments goes on from the last of them.
    UserError on a base without a chat template or without conversations to learn.
    """
    source = resolve(base)
    tokenizer = AutoTokenizer.from_pretrained(source)
    if not tokenizer.chat_template:
        raise UserError(
            f"model {str(base)!r} has no chat template; add one to its tokenizer (tokenizer.chat_template) before fine-tuning"
        )
    if not chats:
        raise UserError("this stage's blend is empty; check its pools and counts in the recipe")
    rows = [encode(chat.messages, tokenizer) for chat in chats]
    kept = min(settings.validation, len(rows) // 10)
    trainer = _trainer(source, tokenizer, rows[kept:], rows[:kept], work, settings, seed, progress)
    checkpoints = sorted(work.glob("checkpoint-*"), key=lambda p: int(p.name.rsplit("-", 1)[1]))
    before = trainer.evaluate()["eval_loss"] if kept and not checkpoints else None
    started = time.time()
    trainer.train(resume_from_checkpoint=str(checkpoints[-1]) if checkpoints else None)
    seconds = time.time() - started
    after = trainer.evaluate()["eval_loss"] if kept else None
    trainer.model.to(torch.bfloat16 if settings.bf16 else torch.float32).save_pretrained(out)
    tokenizer.save_pretrained(out)
    curve = [
        {k: float(v) for k, v in e.items() if k in ("step", "loss", "eval_loss", "learning_rate")}
        for e in trainer.state.log_history
        if "loss" in e or "eval_loss" in e
    ]
    tokens = sum(len(r.ids) for r in rows[kept:])
    room = len(trainer.train_dataset) * max(len(e["input_ids"]) for e in trainer.train_dataset)
    return SftResult(
        curve,
        before,
        after,
        tokens,
        sum(sum(x >= 0 for x in r.labels) for r in rows[kept:]),
        1 - tokens / room,
        seconds,
    )


def _trainer(
    source: str,
    tokenizer: Any,
    rows: list[Tokens],
    validation: list[Tokens],
    work: Path,
    settings: SftSettings,
    seed: int,
    progress: Progress,
) -> SFTTrainer:
    model = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)
    if getattr(model.config, "pad_token_id", None) is None:
        model.config.pad_token_id = tokenizer.pad_token_id
    examples = (
        [as_example(b) for b in pack(rows, settings.max_length)]
        if settings.packing
        else [
            as_example([Tokens(r.ids[: settings.max_length], r.labels[: settings.max_length])]) for r in rows
        ]
    )
    micro = min(settings.micro_batch, settings.global_batch)
    accumulate = max(1, settings.global_batch // micro)
    steps = max(1, math.ceil(len(examples) / (micro * accumulate)) * settings.epochs)
    config = SFTConfig(
        output_dir=str(work),
        per_device_train_batch_size=micro,
        per_device_eval_batch_size=micro,
        gradient_accumulation_steps=accumulate,
        learning_rate=settings.learning_rate,
        num_train_epochs=settings.epochs,
        lr_scheduler_type=settings.schedule,
        warmup_steps=math.ceil(settings.warmup * steps),
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm,
        bf16=settings.bf16,
        gradient_checkpointing=settings.gradient_checkpointing,
        save_steps=settings.save_every,
        save_total_limit=1,
        logging_steps=max(1, int(steps // 20)),
        report_to=settings.report_to,
        disable_tqdm=True,
        remove_unused_columns=False,
        dataset_kwargs={"skip_prepare_dataset": True},
        seed=seed,
        use_cpu=not torch.cuda.is_available(),
        max_length=None,
    )
    return SFTTrainer(
        model=model,
        args=config,
        train_dataset=Dataset.from_list(examples),
        eval_dataset=Dataset.from_list([as_example([r]) for r in validation]) if validation else None,
        data_collator=Collator(tokenizer.pad_token_id if tokenizer.pad_token_id is not None else 0),
        processing_class=tokenizer,
        callbacks=[_Watch(progress)],
    )


class _Watch(TrainerCallback):  # type: ignore[misc]
    """Hands the trainer's steps to a progress function."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.progress(state.global_step, state.max_steps, "")

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        if logs and "loss" in logs:
            self.progress(state.global_step, state.max_steps, f"loss {float(logs['loss']):.3f}")
