"""Grading a file of responses, in any known form."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from acemath.errors import UserError
from acemath.files.atomic import write_json_lines
from acemath.files.columns import (
    KNOWN_COLUMNS,
    PROBLEM_NAMES,
    first_value,
    id_text,
    is_marked,
    is_missing,
    may_hold_reference,
    meta_of,
    names_of,
)
from acemath.files.identity import PROMPT_KEY, Names, Samples
from acemath.files.rows import placed_records
from acemath.grade import grade_many
from acemath.grade.records import Row, check_filter, rows_of
from acemath.grade.references import reference_in
from acemath.records import Verdict, content_key

_CARRIED = ("source", "model", "finish_reason", "tokens", "reward")  # of a response, beside its text


def grade_file(
    path: Path,
    conventions: str,
    names: Names | None = None,
    out: Path | None = None,
    columns: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Verdicts for the responses of a file: how many have which status, and how many agree with the file's labels.

    `names` are the problems that have the references, for rows that only name their problem (problem_id, qid or idx).
    Rows that are marked uncertain, rows without a reference and repeated ones are not graded but counted apart. Each response is
    written to `out` with its verdict, in the fields of `Response`. UserError for a file without a row to grade, and for
    a row of no known form.
    """
    left_out: Counter[str] = Counter()
    rows = list(_gradable(path, names, columns or {}, left_out))
    if not rows:
        why = ", ".join(f"{reason}: {count:,}" for reason, count in left_out.items()) or "it is empty"
        raise UserError(f"{path} holds no row to grade ({why}); give a file of responses with their references")
    verdicts = grade_many([(r.response, r.reference, r.finish_reason) for _, r in rows], conventions)
    if out is not None:
        write_json_lines(out, [_graded_row(*row, verdict) for row, verdict in zip(rows, verdicts, strict=True)])
    by_status = Counter(verdict.status for verdict in verdicts)
    found: dict[str, Any] = {"n": len(rows), "correct": by_status["correct"], "by_status": dict(by_status)}
    agree = [v.correct == r.expected for v, (_, r) in zip(verdicts, rows, strict=True) if r.expected is not None]
    if agree:
        found |= {"agree": sum(agree), "labelled": len(agree)}
    return found | left_out | ({} if out is None else {"out": str(out)})


def _gradable(
    path: Path, names: Names | None, columns: Mapping[str, str], left_out: Counter[str]
) -> Iterator[tuple[dict[str, Any], Row]]:
    """The gradable rows of a file, each with the fields of its record to keep; counts the others by reason."""
    # With a file of problems, --columns names the columns of answers in that file.
    mine = {k: v for k, v in columns.items() if names is None or k not in ("answer", "solution", "choices")}
    samples, read, filters = Counter[str](), Samples(), dict[str, str]()
    for number, (place, record) in enumerate(placed_records(path)):
        if is_marked(record.get("uncertain")):
            left_out["uncertain"] += 1
            continue
        name = first_value(record, (columns["problem_id"],) if "problem_id" in columns else PROBLEM_NAMES)
        if names is not None:
            name, record = _with_reference(record, name, names, columns, place)
            if not record["reference"]:
                left_out["no_reference"] += 1
                continue
        try:
            check_filter(record, filters)
            found = list(rows_of(record, mine))
        except UserError as error:
            raise UserError(f"{place}: {error}") from error
        if not found and any(may_hold_reference(column) for column in record):
            left_out["no_reference" if reference_in(record, mine) is None else "no_response"] += 1
        elif not found:
            raise UserError(
                f"{place}: no response and reference among {sorted(record)}; name them with "
                "--columns response=…,answer=…, or give the problems that they answer with --problems"
            )
        known = _kept(record, columns)
        key = id_text(name if name is not None else known["meta"].get(PROMPT_KEY, f"row {number}"))
        for row in found:
            numbered = len(found) == 1 and not is_missing(record.get("sample"))
            sample = record["sample"] if numbered else samples[key]
            samples[key] += 1
            of, apart = (key, known.get("model") or "", sample), (str(known.get("source")), str(known["meta"].get(PROMPT_KEY)))
            if numbered and not read.admit(place, of, (row.response, row.expected), *apart):
                left_out["repeated"] += 1
                continue
            scored = {} if row.reward is None else {"reward": row.reward}
            yield {"problem_id": key, "sample": sample, **known, **scored}, row


def _with_reference(
    record: Mapping[str, Any], name: Any, names: Names, columns: Mapping[str, str], place: str
) -> tuple[str, dict[str, Any]]:
    """The id of a record's problem, and the record with the problem's reference in place of its own choices."""
    if name is None:
        asked = columns.get("problem_id") or ", ".join(PROBLEM_NAMES)
        raise UserError(
            f"{place}: names no problem of {names.file} in {asked}; it has {sorted(record)}; name the column with "
            "--columns problem_id=…"
        )
    problem = names.find(id_text(name), meta_of(record.get("meta")), place)
    own = {key: value for key, value in record.items() if key.lower() not in KNOWN_COLUMNS["choices"]}
    return problem.id, {**own, "reference": problem.answer}


def _kept(record: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, Any]:
    """The fields that stay beside a verdict, the prompt's key among them: it tells equal ids of two data sets apart."""
    kept = {key: record[key] for key in _CARRIED if record.get(key) is not None}
    prompt = first_value(record, names_of("prompt", columns))
    key = {PROMPT_KEY: content_key(prompt)} if isinstance(prompt, str) else {}
    return {**kept, "meta": {**key, **meta_of(record.get("meta"))}}


def _graded_row(origin: Mapping[str, Any], row: Row, verdict: Verdict) -> dict[str, Any]:
    graded = {"status": verdict.status, "extracted": verdict.answer, "reason": verdict.reason}
    texts = {"text": row.response, "reference": row.reference}
    return {**origin, **texts, **graded, "tier": verdict.tier, "rule": verdict.rule}
