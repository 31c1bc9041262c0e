"""`acemath grade`: verdicts for a file of responses, or for one answer."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from acemath.cli.options import Columns, Json, json_lines
from acemath.cli.output import show
from acemath.cli.reading import check_prompts, read_names
from acemath.errors import UserError
from acemath.files.rows import check_columns
from acemath.grade import grade
from acemath.grade.stored import grade_file
from acemath.run.display import Display


def command(
    file: Annotated[Path | None, typer.Argument(help="Responses with references, in any known form.")] = None,
    gold: Annotated[str | None, typer.Option(help="A reference answer, to grade one answer.")] = None,
    answer: Annotated[str | None, typer.Option(help="The answer to grade against --gold.")] = None,
    problems: Annotated[
        Path | None,
        typer.Option(help="The problems, where the rows only name them (problem_id, qid or idx)."),
    ] = None,
    conventions: Annotated[
        Literal["strict", "lenient", "qwen2.5-math"],
        typer.Option(help="What counts as equal (docs/grading.md)."),
    ] = "strict",
    out: Annotated[
        Path | None,
        typer.Option(
            callback=json_lines,
            help="Write each response with its status, extracted answer, reason, tier and rule to this JSONL file.",
        ),
    ] = None,
    columns: Columns = None,
    as_json: Json = False,
) -> None:
    """Grade responses against references.

    Example: acemath grade --gold 1/2 --answer 0.5

    A whole file: acemath grade samples.jsonl --problems problems.jsonl --out verdicts.jsonl
    """
    if file is not None:
        if gold is not None or answer is not None:
            raise UserError("a file and --gold or --answer are given; grade the file, or the one pair")
        with Display().during("grade"):
            check_columns([file, *([problems] if problems else [])], columns or {})
            names = read_names(problems, columns)
            if names is not None:
                check_prompts(file, names, columns)
            found = grade_file(file, conventions, names, out, columns)
        show(found, as_json)
        return
    if gold is None or answer is None:
        raise UserError("nothing to grade; give a file, or both --gold and --answer")
    if out is not None or problems is not None:
        raise UserError("--out and --problems belong to a file; leave them out for one pair")
    if not gold.strip():
        raise UserError("--gold is empty; give the reference answer")
    show(asdict(grade(answer, gold, conventions)), as_json)
