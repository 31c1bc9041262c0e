"""One reader of references behind every door: raw data sets give the same verdicts through each of them."""

from __future__ import annotations

import json
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from acemath.errors import UserError
from acemath.grade import equal, grade, grade_many
from acemath.grade.references import reference_of, solution_answer
from acemath.grade.reward import accuracy_reward, compute_score
from acemath.grade.stored import grade_file

SAME: list[tuple[Any, str]] = [
    ("Tom has 3 + 4 = <<3+4=7>>7 pens.\n#### 7", "7"),
    ("#### 1,250\nThe answer is: 1250", "1250"),
    (r"Thus $x = 2$ and the area is $\boxed{\dfrac{3}{4}}$.", "3/4"),
    (["70"], "70"),
    ("['70']", "70"),
    ('["x+1"]', "x+1"),
    (["1", "2"], "1, 2"),
    (np.array(["70"]), "70"),
    (np.int64(5), "5"),
    (5, "5"),
    (27.0, "27"),
    (0.25, "0.25"),
    (Decimal("2.50"), "2.5"),
    (Fraction(1, 3), r"\frac13"),
    ([[1, 2], [3, 4]], "(1, 2), (3, 4)"),
    ("[['70']]", "70"),
    (r"['\frac{1}{2}']", "1/2"),
    (r"['\nu']", r"\nu"),
    ("['70' '80']", "80, 70"),
    (np.array(["1", "2"]), "2, 1"),
    (np.float32(0.1), "0.1"),
]


EMPTY = ("nan", "proof", "notfound", "[' ']", "We add.\n#### ", r"So $\boxed{ }$.")  # texts that say that there is none


@pytest.mark.parametrize(("reference", "answer"), SAME)
def test_every_door_reads_a_reference_alike(reference: Any, answer: str, tmp_path: Path) -> None:
    """The right answer is correct and another one wrong, in each function and in the command."""
    right, wrong = rf"so \boxed{{{answer}}}", r"so \boxed{987654}"
    assert grade(right, reference).status == "correct" and grade(wrong, reference).status == "wrong"
    assert equal(answer, reference).correct and equal(reference, answer).correct
    assert [v.status for v in grade_many([(right, reference), (wrong, reference)])] == ["correct", "wrong"]
    for column in ("answer", "solution", "ground_truth"):
        assert accuracy_reward([right, wrong], **{column: [reference] * 2}) == [1.0, 0.0]
    assert accuracy_reward([right], reward_model=[{"ground_truth": reference}]) == [1.0]
    assert compute_score("set", right, reference)["score"] == 1.0
    if isinstance(reference, str | int | float | list) and not isinstance(reference, np.number):
        path = tmp_path / "rows.jsonl"
        path.write_text("".join(json.dumps({"response": r, "answer": reference}) + "\n" for r in (right, wrong)))
        assert grade_file(path, "strict")["correct"] == 1


def test_choices_in_a_reward() -> None:
    """An index is the letter of the choice, not a number."""
    columns = {"choices": [["mass", "force"]] * 3, "answer": [1, 1, 0]}
    assert accuracy_reward(["Answer: B", "The answer is 1", r"\boxed{A}"], **columns) == [1.0, 0.0, 1.0]
    for more in ({"answerKey": ["B"]}, {"answer_index": [1]}, {"correct": ["B"]}, {"solution": [r"It is $\boxed{\text{force}}$"]}):
        assert accuracy_reward(["(B)"], choices=[["mass", "\\text{force}"]], **more) == [1.0], more
    letters = {"A": ["mass"], "B": ["force"], "C": ["work"], "target": ["B"]}
    assert accuracy_reward(["(B)", "(C)"], **{k: v * 2 for k, v in letters.items()}) == [1.0, 0.0]


def test_the_first_column_with_a_value_counts() -> None:
    """NaN and empty lists are no values: the next column is read; a record that became text is read like a record."""
    columns = {"expected_answer": [float("nan")], "final_answer": [[]], "answer": ["4"]}
    assert accuracy_reward(["4"], **columns) == [1.0]
    for packed in ('{"ground_truth": "4", "style": "rule"}', "{'style': None, 'ground_truth': ['4']}"):
        assert accuracy_reward(["4"], reward_model=[packed]) == [1.0]
    assert accuracy_reward(["4"], Answer=["4"], prompts=["2 + 2"]) == [1.0]


