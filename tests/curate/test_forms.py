"""Forms of questions: multiple choice, true or false, several parts; questions that only look like these stay."""

from __future__ import annotations

import pytest

from acemath.curate.filters import filter_problems
from acemath.curate.forms import multi_part, multiple_choice, true_false
from acemath.curate.settings import FilterSettings
from acemath.records import Problem


@pytest.mark.parametrize(
    "text",
    [
        "What is $1+1$? $\\textbf{(A)}\\ 1\\qquad \\textbf{(B)}\\ 2\\qquad \\textbf{(C)}\\ 3$",
        "Which is prime?\nA. 4\nB. 5\nC. 6",
        "Find x. (A) 1 (B) 2 (C) 3 (D) 4",
        "Choose: A) red B) blue C) green",
    ],
)
def test_choices(text: str) -> None:
    """The usual ways to typeset choices."""
    assert multiple_choice(text) == "multiple-choice"


@pytest.mark.parametrize(
    "text",
    [
        "If $P(A) = 1$, $P(B) = 2$ and $P(C) = 3$, what is $P(D)$?",
        "Points A, B and C lie on a line. A. is first.",
        "Let f(A) + f(B) + f(C) = 7. Find f(A).",
    ],
)
def test_letters_that_are_no_choices(text: str) -> None:
    """Arguments of functions, and points."""
    assert multiple_choice(text) is None


def test_true_or_false() -> None:
    """By the question or by the answer; questions that also ask for something else, and factorials, stay."""
    assert (
        true_false("True or false: 7 is prime.") == true_false("So far so good. Is 91 prime?") == "true-false"
    )
    assert true_false("What of this?", "\\text{Yes}") == true_false("Determine whether this claim is true.")
    for text in (
        "How many divisors of 30! are prime?",
        "Is it 3 or 4?",
        "Does she win? If so, how much?",
        "If this is true, which of them is?",
    ):
        assert true_false(text) is None, text


def test_parts() -> None:
    """Several labelled questions; labelled conditions are not parts."""
    assert multi_part("(a) Find x. (b) Find y.") == multi_part("1. What is x?\n2. What is y?") == "multi-part"
    assert multi_part("Part A: compute x. Part B: compute y.") == "multi-part"
    assert multi_part("A rule has (i) no gaps and (ii) no loops. How many rules are there?") is None
    assert multi_part("Evaluate f(a) and f(b).") is None


def test_the_filters_drop_what_the_settings_name() -> None:
    """None by default; a long reference answer by its characters."""
    rows = [
        Problem("m", "Pick: (A) 1 (B) 2 (C) 3"),
        Problem("t", "Is 7 prime?"),
        Problem("l", "Why?", "x" * 80),
    ]
    assert len(filter_problems(rows, FilterSettings())[0]) == 3
    _, dropped = filter_problems(
        rows, FilterSettings(forms=("multiple-choice", "true-false"), answer_characters=50)
    )
    assert [d.reason for d in dropped] == ["multiple-choice", "true-false", "long-answer"]
