"""What is graded after sampling: complete responses to problems that have an answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from acemath.cli.sample import sample as sample_file
from acemath.errors import UserError
from acemath.files.rows import read_rows
from acemath.models.engine import Sampling
from acemath.records import REFUSED, Problem, Response
from acemath.run.evaluation import records_of, with_answers
from acemath.run.responses import graded
from acemath.run.synthesis import against_references

PROBLEMS = [Problem("a", "3+4?", "7", meta={"benchmark": "sums"}), Problem("b", "Prove it."), Problem("c", "9-4?", "5")]


def _response(problem: str, number: int, text: str, finish: str = "stop") -> Response:
    return Response(problem, number, text, "m", finish, meta={REFUSED: "busy"} if finish == REFUSED else {})


def test_a_cut_response_earns_nothing() -> None:
    """Its last number is the right one, and counts neither as right nor in a vote; nor does a refused one's."""
    texts = [("It is 7", "length"), ("It is 7", "stop"), ("7", REFUSED), ("So 8", "stop"), ("So 8", "stop")]
    rows = graded([_response("a", i, text, why) for i, (text, why) in enumerate(texts)], PROBLEMS)
    assert [r.status for r in rows] == ["no_answer", "correct", "no_answer", "wrong", "wrong"]
    assert [r.extracted for r in rows] == [None, "7", None, "8", "8"]
    assert rows[0].reason == "the response was cut at the token limit"
    assert [r.label for r in rows] == [None, True, None, False, False]
    record = records_of({p.id: p for p in PROBLEMS}, rows)[0]
    assert record.classes == (-1, 0, -1, 1, 1) and record.correct == (False, True, False, False, False)


def test_a_problem_without_an_answer_stays_ungraded() -> None:
    """It says nothing of the response, and turns off nobody else's grading."""
    rows = graded([_response(p.id, 0, "It is 7") for p in PROBLEMS], PROBLEMS)
    assert [r.status for r in rows] == ["correct", None, "wrong"]


class _Parrot:
    """An engine that answers 7 to everything, and runs out of tokens at its second sample."""

    name = "parrot"

    def generate(self, problems: Sequence[Problem], sampling: Sampling) -> Iterator[Response]:
        for problem in problems:
            for number in range(sampling.n):
                yield _response(problem.id, number, "It is 7", "length" if number == 1 else "stop")


@pytest.mark.parametrize(
    ("problems", "accuracy", "note"),
    [
        (PROBLEMS, 25.0, "accuracy is over 2 of 3 problems; 1 has no answer"),
        (PROBLEMS[:1], 50.0, None),
        (PROBLEMS[1:2], None, "nothing is graded: no problem has an answer"),
    ],
)
def test_the_command_says_over_what_accuracy_is(
    problems: list[Problem], accuracy: float | None, note: str | None, tmp_path: Path
) -> None:
    """Of those with answers each is graded; the output counts the others, and what was cut."""
    found = sample_file("sample", problems, _Parrot(), Sampling(n=2), tmp_path / "out.jsonl")
    assert (found.get("accuracy"), found.get("note"), found["cut"]) == (accuracy, note, len(problems))
    assert found["answered"] == sum(bool(p.answer) for p in problems)
    rows = read_rows(tmp_path / "out.jsonl", Response)
    answered = {p.id for p in problems if p.answer}
    assert all((r.status is not None) == (r.problem_id in answered) for r in rows)


def test_a_benchmark_is_measured_where_it_has_answers() -> None:
    """One that cannot be graded would count as not right; a benchmark without any answer is an error."""
    assert with_answers(PROBLEMS) == ([PROBLEMS[0], PROBLEMS[2]], 1)
    with pytest.raises(UserError, match="none of 1 problems has a reference answer"):
        with_answers(PROBLEMS[1:2])


def test_what_a_reference_shows_to_be_wrong_is_dropped() -> None:
    """Right ones, unknown ones, and those of problems that are not given stay."""
    texts = {
        "a": "It is \\boxed{7}",
        "c": "It is \\boxed{6}",
        "other": "It is \\boxed{6}",
        "d": "",
    }
    problems = [*PROBLEMS[::2], Problem("d", "?", "3")]
    rows = [_response(key, 0, text) for key, text in texts.items()]
    kept, dropped, counts = against_references(rows, problems)
    assert [r.problem_id for r in kept] == ["a", "other", "d"] and kept[0].status is None
    assert [(d.id, d.reason) for d in dropped] == [("c", "wrong by reference")] and "'6'" in dropped[0].detail
    assert counts == {"right": 1, "wrong": 1, "unknown": 1}
