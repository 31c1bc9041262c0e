"""Reading the problems that a recipe names: worksheets, files, data sets of the hub."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from acemath.bench.tables import BENCHMARK
from acemath.curate.columns import problem_of
from acemath.errors import UserError
from acemath.recipe import Source
from acemath.records import Problem
from acemath.store import read_records
from acemath.worksheets.registry import MATH_SUBJECTS, SUBJECTS
from acemath.worksheets.sheets import draw_problems


def read_source(name: str, source: Source, seed: int) -> list[Problem]:
    """The problems of one source, at most `source.count` of them."""
    if source.worksheets is not None:
        return _worksheets(source, seed)
    records = islice(records_of(name, source), source.count)
    return [
        problem_of(
            name,
            record,
            source.columns,
            source.subject,
            source.license,
            f"source {name!r}, record {number}",
        )
        for number, record in enumerate(records, 1)
    ]


def read_benchmark(name: str, source: Source, seed: int) -> list[Problem]:
    """A benchmark's problems; worksheets make one benchmark of each math subject, a file its own name's."""
    if source.worksheets is None:
        rows = [replace(p, subject=name) for p in read_source(name, source, seed)]
    else:
        rows = _worksheets(source, seed, MATH_SUBJECTS)
    return [replace(p, meta={**p.meta, BENCHMARK: p.subject}) for p in rows]


def _worksheets(source: Source, seed: int, subjects: Sequence[str] = SUBJECTS) -> list[Problem]:
    assert source.worksheets is not None
    count = source.count or 1000
    return draw_problems(source.worksheets, count, seed, subjects, source.levels, finding=source.finding)


def records_of(name: str, source: Source) -> Iterator[dict[str, Any]]:
    """The records of a file or a data set of the hub, one at a time."""
    if source.file is not None:
        return read_records(source.file)
    return _from_hub(name, source)


def _from_hub(name: str, source: Source) -> Iterator[dict[str, Any]]:
    """Streamed, and only the columns that are named; `hub` may be a folder that holds a data set."""
    from datasets import load_dataset

    try:
        rows = load_dataset(
            source.hub, source.config, revision=source.revision, split=source.split, streaming=True
        )
        wanted = {
            path if path in (rows.column_names or ()) else path.split(".")[0]
            for path in source.columns.values()
        }
        if source.columns and wanted <= set(rows.column_names or ()):
            rows = rows.select_columns(sorted(wanted))
        yield from rows
    except (OSError, ValueError, ConnectionError) as error:
        raise UserError(
            f"source {name!r}: data set {source.hub!r} cannot be read ({str(error).splitlines()[0]}); check its name, config, revision and split, and the network"
        ) from error
