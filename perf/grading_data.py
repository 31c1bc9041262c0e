"""The rows of the grading benchmark, from the folder of development data."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path
from typing import Any, NamedTuple

from acemath.grade import STRICT, Conventions
from acemath.grade.records import rows_of


class Case(NamedTuple):
    """One published case and the conventions that its source assumes."""

    source: str
    form: str
    gold: str
    prediction: str
    expected: bool
    conventions: Conventions


def published_cases(shared: Path) -> list[Case]:
    """The published cases without the corrupted and wrong ones, each with the conventions that its flag names."""
    cases = []
    for row in _lines(shared / "grading" / "cases.jsonl"):
        flag, options = str(row["flag"]), row["options"] or {}
        if "corrupt" in flag or flag.startswith("WRONG"):
            continue
        conventions = STRICT
        if options.get("precision") == 2:
            conventions = STRICT.but(digits=2)
        if "order matters" in flag:
            conventions = STRICT.but(ordered_lists=True)
        cases.append(
            Case(row["source"], row["form"], row["gold"], row["prediction"], row["expected"], conventions)
        )
    return cases


def pool_rows(shared: Path, pool: str) -> list[tuple[str | None, str, bool]]:
    """(extracted answer, reference, label) of a set of real outputs."""
    rows = []
    for row, reference in _pool(shared, pool):
        answer = row["pred"]
        rows.append((None if answer is None else str(answer), reference, bool(row["label"])))
    return rows


def whole_responses(shared: Path, pool: str) -> list[tuple[str, str]]:
    """(whole response, reference) of a set; an answer stored apart from its reasoning is put into a box."""
    if pool == "qwen_math100x8":
        records = _lines(shared / "data" / "qwen_math100x8_scored.jsonl")
        return [(row.response, row.reference) for record in records for row in rows_of(record)]
    rows = []
    for row, reference in _pool(shared, pool):
        text = row["response"]
        if "WildEval" in row["source"] and row["pred"]:
            text = f"{text}\n\\boxed{{{row['pred']}}}"
        rows.append((text, reference))
    return rows


def pool_outputs(shared: Path, pool: str) -> list[tuple[str, dict[str, Any]]]:
    """(problem, row) of a set of real outputs, without those that are marked uncertain."""
    key = "pid" if pool == "math_l5" else "qid"
    return [(str(row[key]), row) for row, _ in _pool(shared, pool)]


def _pool(shared: Path, pool: str) -> list[tuple[dict[str, Any], str]]:
    data = shared / "data"
    with gzip.open(data / f"{pool}_outputs_dev.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [row for row in map(json.loads, file) if not row["uncertain"]]
    if pool == "math_l5":
        return [(row, row["gold"]) for row in rows]
    golds = [row["answer"].rsplit("####", 1)[1].strip() for row in _lines(data / "gsm8k_test.jsonl")]
    return [(row, golds[row["qid"]]) for row in rows]


def hard_pairs(shared: Path) -> list[tuple[str, str]]:
    """Each reference of OlympiadBench and MATH-500 with another one's reference."""
    data = shared / "data"
    olympiad = [", ".join(row["final_answer"]) for row in _lines(data / "olympiadbench_test.jsonl")]
    math500 = [row["answer"] for row in _lines(data / "math500_test.jsonl")]
    source = random.Random(5)
    pairs = []
    for golds in (olympiad, math500):
        others = list(golds)
        source.shuffle(others)
        pairs += [(a, b) for a, b in zip(golds, others, strict=True) if a != b]
    return pairs


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
