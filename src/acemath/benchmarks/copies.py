"""Copies of a benchmark: a file in one of its known forms, a folder of such files, or the hub's data set."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

from acemath.benchmarks.benchmark import Benchmark
from acemath.curate.columns import STEPS, problems_of
from acemath.errors import UserError
from acemath.files.columns import is_missing, lowered, meta_of, value_at
from acemath.files.hub import commit_of, hub_records
from acemath.files.identity import FILE_ROW
from acemath.files.rows import placed_records
from acemath.notices import say_once
from acemath.records import BENCHMARK, Problem, content_key

DATA = "ACEMATH_DATA"  # the environment variable that names a folder of benchmark files
REVISION = "revision"  # in a problem's meta: the commit of the hub's data set that it was read from
STAND_IN = "stand_in"  # in a problem's meta: a rehearsal made the problem, so it is not of the benchmark
SUSPECT = "suspect"  # in a problem's meta: why its reference is believed to be wrong
OURS = {"id", "prompt", "answer", "source", "subject", "level", "meta"}  # columns of rows that `acemath fetch` wrote
_ENDINGS = (".jsonl", ".jsonl.gz", ".parquet", ".json", ".csv", "")
_RECORD = "record"
Records = Iterable[tuple[str, dict[str, Any]]]


def local_copy(name: str, folder: str | Path | None = None, split: str = "test") -> Path | None:
    """The file of a benchmark's split in a folder, by default the one that ACEMATH_DATA names; None if there is none.

    The file is called NAME_SPLIT, or NAME for the test split, with any ending of a file of rows; a folder of Parquet files
    has no ending. UserError if the folder does not exist or holds two such files.
    """
    given = folder or os.environ.get(DATA)
    if not given:
        return None
    home = Path(given)
    if not home.is_dir():
        raise UserError(f"the folder of benchmarks {str(home)!r} {'is a file' if home.exists() else 'does not exist'}; correct {'--data' if folder else DATA}")
    stems = (f"{name}_test", name) if split == "test" else (f"{name}_{split}",)
    named = (home / f"{stem}{ending}" for stem in stems for ending in _ENDINGS)
    found = [path for path in named if path.exists()]
    if len(found) > 1:
        raise UserError(f"{home} holds {found[0].name} and {found[1].name}, both for {name}; remove one, or give --file")
    return found[0] if found else None


def problems_from(
    benchmark: Benchmark, file: Path | None, columns: Mapping[str, str] | None = None, revision: str | None = None
) -> list[Problem]:
    """The problems of a benchmark, from a file or, with None, from the hub.

    `columns` maps our names to the copy's and replaces the known forms. UserError for a copy of another size, without
    problems, or in an unknown form.

    From the hub, the newest commit is read unless one is given, and kept in the problems' meta.
    """
    if file is None:
        revision = revision or benchmark.revision or commit_of(benchmark.hub)
    records = hub_copy(benchmark, revision) if file is None else placed_records(file)
    where = f"data set {benchmark.hub!r}" if file is None else str(file)
    rows = list(copy_of(benchmark, records, columns, where))
    if len(rows) not in benchmark.sizes:
        raise UserError(
            f"{benchmark.name} has {benchmark.size:,} problems, but {where} gives {len(rows):,}; give the whole test split, "
            "or name a part by its path, as a benchmark of its own"
        )
    if len(rows) != benchmark.size:
        say_once(f"{benchmark.name}: {where} has {len(rows):,} problems, the paper's copy {benchmark.size:,}")
    if file is not None and (altered := altered_words(benchmark, rows)):
        say_once(f"{benchmark.name}: {where} {altered}")
    if file is None and revision is not None:
        return [replace(row, meta={**row.meta, REVISION: revision}) for row in rows]
    return rows


def digest_of(rows: Iterable[Problem]) -> str:
    """A hash of prompts and reference answers, in whatever order and columns they stand; white space does not count."""
    return content_key(*sorted(content_key(*("".join(text.split()) for text in (row.prompt, row.answer))) for row in rows))


def altered_words(benchmark: Benchmark, rows: Sequence[Problem]) -> str:
    """What to say of a file whose text is not that of the known copy; "" for the same text, and if no copy is known."""
    if not benchmark.digest or any(STAND_IN in row.meta for row in rows) or digest_of(rows) == benchmark.digest:
        return ""
    return (
        "has as many problems as the known copy, but a prompt or a reference answer differs, so its numbers may not compare with "
        f"others; copy the data set {benchmark.hub} again, unless you changed it on purpose"
    )


def hub_copy(benchmark: Benchmark, revision: str | None, what: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """The records of the hub's data set, config by config, each with its place. `what` names it in a message."""
    what = what or f"benchmark {benchmark.name}, of which neither --data nor {DATA} gives a file"
    for config in benchmark.configs:
        rows = hub_records(what, benchmark.hub, config, revision or benchmark.revision, benchmark.split, {})
        yield from ((f"benchmark {benchmark.name}, record {number}", row) for number, row in enumerate(rows, 1))


