"""`acemath view`: stored problems and responses as a local page."""

from __future__ import annotations

import os
import sys
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from acemath.cli.reading import read_names
from acemath.errors import UserError

MOST = 2  # folders or files that are shown together


def command(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN_OR_RESULTS...",
            help="One or two: a run's folder or an evaluation's, finished or not, or a file of responses.",
        ),
    ],
    problems: Annotated[
        Path | None,
        typer.Option(help="The problems that a file's responses answer, if it does not hold them."),
    ] = None,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="The port. [default: a free one]", show_default=False)
    ] = 0,
    no_open: Annotated[
        bool, typer.Option("--no-open", help="Print the address and open no browser.")
    ] = False,
) -> None:
    """Look at stored problems, responses, verdicts, rewards and votes on a local page.

    The page is served to this machine alone, until Ctrl-C. Nothing is loaded from elsewhere.

    Example: acemath view runs/laptop
    """
    if len(paths) > MOST:
        raise UserError(f"{len(paths)} folders or files are given; give one, or two to compare them")
    from acemath.serve.viewer.api import Viewer
    from acemath.serve.viewer.server import Server

    server = Server(Viewer(paths, read_names(problems)), port)
    typer.echo(f"{server.url}  (Ctrl-C ends)")
    if not no_open and _has_screen():
        webbrowser.open(server.url)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        typer.echo("stopped", err=True)
    finally:
        server.server_close()


def _has_screen() -> bool:
    """Whether a browser would open a window. Without one, some systems start a text browser in the terminal."""
    windowed = sys.platform in ("darwin", "win32")
    return windowed or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
