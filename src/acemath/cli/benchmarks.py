"""`acemath benchmarks`: the registry of benchmarks."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from acemath.benchmarks.benchmark import Benchmark
from acemath.benchmarks.other_results import other_results
from acemath.benchmarks.registry import BENCHMARKS, PRESETS
from acemath.cli.options import Json
from acemath.cli.output import MEASURES, measure_rows, show
from acemath.curate.licences import non_commercial


def command(
    results: Annotated[
        list[Path] | None,
        typer.Option(help="Show this result of EvalPlus or lm-eval (HumanEval, MBPP) instead; may be given again."),
    ] = None,
    as_json: Json = False,
) -> None:
    """List the benchmarks that commands and recipes know by name, with sizes, shots and licences.

    "paper" names the seven of the paper's Table 3, "rewardbench" those of its Table 6. A benchmark is read from --file,
    else from the folder of the environment variable ACEMATH_DATA, else from the hub.

    Example: acemath benchmarks
    """
    if results:
        found = [row for path in results for row in other_results(path)]
        show({"rows": found}, as_json, MEASURES, measure_rows(found))
        return
    rows = [_record(one) for one in BENCHMARKS.values()]
    table = [
        (row["name"], row["title"], f"{row['size']:,}", row["hub"], str(row["shots"]), row["license"], row["note"])
        for row in rows
    ]
    columns = ("name", "benchmark", "problems", "data set", "shots", "licence", "note")
    show({"benchmarks": rows, "presets": PRESETS}, as_json, columns, table)


def _record(one: Benchmark) -> dict[str, Any]:
    """A benchmark as an object of JSON: its fields, and whether its licence forbids commercial use."""
    record = asdict(one) | {"subjects": sorted(one.subjects), "suspects": len(one.suspects)}
    return record | {"conventions": one.conventions.name, "non_commercial": bool(non_commercial([one.license]))}
