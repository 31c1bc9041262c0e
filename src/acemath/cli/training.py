"""What the commands that train a model share: their options, and the model that is there already."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from acemath.cli.options import folder
from acemath.files.lock import LOCK, locked
from acemath.notices import is_first_process, say
from acemath.train.checkpoints import FACTS, is_made, read

LearningRate = Annotated[float, typer.Option(help="The highest learning rate.")]
Epochs = Annotated[float, typer.Option(help="How many times each row is trained on.")]
ModelOut = Annotated[Path, typer.Option("--out", callback=folder, help="The model's folder.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the model that --out holds.")]


@contextmanager
def checkpoints_of(out: Path) -> Iterator[Path]:
    """The folder of checkpoints, beside a model's folder. UserError if another command uses it; processes of one training share it."""
    work = out.absolute().with_name(out.absolute().name + "-checkpoints")
    if not is_first_process():
        yield work
        return
    with locked(work):
        try:
            yield work
        finally:
            if work.is_dir() and all(path.name == LOCK for path in work.iterdir()):  # a wrong base, say: nothing was begun
                shutil.rmtree(work)


def facts_of_made(out: Path, identity: Any, overwrite: bool) -> Any:
    """The facts of the model in `out` if it was made with the same arguments (a notice says so); None otherwise.

    UserError if `out` holds something else, unless that is a model and `overwrite` is set.
    """
    if not is_made(out, identity, overwrite):
        return None
    say(f"already done: {out} holds the model of these arguments; --overwrite trains it again")
    return read(out / FACTS)
