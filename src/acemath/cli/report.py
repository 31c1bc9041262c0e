"""`acemath report`: the report of a finished run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from acemath.cli.options import Json
from acemath.cli.output import show
from acemath.run.display import Display
from acemath.run.run import write_report


def command(
    run: Annotated[Path, typer.Argument(metavar="FOLDER", help="A finished run's folder.")],
    as_json: Json = False,
) -> None:
    """Write the report of a finished run again.

    Example: acemath report runs/laptop
    """
    with Display().during("report"):
        made = write_report(run)
    show({"report": str(made)}, as_json)
