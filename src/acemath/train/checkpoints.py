"""Folders of checkpoints. Each belongs to one training: the same arguments resume it, other arguments start again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from acemath.errors import UserError
from acemath.files.atomic import explained, write_json
from acemath.files.lock import LOCK
from acemath.notices import say
from acemath.records import fingerprint

OWNER = "work.json"
STATE = "trainer_state.json"  # the steps done and the figures, beside the shards of a checkpoint
FACTS = "training.json"  # what a model was trained on and how; lies beside its weights

LOADED = ("*.safetensors", "config.json", "tokenizer*", "*.jinja")  # weights, shape, tokenizer, chat template


def claim(work: Path, identity: Mapping[str, Any]) -> None:
    """Reserve the folder `work` for the training with this identity (JSON values by name).

    Files of another training are removed. A notice tells of its checkpoints, or of one to resume from.
    """
    with explained(work):
        if fingerprint(owner(work)) != fingerprint(identity):
            if (lost := last_checkpoint(work)) is not None:
                say(f"{lost} belongs to a training with other arguments or data, and is removed")
            for old in work.glob("*") if work.is_dir() else ():
                if old.name != LOCK:
                    shutil.rmtree(old) if old.is_dir() else old.unlink()
            work.mkdir(parents=True, exist_ok=True)
            write_json(work / OWNER, dict(identity))
    found = last_checkpoint(work)
    if found is not None:
        say(f"resuming from {found}")


def owner(work: Path) -> Any:
    """The identity of the training that the folder `work` belongs to; None if it belongs to none."""
    return read(work / OWNER)


def is_made(out: Path, identity: Any, replace: bool) -> bool:
    """Whether `out` holds the finished model of this training, so that nothing is left to do.

    UserError if it holds anything else: another model is replaced only with `replace`, other files never.
    """
    facts = read(out / FACTS)
    if isinstance(facts, dict) and facts.get("identity") == fingerprint(identity) and not replace:
        return True
    if not out.exists():
        return False
    if not out.is_dir() or (any(out.iterdir()) and not (out / "config.json").exists()):
        raise UserError(f"{out} exists and is not the folder of a model; choose another --out")
    if any(out.iterdir()) and not replace:
        raise UserError(
            f"{out} holds a model that was trained with other arguments or data; choose another --out, or replace it with --overwrite"
        )
    return False


def put(made: Path, out: Path, work: Path) -> None:
    """Move a finished model to `out`, in place of any model there, and remove the folder of checkpoints."""
    with explained(out):
        if out.exists():
            out.rename(work / "replaced")
        made.rename(out)
        (work / OWNER).unlink()  # a stop while the rest is removed would leave parts of checkpoints, which nobody then owns
        shutil.rmtree(work)


def read(path: Path) -> Any:
    """The JSON of a file; None if the file is missing or incomplete."""
    try:
        return json.loads(path.read_text())
    except (FileNotFoundError, json.JSONDecodeError, UnicodeDecodeError):
        return None


def checkpoint(work: Path, step: int) -> Path:
    """The folder of the checkpoint after `step` steps."""
    return work / f"checkpoint-{step}"


def step_of(folder: Path) -> int:
    """The number of steps done before a checkpoint."""
    return int(folder.name.rsplit("-", 1)[1])


def last_checkpoint(work: Path) -> Path | None:
    """The latest checkpoint, if there is one. It is complete: while it is written its folder has the suffix `.tmp`."""
    found = [path for path in work.glob("checkpoint-*") if not path.suffix]
    return max(found, key=step_of, default=None)


def remove_older(work: Path, step: int) -> None:
    """Delete all checkpoints except the one after `step` steps."""
    for path in work.glob("checkpoint-*"):
        if path != checkpoint(work, step):
            shutil.rmtree(path)


def weights_key(model: str) -> list[list[str | int]]:
    """Names, sizes and times of the files that a local model is loaded from: another model at the same path differs."""
    files = sorted({file for pattern in LOADED for file in Path(model).glob(pattern)}) if Path(model).is_dir() else []
    return [[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in files]
