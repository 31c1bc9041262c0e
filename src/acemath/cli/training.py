"""What the commands that train a model share: their options, and the model that is there already."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from acemath.cli.options import folder
from acemath.errors import UserError
from acemath.files.lock import LOCK, locked
from acemath.notices import is_first_process, say
from acemath.records import fingerprint
from acemath.run.reasons import flatten
from acemath.train.checkpoints import FACTS, is_made, last_checkpoint, owner, read

LearningRate = Annotated[float, typer.Option(help="The highest learning rate.")]
Epochs = Annotated[float, typer.Option(help="How many times each row is trained on.")]
ModelOut = Annotated[Path, typer.Option("--out", callback=folder, help="The model's folder.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the model that --out holds, and drop checkpoints of another training.")]


@contextmanager
def checkpoints_of(out: Path, identity: Mapping[str, Any], overwrite: bool) -> Iterator[Path]:
    """The folder of checkpoints beside a model's folder, for the training with this identity.

    UserError if another command uses it, or if it holds checkpoints of another training and `overwrite` is not set.
    Processes of one training share it.
    """
    work = out.absolute().with_name(out.absolute().name + "-checkpoints")
    if not is_first_process():
        yield work
        return
    with locked(work):
        try:
            if not overwrite:
                _check_owner(work, identity)
            yield work
        finally:
            if work.is_dir() and all(path.name == LOCK for path in work.iterdir()):  # a wrong base, say: nothing was begun
                shutil.rmtree(work)


def _check_owner(work: Path, identity: Mapping[str, Any]) -> None:
    """UserError if `work` holds checkpoints of a training with another identity: it names what differs."""
    found, last = owner(work), last_checkpoint(work)
    if last is None or fingerprint(found) == fingerprint(identity):
        return
    before, now = (flatten(json.loads(json.dumps(one))) for one in (found or {}, identity))
    names = ", ".join(name for name in sorted({*before, *now}) if before.get(name) != now.get(name))
    raise UserError(
        f"{last} belongs to another training (it differs in {names}); repeat that training's arguments to finish it, "
        "choose another --out, or remove its checkpoints with --overwrite"
    )


def facts_of_made(out: Path, identity: Any, overwrite: bool) -> Any:
    """The facts of the model in `out` if it was made with the same arguments (a notice says so); None otherwise.

    UserError if `out` holds something else, unless that is a model and `overwrite` is set.
    """
    if not is_made(out, identity, overwrite):
        return None
    say(f"already done: {out} holds the model of these arguments; --overwrite trains it again")
    return read(out / FACTS)
