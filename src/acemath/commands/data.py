"""Commands on prompts and responses: curate, decontaminate, synthesize, sample."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from acemath.curate.clean import clean
from acemath.curate.decontaminate import KINDS, Decontaminator, scan, workers_for
from acemath.curate.hits import page_of, record_of
from acemath.curate.selftest import self_test
from acemath.curate.settings import CurateSettings, DecontaminateSettings, NearSettings
from acemath.errors import UserError
from acemath.records import Problem, content_key
from acemath.store import read_records, write_bytes, write_json_lines, write_rows


def read_problems(path: Path) -> list[Problem]:
    """Problems of a file in our form or with a prompt under a usual name (prompt, problem, question)."""
    rows = []
    for number, record in enumerate(read_records(path), 1):
        prompt = next(
            (record[k] for k in ("prompt", "problem", "question") if isinstance(record.get(k), str)), None
        )
        if prompt is None:
            raise UserError(
                f"{path}, record {number}: no prompt; name its column prompt, problem or question"
            )
        answer = next(
            (
                str(record[k])
                for k in ("answer", "expected_answer", "gt", "gold")
                if record.get(k) is not None
            ),
            "",
        )
        answer = answer.rsplit("####", 1)[-1].strip() if "####" in answer else answer
        identity = str(record.get("id") or content_key(prompt))
        meta = record.get("meta")
        if isinstance(meta, str):
            meta = json.loads(meta)
        rows.append(
            Problem(
                identity,
                prompt,
                answer,
                str(record.get("source") or ""),
                str(record.get("license") or ""),
                str(record.get("subject") or "math"),
                0,
                meta or {},
            )
        )
    return rows


def read_benchmarks(paths: Sequence[Path]) -> list[Problem]:
    """The problems of benchmark files, each with its file's name as subject: hits name the benchmark by it."""
    return [replace(row, subject=path.name.split(".")[0]) for path in paths for row in read_problems(path)]


def curation_settings(near: float | None, drop: Sequence[str]) -> CurateSettings:
    """The paper's settings, with near-duplicates and further kinds of hit dropped where asked.

    UserError on a kind of hit that does not exist.
    """
    known = {"near-copy", "contained"}
    if wrong := [kind for kind in drop if kind not in known]:
        raise UserError(
            f"--drop {wrong[0]} is no kind of hit; use near-copy or contained (a leak is always dropped)"
        )
    return CurateSettings(
        near=None if near is None else NearSettings(threshold=near),
        decontaminate=DecontaminateSettings.model_validate({"drop": drop}),
    )


def curate(
    prompts: Path,
    benchmarks: Sequence[Path],
    out: Path,
    settings: CurateSettings,
    dropped_to: Path | None = None,
    processes: int | None = None,
) -> dict[str, Any]:
    """Filter, deduplicate and decontaminate the prompts of a file; what is dropped goes into a JSONL file when asked."""
    rows = read_problems(prompts)
    found = clean(rows, read_benchmarks(benchmarks), settings, processes)
    write_rows(out, found.rows, Problem)
    if dropped_to is not None:
        write_json_lines(dropped_to, [asdict(row) for row in found.dropped])
    return {
        "n": len(rows),
        "kept": len(found.rows),
        "dropped": dict(Counter(f"{d.step}: {d.reason}" for d in found.dropped)),
        **({} if found.near is None else {"near": found.near}),
        "out": str(out),
    }


def decontaminate(
    prompts: Path,
    benchmarks: Sequence[Path],
    hits_to: Path | None,
    report: Path | None = None,
    processes: int | None = None,
) -> dict[str, Any]:
    """Find the prompts of a file that leak a benchmark, and those near it; a JSONL file and a page when asked.

    "hits" counts leaks, which curation drops; "contained" and "near_copies" what is reported alone. "us_per_prompt"
    is the time of one process, without building the index where there is one.
    """
    rows = read_problems(prompts)
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
) -> tuple[dict[str, Any], bool, tuple[str, ...], list[list[Any]]]:
    """The self-test of decontamination on a file of prompts, as `show` takes it: record, table's head and rows."""
    settings = CurateSettings().decontaminate
    result = self_test(read_problems(prompts), read_benchmarks(benchmarks), settings, each, seed, processes)
    table: list[list[Any]] = [
        [r.change, r.planted, r.leak, r.contained, r.near_copy, f"{100 * r.recall:.2f} %", _goal(r.target)]
        for r in result.recalls
    ]
    table += [
        [f"clean: {c.source}", c.n, c.leak, c.contained, c.near_copy, f"{100 * c.rate:.3f} %", "≤ 0.1 %"]
        for c in result.clean
    ]
    head = ("planted", "n", "leak", "contained", "near-copy", "found", "target")
    return result.record(), as_json, head, table


def _goal(target: float | None) -> str:
    return "no target" if target is None else f"≥ {100 * target:g} %"
