"""Reading problems, groups and responses for commands, and the commands on prompts: curate, decontaminate, vote."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, get_args

from acemath.cli.curation import WITHOUT
from acemath.curate.clean import clean
from acemath.curate.columns import groups_of, problems_of
from acemath.curate.decontaminate import KINDS, Decontaminator, scan, some_problems, workers_for
from acemath.curate.hits import page_of, record_of
from acemath.curate.selftest import self_test
from acemath.curate.settings import (
    CurateSettings,
    DecontaminateSettings,
    Extra,
    FilterSettings,
    Form,
    NearSettings,
    SolvabilitySettings,
)
from acemath.curate.solvability import solvable
from acemath.errors import UserError
from acemath.files.atomic import write_bytes, write_json_lines
from acemath.files.identity import joined
from acemath.files.rows import columns_of, placed_records, read_records, read_rows, write_rows
from acemath.notices import say
from acemath.records import Group, Problem, Response, by_problem


def read_problems(path: Path, columns: Mapping[str, str] | None = None, name: str = "") -> list[Problem]:
    """The problems of a file, in any known form (`acemath.files.columns`).

    `columns` names columns that have other names, ours: theirs. With `name` ids are qualified by it, for commands that
    read several files; without it by each row's own `source`. The first line on standard error says where references
    are missing. UserError for a file without problems.
    """
    rows = list(problems_of(placed_records(path), columns or {}, name))
    if not rows:
        raise UserError(f"{path} holds no problem; give a file with at least one row")
    lacking = sum(not row.answer for row in rows if row.group == "math")
    if lacking:
        say(
            f"{path}: no reference answer was found for {lacking:,} of {len(rows):,} problems; if the file has them, name "
            f"their column with --columns answer=… (its columns: {', '.join(columns_of(path))})"
        )
    return rows


def read_groups(path: Path) -> list[Group]:
    """Groups of a file: our rows, or AceMath's reward-model data (`qid`, `message`, `label`, six rows a question)."""
    first = next(iter(read_records(path)), {})
    if "qid" in first and "message" in first:
        return list(groups_of(read_records(path), str(path)))
    return read_rows(path, Group)


def read_answered(
    responses: Path, problems: Path, columns: Mapping[str, str] | None = None
) -> tuple[list[Problem], list[Response]]:
    """The problems of one file, and the responses to them in another under the problems' full ids.

    `columns` may name columns of both files. UserError for a response that answers none of the problems, and for a file
    without responses.
    """
    asked = read_problems(problems, columns)
    rows = read_rows(responses, Response, columns)
    if not rows:
        raise UserError(f"{responses} holds no response; acemath sample writes some")
    return asked, joined(rows, asked, responses, problems)


def read_benchmarks(paths: Sequence[Path], columns: Mapping[str, str] | None = None) -> list[Problem]:
    """The problems of benchmark files, each with its file's name as source and subject: hits name the benchmark by it.

    UserError on a file without any, and on two files of one name: their problems could not be told apart.
    """
    names = [path.name.split(".")[0] for path in paths]
    twice = next((name for at, name in enumerate(names) if name in names[:at]), None)
    if twice is not None:
        raise UserError(f"two benchmark files are called {twice!r}; rename one: results name a benchmark by its file")
    return [
        replace(row, subject=name)
        for path, name in zip(paths, names, strict=True)
        for row in some_problems(str(path), read_problems(path, columns, name))
    ]


def curation_settings(near: float | None, drop: Sequence[str], without: Sequence[str] = ()) -> CurateSettings:
    """The paper's settings, with near-duplicates, further kinds of hit and forms of question dropped where asked.

    UserError on a kind of hit or a form that does not exist.
    """
    known = get_args(Extra)
    if wrong := [kind for kind in drop if kind not in known]:
        raise UserError(
            f"--drop {wrong[0]} is no kind of hit; use {' or '.join(known)} (a leak is always dropped)"
        )
    if wrong := [form for form in without if form not in WITHOUT]:
        raise UserError(f"--without {wrong[0]} is not a kind of prompt; use any of {', '.join(WITHOUT)}")
    filters = FilterSettings(
        figures="drop" if "figure" in without else "keep",
        proofs="drop" if "proof-only" in without else "keep",
        language="en" if "other-language" in without else None,
        forms=tuple(form for form in get_args(Form) if form in without),
    )
    return CurateSettings(
        filters=filters,
        near=None if near is None else NearSettings(threshold=near),
        decontaminate=DecontaminateSettings.model_validate({"drop": drop}),
    )


