"""One stage of fine-tuning (paper, section 3.3): conversations in, a policy's folder out."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from acemath.engines.loading import chat_tokenizer
from acemath.errors import UserError
from acemath.nano.home import resolve
from acemath.records import Chat, content_key
from acemath.sft.adapters import merged
from acemath.sft.checkpoints import claim, last_checkpoint, read, weights_key
from acemath.sft.encoding import Tokens, encode_all
from acemath.sft.hardware import processes
from acemath.sft.ondisk import remove
from acemath.sft.packing import PackedRows, pack
from acemath.sft.settings import SftSettings
from acemath.sft.trainer import Progress, make_trainer, quiet
from acemath.store import write_json

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SftResult:
    """What a stage's training came to.

    `curve` rows hold {step, loss, learning_rate} or {step, eval_loss}; losses are means over response tokens.
    `tokens` counts those of one epoch, `learned_tokens` the responses' among them, `cut` the conversations
    that were longer than max_length. `seconds`, `tokens_per_second` (of all processes) and `mfu` (of each on
    average, see acemath.sft.speed) are this call's.
    """

    curve: list[dict[str, float]]
    validation_before: float | None
    validation_after: float | None
    tokens: int
    learned_tokens: int
    padding: float  # share of padding where every row is padded to the longest
    seconds: float
    tokens_per_second: float
    mfu: float
    cut: int


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

    The first `settings.validation` conversations, at most a tenth, are kept aside for validation loss.
    `work` keeps the checkpoints: a stopped call with the same arguments goes on from the last of them and
    ends with the same weights; other arguments start anew. UserError on a base without a chat template or
    without conversations to learn.
    """
    source = resolve(base)
    tokenizer = chat_tokenizer(base)
    if not chats:
        raise UserError("there are no conversations to learn; check the blend's pools and counts")
    encoded = list(encode_all([chat.messages for chat in chats], tokenizer))
    kept = min(settings.validation, len(encoded) // 10)
    rows = _rows(encoded[kept:], settings, seed)
    aside = _rows(encoded[:kept], settings.model_copy(update={"packing": False}), seed) if kept else None
    _claim(work, _identity(source, chats, settings, seed))
    trainer = make_trainer(source, tokenizer, rows, aside, work, settings, seed, progress)
    before = _loss_before(trainer, work) if aside else None
    done, seconds = _train(trainer, work)
    after = float(trainer.evaluate()["eval_loss"]) if aside else None
    tokens = sum(rows.widths)
    share = 1 - done / max(1, trainer.state.max_steps)  # of the work that this call did
    speed = tokens * settings.epochs * share / max(1e-9, seconds)
    log.info("%d steps, %d tokens an epoch, %.0f tokens/s", trainer.state.max_steps, tokens, speed)
    _save(trainer, tokenizer, out, settings)
    _remove_rows(trainer, work)
    return SftResult(
        curve=_curve(trainer.state.log_history, before),
        validation_before=before,
        validation_after=after,
        tokens=tokens,
        learned_tokens=sum(max(0, len(row.cut(settings.max_length).ids) - row.start) for row in rows.rows),
        padding=1 - tokens / (len(rows) * max(rows.widths)),
        seconds=seconds,
        tokens_per_second=speed,
        mfu=speed * trainer.meter.flops / trainer.meter.rate / trainer.args.world_size,
        cut=sum(len(row.ids) > settings.max_length for row in encoded),
    )


def _train(trainer: Any, work: Path) -> tuple[int, float]:
    """Train from the last checkpoint on, where there is one: the steps that were done before, the seconds of the rest."""
    checkpoint = last_checkpoint(work)
    started = time.monotonic()
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    done = int(checkpoint.name.rsplit("-", 1)[1]) if checkpoint else 0
    return done, time.monotonic() - started


def _rows(encoded: Sequence[Tokens], settings: SftSettings, seed: int) -> PackedRows:
    room = settings.max_length
    if not settings.packing:
        return PackedRows(encoded, [[number] for number in range(len(encoded))], room)
    return PackedRows(encoded, pack([len(row.ids) for row in encoded], room, seed), room)


def _identity(source: str, chats: Sequence[Chat], settings: SftSettings, seed: int) -> dict[str, Any]:
    return {
        "base": [source, weights_key(source)],
        "conversations": content_key(
            *(part for c in chats for m in c.messages for part in (m["role"], m["content"]))
        ),
        "settings": settings.model_dump(exclude={"save_every", "report_to"}),
        "seed": seed,
    }


def _claim(work: Path, identity: dict[str, Any]) -> None:
    with processes().main_process_first():  # the others find it claimed
        claim(work, identity)


def _remove_rows(trainer: Any, work: Path) -> None:
    if trainer.is_world_process_zero():
        remove(work)


def _loss_before(trainer: Any, work: Path) -> float:
    """Validation loss of the base, measured once: a resumed call no longer holds the base's weights."""
    path = work / "before.json"
    found = read(path)
    if found is None:
        found = {"eval_loss": float(trainer.evaluate()["eval_loss"])}
        write_json(path, found)
    return float(found["eval_loss"])


def _curve(history: Sequence[dict[str, Any]], before: float | None) -> list[dict[str, float]]:
    wanted = ("step", "loss", "eval_loss", "learning_rate")
    start = [] if before is None else [{"step": 0.0, "eval_loss": before}]
    rows = [e for e in history if e.get("step", 0) > 0 and ("loss" in e or "eval_loss" in e)]
    return start + [{k: float(v) for k, v in e.items() if k in wanted} for e in rows]


def _save(trainer: Any, tokenizer: Any, out: Path, settings: SftSettings) -> None:
    """The whole model, without adapters, as safetensors in bfloat16 (float32 with bf16 off), and its tokenizer."""
    dtype = torch.bfloat16 if settings.bf16 else torch.float32
    if settings.lora is not None:
        weights = trainer.accelerator.get_state_dict(trainer.model)  # whole, in the first process
        if trainer.is_world_process_zero():
            plain = AutoModelForCausalLM.from_config(trainer.accelerator.unwrap_model(trainer.model).config)
            plain.load_state_dict(merged(weights, settings.lora))
            plain.to(dtype).save_pretrained(out)
    elif trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled:
        trainer.save_model(str(out))  # gathers the shards; every process takes part
    elif trainer.is_world_process_zero():
        trainer.accelerator.unwrap_model(trainer.model).to(dtype).save_pretrained(out)
    if trainer.is_world_process_zero():
        tokenizer.save_pretrained(out)
