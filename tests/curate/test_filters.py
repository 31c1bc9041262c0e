"""The filters of prompts that the paper does not have (figures, proofs, language), and those of responses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from acemath.curate.filters import filter_problems, filter_responses, needs_figure, other_language, proof_only
from acemath.curate.settings import FilterSettings
from acemath.records import Problem, Response

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("The figure below shows a square. Find its area.", "figure"),
        ("What is x?\n[asy]\ndraw((0,0)--(1,1));\n[/asy]", "figure"),
        ("In the diagram, AB = 3. Find BC.", "figure"),
        ("The graph of f is shown below. What is f(2)?", "figure"),
        ("The table below lists f.\n\\begin{tabular}{|c|} 1 \\end{tabular}\nWhat is f(1)?", None),
        ("Figure out how many apples are left.", None),
        ("The graph of y = 2x + 1 crosses the y-axis where?", None),
        ("A picture frame is 3 by 5 inches. What is its area?", None),
    ],
)
def test_figures(text: str, reason: str | None) -> None:
    assert needs_figure(text) == reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Prove that the sum of two odd numbers is even.", "proof-only"),
        ("Let n be odd. Show that n^2 - 1 is divisible by 8.", "proof-only"),
        ("Show that n^2 + n is even, and find its last digit for n = 7.", None),
        ("How can one prove that 7 is prime? Answer yes or no.", None),
        ("Compute 1 + 1.", None),
    ],
)
def test_proofs(text: str, reason: str | None) -> None:
    assert proof_only(text) == reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("求所有满足条件的整数 n 的和。", "other-language"),
        ("Trouver tous les entiers naturels qui divisent sept cents", "other-language"),
        ("Сколько будет 2 + 2?", "other-language"),
        ("Find the area of a café table with radius 2 m.", None),
        (r"$\frac{1}{2} + \alpha$", None),
    ],
)
def test_language(text: str, reason: str | None) -> None:
    assert other_language(text, "en") == reason


def test_filters_beyond_the_paper_are_off_by_default() -> None:
    """The paper keeps such prompts. Each filter works alone, and the first reason is recorded."""
    rows = [
        Problem("f", "The figure below shows 3 cats. How many cats are there in it?"),
        Problem("p", "Prove that 2 + 2 = 4 for all of the integers."),
        Problem("l", "Trouver tous les entiers naturels qui divisent sept cents"),
        Problem("k", "How many prime numbers are there below 10?"),
    ]
    assert len(filter_problems(rows, FilterSettings())[0]) == 4
    kept, dropped = filter_problems(rows, FilterSettings(figures="drop", proofs="drop", language="en"))
    assert [row.id for row in kept] == ["k"]
    assert [(d.id, d.reason) for d in dropped] == [
        ("f", "figure"),
        ("p", "proof-only"),
        ("l", "other-language"),
    ]


@pytest.mark.skipif(not SHARED.exists(), reason="the development data is not beside the repository")
def test_real_english_prompts_stay() -> None:
    """No GSM8K test problem is foreign or a proof, and hardly any needs a figure."""
    rows = [json.loads(line) for line in (SHARED / "gsm8k_test.jsonl").read_text().splitlines()]
    texts = [str(row.get("question") or row.get("problem") or row.get("prompt")) for row in rows]
    assert len(texts) > 1000
    assert not [t for t in texts if other_language(t, "en") or proof_only(t)]
    assert sum(needs_figure(t) is not None for t in texts) <= 3


def test_incomplete_and_refused_responses_are_dropped() -> None:
    """Even if they have an answer in a box."""
    whole = Response("0", 0, "So \\boxed{4}.", "teacher")
    rows = [whole, replace(whole, finish_reason="length"), replace(whole, finish_reason="refused", text="")]
    rows.append(replace(whole, finish_reason="content_filter"))  # of another tool's file
    kept, dropped = filter_responses(rows, FilterSettings(), lambda row: False)
    assert kept == [whole] and [row.reason for row in dropped] == ["cut-off", "refused", "incomplete"]


def test_the_limit_of_words_is_only_for_evolved_prompts() -> None:
    """The paper limits synthetic prompts (section 3.2.2); seeds have a limit only if a setting gives one."""
    long = "Find the sum of the list. " * 60
    rows = [Problem("seed", long, meta={"method": "a column of the source"}), Problem("child", long, meta={"root": "seed"})]
    kept, dropped = filter_problems(rows, FilterSettings())
    assert [row.id for row in kept] == ["seed"] and [row.reason for row in dropped] == ["too-long"]
    assert filter_problems(rows, FilterSettings(prompt_words=400))[0] == rows
    assert not filter_problems(rows, FilterSettings(seed_words=300))[0]
