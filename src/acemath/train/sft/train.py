"""One stage of fine-tuning (paper, section 3.3): conversations in, a policy's folder out."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from acemath.errors import UserError
from acemath.files.atomic import write_json
from acemath.models.builtin import resolve
from acemath.models.chat import chat_template
from acemath.models.encoding import Tokens, encode_all
from acemath.models.hardware import is_first_process, meet, processes
from acemath.models.loading import chat_tokenizer
from acemath.notices import say
from acemath.records import Chat, content_key
from acemath.train.checkpoints import claim, last_checkpoint, read, step_of, weights_key
from acemath.train.ondisk import remove
from acemath.train.packing import PackedRows, pack
from acemath.train.sft.card import write_card
from acemath.train.sft.result import SftResult
from acemath.train.sft.settings import SftSettings
from acemath.train.sft.trainer import Progress, make_trainer, quiet
from acemath.train.shards import save_model, save_shards, written
from acemath.train.trackers import check_tracker

log = logging.getLogger(__name__)


def train_sft(
    base: str | Path,
    chats: Sequence[Chat],
    out: Path,
    work: Path,
    settings: SftSettings,
    seed: int = 0,
    progress: Progress = quiet,
) -> SftResult:
    """Train `base` on conversations; the model, its tokenizer, `training.json` and a card go into `out`.

    The first `settings.validation` conversations that can be learned, at most a tenth, are kept aside for validation
    loss. `work` keeps the checkpoints: a stopped call with the same arguments goes on from the last of them and
    ends with the same weights; other arguments start anew. UserError on a base without a chat template, without
    conversations, where no response has room in max_length, where the loss is no number, and for a tracker that is
    not installed.
    """
    check_tracker(settings.report_to)
    source = resolve(base)
    tokenizer = chat_tokenizer(base)
    encoded = _encode(chats, tokenizer, progress)
    learned = _learnable(encoded, settings.max_length)
    kept = min(settings.validation, len(learned) // 10)
    rows = _rows(learned[kept:], settings, seed)
    aside = _rows(learned[:kept], settings.model_copy(update={"packing": False}), seed) if kept else None
    identity = identity_of(base, chats, settings, seed)
    _claim(work, identity)
    progress(0, 0, f"loading {base}")
    trainer = make_trainer(source, tokenizer, rows, aside, work, settings, seed, progress)
    before = _loss_before(trainer, work) if aside else None
    done, seconds = _train(trainer, work)
    after = trainer.validation_loss() if aside else None
    tokens = sum(rows.widths)
    share = 1 - done / max(1, trainer.state.max_steps)  # of the work that this call did
    speed = tokens * settings.epochs * share / max(1e-9, seconds)
    log.info("%d steps, %d tokens an epoch, %.0f tokens/s", trainer.state.max_steps, tokens, speed)
    result = SftResult(
        curve=_curve(trainer.state.log_history, before),
        validation_before=before,
        validation_after=after,
        conversations=len(chats),
        cut=sum(len(row.ids) > settings.max_length for row in encoded),
        unlearned=len(encoded) - len(learned),
        tokens=tokens,
        learned_tokens=sum(row.cut(settings.max_length).learned for row in rows.rows),
        padding=1 - tokens / (len(rows) * max(rows.widths)),
        stop_ids=chat_template(tokenizer).stop_ids(_policy(trainer).generation_config),
        seconds=seconds,
        tokens_per_second=speed,
        mfu=speed * trainer.meter.flops / trainer.meter.rate / trainer.args.world_size,
    )
    progress(trainer.state.max_steps, trainer.state.max_steps, "saving the model")
    _save(trainer, tokenizer, work, out, settings, result.stop_ids)
    if is_first_process():
        write_card(out, str(base), chats, settings, seed, identity, result)
        remove(work)
    return result


def identity_of(base: str | Path, chats: Sequence[Chat], settings: SftSettings, seed: int) -> dict[str, Any]:
    """What a policy's weights depend on, as a JSON value: the same arguments give the same weights.

    The licences of the data are part of it: a card that was written under others may not stay.
    """
    source = resolve(base)
    return {
        "base": [source, weights_key(source)],
        "conversations": content_key(
            *(part for c in chats for m in c.messages for part in (m["role"], m["content"]))
        ),
        "licences": sorted({chat.license for chat in chats}),
        "settings": settings.model_dump(exclude={"save_every", "report_to"}),
        "seed": seed,
    }


def _encode(chats: Sequence[Chat], tokenizer: Any, progress: Progress) -> list[Tokens]:
    if not chats:
        raise UserError(
            "there are no conversations to learn; check the file, or the blend's pools and counts"
        )
    encoded: list[Tokens] = []
    for row in encode_all([chat.messages for chat in chats], tokenizer):
        if len(encoded) % 256 == 0:
            progress(len(encoded), len(chats), "conversations tokenised")
        encoded.append(row)
    return encoded


def _learnable(encoded: Sequence[Tokens], room: int) -> list[Tokens]:
    """Conversations that have a response token in their first `room` tokens. UserError where none has."""
    found = [row for row in encoded if row.cut(room).learned]
    lost = len(encoded) - len(found)
    what = f"{lost:,} of {len(encoded):,} conversations are longer than max_length {room} before their response begins"
    if not found:
        shortest = min(row.spans[0][0] for row in encoded)
        raise UserError(
            f"no response has room: {what} (the first begins after {shortest:,} tokens); raise max_length"
        )
    if lost:
        say(f"{what}; they are left out: raise max_length to learn them")
    return found


def _train(trainer: Any, work: Path) -> tuple[int, float]:
    """Train from the last checkpoint, if there is one; returns the steps done before and the seconds of the rest."""
    checkpoint = last_checkpoint(work)
    started = time.monotonic()
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    return step_of(checkpoint) if checkpoint else 0, time.monotonic() - started


def _rows(encoded: Sequence[Tokens], settings: SftSettings, seed: int) -> PackedRows:
    room = settings.max_length
    if not settings.packing:
        return PackedRows(encoded, [[number] for number in range(len(encoded))], room)
    return PackedRows(encoded, pack([len(row.ids) for row in encoded], room, seed), room)


def _claim(work: Path, identity: dict[str, Any]) -> None:
    with processes().main_process_first():  # the others find it claimed
        claim(work, identity)


def _loss_before(trainer: Any, work: Path) -> float:
    """Validation loss of the base, measured once: a resumed call no longer holds the base's weights."""
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
    """The whole model, without adapters, as safetensors in bfloat16 (float32 with bf16 off), and its tokenizer.

    Its generation config names the tokens that end a response, so that every engine stops there.
    """
    model = _policy(trainer)
    with written(work / "final") as folder:
        save_shards(folder, model)
    if is_first_process():
        with torch.device("meta"):
            plain = AutoModelForCausalLM.from_config(model.config)
        plain.generation_config = model.generation_config
        plain.generation_config.eos_token_id = list(stop_ids)
        dtype = torch.bfloat16 if settings.bf16 else torch.float32
        save_model(work / "final", plain, out, dtype, settings.lora)
        tokenizer.save_pretrained(out)
    meet()


def _policy(trainer: Any) -> Any:
    return trainer.accelerator.unwrap_model(trainer.model)
