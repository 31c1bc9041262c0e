"""One stage of fine-tuning (paper, section 3.3): from conversations to a policy's folder."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM

from acemath.errors import UserError
from acemath.files.atomic import write_json
from acemath.models.builtin import resolve
from acemath.models.chat import chat_template
from acemath.models.hardware import meet, memory_for, processes
from acemath.models.loading import chat_tokenizer
from acemath.notices import is_first_process, say
from acemath.records import Chat, key_of_all
from acemath.train.checkpoints import claim, last_checkpoint, read, step_of, weights_key
from acemath.train.packing import Bins, PackedRows, pack
from acemath.train.sft.card import write_card
from acemath.train.sft.result import SftResult
from acemath.train.sft.settings import SftSettings
from acemath.train.sft.trainer import Progress, make_trainer, quiet
from acemath.train.shards import save_model, save_shards, written
from acemath.train.tokens import TokenFiles, tokenised
from acemath.train.trackers import check_tracker

log = logging.getLogger(__name__)


def train_sft(
    base: str | Path,
    chats: Iterable[Chat],
    out: Path,
    work: Path,
    settings: SftSettings,
    seed: int = 0,
    progress: Progress = quiet,
    called: str | None = None,
) -> SftResult:
    """Train `base` on conversations; write the model, its tokenizer, `training.json` and a card into `out`.

    `chats` is iterated twice, by the first process only, and need not be in memory. The first `settings.validation`
    conversations that have something to learn, at most a tenth, are held out for the validation loss. `called` is the base's name in
    the card, by default its public one. `work` holds the
    tokens and the checkpoints: after a stop, a call with the same arguments resumes from the last checkpoint and ends
    with the same weights; other arguments start again. UserError if the base has no chat template, there are no
    conversations, no response begins within max_length, the loss is not finite, or the tracker is not installed.
    """
    check_tracker(settings.report_to)
    source = resolve(base)
    tokenizer = chat_tokenizer(base)
    identity: dict[str, Any] = {}
    processes()
    if is_first_process():
        identity = identity_of(base, chats, settings, seed)
        claim(work, identity)
    meet()
    try:
        tokens = tokenised(chats, tokenizer, work / "tokens", progress)
        learned = _learnable(tokens, settings.max_length)
    except UserError:
        shutil.rmtree(work, ignore_errors=True)
        raise
    count = min(settings.validation, len(learned) // 10)
    rows = _rows(tokens, learned[count:], settings, seed)
    held_out = PackedRows(tokens, Bins.single(learned[:count]), settings.max_length) if count else None
    progress(0, 0, f"loading {base}")
    trainer = make_trainer(source, tokenizer, rows, held_out, work, settings, seed, progress)
    before = _loss_before(trainer, work) if held_out else None
    done, seconds = _train(trainer, work)
    after = trainer.validation_loss() if held_out else None
    result = _result(trainer, tokens, learned[count:], rows, settings, before, after, done, seconds)
    progress(trainer.state.max_steps, trainer.state.max_steps, "saving the model")
    _save(trainer, tokenizer, work, out, settings, result.stop_ids)
    if is_first_process():
        counts = tokens.facts
        write_card(out, str(base), counts["sources"], counts["licences"], settings, seed, identity, result, called)
    meet()
    return result


def _result(
    trainer: Any,
    tokens: TokenFiles,
    learned: np.ndarray,
    rows: PackedRows,
    settings: SftSettings,
    before: float | None,
    after: float | None,
    done: int,
    seconds: float,
) -> SftResult:
    """The figures of a training; this call did the steps after `done`, in `seconds`."""
    steps, room, total = trainer.state.max_steps, settings.max_length, int(rows.widths.sum())
    speed = total * settings.epochs * (1 - done / max(1, steps)) / max(1e-9, seconds)
    log.info("%d steps, %d tokens an epoch, %.0f tokens/s", steps, total, speed)
    counts = tokens.learned(room)
    return SftResult(
        curve=_curve(trainer.state.log_history, before),
        validation_before=before,
        validation_after=after,
        conversations=len(tokens),
        cut=int((tokens.lengths > room).sum()),
        unlearned=int((counts == 0).sum()),
        tokens=total,
        learned_tokens=int(counts[learned].sum()),
        padding=float(1 - total / (len(rows) * rows.widths.max())),
        stop_ids=chat_template(trainer.processing_class).stop_ids(_policy(trainer).generation_config),
        seconds=seconds,
        tokens_per_second=speed,
        mfu=speed * trainer.meter.flops / trainer.meter.rate / trainer.args.world_size,
    )


def identity_of(base: str | Path, chats: Iterable[Chat], settings: SftSettings, seed: int) -> dict[str, Any]:
    """All that a policy's weights depend on, as a JSON value, and the data's licences, which its card states."""
    source = resolve(base)
    licences: set[str] = set()

    def texts() -> Iterator[str]:
        for chat in chats:
            licences.add(chat.license)
            for message in chat.messages:
                yield message["role"]
                yield message["content"]

    return {
        "base": [source, weights_key(source)],
        "conversations": key_of_all(texts()),
        "licences": sorted(licences),
        "settings": settings.of_weights(),
        "seed": seed,
    }


def _learnable(tokens: TokenFiles, room: int) -> np.ndarray:
    """Indices of the conversations with a response token in their first `room` tokens. UserError if there is none."""
    found = np.flatnonzero(tokens.learned(room))
    lost = len(tokens) - len(found)
    message = f"{lost:,} of {len(tokens):,} conversations are longer than max_length {room} before their response begins"
    if not len(found):
        raise UserError(
            f"no response has room: {message} (the first begins after {tokens.prompts.min():,} tokens); raise max_length"
        )
    if lost and is_first_process():
        say(f"{message}; they are left out: raise max_length to learn them")
    return found


def _train(trainer: Any, work: Path) -> tuple[int, float]:
    """Train from the last checkpoint, if there is one; returns the steps done before and the seconds of this call."""
    checkpoint = last_checkpoint(work)
    started = time.monotonic()
    with memory_for("a training step", "lower micro_batch or max_length, or set gradient_checkpointing: true"):
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    return step_of(checkpoint) if checkpoint else 0, time.monotonic() - started


def _rows(tokens: TokenFiles, numbers: np.ndarray, settings: SftSettings, seed: int) -> PackedRows:
    """The conversations with these indices in rows."""
    room = settings.max_length
    if not settings.packing:
        return PackedRows(tokens, Bins.single(numbers), room)
    return PackedRows(tokens, pack(tokens.lengths[numbers], room, seed).of(numbers), room)


def _loss_before(trainer: Any, work: Path) -> float:
    """Validation loss of the base. It is stored, because a resumed call starts from other weights."""
    path = work / "before.json"
    found = read(path)
    if found is None:
        found = {"eval_loss": trainer.validation_loss()}
        write_json(path, found)
    return float(found["eval_loss"])


def _curve(history: Sequence[dict[str, Any]], before: float | None) -> list[dict[str, float]]:
    wanted = ("step", "loss", "eval_loss", "learning_rate")
    start = [] if before is None else [{"step": 0.0, "eval_loss": before}]
    rows = [e for e in history if e.get("step", 0) > 0 and ("loss" in e or "eval_loss" in e)]
    return start + [{k: float(v) for k, v in e.items() if k in wanted} for e in rows]


def _save(
    trainer: Any, tokenizer: Any, work: Path, out: Path, settings: SftSettings, stop_ids: Sequence[int]
) -> None:
    """Save the model, without adapters, as safetensors in bfloat16 (float32 if bf16 is off), and its tokenizer.

    The generation config lists the tokens that end a response, so that every engine stops there.
    """
    model = _policy(trainer)

    def plain() -> Any:
        with torch.device("meta"):
            empty = AutoModelForCausalLM.from_config(model.config)
        empty.generation_config = model.generation_config
        empty.generation_config.eos_token_id = list(stop_ids)
        return empty

    with written(work / "final") as folder:
        save_shards(folder, model)
    save_model(work / "final", plain, out, torch.bfloat16 if settings.bf16 else torch.float32, settings.lora)
    if is_first_process():
        tokenizer.save_pretrained(out)
    meet()


def _policy(trainer: Any) -> Any:
    return trainer.accelerator.unwrap_model(trainer.model)
