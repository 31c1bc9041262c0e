"""`acemath blend`: training conversations from responses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from acemath.cli.options import Columns, Instruction, Json, Out, Problems, System
from acemath.cli.output import show
from acemath.cli.reading import read_answered
from acemath.curate.blend import Picker, blend_facts, make_blend
from acemath.errors import UserError
from acemath.files.rows import write_rows
from acemath.models.engine import ChatFormat
from acemath.notices import say
from acemath.records import Chat, by_id
from acemath.run.display import Display


def command(
    responses: Annotated[Path, typer.Argument(help="Responses, as acemath filter writes them.")],
    problems: Problems,
    checked: Annotated[
        Path | None, typer.Option(help="The responses that acemath cross-check kept, for math.checked.")
    ] = None,
    pool: Annotated[
        list[str] | None,
        typer.Option(
            metavar="POOL",
            help="A pool to take: code, general, math, math.checked, math.unchecked or math.seeds; give it again for "
            "more. [default: code, general and math]",
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
    system: System = "",
    instruction: Instruction = "",
    seed: Annotated[int, typer.Option(help="Decides which rows are taken, and their order.")] = 0,
    out: Out = Path("chats.parquet"),
    columns: Columns = None,
    as_json: Json = False,
) -> None:
    """Make training conversations from problems and responses, one for each prompt (paper, section 3.3).

    Example: acemath blend kept.jsonl --problems clean.jsonl --checked checked.jsonl --pool math.checked --pool math
    """
    with Display().during("blend"):
        pools = pool or ["code", "general", "math"]
        needs = next((name for name in pools if name in ("math.checked", "math.unchecked")), None)
        if needs is not None and checked is None:
            raise UserError(
                f"pool {needs!r} needs the cross-checked responses; name their file with --checked"
            )
        asked, rows = read_answered(responses, problems, columns)
        cut, wrong = sum(not r.complete for r in rows), sum(r.label is False for r in rows)
        if cut or wrong:
            say(f"{responses}: {cut:,} of {len(rows):,} responses are not complete and {wrong:,} are graded wrong; a blend takes them too")
        confirmed = [] if checked is None else read_answered(checked, problems, columns)[1]
        if confirmed and not {(r.problem_id, r.text) for r in confirmed} & {(r.problem_id, r.text) for r in rows}:
            raise UserError(f"no response of {checked} is one of {responses}; give what acemath cross-check kept of that file")
        counts = {name: int(n) for name, n in _numbers("--count", count or (), whole=True).items()}
        chat = ChatFormat(system=system, instruction=instruction)
        picker = Picker(pools, counts, _numbers("--share", share or ()), {}, seed)
        chats = make_blend(picker, by_id(asked), rows, confirmed, chat)
        if not chats:
            raise UserError(
                f"no response of {responses} is in the pools {', '.join(pools)}; name others with --pool"
            )
        write_rows(out, chats, Chat)
    show({**blend_facts(chats), "out": str(out)}, as_json)


def _numbers(option: str, pairs: Sequence[str], whole: bool = False) -> dict[str, float]:
    """{pool: number} of texts pool=number. UserError where one has another form."""
    found = {}
    for pair in pairs:
        name, _, number = pair.partition("=")
        try:
            value = int(number) if whole else float(number)
        except ValueError as error:
            kind = "a whole number" if whole else "a number"
            raise UserError(f"{option} {pair!r} does not give {kind}; write it as POOL=NUMBER") from error
        if value < 0:
            raise UserError(f"{option} {pair!r} is below 0; give a positive number")
        found[name] = value
    return found
