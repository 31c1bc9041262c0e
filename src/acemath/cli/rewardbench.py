"""`acemath rewardbench`: selectors on stored responses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from acemath.benchmarks.stored import stored_records
from acemath.benchmarks.tables import reward_bench
from acemath.cli.options import Columns, Json, Pick
from acemath.cli.output import MEASURES, measure_rows, show
from acemath.notices import say
from acemath.run.display import Display


def command(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="Responses with labels, and with rewards if there are any; each file is one benchmark."
        ),
    ],
    k: Pick = 8,
    columns: Columns = None,
    as_json: Json = False,
) -> None:
    """Measure rm@k on stored responses, with its controls: random, shortest, longest, majority, oracle.

    Example: acemath rewardbench scored.jsonl -k 8
    """
    with Display().during("rewardbench"):
        found = rewardbench(files, k, columns)
    for note in found["notes"]:
        say(note)
    show(found, as_json, MEASURES, measure_rows(found["rows"]))


def rewardbench(files: Sequence[Path], k: int, columns: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The table of selectors on the responses of some files, with notes on rows that were left out.

    UserError if no problem of a benchmark has k responses.
    """
    records, notes = stored_records(files, columns)
    return {"k": k, "rows": [asdict(row) for row in reward_bench(records, k)], "notes": notes}
