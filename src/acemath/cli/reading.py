"""Readers of a command's files: problems, benchmarks, responses and groups."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from acemath.benchmarks.registry import BENCHMARKS, names, open_benchmark
from acemath.curate.columns import QUESTION, TURNS, groups_of, problems_of, prompt_text
from acemath.curate.decontaminate.scan import checked_benchmark
from acemath.errors import UserError
from acemath.files.columns import PROBLEM_NAMES, first_value, id_text, meta_of, names_of, renamed
from acemath.files.identity import Names, Samples, contradictions, joined, shown
from acemath.files.rows import (
    can_be_read_again,
    check_columns,
    columns_of,
    iter_rows,
    placed_records,
    read_records,
    read_rows,
)
from acemath.notices import say
from acemath.records import BENCHMARK, Group, Problem, Response, by_problem

Columns = (
    Mapping[str, str] | None
)  # {ours: theirs}, columns of a file that have other names than the usual ones


def read_problems(path: Path, columns: Columns = None, name: str = "") -> list[Problem]:
    """The problems of a file, in any known form (`acemath.files.columns`).

    Ids are qualified by `name` (for commands that read several files), else by each row's own `source`. Notices report
    missing reference answers and what is not read. UserError for a file without problems.
    """
    read = 0

    def records() -> Iterator[tuple[str, dict[str, Any]]]:
        nonlocal read
        for record in placed_records(path):
            read += 1
            yield record

    rows = list(problems_of(records(), columns or {}, name))
    if not rows:
        raise UserError(f"{path} holds no problem; give a file with at least one row")
    if len(rows) < read:
        say(f"{path}: {read - len(rows):,} of {read:,} rows appear twice and are read once")
    if said := contradictions(rows):
        say(f"{path}: {said}")
    if several := sum(TURNS in row.meta for row in rows):
        say(f"{path}: {several:,} of {len(rows):,} conversations have several questions; only the first of each is read")
    lacking = sum(not row.answer for row in rows if row.group == "math")
    if lacking:
        say(
            f"{path}: no reference answer was found for {lacking:,} of {len(rows):,} problems; if the file has them, name "
            f"their column with --columns answer=… (its columns: {', '.join(columns_of(path))})"
        )
    return rows


def read_names(path: Path | None, columns: Columns = None) -> Names | None:
    """The problems of a file by every name that a response may call them by; None without a file."""
    return None if path is None else Names(read_problems(path, columns), path)


def read_benchmarks(given: Sequence[str | Path], columns: Columns = None) -> list[Problem]:
    """The problems of benchmarks: names of the registry, presets, and files, which are benchmarks of their own names.

    Several names may stand in one text, with commas between them. UserError for an unknown name, for a file without
    problems, and for two benchmarks of one name: their problems could not be told apart.
    """
    chosen = dict.fromkeys(name for one in given for name in names(str(one)))
    called = [Path(one).name.split(".")[0] for one in chosen]
    twice = next((name for at, name in enumerate(called) if name in called[:at]), None)
    if twice is not None:
        raise UserError(f"two benchmarks are called {twice!r}; rename a file: results name a benchmark by its file")
    return [row for one in chosen for row in checked_benchmark(one, _benchmark(one, columns))]


def _benchmark(name: str, columns: Columns) -> list[Problem]:
    if name in BENCHMARKS:
        return open_benchmark(name)
    stem = Path(name).name.split(".")[0]
    return [replace(row, meta={BENCHMARK: stem, **row.meta}) for row in read_problems(Path(name), columns, stem)]


def read_answered(
    responses: Path, problems: Path, columns: Columns = None
) -> tuple[list[Problem], list[Response]]:
    """The problems of one file, and the responses to them in another under the problems' full ids.

    `columns` may name columns of both files. A row that appears twice is read once, with a notice. UserError for a response
    that answers none of the problems, for two responses under one sample number, and for a file without responses.
    """
    check_columns([responses, problems], columns or {})
    asked = read_problems(problems, columns)
    check_prompts(responses, Names(asked, problems), columns)
    rows = read_rows(responses, Response, columns)
    if not rows:
        raise UserError(f"{responses} holds no response; acemath sample writes some")
    rows = joined(rows, asked, responses, problems)
    if not can_be_read_again(responses) or (columns or {}).get("sample", "sample") not in columns_of(responses):
        return asked, rows  # they are numbered in the order of the file
    samples = Samples()
    once = [r for r in rows if samples.admit(responses, (r.problem_id, r.model, r.sample), (r.text, r.status, r.reward))]
    if len(once) < len(rows):
        say(f"{responses}: {len(rows) - len(once):,} of {len(rows):,} responses appear twice and are read once")
    return asked, once


def check_prompts(responses: Path, names: Names, columns: Columns = None) -> None:
    """UserError for a response that stands beside another question than that of the problem which it names.

    A row's `question`, or a `prompt` that is a text, may be a part of the problem, as without its choices, or may hold it, as
    in a chat. A pipe is not looked at.
    """
    for place, record in placed_records(responses) if can_be_read_again(responses) else ():
        row = renamed(record, columns or {})
        name, asked = first_value(row, PROBLEM_NAMES), first_value(row, ("question", "prompt"))
        if name is None or not isinstance(asked, str):
            continue
        problem = names.find(id_text(name), meta_of(row.get("meta")), place)
        one, other = (" ".join(text.split()) for text in (asked, str(problem.meta.get(QUESTION, problem.prompt))))
        if one not in other and other not in one:
            raise UserError(
                f"{place}: the response answers {shown(asked)}, but problem {problem.id!r} of {names.file} is "
                f"{shown(problem.prompt)}; give the problems that were answered, or correct the ids"
            )


def read_graded(
    responses: Path, problems: Path, columns: Columns = None
) -> tuple[list[Problem], dict[str, list[Response]]]:
    """The problems that the graded responses of a file answer, and the responses by problem id.

    UserError where no response was graded, and as in `read_answered`.
    """
    asked, rows = read_answered(responses, problems, columns)
    if all(r.status is None for r in rows):
        raise UserError(
            f"{responses}: none of its {len(rows):,} responses has a status; grade them first (acemath sample grades)"
        )
    mine = by_problem(rows)
    return [p for p in asked if p.id in mine], mine


@dataclass(frozen=True)
class GroupFile:
    """Groups of a file: our rows, or AceMath's reward-model data (`qid`, `message`, `label`, six rows a question).

    Each pass reads the file again, without the groups at the positions `without`.
    """

    path: Path
    without: Set[int] = frozenset()

    def __iter__(self) -> Iterator[Group]:
        first = next(iter(read_records(self.path)), {})
        if "qid" in first and "message" in first:
            rows = groups_of(read_records(self.path), str(self.path))
        else:
            rows = iter_rows(self.path, Group)
        return (group for at, group in enumerate(rows) if at not in self.without)


def read_prompts_with_responses(
    path: Path, names: Names | None, limit: int, columns: Columns = None
) -> list[tuple[str, list[str]]]:
    """The first `limit` prompts of a file of any known form, each with all of its responses.

    A row holds one response or several, and either its prompt (prompt, problem, question) or the name of a problem of
    `names`. UserError for a row that lacks either.
    """
    found: dict[str, list[str]] = {}
    for number, record in enumerate(read_records(path), 1):
        name = first_value(record, ("problem_id", "qid", "idx"))
        if names is not None and name is not None:
            prompt: str | None = names.find(id_text(name), meta_of(record.get("meta")), path).prompt
        else:
            prompt = prompt_text(first_value(record, names_of("prompt", columns or {})))
        texts = _texts(record)
        if prompt is None or not texts:
            lacks = (
                "response; it is expected in the column response, responses, text or code"
                if prompt
                else "problem; name its file with --problems, or its column with --columns prompt=…"
            )
            raise UserError(f"{path}, record {number}: no {lacks}")
        if prompt in found or len(found) < limit:
            found.setdefault(prompt, []).extend(texts)
    return list(found.items())


def _texts(record: Mapping[str, Any]) -> list[str]:
    """A record's responses, under any usual name, one or many."""
    for name in ("responses", "response", "text", "code"):
        value = record.get(name)
        if isinstance(value, str):
            return [value]
        if isinstance(value, list) and all(isinstance(v, str) for v in value):
            return value
    return []
