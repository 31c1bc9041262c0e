"""An endpoint that knows the references, by the path of an evaluation: over HTTP, extracted and graded."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from acemath.benchmarks.registry import open_benchmark
from acemath.records import Problem

PERF = Path(__file__).resolve().parents[2] / "perf" / "references.py"
CHOICES = "Which?\nAnswer Choices: (A) red (B) blue, or (C)reen (C) {} (D) none"
# reference: the other form of it, and a wrong answer
FORMS = {
    "3": ("3.0", "4"),
    "0.25": ("\\frac{1}{4}", "1.25"),
    "\\frac{3}{8}": ("0.375", "\\frac{4}{8}"),
    "\\frac{1}{3}": ("\\frac{1}{3}", "\\frac{2}{3}"),
    "1, (2,3)": ("(2,3), 1", "2, (2,3)"),
    "\\{a, 2\\}": ("\\{2, a\\}", "\\{a, 3\\}"),
    "f(x)=x_{1}+2": ("f(x)=x_{1}+2", "x_{1}+3"),
    "\\sin x+C": ("\\sin x+C", "x^{9} + \\sin x+C"),
    "\\text{(B)}": ("\\text{(B)}", "\\text{(C)}"),
    "11,111": ("11,111", "12,111"),
}  # fmt: skip


@pytest.fixture(scope="module")
def references() -> ModuleType:
    """The script, as a module."""
    spec = importlib.util.spec_from_file_location("references", PERF)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_right_and_wrong_answers(references: ModuleType) -> None:
    """Equal forms that look different, and wrong ones; a choice with its text, and the next letter with its own."""
    for reference, wanted in FORMS.items():
        problem = Problem("1", "?", reference)
        assert (references.another_form(problem), references.another_answer(problem)) == wanted
    choice = Problem("1", CHOICES.format("black"), "D")
    assert (references.another_form(choice), references.another_answer(choice)) == ("(D) none", "(A) red")
    prose = [Problem("1", "?", "Any $h$ will work."), Problem("2", "?", "5")]
    assert references.wrong_answers(prose) == ["6", "6"]


def test_over_http(references: ModuleType) -> None:
    """Every right answer is graded right, and no wrong one; a reference that is wrong is a miss."""
    problems = [Problem(str(at), f"Question {at}?", reference) for at, reference in enumerate(FORMS)]
    problems += [Problem(f"c{letter}", CHOICES.format(letter), letter) for letter in "ACD"]
    assert references.measured("gsm8k", problems, in_process=False) == ([100.0, 0.0], [])
    other = references.another_form
    references.another_form = references.another_answer
    try:
        (right, wrong), misses = references.measured("gsm8k", problems, in_process=True)
    finally:
        references.another_form = other
    assert (right, wrong) == (0.0, 0.0) and len(misses) == len(problems)


def test_a_real_benchmark(references: ModuleType, shared: Path) -> None:
    """Minerva Math, of which half the references have another form."""
    problems = open_benchmark("minerva_math", data=shared / "data")
    assert sum(references.another_form(p) != p.answer for p in problems) > 100
    assert references.measured("minerva_math", problems, in_process=True) == ([100.0, 0.0], [])
