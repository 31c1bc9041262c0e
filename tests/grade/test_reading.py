"""How answers are read: products of letters, factorials, rounded decimals, times, units and other dialects, on both sides of each rule."""

from __future__ import annotations

import json
import string
from pathlib import Path

import pytest

from acemath.grade import equal, grade

ROWS = [json.loads(line) for line in (Path(__file__).parent / "reading.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("kind", sorted({row["kind"] for row in ROWS}))
def test_readings(kind: str) -> None:
    wrong = [
        (a, b, verdict.reason)
        for row in ROWS
        if row["kind"] == kind
        for a, b in ((row["answer"], row["reference"]), (row["reference"], row["answer"]))
        if (verdict := equal(a, b)).correct != row["expected"]
    ]
    assert not wrong


@pytest.mark.parametrize("first", string.ascii_letters)
def test_every_product_of_two_letters(first: str) -> None:
    wrong = []
    for second in string.ascii_lowercase:
        third = "y" if second == "z" else "z"
        factored, expanded = f"{first}({second}+{third})", f"{first}{second}+{first}{third}"
        if f"{first}{second}" not in ("pi", "xi"):
            wrong += [expanded] * (not equal(factored, expanded).correct)
            wrong += [f"{expanded} ="] * equal(factored, f"{expanded}+{third}").correct
    assert not wrong


@pytest.mark.parametrize(
    ("response", "reference", "expected"),
    [
        ("So \\boxed{\frac{1}{2}}.", "0.5", True),
        ("So \boxed{7}.", "7", True),
        ("We get $2 \times 3$, so \\boxed{6}", "6", True),
        ("A table\n1\tan apple\n2\tan egg\n\\boxed{2}", "2", True),
        ("So \\boxed{\frac{1}{2}}.", "0.6", False),
    ],
)
def test_commands_whose_backslash_became_a_control_character(response: str, reference: str, expected: bool) -> None:
    response = response.replace("\\boxed", "@").replace("\\f", "\f").replace("\\b", "\b").replace("\\t", "\t")
    assert grade(response.replace("@", "\\boxed"), reference).correct == expected
