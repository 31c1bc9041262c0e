"""Reading the problems that a recipe names: worksheets, files, data sets of the hub."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

from acemath.benchmarks.copies import REVISION, local_copy
from acemath.benchmarks.registry import open_benchmark
from acemath.curate.columns import problems_of
from acemath.curate.known_sources import KNOWN, public_rows
from acemath.demo.worksheets.registry import MATH_SUBJECTS
from acemath.demo.worksheets.sheets import Finding, Split, draw_problems
from acemath.errors import UserError
from acemath.files.columns import first_value, names_of
from acemath.files.hub import hub_records
from acemath.files.identity import FILE_ROW
from acemath.files.rows import placed_records
from acemath.recipe.sources import WORKSHEETS, Source, size_of
from acemath.records import BENCHMARK, Problem, content_key


def read_source(name: str, source: Source, seed: int) -> Iterator[Problem]:
    """The problems of one source, at most `source.count` of them."""
    if source.worksheets is not None:
        yield from draw_problems(
            source.worksheets, source.count or WORKSHEETS, seed, levels=source.levels, finding=source.finding
        )
        return
    rows = problems_of(records_of(name, source), source.columns, name, source.subject, source.license)
    for problem in islice(part_of(rows, source), source.count):
        yield without(problem, FILE_ROW)  # a row that is added before this one must not change it


def worked_examples(name: str, source: Source) -> list[Problem]:
    """The problems of a source with their worked solutions as answers, each of which ends with its boxed answer.

    UserError for a problem without a reference answer.
    """

    def worked() -> Iterator[Problem]:
        for place, record in records_of(name, source):
            (problem,) = problems_of([(place, record)], source.columns, name, source.subject, source.license)
            if not problem.answer:
                raise UserError(f"{place}: a worked problem needs an answer; name its column in shots.columns.answer")
            text = str(first_value(record, names_of("solution", source.columns)) or "").strip()
            end = "" if "\\boxed" in text else f"The answer is \\boxed{{{problem.answer}}}."
            yield replace(problem, answer="\n".join(filter(None, (text, end))))

    return list(islice(part_of(worked(), source), source.count))


def part_of(rows: Iterable[Problem], source: Source) -> Iterator[Problem]:
    """The problems of the source's `part`. The hash is of the prompt alone, so it is the same under every name."""
    low, high = (round(edge * 2**64) for edge in source.part)
    return (row for row in rows if low <= int(content_key("part", row.prompt), 16) < high)


def count_rows(name: str, source: Source) -> int:
    """How many problems a source has. For a data set of the hub this is its public size, if that is known."""
    if source.worksheets is not None:
        return source.count or WORKSHEETS
    if source.benchmark is not None:
        return size_of(source)
    known = public_rows(source.hub or "", source.split) if local_path(source) is None else 0
    rows = round(source.share * (known or sum(1 for _ in islice(records_of(name, source), source.count if source.share == 1 else None))))
    return min(rows, source.count or rows)


def read_benchmark(name: str, source: Source, seed: int) -> list[Problem]:
    """A benchmark's problems. Of worksheets, each math subject is a benchmark of its own."""
    if source.worksheets is not None:
        rows = _sheets(source.worksheets, source.count or WORKSHEETS, seed, source.levels, source.finding)
        return [replace(p, meta={**p.meta, BENCHMARK: p.subject}) for p in rows]
    if source.benchmark is not None:
        found = open_benchmark(source.benchmark, source.file, source.columns or None, revision=source.revision)
        rows = [without(p, FILE_ROW, REVISION) for p in islice(part_of(found, source), source.count)]
    else:
        rows = list(read_source(name, source, seed))
    return [replace(p, meta={**p.meta, BENCHMARK: name}) for p in rows]


def without(problem: Problem, *names: str) -> Problem:
    """A problem without these keys in its meta."""
    return replace(problem, meta={key: v for key, v in problem.meta.items() if key not in names})


@lru_cache(maxsize=4)
def _sheets(split: Split, count: int, seed: int, levels: tuple[int, ...], finding: Finding | None) -> Sequence[Problem]:
    """Math worksheets. Preflight and the run both read them, and of twenty that are drawn one is of the test split."""
    return draw_problems(split, count, seed, MATH_SUBJECTS, levels, finding=finding)


def local_path(source: Source) -> Path | None:
    """Where a source's files lie on this machine; None for worksheets and for data sets that only the hub has.

    A data set of the registry is looked for in the folder of ACEMATH_DATA too, as a benchmark is: gsm8k-train is the file
    gsm8k_train.jsonl there.
    """
    other = source.known is not None and source.split != KNOWN[source.known].split  # such a file holds the registered split
    if source.file is None and not other and (named := source.benchmark or source.known) is not None:
        copy = local_copy(named.replace("-", "_"))
        if copy is not None or source.benchmark is not None:
            return copy
    path = source.file or (Path(source.hub) if source.hub else None)
    return path if path is not None and path.exists() else None


def files_key(path: Path) -> str:
    """A hash of the content of a file, or of all files in a folder."""
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    parts: list[str] = []
    for file in files:
        with file.open("rb") as opened:
            parts += [file.relative_to(path).as_posix(), hashlib.file_digest(opened, "sha256").hexdigest()]
    return content_key(*parts)


def records_of(name: str, source: Source) -> Iterator[tuple[str, dict[str, Any]]]:
    """The records of a file or a data set of the hub, one at a time, each with its place (for messages)."""
    file = source.file or (None if source.known is None else local_path(source))
    if file is not None:
        yield from placed_records(file)
        return
    assert source.hub is not None
    what = f"source {name!r}"
    grouped = source.known is not None and KNOWN[source.known].kind == "groups"
    columns = {} if grouped else source.columns  # labels are read too
    rows = hub_records(what, source.hub, source.config, source.revision, source.split, columns)
    yield from ((f"{what}, record {n}", row) for n, row in enumerate(rows, 1))