def copy_of(
    benchmark: Benchmark, records: Records, columns: Mapping[str, str] | None, where: str
) -> Iterator[Problem]:
    """The problems of a benchmark's records. UserError if there are none, or in an unknown form."""
    rows = iter(records)
    first = next(rows, None)
    if first is None:
        raise UserError(f"{where} holds no problem of {benchmark.name}; give another file")
    form = columns or form_of(benchmark, first[1], where)
    chosen = (row for row in chain([first], rows) if _belongs(benchmark, row[1], form))
    carried = ((place, {**record, "meta": {_RECORD: record}}) for place, record in chosen)
    for problem in problems_of(carried, form, benchmark.name, license=benchmark.license):
        record = problem.meta[_RECORD]
        if not form and record["source"] != benchmark.name:
            raise UserError(f"{where} holds problems of {record['source']!r}, not of {benchmark.name}; give another file")
        meta = {**_extras(record, form, problem), BENCHMARK: benchmark.name}
        meta |= {name: problem.meta[name] for name in (FILE_ROW, STEPS) if name in problem.meta}
        if (reason := benchmark.suspects.get(content_key(problem.prompt))) is not None:
            meta[SUSPECT] = reason
        yield replace(problem, answer=_READINGS[benchmark.reading](problem.answer, record), meta=meta)


def form_of(benchmark: Benchmark, record: Mapping[str, Any], where: str) -> Mapping[str, str]:
    """The columns of a copy by its first record, {our name: theirs}; {} for rows of ours. UserError if it has no known form."""
    there = lowered(record)
    if there.keys() >= OURS:
        return {}
    for form in benchmark.forms:
        if all(theirs in there for theirs in form.values()):
            return form
    known = " or ".join(", ".join(form.values()) for form in benchmark.forms)
    raise UserError(
        f"{where} is no known form of {benchmark.name}: its columns are {', '.join(sorted(map(str, record)))}, and {known} "
        "are needed; name its own: --columns prompt=…,answer=… (acemath fetch: --set columns={prompt: …, answer: …})"
    )


def _belongs(benchmark: Benchmark, record: Mapping[str, Any], form: Mapping[str, str]) -> bool:
    """Whether a record's subject belongs to the benchmark: MMLU-STEM is a part of MMLU."""
    subject = value_at(record, form.get("subject", "subject"))
    return not benchmark.subjects or str(subject) in benchmark.subjects


def _extras(record: Mapping[str, Any], form: Mapping[str, str], problem: Problem) -> dict[str, Any]:
    """What a record says besides the fields of a problem; of a row of ours, its meta."""
    if not form:
        return dict(meta_of(record["meta"]))
    used = {theirs for ours, theirs in form.items() if ours not in ("answer", "solution")}
    return {
        name: value
        for name, value in record.items()
        if name not in used and not is_missing(value) and value != problem.prompt and _fits_json(value)
    }


def _fits_json(value: Any) -> bool:
    """Whether JSON holds a value: no picture, and no list or record with one."""
    try:
        json.dumps(value)
    except TypeError:
        return False
    return True


def outer_dollars_off(answer: str) -> str:
    r"""An answer without the one pair of `$` around it: `$\frac{1}{2}$`, but not `$1$ or $2$`."""
    inner = answer.strip()
    if len(inner) > 2 and inner[0] == inner[-1] == "$" and "$" not in inner[1:-1].replace("\\$", "") and inner[-2] != "\\":
        return inner[1:-1].strip()
    return answer


def _with_unit(answer: str, record: Mapping[str, Any]) -> str:
    """OlympiadBench: a single answer with the record's unit after it."""
    unit = str(record.get("unit") or "").strip()
    plain = outer_dollars_off(answer)
    if not unit or record.get("is_multiple_answer") or not plain:
        return answer
    return f"${plain}{outer_dollars_off(unit)}$" if unit.startswith(("^", "\\")) else f"${plain}$ {unit}"


_READINGS = {
    "plain": lambda answer, record: answer,
    "dollars": lambda answer, record: outer_dollars_off(answer),
    "unit": _with_unit,
}
