"""The blind sets hold a floor, not each case: they are there to measure with (perf/blind.py)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from acemath.grade import equal, grade

HERE = Path(__file__).parent


def _rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (HERE / name).read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize(
    ("name", "answer", "judge", "accuracy", "false"),
    [
        ("blind.jsonl", "answer", equal, 0.95, 2),
        ("blind_responses.jsonl", "text", grade, 0.95, 1),
        ("blind6.jsonl", "answer", equal, 0.94, 0),
        ("blind6_responses.jsonl", "text", grade, 0.94, 3),
        ("blind7.jsonl", "answer", equal, 0.97, 0),
        ("blind7_responses.jsonl", "text", grade, 0.97, 1),
        ("blind7_attacks.jsonl", "text", grade, 0.95, 2),
        ("blind8.jsonl", "answer", equal, 0.97, 1),
        ("blind8_responses.jsonl", "text", grade, 0.96, 1),
        ("blind8_attacks.jsonl", "text", grade, 0.88, 9),
        ("blind9.jsonl", "answer", equal, 0.97, 1),
        ("blind9_responses.jsonl", "text", grade, 0.98, 0),
        ("blind9_attacks.jsonl", "text", grade, 0.95, 4),
    ],
)
def test_floor_of_a_blind_set(
    name: str, answer: str, judge: Callable[..., Any], accuracy: float, false: int
) -> None:
    rows = _rows(name)
    said = [judge(row[answer], row["gold"]).correct for row in rows]
    assert sum(s == row["correct"] for s, row in zip(said, rows, strict=True)) / len(rows) >= accuracy
    assert sum(s and not row["correct"] for s, row in zip(said, rows, strict=True)) <= false


@pytest.mark.parametrize(("name", "size"), [("blind.jsonl", 400), ("blind6.jsonl", 400), ("blind7.jsonl", 200), ("blind8.jsonl", 400), ("blind9.jsonl", 400)])
def test_a_blind_set_is_half_false(name: str, size: int) -> None:
    rows = _rows(name)
    assert (len(rows), sum(row["correct"] for row in rows)) == (size, size // 2)
    assert len({(row["gold"], row["answer"]) for row in rows}) == len(rows)