def test_no_reference_is_said() -> None:
    """None, NaN and blank text are no reference: an error where one is needed, no reward where others have one."""
    for nothing in (None, float("nan"), "  ", [], [None], Decimal("NaN"), np.float32("nan"), pd.NA, pd.NaT, *EMPTY):
        assert reference_of(nothing) is None
        with pytest.raises(UserError, match="there is no reference"):
            grade("4", nothing)
        with pytest.raises(UserError, match="row 1: there is no reference"):
            grade_many([("4", "4"), ("4", nothing)])
        with pytest.raises(UserError, match="there is no reference"):
            compute_score("set", "4", nothing)
        assert equal("4", nothing).status == "no_answer" == equal(nothing, "4").status
        assert accuracy_reward(["4", "4"], answer=["4", nothing]) == [1.0, None]
        assert solution_answer(nothing) == ""
    assert grade(None, "4").status == "no_answer" == grade_many([(None, "4")])[0].status
    assert accuracy_reward(["4"], answer=["notfound"], solution=[r"\boxed{4}"]) == [1.0]
    with pytest.raises(UserError, match="column 'answer' is no list of 2 values"):
        accuracy_reward(["4", "2"], answer="42")
    with pytest.raises(UserError, match="no reference answer in the data set's columns"):
        accuracy_reward(["4"], answer=[None])
    with pytest.raises(UserError, match="a reference of type dict"):
        grade("4", {"a": 1})
    with pytest.raises(UserError, match="a reference of type dict"):
        grade("4", '{"answer": 4}')


def test_unfinished_responses_have_no_answer(tmp_path: Path) -> None:
    """A response that was cut earns nothing, whatever number it ends in; other engines' words for a natural end count."""
    for reason in ("length", "max_tokens", "content_filter", "abort"):
        verdict = grade("so 6 * 7 = 42", "42", finish_reason=reason)
        assert (verdict.status, verdict.answer) == ("no_answer", None) and not verdict.correct
    assert grade("so 6 * 7 = 42", "42", finish_reason="end_turn").correct
    assert [v.status for v in grade_many([("42", "42", "length"), ("42", "42", "stop")])] == ["no_answer", "correct"]
    path = tmp_path / "cut.jsonl"
    path.write_text('{"text": "so 42", "answer": "42", "finish_reason": "length"}\n{"text": "42", "answer": null}\n')
    assert grade_file(path, "strict") == {"n": 1, "correct": 0, "by_status": {"no_answer": 1}, "no_reference": 1}
    path.write_text('{"response": ["so 42", "42"], "answer": "42", "finish_reason": ["MAX_TOKENS", "eos"]}\n')
    assert grade_file(path, "strict")["by_status"] == {"no_answer": 1, "correct": 1}
    path.write_text('{"response": ["so 42", "42"], "answer": "42", "finish_reason": ["stop"]}\n')
    with pytest.raises(UserError, match="line 1: 2 responses but 1 finish reasons"):
        grade_file(path, "strict")


def test_solutions() -> None:
    """The answer that a solution states; nothing from a proof or a program; a bare answer in a column of solutions."""
    assert solution_answer(["We find $n=3$. The answer is $\\boxed{3}$."]) == "3"
    assert solution_answer("\\frac{2}{3}") == "\\frac{2}{3}" and solution_answer("12") == "12"
    assert solution_answer("Let n be even. Then n + 2 is even, too.") == "" == solution_answer(None)


def test_the_raw_training_sets_reward_their_own_answers(shared: Path) -> None:
    """A GRPO run on raw GSM8K and MATH rows: each reference in a box earns 1, another 0."""
    for name, column in (("gsm8k_train", "answer"), ("math_train", "solution")):
        rows = [json.loads(line) for line in (shared / "data" / f"{name}.jsonl").open()][:400]
        texts = [row[column] for row in rows]
        answers = [reference_of(text) for text in texts]
        rewards = accuracy_reward([f"So \\boxed{{{answer}}}." for answer in answers], **{column: texts})
        assert rewards.count(1.0) == len(rows)
        assert 1.0 not in accuracy_reward(["So \\boxed{-918273}."] * len(rows), **{column: texts})


@pytest.mark.parametrize(
    ("reference", "right", "wrong"),
    [
        ("Therefore the probability of ending up back in location 1 is $0.367$.", "0.367", "1"),
        (r"$k_{1}=9 k_{2}$, where $k_{1}$ is the spring constant of the system with the shorter period.", "k_1 = 9k_2", "k_1"),
        ("The eigenvalues are 1 and $-1$. Since there are only 2 independent eigenvectors, the matrix is not diagonalizable.", None, "2"),
    ],
)
def test_prose_counts_by_the_value_in_which_it_ends(reference: str, right: str | None, wrong: str) -> None:
    assert not equal(wrong, reference).correct
    assert right is None or equal(right, reference).correct
