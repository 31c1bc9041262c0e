"""The commands between a teacher's responses and a training set: filter, cross-check and blend."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from acemath.cli.output import Json, Out, json_lines, show
from acemath.cli.settings import Change, Columns, columns_of
from acemath.errors import UserError
from acemath.run.display import Display

if TYPE_CHECKING:
    from acemath.records import Dropped, Response

app = typer.Typer()

Problems = Annotated[Path, typer.Option(help="The problems that the responses answer.")]
DroppedTo = Annotated[
    Path | None,
    typer.Option(
        "--dropped",
        callback=json_lines,
        help="Write each dropped response, with the reason, to this JSONL file.",
    ),
]
PER_POOL = "POOL=NUMBER"


@app.command("filter")
def filter_(
    responses: Annotated[Path, typer.Argument(help="Responses, as acemath synthesize writes them.")],
    problems: Problems,
    change: Change = None,
    dropped: DroppedTo = None,
    out: Out = Path("kept.jsonl"),
    columns: Columns = None,
    as_json: Json = False,
) -> None:
    """Drop responses that are too long, cut, without a box or in a loop (paper, section 3.2.1).

    Math responses need an answer in a box; code and general ones do not.

    Example: acemath filter responses.jsonl --problems clean.jsonl --out kept.jsonl --dropped dropped.jsonl
    """
    with Display().during("filter"):
        from acemath.cli.data import read_answered
        from acemath.cli.settings import settings_of
        from acemath.curate.filters import filter_responses
        from acemath.curate.settings import FilterSettings

        settings = settings_of(FilterSettings, {}, change or ())
        asked, rows = read_answered(responses, problems, columns_of(columns))
        math = {row.id for row in asked if row.group == "math"}
        kept, lost = filter_responses(rows, settings, lambda row: row.problem_id in math)
        found = _write(rows, kept, lost, dropped, out)
    show(found, as_json)


@app.command("cross-check")
def cross_check(
    responses: Annotated[Path, typer.Argument(help="Responses, as acemath filter writes them.")],
    problems: Problems,
    check: Annotated[Path, typer.Option(help="Another teacher's responses to the same problems.")],
    answers: Annotated[
        int, typer.Option(min=1, help="Responses of --check that each problem must have.")
    ] = 2,
    share: Annotated[float, typer.Option(min=0.01, max=1, help="Share of them that must agree.")] = 1.0,
    dropped: DroppedTo = None,
    out: Out = Path("checked.jsonl"),
    columns: Columns = None,
    as_json: Json = False,
) -> None:
    """Keep the math responses whose answer another teacher confirms (paper, section 3.2.2).

    Code and general responses have no answer to check and are left out.

    Example: acemath cross-check kept.jsonl --check check.jsonl --problems clean.jsonl --out checked.jsonl
    """
    with Display().during("cross-check"):
        from acemath.cli.data import read_answered
        from acemath.curate.crosscheck import agreement_counts, agreement_shares, cross_checked
        from acemath.records import by_problem

        asked, rows = read_answered(responses, problems, columns_of(columns))
        theirs = by_problem(read_answered(check, problems, columns_of(columns))[1])
        math = {row.id for row in asked if row.group == "math"}
        rows = [row for row in rows if row.problem_id in math]
        if not rows:
            raise UserError(
                f"{responses} answers no math problem of {problems}; only math can be cross-checked"
            )
        kept, lost = cross_checked(rows, theirs, answers, share)
        found = _write(rows, kept, lost, dropped, out) | {"teachers": agreement_shares(agreement_counts(rows, theirs))}
    show(found, as_json)


@app.command()
def blend(
    responses: Annotated[Path, typer.Argument(help="Responses, as acemath filter writes them.")],
    problems: Problems,
    checked: Annotated[
        Path | None, typer.Option(help="The responses that acemath cross-check kept, for math.checked.")
    ] = None,
    pool: Annotated[
        list[str] | None,
        typer.Option(
            help="A pool to take: code, general, math, math.checked, math.unchecked or math.seeds; give it again for "
            "more. [default: code, general and math]",
            metavar="POOL",
        ),
    ] = None,
    count: Annotated[
        list[str] | None,
        typer.Option(
            metavar="POOL=N", help="Take at most N responses of a pool; give it again for more pools."
        ),
    ] = None,
    share: Annotated[
        list[str] | None, typer.Option(metavar="POOL=X", help="Take at most this share of a pool (0 to 1).")
    ] = None,
    system: Annotated[str, typer.Option(help="System prompt of each conversation.")] = "",
    instruction: Annotated[str, typer.Option(help="Text after each problem.")] = "",
    seed: Annotated[int, typer.Option(help="Decides which rows are taken, and their order.")] = 0,
    out: Out = Path("chats.parquet"),
    columns: Columns = None,
    as_json: Json = False,
) -> None:
    """Make training conversations from problems and responses, one for each prompt (paper, section 3.3).

    Example: acemath blend kept.jsonl --problems clean.jsonl --checked checked.jsonl --pool math.checked --pool math
    """
    with Display().during("blend"):
        from acemath.cli.data import read_answered
        from acemath.curate.blend import Stock, blend_facts, make_blend
        from acemath.files.rows import write_rows
        from acemath.models.engine import ChatFormat
        from acemath.records import Chat, by_id

        pools = pool or ["code", "general", "math"]
        needs = next((name for name in pools if name in ("math.checked", "math.unchecked")), None)
        if needs is not None and checked is None:
            raise UserError(
                f"pool {needs!r} needs the cross-checked responses; name their file with --checked"
            )
        asked, rows = read_answered(responses, problems, columns_of(columns))
        confirmed = (
            {row.problem_id for row in read_answered(checked, problems, columns_of(columns))[1]} if checked is not None else set()
        )
        counts = {name: int(n) for name, n in _numbers("--count", count or (), whole=True).items()}
        stock = Stock(by_id(asked), rows, confirmed)
        chat = ChatFormat(system=system, instruction=instruction)
        chats = make_blend(pools, counts, stock, chat, seed, _numbers("--share", share or ()))
        if not chats:
            raise UserError(
                f"no response of {responses} is in the pools {', '.join(pools)}; name others with --pool"
            )
        write_rows(out, chats, Chat)
        found = {**blend_facts(chats), "out": str(out)}
    show(found, as_json)


def _write(
    rows: Sequence[Response],
    kept: Sequence[Response],
    lost: Sequence[Dropped],
    dropped_to: Path | None,
    out: Path,
) -> dict[str, Any]:
    """Write what was kept and what was dropped; gives their numbers."""
    from collections import Counter
    from dataclasses import asdict

    from acemath.files.atomic import write_json_lines
    from acemath.files.rows import write_rows
    from acemath.records import Response

    write_rows(out, kept, Response)
    if dropped_to is not None:
        write_json_lines(dropped_to, [asdict(row) for row in lost])
    reasons = dict(Counter(row.reason for row in lost))
    return {"n": len(rows), "kept": len(kept), "dropped": reasons, "out": str(out)}


def _numbers(option: str, pairs: Sequence[str], whole: bool = False) -> dict[str, float]:
    """{pool: number} of texts `pool=number`. UserError where one has another form."""
    found = {}
    for pair in pairs:
        name, _, number = pair.partition("=")
        try:
            value = int(number) if whole else float(number)
        except ValueError as error:
            kind = "a whole number" if whole else "a number"
            raise UserError(f"{option} {pair!r} does not give {kind}; write it as {PER_POOL}") from error
        if value < 0:
            raise UserError(f"{option} {pair!r} is below 0; give a positive number")
        found[name] = value
    return found
