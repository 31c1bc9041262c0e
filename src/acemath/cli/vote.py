"""`acemath vote`: the math prompts that a teacher answers the same way often enough."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from acemath.cli.options import Columns, DroppedPrompts, Json, Out, Prompts
from acemath.cli.output import show, write_kept
from acemath.cli.reading import read_answered
from acemath.curate.settings import SolvabilitySettings
from acemath.curate.solvability import solvable
from acemath.errors import UserError
from acemath.records import Problem, by_problem
from acemath.run.display import Display


def command(
    prompts: Prompts,
    responses: Annotated[
        Path, typer.Option(help="Several responses to each, as acemath sample writes them.")
    ],
    answers: Annotated[int, typer.Option(min=2, help="Responses that each prompt must have.")] = 8,
    at_least: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the responses that must agree on one answer.")
    ] = 0.5,
    at_most: Annotated[
        float,
        typer.Option(min=0, max=1, help="A prompt on which a larger share agrees is too easy and dropped."),
    ] = 1.0,
    reference: Annotated[
        bool, typer.Option(help="Whether the majority must agree with the prompt's own answer.")
    ] = True,
    dropped: DroppedPrompts = None,
    out: Out = Path("solvable.jsonl"),
    columns: Columns = None,
    as_json: Json = False,
) -> None:
    """Keep the math prompts on which enough of a teacher's responses agree.

    Example: acemath vote clean.jsonl --responses samples.jsonl --at-least 0.5 --out solvable.jsonl
    """
    if at_least > at_most:
        raise UserError(f"--at-least {at_least:g} is above --at-most {at_most:g}; no prompt could be kept")
    settings = SolvabilitySettings(answers=answers, at_least=at_least, at_most=at_most, reference=reference)
    with Display().during("vote"):
        rows, found = read_answered(responses, prompts, columns)
        kept, lost = solvable(rows, by_problem(found), settings)
        shown = write_kept(kept, lost, Problem, out, dropped)
    show(shown, as_json)
