"""Files of responses, graded or scored, as rows to view.

Known forms: this project's responses (`acemath sample`, `score`, `grade`), and all that `acemath grade` reads: records of the
Qwen2.5-Math harness, of ZeroEval and of lm-eval, with a label where they have one.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from acemath.benchmarks.release import answer_text, reward_of
from acemath.benchmarks.tables import BENCHMARK
from acemath.curate.columns import level_of, prompt_text
from acemath.errors import UserError
from acemath.files.columns import (
    KNOWN_COLUMNS,
    PROBLEM_NAMES,
    first_value,
    id_text,
    is_marked,
    is_missing,
    meta_of,
    names_of,
    truth_of,
)
from acemath.files.fitting import checker
from acemath.files.identity import PROMPT_KEY, Names, Samples
from acemath.files.rows import placed_records
from acemath.grade.records import check_filter, rows_of
from acemath.grade.references import reference_in
from acemath.records import STATUSES, STOP, Problem, Response, content_key, whole_text
from acemath.serve.viewer.stored import TableRows

MORE = ("rule", "tier")  # what a graded file says beside the fields of a response
_LABELLED = {True: "correct", False: "wrong", None: None}


def open_file(path: Path, names: Names | None) -> tuple[dict[str, Problem], TableRows, list[str]]:
    """The problems of a file of responses, its rows, and notes. UserError for a row of no known form, or without any row."""
    import pyarrow as pa

    problems: dict[str, Problem] = {}
    told: Counter[str] = Counter()
    rows = list(_rows(path, names, problems, told))
    if not rows:
        raise UserError(f"{path} holds no response to view; acemath sample writes some")
    schema = Response.SCHEMA
    for name in MORE:
        schema = schema.append(pa.field(name, pa.string()))
    table = pa.Table.from_pylist([whole_text(row) for row in rows], schema=schema)
    bare = sum(not problem.prompt for problem in problems.values())
    notes = (
        [f"{bare:,} of {len(problems):,} problems have no text here; give their file with --problems"]
        if bare
        else []
    )
    return problems, TableRows(table), notes + [f"{count:,} rows {what}" for what, count in told.items()]


def _rows(
    path: Path, names: Names | None, problems: dict[str, Problem], told: Counter[str]
) -> Iterator[dict[str, Any]]:
    """The rows of a file. `problems` get those that they answer, `told` what a reader must know of some rows."""
    samples, read, filters = Counter[tuple[str, str]](), Samples(), dict[str, str]()
    check = checker(Response)
    for number, (place, record) in enumerate(placed_records(path)):
        if is_marked(record.get("uncertain")):
            told["that are marked uncertain are left out"] += 1
            continue
        try:
            check_filter(record, filters)
            problem = _problem(record, path, names, f"row {number}")
            if _asked(problems.setdefault(problem.id, problem)) != _asked(problem):
                # Two problems of one id, as where two benchmarks were joined: the second is told apart by its prompt.
                problem = replace(problem, id=f"{problem.id} · {content_key(*_asked(problem))[:6]}")
                problems.setdefault(problem.id, problem)
            for row in _responses(record, problem.answer, place, told):
                writer, sample = (problem.id, row["model"]), row.pop("sample")
                row |= {"problem_id": problem.id, "sample": samples[writer] if sample is None else sample}
                samples[writer] += 1
                row |= check(place, {name: value for name, value in row.items() if name != "meta"})
                says = row["text"], row["status"], row["reward"]
                if sample is not None and not read.admit(place, (*writer, row["sample"]), says):
                    told["appear twice and are read once"] += 1
                else:
                    yield row
        except UserError as error:
            raise UserError(str(error) if place in str(error) else f"{place}: {error}") from error


def _asked(problem: Problem) -> tuple[str, str]:
    """What tells problems of one id apart: the benchmark and the prompt."""
    return str(problem.meta[BENCHMARK]), problem.prompt


def _problem(record: Mapping[str, Any], path: Path, names: Names | None, unnamed: str) -> Problem:
    """The problem that a record answers: the one that it names in `names`, else what the record itself says of it."""
    meta, name = meta_of(record.get("meta")), first_value(record, (*PROBLEM_NAMES, *KNOWN_COLUMNS["id"]))
    benchmark = str(meta.get(BENCHMARK) or path.name.split(".")[0])
    if names is not None and name is not None:
        found = names.find(id_text(name), meta, path)
        known = str(found.meta.get(BENCHMARK) or benchmark)
        return replace(found, meta={**found.meta, BENCHMARK: known})
    prompt = prompt_text(first_value(record, names_of("prompt", {}))) or ""
    key = meta.get(PROMPT_KEY) or (content_key(prompt) if prompt else None)
    subject = record.get("subject") or record.get("type") or ""
    return Problem(
        id=id_text(name) if name is not None else str(key or unnamed),
        prompt=prompt,
        answer=reference_in(record) or "",
        subject=subject if isinstance(subject, str) else "",
        level=level_of(record.get("level")),
        meta={BENCHMARK: benchmark},
    )


def _responses(
    record: Mapping[str, Any], reference: str, place: str, told: Counter[str]
) -> Iterator[dict[str, Any]]:
    """The responses of a record, in the columns of `Response` and `MORE`. UserError if it holds none."""
    # Only rows with a reference are read there. It does not matter which: nothing is graded here.
    rows = list(rows_of({**record, "reference": reference or "unknown"}))
    if not rows:
        raise UserError(
            f"no response among {sorted(record)}; give what acemath sample, score or grade writes, or records of a known "
            "harness"
        )
    pred = record.get("pred")
    answers = pred if isinstance(pred, list) else [record.get("extracted", pred)] if len(rows) == 1 else [None] * len(rows)
    if len(answers) != len(rows):
        raise UserError(f"{len(rows)} responses but {len(answers)} answers; give one each")
    status, label = _status(record.get("status")), truth_of(record.get("label"))
    if label is not None and status is not None and label != (status == "correct") and rows[0].finish_reason == STOP:
        told["have a label that differs from their status; the label counts"] += 1
        status = None
    for row, answer in zip(rows, answers, strict=True):
        yield {
            "text": row.response,
            "sample": None if len(rows) > 1 or is_missing(record.get("sample")) else record["sample"],
            "model": str(record.get("model") or ""),
            "finish_reason": row.finish_reason,
            "tokens": 0 if is_missing(record.get("tokens")) else record["tokens"],
            "status": status or _LABELLED[row.expected if label is None else label],
            "extracted": answer_text(answer),
            "reason": record.get("reason"),
            "reward": reward_of(record.get("reward") if row.reward is None else row.reward, "reward", place),
            "meta": json.dumps(dict(meta_of(record.get("meta"))), ensure_ascii=False),
            **{name: record.get(name) for name in MORE},
        }


def _status(value: Any) -> str | None:
    """A status that the grader gives. UserError for another word."""
    if value is not None and value not in STATUSES:
        raise UserError(f"status {value!r} is no verdict; use one of {', '.join(STATUSES)}")
    return None if value is None else str(value)
