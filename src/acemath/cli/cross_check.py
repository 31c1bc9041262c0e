"""`acemath cross-check`: the math responses of a file that another teacher's agree with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from acemath.cli.options import Columns, DroppedResponses, Json, Out, Problems
from acemath.cli.output import show, write_kept
from acemath.cli.reading import read_answered
from acemath.curate.crosscheck import agreement_counts, agreement_shares, cross_checked
from acemath.errors import UserError
from acemath.notices import say
from acemath.records import Response, by_problem
from acemath.run.display import Display


def command(
    responses: Annotated[Path, typer.Argument(help="Responses, as acemath filter writes them.")],
    problems: Problems,
    check: Annotated[Path, typer.Option(help="Another teacher's responses to the same problems.")],
    answers: Annotated[
        int, typer.Option(min=1, help="Responses of --check that each problem must have.")
    ] = 2,
    share: Annotated[float, typer.Option(min=0.01, max=1, help="Share of them that must agree.")] = 1.0,
    dropped: DroppedResponses = None,
    out: Out = Path("checked.jsonl"),
    columns: Columns = None,
    as_json: Json = False,
) -> None:
    """Keep the math responses whose answer another teacher confirms (paper, section 3.2.2).

    Code and general responses have no answer to check and are left out.

    Example: acemath cross-check kept.jsonl --check check.jsonl --problems clean.jsonl --out checked.jsonl
    """
    with Display().during("cross-check"):
        asked, rows = read_answered(responses, problems, columns)
        theirs = by_problem(_of_others(read_answered(check, problems, columns)[1], rows, check.samefile(responses), check))
        math = {row.id for row in asked if row.group == "math"}
        rows = [row for row in rows if row.problem_id in math]
        if not rows:
            raise UserError(
                f"{responses} answers no math problem of {problems}; only math can be cross-checked"
            )
        kept, lost = cross_checked(rows, theirs, answers, share)
        found = write_kept(kept, lost, Response, out, dropped)
        found["teachers"] = agreement_shares(agreement_counts(rows, theirs))
    show(found, as_json)



def _of_others(checks: Sequence[Response], rows: Sequence[Response], same_file: bool, file: Path) -> list[Response]:
    """The checking responses; none if they are those to be checked, or a copy of some, because none confirms itself.

    One that says the same may be another sample of the same model, so it takes all of them to be a copy.
    """
    own = {(row.problem_id, row.model, row.sample, row.text) for row in rows if row.model}
    if same_file or all((row.problem_id, row.model, row.sample, row.text) in own for row in checks):
        say(f"{file}: its {len(checks):,} responses are those to be checked, and confirm nothing")
        return []
    return list(checks)
