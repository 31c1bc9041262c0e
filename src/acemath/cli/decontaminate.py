"""`acemath decontaminate`: prompts that leak a benchmark, and a test of how well they are found."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from acemath.cli.options import Against, Columns, Json, Processes, Prompts, html_file, json_lines
from acemath.cli.output import show
from acemath.cli.reading import read_benchmarks, read_problems
from acemath.curate.decontaminate.index import KINDS
from acemath.curate.decontaminate.page import page_of, record_of
from acemath.curate.decontaminate.scan import Decontaminator, scan
from acemath.curate.decontaminate.selftest import FALSE_POSITIVES, SelfTest, self_test
from acemath.curate.settings import CurateSettings
from acemath.curate.workers import workers_for
from acemath.errors import UserError
from acemath.files.atomic import write_bytes, write_json_lines
from acemath.files.rows import check_columns
from acemath.records import Problem
from acemath.run.display import Display

RULE = CurateSettings().decontaminate
SELF_TEST = ("planted", "n", "leak", "contained", "near-copy", "reworded", "found", "target")


def command(
    prompts: Prompts,
    against: Against,
    hits: Annotated[
        Path | None, typer.Option(callback=json_lines, help="Write every hit to this JSONL file.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(callback=html_file, help="Write every hit to this HTML page.")
    ] = None,
    as_test: Annotated[
        bool,
        typer.Option(
            "--self-test",
            help="Hide altered benchmark problems among the prompts and count how many are found.",
        ),
    ] = False,
    each: Annotated[int, typer.Option(min=1, help="Copies of each kind that the self-test hides.")] = 500,
    seed: Annotated[int, typer.Option(help="The self-test's seed.")] = 0,
    processes: Processes = None,
    columns: Columns = None,
    as_json: Json = False,
) -> None:
    """Find prompts that leak a benchmark, or test how well that works.

    Example: acemath decontaminate prompts.jsonl --against gsm8k_test.jsonl --report hits.html
    """
    if as_test and (hits is not None or report is not None):
        raise UserError("--self-test writes no hits; leave out --hits and --report, or --self-test")
    with Display().during("decontaminate"):
        check_columns([prompts], columns or {})
        rows, benchmarks = read_problems(prompts, columns), read_benchmarks(against)
        if not as_test:
            found = decontaminate(rows, benchmarks, hits, report, processes)
        else:
            result = self_test(rows, benchmarks, RULE, each, seed, processes)
    if as_test:
        show(result.record(), as_json, SELF_TEST, _self_test_rows(result))
    else:
        show(found, as_json)


def decontaminate(
    rows: Sequence[Problem],
    benchmarks: Sequence[Problem],
    hits_to: Path | None,
    report: Path | None = None,
    processes: int | None = None,
) -> dict[str, Any]:
    """Find the prompts that leak a benchmark or are near one; write them to a JSONL file and a page if these are given.

    "hits" counts leaks, which curation drops; "contained", "near_copies" and "reworded" are only reported.
    "us_per_prompt" is the time of one process, without building the index.
    """
    decontaminator = Decontaminator(benchmarks, RULE)
    used = workers_for(len(rows)) if processes is None else processes
    started = time.perf_counter()
    found = scan(rows, decontaminator, used)
    seconds = time.perf_counter() - started
    pairs = [(row, hit) for row, hit in zip(rows, found, strict=True) if hit is not None]
    pairs.sort(key=lambda pair: KINDS.index(pair[1].kind))
    if hits_to is not None:
        write_json_lines(hits_to, [record_of(row, hit, benchmarks) for row, hit in pairs])
    if report is not None:
        write_bytes(report, page_of(pairs, benchmarks, len(rows)).encode("utf-8", "replace"))
    kinds = Counter(hit.kind for _, hit in pairs)
    return {
        "n": len(rows),
        "hits": kinds["leak"],
        "contained": kinds["contained"],
        "near_copies": kinds["near-copy"],
        "reworded": kinds["reworded"],
        "by_benchmark": dict(sorted(Counter(f"{hit.benchmark}: {hit.kind}" for _, hit in pairs).items())),
        "processes": used,
        "seconds": round(seconds, 3),
        "us_per_prompt": round(1e6 * seconds * used / max(1, len(rows)), 1),
    }


def _self_test_rows(result: SelfTest) -> list[tuple[Any, ...]]:
    """The self-test's result under the columns SELF_TEST: hidden copies by kind of change, then clean prompts."""
    rows: list[tuple[Any, ...]] = []
    most = f"≤ {100 * FALSE_POSITIVES:g} %"
    for r in result.recalls:
        goal = "no target" if r.target is None else f"≥ {100 * r.target:g} %"
        share = f"{100 * r.recall:.2f} %"
        rows.append((r.change, r.planted, r.leak, r.contained, r.near_copy, r.reworded, share, goal))
    for c in result.clean:
        share = f"{100 * c.rate:.3f} %"
        rows.append((f"clean: {c.source}", c.n, c.leak, c.contained, c.near_copy, c.reworded, share, most))
    return rows
