"""A folder of checkpoints belongs to one piece of work: the same arguments go on, others start anew."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from acemath.store import explained, fingerprint, write_json

OWNER = "work.json"
STATE = "trainer_state.json"  # the trainer writes it last


def claim(work: Path, identity: Any) -> None:
    """Open `work` for this identity (any JSON value). What another one left there is removed."""
    key = fingerprint(identity)
    with explained(work):
        if read(work / OWNER) != {"identity": key}:
            shutil.rmtree(work, ignore_errors=True)
            work.mkdir(parents=True)
            write_json(work / OWNER, {"identity": key})


def read(path: Path) -> Any:
    """The JSON of a file, None where there is none or it is not whole."""
    try:
        return json.loads(path.read_text())
    except (FileNotFoundError, json.JSONDecodeError, UnicodeDecodeError):
        return None


def last_checkpoint(work: Path) -> Path | None:
    """The trainer's latest whole checkpoint. One that a kill left unfinished is removed."""
    found = sorted(work.glob("checkpoint-*"), key=lambda p: int(p.name.rsplit("-", 1)[1]))
    while found:
        if read(found[-1] / STATE) is not None:
            return found[-1]
        shutil.rmtree(found.pop())
    return None


def weights_key(model: str) -> list[list[str | int]]:
    """What tells a local model's weights from others of the same path: names, sizes and times of its files."""
    files = sorted(Path(model).glob("*.safetensors")) if Path(model).is_dir() else []
    return [[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in files]