def vote(
    prompts: Path,
    responses: Path,
    settings: SolvabilitySettings,
    dropped_to: Path | None,
    out: Path,
    columns: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The prompts of a file that pass the vote of their responses."""
    rows, answers = read_answered(responses, prompts, columns)
    kept, dropped = solvable(rows, by_problem(answers), settings)
    write_rows(out, kept, Problem)
    if dropped_to is not None:
        write_json_lines(dropped_to, [asdict(row) for row in dropped])
    reasons = dict(Counter(row.reason for row in dropped))
    return {"n": len(rows), "kept": len(kept), "dropped": reasons, "out": str(out)}


def curate(
    prompts: Path,
    benchmarks: Sequence[Path],
    out: Path,
    settings: CurateSettings,
    dropped_to: Path | None = None,
    processes: int | None = None,
    columns: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Filter, deduplicate and decontaminate the prompts of a file; what is dropped goes into a JSONL file when asked.

    "reported" counts the prompts that are kept although they are near a benchmark problem, by the kind of hit.
    """
    rows = read_problems(prompts, columns)
    found = clean(rows, read_benchmarks(benchmarks), settings, processes)
    write_rows(out, found.rows, Problem)
    if dropped_to is not None:
        write_json_lines(dropped_to, [asdict(row) for row in found.dropped])
    return {
        "n": len(rows),
        "kept": len(found.rows),
        "dropped": dict(Counter(f"{d.step}: {d.reason}" for d in found.dropped)),
        "reported": found.reported,
        **({} if found.near is None else {"near": found.near}),
        "out": str(out),
    }


def decontaminate(
    prompts: Path,
    benchmarks: Sequence[Path],
    hits_to: Path | None,
    report: Path | None = None,
    processes: int | None = None,
    columns: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Find the prompts of a file that leak a benchmark, and those near it; a JSONL file and a page when asked.

    "hits" counts leaks, which curation drops; "contained", "near_copies" and "reworded" are only reported. "us_per_prompt"
    is the time of one process, without building the index.
    """
    rows = read_problems(prompts, columns)
    tests = read_benchmarks(benchmarks)
    index = Decontaminator(tests, CurateSettings().decontaminate)
    used = workers_for(len(rows)) if processes is None else processes
    started = time.perf_counter()
    found = scan(rows, index, used)
    seconds = time.perf_counter() - started
    pairs = [(row, hit) for row, hit in zip(rows, found, strict=True) if hit is not None]
    pairs.sort(key=lambda pair: KINDS.index(pair[1].kind))
    if hits_to is not None:
        write_json_lines(hits_to, [record_of(row, hit, tests) for row, hit in pairs])
    if report is not None:
        write_bytes(report, page_of(pairs, tests, len(rows)).encode("utf-8", "replace"))
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


def run_self_test(
    prompts: Path,
    benchmarks: Sequence[Path],
    each: int,
    seed: int,
    processes: int | None = None,
    as_json: bool = False,
    columns: Mapping[str, str] | None = None,
) -> tuple[dict[str, Any], bool, tuple[str, ...], list[list[Any]]]:
    """The self-test of decontamination on a file of prompts, as `show` takes it: record, table's head and rows."""
    settings = CurateSettings().decontaminate
    result = self_test(read_problems(prompts, columns), read_benchmarks(benchmarks), settings, each, seed, processes)
    table: list[list[Any]] = [
        [
            r.change,
            r.planted,
            r.leak,
            r.contained,
            r.near_copy,
            r.reworded,
            f"{100 * r.recall:.2f} %",
            _goal(r.target),
        ]
        for r in result.recalls
    ]
    table += [
        [
            f"clean: {c.source}",
            c.n,
            c.leak,
            c.contained,
            c.near_copy,
            c.reworded,
            f"{100 * c.rate:.3f} %",
            "≤ 0.1 %",
        ]
        for c in result.clean
    ]
    head = ("planted", "n", "leak", "contained", "near-copy", "reworded", "found", "target")
    return result.record(), as_json, head, table


def _goal(target: float | None) -> str:
    return "no target" if target is None else f"≥ {100 * target:g} %"
