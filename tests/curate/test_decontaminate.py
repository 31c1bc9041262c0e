"""Decontamination on typings, short problems, several benchmarks, and real data."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path

import pytest

from acemath.curate.decontaminate import Decontaminator, decontaminate
from acemath.curate.settings import DecontaminateSettings
from acemath.curate.words import words_of
from acemath.records import Problem
from acemath.worksheets.registry import MATH_SUBJECTS
from acemath.worksheets.sheets import draw_problems

DATA = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"
SHORT = "Find the remainder when 17 is divided by 5."


def index(*prompts: str, subject: str = "bench") -> Decontaminator:
    """An index of prompts, all with the same id, as benchmarks that number their problems give them."""
    return Decontaminator([Problem("0", p, subject=subject) for p in prompts], DecontaminateSettings())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Ｘ² + １", "x^2 + 1"),
        (r"$3\times4 \cdot 5$", "3 × 4 · 5"),
        (r"\dfrac{1}{2}\,\text{ of } a", r"\frac{1}{2} of a"),
        ("1,200 eggs", r"1{,}200  EGGS"),
        (r"$\left( a \leq b \right)$", "(a ≤ b)"),
        (r"90^\circ, then 45^{\circ}", "90° then 45°"),
        ("5 − 3", "5 - 3"),
        ("ap\u200bples", "apples"),
        ("½ of it", "1/2 of it"),
        (r"\begin{align*} a_1 &= 2 \end{align*}", "a₁ = 2"),
    ],
)
def test_typings_of_one_text_give_the_same_words(one: str, other: str) -> None:
    """LaTeX or Unicode, spaced or not: the words are the same; numbers and signs count."""
    assert words_of(one) == words_of(other)
    assert words_of("3+4") != words_of("3-4") and words_of("12 eggs") != words_of("13 eggs")


def test_benchmarks_that_share_ids_do_not_hide_each_other() -> None:
    """Two benchmarks number from 0: a copy of either is found, and the hit names its benchmark."""
    texts = [" ".join(f"{word}{i}" for i in range(20)) for word in ("apple", "pear")]
    rows = [Problem("0", text, subject=name) for name, text in zip(("first", "second"), texts, strict=True)]
    found = Decontaminator(rows, DecontaminateSettings())
    for row in rows:
        hit = found.check(Problem("x", row.prompt), math=True)
        assert hit is not None and (hit.benchmark, hit.benchmark_id) == (row.subject, "0")
        assert hit.lcs == 1.0 and len(hit.shared.split()) == 13


def test_short_problems_are_found_whole() -> None:
    """Alone always; inside a longer math prompt where they are most of it; a tiny one only alone."""
    found = index(SHORT, "What is 7 + 8?")
    assert found.check(Problem("a", SHORT.upper()), math=True)
    assert found.check(Problem("b", f"{SHORT} Show your work, please."), math=True)
    padded = f"{SHORT} Then write a poem of four lines about the sea and the sky, in words of one syllable."
    assert found.check(Problem("c", padded), math=True) is None
    hit = found.check(Problem("c", padded), math=False)
    assert hit is not None and hit.shared == " ".join(words_of(SHORT))
    assert found.check(Problem("d", "what is 7+8"), math=True)
    assert found.check(Problem("e", "Tell me in one word: what is 7 + 8? I forgot."), math=False) is None
    assert found.check(Problem("f", SHORT.replace("17", "18")), math=True) is None


def test_no_prompt_and_no_benchmark_is_no_hit() -> None:
    """Empty texts and an empty index find nothing and break nothing."""
    assert index("").check(Problem("a", ""), math=True) is None
    kept, dropped = decontaminate([Problem("a", "1+1")], [], DecontaminateSettings())
    assert len(kept) == 1 and not dropped


def test_drop_rate_of_worksheets_family_by_family() -> None:
    """In all a few percent; over 30 % only where a family has few questions and one long wording."""
    tests, train = draw_problems("test", 1000, 3, MATH_SUBJECTS), draw_problems("train", 6000, 4)
    started = time.perf_counter()
    _, dropped = decontaminate(train, tests, DecontaminateSettings())
    assert (time.perf_counter() - started) / 6000 < 1e-3, "microseconds a prompt, on any machine"
    family = {p.id: p.meta["family"] for p in train}
    total, lost = Counter(family.values()), Counter(family[d.id] for d in dropped)
    assert len(dropped) < 0.05 * len(train)
    assert {name for name in lost if lost[name] > 0.3 * total[name]} <= {"draw-chance", "red-balls"}


def test_real_prompts_against_real_benchmarks() -> None:
    """MATH train holds near-copies of MATH test; GSM8K train holds next to none of GSM8K test."""
    if not DATA.is_dir():
        pytest.skip("the real data sets are not beside this checkout")

    def rows(name: str, column: str, count: int | None = None) -> list[Problem]:
        lines = (DATA / name).read_text().splitlines()[:count]
        return [Problem(str(i), json.loads(line)[column], subject=name) for i, line in enumerate(lines)]

    tests = rows("gsm8k_test.jsonl", "question") + rows("math500_test.jsonl", "problem")
    found = Decontaminator(tests, DecontaminateSettings())
    assert all(found.check(row, math=True) for row in tests)
    grade_school = sum(bool(found.check(r, True)) for r in rows("gsm8k_train.jsonl", "question", 2000))
    competition = sum(bool(found.check(r, True)) for r in rows("math_train.jsonl", "problem", 2000))
    assert grade_school < 0.002 * 2000 < competition < 0.05 * 2000
