"""`acemath pretrain-nano`: the built-in base model, made again."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Annotated

import typer

from acemath.cli.options import folder
from acemath.run.display import Display


def command(
    out: Annotated[
        Path, typer.Argument(callback=folder, help="The model's folder. A stopped run continues there.")
    ],
    share: Annotated[float, typer.Option(min=0.0001, help="Share of the usual number of tokens.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Another seed draws other pages.")] = 0,
    base: Annotated[
        str | None, typer.Option(help="Start from the weights in this folder, at half the learning rates.")
    ] = None,
) -> None:
    """Pre-train nano-base on worksheet pages. This takes hours on two cores.

    Example: acemath pretrain-nano nano --share 0.01
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    with Display(every=10).during("pretrain-nano"):
        from acemath.demo.nano.pretrain import PretrainSettings, pretrain

        settings = PretrainSettings(seed=seed)
        pretrain(out, (settings.going_on(base) if base else settings).scaled(share))
