"""The rows of results, from wherever a user has them: a run's or an evaluation's folder, or the file of a --json output."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from acemath.benchmarks.tables import (
    AVERAGE,
    JUDGED,
    MEASURES,
    VERIFIED_AND_JUDGED,
    benchmarks_of,
    over_benchmarks,
    reward_bench,
)
from acemath.errors import UserError
from acemath.files.atomic import read_json
from acemath.metrics import Estimate, estimate
from acemath.run.bench_tables import judged
from acemath.run.evaluation import TABLES, stored_records
from acemath.run.inspect_logs import answers_of
from acemath.run.rewardbench import VOTES

RESULTS = "results.json"
OF_JUDGE = (*JUDGED, *VERIFIED_AND_JUDGED)  # selectors whose picks depend on a judge
GREEDY = "greedy"  # the selector of a policy's greedy responses, and the start of their stage's name


def result_rows(path: Path, k: int = 8) -> list[dict[str, Any]]:
    """The rows with measure, benchmark, value, low, high and problems, in percent; `k` is for folders of scores alone.

    UserError if `path` holds no results.
    """
    found: Any
    if (path / VOTES).is_dir():
        found = list(_judged_rows(path, k))
    elif (path / TABLES).exists():
        found = read_json(path / TABLES)["rewardbench"]["rows"] + list(_greedy_rows(path))
    else:
        file = path / RESULTS if path.is_dir() else path
        if not file.exists():
            raise UserError(f"{file} does not exist; name a finished run, an evaluation's folder, or the file of a --json output")
        found = read_json(file).get("rows")
    needed = ("measure", "benchmark", "value", "low", "high", "problems")
    if not isinstance(found, list) or not all(isinstance(r, dict) and all(name in r for name in needed) for r in found):
        raise UserError(f"{path} has no rows with {', '.join(needed)}; name results of acemath eval or acemath rewardbench")
    for row in found:
        faulty = next((n for n in ("value", "low", "high") if not (row["value"] is None or isinstance(row[n], int | float))), None)
        if faulty is not None:
            raise UserError(f"{path}: {faulty} of {row['measure']} on {row['benchmark']} is {row[faulty]!r}; it is a number in percent")
    return [{"selector": "", **row} for row in found]


def _judged_rows(folder: Path, k: int) -> Iterator[dict[str, Any]]:
    """The rows of a folder that `acemath rewardbench score` made: the controls once, and those of each judge."""
    for at, judge in enumerate(judged(folder)[0]):
        for row in reward_bench(judge.records, k, only=OF_JUDGE if at else MEASURES):
            yield asdict(row) | ({"judge": judge.model} if row.selector in OF_JUDGE else {})


def _greedy_rows(folder: Path) -> Iterator[dict[str, Any]]:
    """Greedy pass@1 of a run's policies, which its tables hold without intervals."""
    for stage in answers_of(folder):
        kind, _, name = stage.responses.name.partition("-")
        if kind != GREEDY:
            continue
        records = stored_records(stage.problems, stage.responses)
        right = [float(r.correct[0]) for r in records]
        estimates = {
            b: estimate([v for v, r in zip(right, records, strict=True) if r.benchmark == b]) for b in benchmarks_of(records)
        }
        for benchmark, found in {**estimates, AVERAGE: over_benchmarks(records, right)}.items():
            yield {"model": name, "selector": GREEDY, "measure": GREEDY, "benchmark": benchmark, **_percent(found)}


def _percent(found: Estimate) -> dict[str, Any]:
    fractions = ("value", "low", "high")
    return {name: 100 * value if name in fractions else value for name, value in asdict(found).items()}
