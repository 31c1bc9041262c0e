"""Demonstrations: from a development split, by subject, in the harness's form."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from acemath.benchmarks.shots import SHOTS, demonstrations, with_shots
from acemath.errors import UserError
from acemath.records import Problem


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    """Rows as JSONL."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def dev(subject: str, count: int, **more: object) -> list[dict[str, object]]:
    return [
        {"question": f"{subject} {at}?", "subject": subject, "choices": ["no", "yes"], "answer": 1, **more} for at in range(count)
    ]


def test_each_problem_gets_the_demonstrations_of_its_subject(tmp_path: Path) -> None:
    """The first ones, before the prompt in one turn; the prompt stays as it is."""
    write(tmp_path / "mmlu_dev.jsonl", dev("law", 3) + dev("physics", 2))
    shots = demonstrations("mmlu", 2, data=tmp_path)
    assert {subject: len(found) for subject, found in shots.items()} == {"law": 2, "physics": 2}
    (asked,) = with_shots([Problem("1", "P?", "A", subject="physics")], shots)
    choices = "\nAnswer Choices: (A) no (B) yes\nThe answer is \\boxed{B}.\n\n"
    assert asked.prompt == f"physics 0?{choices}physics 1?{choices}P?" and asked.meta[SHOTS] == 2 and asked.answer == "A"


def test_worked_solutions_are_used(tmp_path: Path) -> None:
    """MMLU-Pro's validation split has them."""
    rows = [
        {"question_id": at, "question": f"Q{at}?", "options": ["x", "y"], "answer": "B", "category": "math", "cot_content": "A: Since y, (B)."}
        for at in range(5)
    ]
    found = demonstrations("mmlu_pro", 5, write(tmp_path / "validation.jsonl", rows))
    assert found["math"][4] == ("Q4?\nAnswer Choices: (A) x (B) y", "Since y, (B).")


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    """Too few, a subject without any, a benchmark without a split of demonstrations."""
    file = write(tmp_path / "dev.jsonl", dev("law", 3))
    with pytest.raises(UserError, match="has 3 demonstrations of law; give --shots 3 or fewer"):
        demonstrations("mmlu", 5, file)
    with pytest.raises(UserError, match="no demonstration of physics"):
        with_shots([Problem("1", "P?", "A", subject="physics")], demonstrations("mmlu", 1, file))
    with pytest.raises(UserError, match="gsm8k has no split of demonstrations"):
        demonstrations("gsm8k", 4)
