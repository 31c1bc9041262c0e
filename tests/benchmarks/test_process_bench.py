"""ProcessBench: record forms, the first error by threshold and by critique, F1, the chosen threshold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from acemath.benchmarks.process_bench import (
    SIZES,
    Solution,
    best_threshold,
    critic_prompt,
    first_error,
    measured,
    scored_steps,
    solutions_from,
    stated,
    voted,
)
from acemath.errors import UserError

NAN = float("nan")


def record(key: str, label: int, steps: int = 3, **more: Any) -> dict[str, Any]:
    """A solution in the form of the data set on the hub."""
    return {
        "id": key, "generator": "some-model", "problem": "What is {1 + 1}?", "steps": [f"Step {n}." for n in range(steps)],
        "final_answer_correct": label == -1, "label": label, **more,
    }  # fmt: skip


def solutions(*records: dict[str, Any]) -> list[Solution]:
    return solutions_from([(f"file, line {n}", r) for n, r in enumerate(records, 1)], "mine")


def value(found: dict[str, Any], measure: str, benchmark: str, selector: str = "judge") -> float:
    return next(r["value"] for r in found["rows"] if (r["measure"], r["benchmark"], r["selector"]) == (measure, benchmark, selector))


def test_f1_is_the_harmonic_mean_of_both_accuracies() -> None:
    """2 of 4 errors found, 1 of 2 right solutions passed, and then all of them."""
    mine = solutions(*(record(f"math-{n}", label) for n, label in enumerate((0, 1, 2, 1, -1, -1))))
    found = measured(mine, [0, 1, 0, None, -1, 2], "judge")
    assert [value(found, m, "math") for m in ("error accuracy", "correct accuracy", "F1")] == [50, 50, 50]
    better = measured(mine, [0, 1, 0, None, -1, -1], "judge")
    assert value(better, "F1", "math") == pytest.approx(100 * 2 * 0.5 * 1 / 1.5)
    assert value(found, "F1", "math", "random") == pytest.approx(25)
    assert "1 of 6 solutions got no index" in found["notes"][1] and "math has 6 solutions" in found["notes"][0]


def test_a_judge_that_always_says_the_same_scores_nothing() -> None:
    """Neither "no error" nor "the first step", and a note says it."""
    mine = solutions(*(record(f"gsm8k-{n}", label) for n, label in enumerate((0, 0, -1, -1))))
    for index in (-1, 0):
        found = measured(mine, [index] * 4, "judge")
        assert value(found, "F1", "gsm8k") == 0 and f"the same index for all 4 solutions: {index}" in found["notes"][-1]


def test_the_average_is_over_the_four_subsets() -> None:
    """Unweighted, and absent if one subset is."""
    records = [record(f"{s}-{n}", label) for s in SIZES for n, label in enumerate((1, -1))]
    mine = solutions(*records)
    found = measured(mine, [1, -1, 1, -1, 1, -1, 0, -1], "judge")
    assert value(found, "F1", "average") == pytest.approx(75)
    assert "average" not in {r["benchmark"] for r in measured(mine[:6], [1, -1] * 3, "judge")["rows"]}
    assert all(r["low"] <= r["value"] <= r["high"] for r in found["rows"])


def test_a_subset_of_one_kind_has_no_f1() -> None:
    """It is left out, with a note."""
    found = measured(solutions(record("math-0", 1)), [1], "judge")
    assert found["rows"] == [] and "its F1 is undefined" in found["notes"][0]


def test_the_first_step_at_or_below_the_threshold() -> None:
    """As argmax over two classes does at 0.5; a step without a score before it decides nothing."""
    assert first_error([0.9, 0.5, 0.1], 0.5) == 1
    assert first_error([0.9, 0.8], 0.5) == -1
    assert first_error([0.9, NAN, 0.1], 0.5) is None
    assert first_error([0.1, NAN], 0.5) == 0


def test_the_chosen_threshold_has_the_best_f1() -> None:
    """Against a search over a fine grid, on random scores."""
    rng = np.random.default_rng(3)
    labels = [int(rng.integers(-1, 4)) for _ in range(60)]
    mine = solutions(*(record(f"gsm8k-{n}", label, 4) for n, label in enumerate(labels)), record("math-0", 0))
    scores = [[float(np.clip(rng.normal(0.3 if at == s.label else 0.6, 0.2), 0, 1)) for at in range(len(s.steps))] for s in mine]

    def f1(threshold: float) -> float:
        found = measured(mine, [first_error(v, threshold) for v in scores], "judge")
        return value(found, "F1", "gsm8k")

    assert f1(best_threshold(mine, scores)) >= max(f1(t) for t in np.linspace(0, 1, 31)) - 1e-9
    with pytest.raises(UserError, match="chosen on gsm8k"):
        best_threshold(mine[-1:], scores[-1:])


class Splitting:
    """A process reward model that cuts texts as the real ones do, and gives step n the probability 1 / (n + 1)."""

    name = "splitting"

    def __init__(self, form: str) -> None:
        self.form = form
        self.read: list[str] = []

    def step_scores(self, items: Any, progress: Any) -> list[list[list[float]]]:
        """A blank line ends a step, or in the form "skywork" each line."""
        mark = "\n" if self.form == "skywork" else "\n\n"
        self.read += [text for _, texts in items for text in texts]
        return [[[1 / (n + 1) for n, step in enumerate(text.split(mark)) if step] for text in texts] for _, texts in items]


def test_each_step_keeps_its_place() -> None:
    """Blank lines and line breaks inside a step are no ends of steps; other steps than ours are no scores."""
    mine = solutions({**record("math-0", 1), "steps": ["One.\n\nStill one.\nAlso.", "Two.\n", "Three."]})
    for form, first in (("qwen", "One.\nStill one.\nAlso."), ("skywork", "One. Still one. Also.")):
        judge = Splitting(form)
        assert scored_steps(judge, mine) == [[1, 1 / 2, 1 / 3]] and judge.read[0].startswith(first)
    empty = solutions({**record("math-0", 1), "steps": ["One.", "", "Three."]})
    (scores,) = scored_steps(Splitting("skywork"), empty)
    assert len(scores) == 3 and all(s != s for s in scores)


def test_the_index_that_a_critique_states() -> None:
    """The last box counts, and only a whole number in it."""
    assert stated(r"Paragraph 0 gives \boxed{4}. The first error is \boxed{1}") == 1
    assert stated(r"All is right: $\boxed{-1}$") == -1
    assert stated(r"\boxed{none}") is None and stated("paragraph 2") is None
    assert voted([r"\boxed{1}", r"\boxed{2}", r"\boxed{2}", "?"]) == 2
    assert voted([r"\boxed{1}", r"\boxed{2}"]) == 1 and voted(["?"]) is None


def test_the_question_to_a_critic() -> None:
    """The problem with its braces, each paragraph with its number, the box."""
    text = critic_prompt(solutions(record("math-0", 1))[0])
    assert "What is {1 + 1}?" in text and "<paragraph_2>\nStep 2.\n</paragraph_2>" in text and text.endswith(r"\boxed{}.")


def test_subsets_and_stored_predictions() -> None:
    """The subset is named by the row, by the start of its id, or by the file."""
    mine = solutions(
        record("gsm8k-1", 1), record("7", -1), record("x-2", 0, subset="omnimath", prediction=0), record("math-1", 0, prediction=None)
    )
    assert [s.subset for s in mine] == ["gsm8k", "mine", "omnimath", "math"]
    assert [(s.predicted, s.prediction) for s in mine] == [(False, None), (False, None), (True, 0), (True, None)]


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        ({"id": "1", "problem": "?", "label": 0}, "a solution of ProcessBench has id"),
        ({**record("1", 0), "steps": ["a", None]}, "a solution of ProcessBench has id"),
        (record("1", 3), "label 3 is no step of 3"),
        (record("1", -2), "label -2 is no step"),
        ({**record("1", 0), "label": "x"}, "a solution of ProcessBench has id"),
        ({**record("1", 0), "label": 10**400}, "a solution of ProcessBench has id"),
        ({**record("1", 0), "label": True}, "a solution of ProcessBench has id"),
    ],
)
def test_a_wrong_record_is_one_line(broken: dict[str, Any], says: str) -> None:
    """The place and the rule."""
    with pytest.raises(UserError, match="file, line 1") as error:
        solutions(broken)
    assert says in str(error.value)
