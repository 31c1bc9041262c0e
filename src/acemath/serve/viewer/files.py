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

from acemath.benchmarks.tables import BENCHMARK
from acemath.curate.columns import level_of, prompt_text
from acemath.errors import UserError
from acemath.files.columns import (
    KNOWN_COLUMNS,
    PROBLEM_NAMES,
    first_value,
    id_text,
    items_of,
    meta_of,
    names_of,
)
from acemath.files.identity import PROMPT_KEY, Names
from acemath.files.rows import placed_records
from acemath.grade.records import rows_of
from acemath.grade.references import reference_in
from acemath.records import STATUSES, Problem, Response, content_key, whole_text
from acemath.serve.viewer.stored import TableRows

MORE = ("rule", "tier")  # what a graded file says beside the fields of a response
_LABELLED = {True: "correct", False: "wrong", None: None}


def open_file(path: Path, names: Names | None) -> tuple[dict[str, Problem], TableRows, list[str]]:
    """The problems of a file of responses, its rows, and notes. UserError for a row of no known form, or without any row."""
    import pyarrow as pa

    problems: dict[str, Problem] = {}
    rows: list[dict[str, Any]] = []
    samples: Counter[tuple[str, str]] = Counter()
    uncertain = 0
    for place, record in placed_records(path):
        if record.get("uncertain"):
            uncertain += 1
            continue
        try:
            problem = _problem(record, path, names, f"row {len(rows)}")
            if problems.setdefault(problem.id, problem).prompt != problem.prompt:
                # Two problems of one id, as where two benchmarks were joined: the second is told apart by its prompt.
                problem = replace(problem, id=f"{problem.id} · {content_key(problem.prompt)[:6]}")
                problems.setdefault(problem.id, problem)
            for row in _responses(record, problem.answer):
                writer = (problem.id, row["model"])
                row["sample"] = samples[writer] if row["sample"] is None else row["sample"]
                samples[writer] += 1
                rows.append({**row, "problem_id": problem.id})
        except UserError as error:
            raise UserError(str(error) if place in str(error) else f"{place}: {error}") from error
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
    if uncertain:
        notes.append(f"{uncertain:,} rows that are marked uncertain are left out")
    return problems, TableRows(table), notes


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


def _responses(record: Mapping[str, Any], reference: str) -> Iterator[dict[str, Any]]:
    """The responses of a record, in the columns of `Response` and `MORE`. UserError if it holds none."""
    # Only rows with a reference are read there. It does not matter which: nothing is graded here.
    rows = list(rows_of({**record, "reference": reference or "unknown"}))
    if not rows:
        raise UserError(
            f"no response among {sorted(record)}; give what acemath sample, score or grade writes, or records of a known "
            "harness"
        )
    pred = record.get("pred")
    answers = pred if isinstance(pred, list) else [record.get("extracted", pred)]
    answers = answers if len(answers) == len(rows) else [None] * len(rows)
    status = _status(record.get("status"))
    for row, answer in zip(rows, answers, strict=True):
        yield {
            "text": row.response,
            "sample": record.get("sample") if len(rows) == 1 else None,
            "model": str(record.get("model") or ""),
            "finish_reason": row.finish_reason,
            "tokens": record.get("tokens") or 0,
            "status": status or _LABELLED[row.expected],
            "extracted": None if answer is None or answer == "" else str(answer),
            "reason": record.get("reason"),
            "reward": _reward(record.get("reward") if row.reward is None else row.reward),
            "meta": json.dumps(dict(meta_of(record.get("meta"))), ensure_ascii=False),
            **{name: record.get(name) for name in MORE},
        }


def _status(value: Any) -> str | None:
    """A status that the grader gives. UserError for another word."""
    if value is not None and value not in STATUSES:
        raise UserError(f"status {value!r} is no verdict; use one of {', '.join(STATUSES)}")
    return None if value is None else str(value)


def _reward(value: Any) -> float | None:
    """A reward as a number, also from a list of one. UserError for anything else."""
    items = items_of(value)
    value = items[0] if items is not None and len(items) == 1 else value
    try:
        return None if value is None else float(value)
    except (TypeError, ValueError):
        raise UserError(f"reward is {value!r}; a reward is a number, or absent") from None
