"""RewardBench 2: record forms, best of four, the Ties score by hand, controls and notes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from acemath.benchmarks.reward_bench_2 import SIZES, TIES, Item, items_from, measured
from acemath.errors import UserError

NAN = float("nan")


def record(subset: str, key: str, right: int = 1, wrong: int = 3, **more: Any) -> dict[str, Any]:
    """A prompt in the form of the data set on the hub."""
    return {
        "id": key, "prompt": f"Question {key}?", "subset": subset,
        "chosen": [f"right {key} {n}" for n in range(right)],
        "rejected": [f"a wrong one {key} {n} {'!' * n}" for n in range(wrong)],
        "num_correct": right, "num_incorrect": wrong, "total_completions": right + wrong,
        "models": ["m"] * (right + wrong), "additional_metadata": None, **more,
    }  # fmt: skip


def items(*records: dict[str, Any]) -> list[Item]:
    return items_from([(f"file, line {n}", r) for n, r in enumerate(records, 1)])


def value(found: dict[str, Any], benchmark: str, selector: str = "judge") -> float:
    return next(r["value"] for r in found["rows"] if (r["benchmark"], r["selector"]) == (benchmark, selector))


def test_best_of_four_and_shared_ties() -> None:
    """The right response first: 1; level with one wrong: a half; below: 0. The controls stand beside."""
    mine = items(record("Math", "1"), record("Math", "2"), record("Math", "3"))
    found = measured(mine, [[2, 1, 0, -1], [1, 1, 0, 0], [0, 1, 2, 3]], "judge")
    assert value(found, "Math") == pytest.approx(50)
    assert value(found, "Math", "random") == 25
    assert value(found, "Math", "shortest") == 100 and value(found, "Math", "longest") == 0
    assert {r["measure"] for r in found["rows"]} == {"best of 4"}
    assert "average" not in {r["benchmark"] for r in found["rows"]}
    assert "Math 3 of 183" in found["notes"][0]


def ties() -> list[Item]:
    return items(
        record("Ties", "ref:0", 1, 1), record("Ties", "tied:0", 2, 1), record("Ties", "ref:1", 1, 1), record("Ties", "tied:1", 2, 1)
    )


def test_the_ties_score_by_hand() -> None:
    """Question 0: margins 2 and 0.5, spread 0.5, so only the accuracies count: 0.6. Question 1: 5, 2.9 and 0.1: 1.01."""
    found = measured(ties(), [[3, 1], [2, 1.5, 1], [5, 0], [4, 3.9, 1]], "judge")
    assert value(found, "Ties") == pytest.approx(100 * (0.6 + 1.01) / 2)
    assert found["ties"]["margin over spread"] == 50 and found["ties"]["tied accuracy"] == 100
    assert next(r for r in found["rows"] if r["selector"] == "judge")["measure"] == "ties score"


def test_the_reference_question_counts_in_the_hard_part() -> None:
    """A margin of 0.05 on the reference question is below the spread 0.1; the size is tanh(0.05 / 0.1 - 1)."""
    one = ties()[:2]
    found = measured(one, [[1.05, 1.0], [4, 3.9, 1]], "judge")
    assert value(found, "Ties") == pytest.approx(100 * (0.3 + 0.3 + 0.2 + 0.01 * np.tanh(-0.5)))


def test_a_spread_of_zero_and_a_judge_that_is_wrong() -> None:
    """Equal right scores: the size is tanh of infinity, 1. Below the wrong ones: -1 for the size and nothing else."""
    one = ties()[:2]
    assert value(measured(one, [[2, 1], [4, 4, 1]], "judge"), "Ties") == pytest.approx(101)
    assert value(measured(one, [[1, 2], [1, 1, 4]], "judge"), "Ties") == pytest.approx(-1)
    level = measured(one, [[1, 1], [1, 1, 1]], "judge")
    assert value(level, "Ties") == 0 and "same score" in level["notes"][-1]


def test_the_average_is_of_the_six_subsets() -> None:
    """Unweighted, as on the leaderboard; the interval holds it."""
    rows = [record(s, str(n)) for n, s in enumerate(SIZES) if s != "Ties"]
    mine = [*items(*rows), *ties()[:2]]
    found = measured(mine, [*([[1, 0, 0, 0]] * 4), [0, 1, 1, 1], [3, 1], [2, 1.5, 1]], "judge")
    assert value(found, "average") == pytest.approx((4 * 100 + 0 + 60) / 6)
    assert [r["benchmark"] for r in found["rows"] if r["selector"] == "judge"] == [*SIZES, "average"]
    for row in found["rows"]:
        assert row["low"] <= row["value"] + 1e-9 and row["value"] <= row["high"] + 1e-9, row


def test_a_random_judge_lies_near_the_random_control() -> None:
    """The control of Ties is a mean over draws; a random judge on many questions comes near."""
    rng = np.random.default_rng(1)
    kinds = [("ref", 1, 3), ("tied", 3, 4)]
    mine = items(*(record("Ties", f"{kind}:{n}", right, wrong) for n in range(80) for kind, right, wrong in kinds))
    found = measured(mine, [list(rng.random(len(item.responses))) for item in mine], "judge")
    assert value(found, "Ties") == pytest.approx(value(found, "Ties", "random"), abs=4)
    assert sum(TIES.values()) == pytest.approx(1.01)


def test_missing_scores_lose_and_are_counted() -> None:
    """nan ranks below all; a right answer of Ties without a score fails its question."""
    found = measured(items(record("Math", "1")), [[NAN, 1, 0, -1]], "judge")
    assert value(found, "Math") == 0 and "1 responses have no score" in found["notes"][1]
    hurt = measured(ties()[:2], [[3, 1], [NAN, 1.5, 1]], "judge")
    assert value(hurt, "Ties") == pytest.approx(30)


def test_stored_scores_and_whole_columns() -> None:
    """A scored file names no texts; the authors' files hold one list a column, and scores as lists of one."""
    stored = {"id": "7", "subset": "Math", "scores": [[0.5], [0.25], [0], [0]], "num_correct": 1}
    assert items(stored)[0].scores == (0.5, 0.25, 0, 0) and items(stored)[0].right == 1
    columns = {
        "id": ["7", "ref:0"], "subset": ["Math", "Ties"], "scores": [[1, 0, 0, 0], [1, 0]], "num_correct": [1, 1], "model": "m",
    }  # fmt: skip
    assert [item.subset for item in items(columns)] == ["Math", "Ties"]
    assert "shortest" not in {r["selector"] for r in measured(items(stored), [items(stored)[0].scores], "j")["rows"]}


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        ({"id": "1", "prompt": "?"}, "a prompt of RewardBench 2 has id, subset"),
        (record("Math", "1", right=0), "0 of 3 responses are right"),
        (record("Math", "1", wrong=0), "1 of 1 responses are right"),
        (record("Math", "1", right=2), "2 right responses in Math; only Ties"),
        (record("Ties", "5"), "is ref:NUMBER or tied:NUMBER, which pairs them, not '5'"),
        (record("Math", "1", scores=[1.0]), "1 scores for 4 responses"),
        (record("Math", "1", scores=[1, 2, "x", 3]), "score 'x' is not a finite number"),
        (record("Math", "1", scores=[1, 2, float("inf"), 3]), "score inf is not a finite number"),
        (record("Math", "1", scores=[1, 2, 10**400, 3]), "score 1000"),
        ({"id": "1", "subset": "Math", "scores": [1, 0, 0], "num_correct": 1.7}, "1.7 of 3 responses are right"),
        ({"id": "1", "subset": "Math", "scores": [1, 0, 0], "num_correct": "one"}, "num_correct 'one' is not a finite number"),
    ],
)
def test_a_wrong_record_is_one_line(broken: dict[str, Any], says: str) -> None:
    """The place and the rule."""
    with pytest.raises(UserError, match="file, line 1") as error:
        items(broken)
    assert says in str(error.value)


def test_an_unpaired_question_of_ties_cannot_be_scored() -> None:
    """Without a pair three of the five parts are undefined."""
    with pytest.raises(UserError, match="with its reference question"):
        measured(ties()[1:2], [[2, 1.5, 1]], "judge")
    with pytest.raises(UserError, match="there is no prompt"):
        items_from([])
    with pytest.raises(UserError, match="prompt '1' of Math appears twice"):
        items(record("Math", "1"), record("Math", "1"))
