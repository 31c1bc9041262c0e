"""Real outputs and published cases: skipped where the folder of development data is absent."""

from __future__ import annotations

import json
import re
import sys
from collections import Counter, defaultdict
from fractions import Fraction
from pathlib import Path

import pytest

from acemath.grade import equal, grade, grade_answer

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared"
sys.path.insert(0, str(ROOT / "perf"))

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
        right[case.source].append(judge(case.prediction, case.gold, case.conventions).correct == case.expected)
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


def _other_forms(reference: str) -> tuple[list[str], list[str]]:
    """Ways to write a reference that are not its own text, and answers beside it; both empty where none is known."""
    plain = reference.strip().strip("$").replace("dfrac", "frac")
    if re.fullmatch(r"-?\d{1,9}", plain):
        n = int(plain)
        same = [
            f"{n}.0",
            f"{2 * n}/2",
            rf"\frac{{{3 * n}}}{{3}}",
            f"{n - 7}+7",
            *([f"{n:,}"] if abs(n) > 999 else []),
        ]
        return same, [str(n + 1), f"{n}.5", str(-n) if n else "2", f"{n + 7}+7"]
    if found := re.fullmatch(r"(-?)\\frac\{(\d+)\}\{(\d+)\}", plain):
        top, bottom = int(found[1] + found[2]), int(found[3])
        exact = Fraction(top, bottom)
        same = [f"{top}/{bottom}", rf"\frac{{{2 * top}}}{{{2 * bottom}}}", f"1+{exact - 1}"]
        rest = bottom
        for prime in (2, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            same.append(str(float(exact)))
        return same, [f"{top + 1}/{bottom}", f"{top}/{bottom + 1}", f"{bottom}/{-top}"]
    terms = re.findall(r"[-+]?(?:[\w^\\ ]|\{[^{}]*\})+", plain)
    if (
        len(terms) > 1
        and "".join(terms) == plain
        and "begin" not in plain
        and all(term.strip("-+ ") for term in terms)
    ):
        signed = [term if term[0] in "-+" else f"+{term}" for term in terms]
        turned = [term.replace("+", " + ").replace("-", " - ") for term in reversed(signed)]
        flipped = ("-" if signed[-1][0] == "+" else "+") + signed[-1][1:]
        # Not one more: the grader reads a last "+C" as a constant of integration, which takes up any number.
        return ["".join(reversed(signed)).removeprefix("+"), "".join(turned)], [
            "".join([*signed[:-1], flipped])
        ]
    return [], []


def test_every_reference_in_other_forms() -> None:
    """Public references against the same value written otherwise, and against values beside it, both ways.

    Whole numbers as decimals, quotients and sums; fractions unreduced, as decimals and as sums; sums in another order.
    """
    golds = [", ".join(json.loads(line)["final_answer"]) for line in _lines("olympiadbench_test.jsonl")]
    golds += [json.loads(line)["answer"] for line in _lines("math500_test.jsonl")]
    golds += [json.loads(line)["answer"].split("####")[1] for line in _lines("gsm8k_test.jsonl")]
    wrong, checked = [], Counter[bool]()
    for gold in dict.fromkeys(golds):
        for right, forms in zip((True, False), _other_forms(gold), strict=True):
            checked[right] += len(forms)
            pairs = [(a, b) for form in forms for a, b in ((form, gold), (gold, form))]
            assert not [form for form in forms if form.strip() == gold.strip()]
            wrong += [(a, b) for a, b in pairs if equal(a, b).correct != right]
    assert checked[True] > 2500 and checked[False] > 2500
    assert not wrong


def _lines(name: str) -> list[str]:
    return [
        line for line in (SHARED / "data" / name).read_text(encoding="utf-8").splitlines() if line.strip()
    ]
