"""`acemath published`: the numbers that the paper prints, and own results beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from acemath.benchmarks.published import benchmark_key, beside, published, short_name
from acemath.cli.options import Json
from acemath.cli.output import show
from acemath.errors import UserError
from acemath.notices import say
from acemath.run.result_rows import result_rows

PRINTED = ("table", "model", "judge", "measure", "benchmark", "percent")
BESIDE = ("of", "benchmark", "yours", "95 % interval", "the paper", "verdict")


def command(
    results: Annotated[
        Path | None,
        typer.Argument(help="A run's or an evaluation's folder, or the file of a --json output, to compare with the paper."),
    ] = None,
    table: Annotated[str, typer.Option(help="Show this table or figure alone, for example 6 or figure-1.")] = "",
    model: Annotated[
        str, typer.Option(help="Show this policy or reward model alone; with RESULTS, the policy of rows that name none.")
    ] = "",
    judge: Annotated[str, typer.Option(help="With RESULTS, the reward model of rows that name none.")] = "",
    benchmark: Annotated[str, typer.Option(help="Show this benchmark alone.")] = "",
    as_json: Json = False,
) -> None:
    """Show the numbers that the paper prints, with their table, or put own results beside them.

    A printed number that lies outside the interval of one's own is marked.

    Example: acemath published --table 6 --benchmark math500

    Own results: acemath published results.json --judge AceMath-7B-RM
    """
    if results is not None:
        compared = [c.record() for c in beside(result_rows(results), model, judge)]
        compared = [c for c in compared if not benchmark or benchmark_key(c["benchmark"]) == benchmark_key(benchmark)]
        if not compared:
            say("the paper prints no number for these models, measures and benchmarks; acemath published lists what it prints")
        show({"rows": compared}, as_json, BESIDE, beside_lines(compared))
        return
    found = listed(table, model or judge, benchmark)
    show({"rows": found}, as_json, PRINTED, [[r["table"], r["model"], r["judge"], r["measure"], r["benchmark"], r["value"]] for r in found])
    for note in dict.fromkeys(f"{r['table']}, {r['model'] or r['judge']}, {r['benchmark']}: {r['note']}" for r in found if r["note"]):
        say(note)


def listed(table: str, model: str, benchmark: str) -> list[dict[str, Any]]:
    """The printed numbers with these properties; an empty one leaves all. UserError if there is none."""
    wanted = f"table{table}" if table.isdigit() else short_name(table)
    found = [
        {
            "table": p.table, "model": p.model, "judge": p.judge, "measure": p.measure, "benchmark": p.benchmark,
            "value": p.value, "problems": p.problems, "setting": p.setting, "source": p.source, "note": p.note,
        }
        for p in published()
        if (not table or short_name(p.table) == wanted)
        and (not model or short_name(model) in (short_name(p.model), short_name(p.judge)))
        and (not benchmark or benchmark_key(benchmark) == benchmark_key(p.benchmark))
    ]  # fmt: skip
    if not found:
        tables = ", ".join(dict.fromkeys(p.table for p in published()))
        given = ", ".join(filter(None, (table, model, benchmark)))
        raise UserError(f"the paper prints no number for {given}; acemath published shows all of {tables}")
    return found


def beside_lines(compared: Sequence[Mapping[str, Any]]) -> list[Sequence[Any]]:
    """Comparisons (`Comparison.record`) as lines under the columns BESIDE."""
    return [_line(c) for c in compared]


def _line(c: Mapping[str, Any]) -> Sequence[Any]:
    who = " with ".join(filter(None, (c["model"], c["judge"])))
    verdict = "OUTSIDE the interval" if c["outside"] else "inside"
    if c["paper_problems"] not in (None, c["problems"]):
        verdict += f", of {c['problems']:,} problems here and {c['paper_problems']:,} there"
    table = c["source"].rpartition(", ")[2]
    return [f"{c['measure']} of {who}", c["benchmark"], c["value"], f"{c['low']:.2f} … {c['high']:.2f}", f"{c['paper']:.2f} ({table})", verdict]
