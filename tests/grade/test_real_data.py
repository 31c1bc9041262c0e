"""Real outputs and published cases: skipped where the folder of development data is absent."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from acemath.grade import equal, grade, grade_answer

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared"
sys.path.insert(0, str(ROOT / "benchmarks"))

pytestmark = pytest.mark.skipif(not (SHARED / "grading").is_dir(), reason=f"no development data in {SHARED}")

# math-verify 0.9.0 on each source (flagged cases counted), as published with the cases
PEER = {
    "Math-Verify": 0.977, "lighteval": 0.952, "NeMo-Skills": 0.967, "qwen-tora": 0.929, "open-instruct": 0.929,
    "trl": 0.833, "hendrycks-math": 0.688, "verifiers": 1.0, "lighteval-choice": 0.067,
}  # fmt: skip


def test_published_cases() -> None:
    from grading_data import published_cases

    right: dict[str, list[bool]] = defaultdict(list)
    for case in published_cases(SHARED):
        judge = equal if case.form == "answer" else grade
        right[case.source].append(judge(case.prediction, case.gold, case.policy).correct == case.expected)
    for source, values in right.items():
        assert sum(values) / len(values) >= PEER[source], source
    everything = [v for values in right.values() for v in values]
    assert sum(everything) / len(everything) >= 0.985


@pytest.mark.parametrize("pool", ["gsm8k", "math_l5"])
def test_agreement_with_labels_of_real_outputs(pool: str) -> None:
    from grading_data import pool_rows

    rows = pool_rows(SHARED, pool)
    agreed = sum(grade_answer(answer, reference).correct == label for answer, reference, label in rows)
    assert agreed / len(rows) >= 0.997


def test_every_reference_equals_itself_in_another_spelling() -> None:
    golds = [", ".join(json.loads(line)["final_answer"]) for line in _lines("olympiadbench_test.jsonl")]
    golds += [json.loads(line)["answer"] for line in _lines("math500_test.jsonl")]
    golds += [json.loads(line)["answer"].split("####")[1] for line in _lines("gsm8k_test.jsonl")]
    failed = [g for g in golds if not equal(g, g).correct]
    assert not failed
    respelled = [g.replace(r"\frac", r"\dfrac").replace(" ", "") + " ." for g in golds]
    missed = [
        g for g, h in zip(golds, respelled, strict=True) if not (equal(h, g).correct and equal(g, h).correct)
    ]
    assert len(missed) <= 3, missed


def _lines(name: str) -> list[str]:
    return [
        line for line in (SHARED / "data" / name).read_text(encoding="utf-8").splitlines() if line.strip()
    ]
