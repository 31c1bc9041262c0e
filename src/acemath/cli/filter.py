"""`acemath filter`: the responses of a file that have the form that training wants."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from acemath.cli.options import Changes, Columns, DroppedResponses, Json, Out, Problems, settings_of
from acemath.cli.output import show, write_kept
from acemath.cli.reading import read_answered
from acemath.curate.filters import filter_responses
from acemath.curate.settings import FilterSettings
from acemath.records import Response
from acemath.run.display import Display


def command(
    responses: Annotated[Path, typer.Argument(help="Responses, as acemath synthesize writes them.")],
    problems: Problems,
    changes: Changes = None,
    dropped: DroppedResponses = None,
    out: Out = Path("kept.jsonl"),
    columns: Columns = None,
    as_json: Json = False,
) -> None:
    """Drop responses that are too long, cut off, without a boxed answer or in a loop (paper, section 3.2.1).

    Math responses need an answer in a box; code and general ones do not.

    Example: acemath filter responses.jsonl --problems clean.jsonl --out kept.jsonl --dropped dropped.jsonl
    """
    with Display().during("filter"):
        settings = settings_of(FilterSettings, {}, dict(changes or ()))
        asked, rows = read_answered(responses, problems, columns)
        math = {row.id for row in asked if row.group == "math"}
        kept, lost = filter_responses(rows, settings, lambda row: row.problem_id in math)
        found = write_kept(kept, lost, Response, out, dropped)
    show(found, as_json)
