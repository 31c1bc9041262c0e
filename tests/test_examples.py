"""The example's responses give the numbers that docs/half-a-billion.md states."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from acemath.grade import grade

ROOT = Path(__file__).resolve().parents[1]
RESPONSES = ROOT / "examples" / "gsm8k.parquet"


def test_the_documented_table_can_be_had_again(command: Callable[..., Any]) -> None:
    """pass@1, maj@8, rm@8 and pass@8, to the decimal that the page has."""
    done = command("rewardbench", "table", RESPONSES, "--json")
    assert done.code == 0, done.err
    found = {row["measure"]: row["value"] for row in json.loads(done.out)["rows"]}
    page = (ROOT / "docs" / "half-a-billion.md").read_text()
    for measure, line in (("pass@1", "pass@1, T = 0.7"), ("maj@8", "maj@8"), ("rm@8", "rm@8"), ("pass@8", "pass@8")):
        stated = re.search(rf"^\| {re.escape(line)} \| ([\d.]+) \|", page, re.MULTILINE)
        assert stated and f"{found[measure]:.1f}" == stated[1], measure


def test_the_stored_verdicts_are_todays() -> None:
    """The grader still says of nearly all responses what it said when they were scored."""
    import pyarrow.parquet as pq

    rows = pq.read_table(RESPONSES).to_pylist()
    changed = [
        (row["problem_id"], row["sample"])
        for row in rows
        if row["finish_reason"] == "stop"
        and grade(row["text"], row["reference"]).correct != (row["status"] == "correct")
    ]
    assert len(changed) <= len(rows) // 1000
