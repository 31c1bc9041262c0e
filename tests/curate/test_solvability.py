"""The vote on solvability."""

from __future__ import annotations

from dataclasses import replace

import pytest

from acemath.curate.settings import SolvabilitySettings
from acemath.curate.solvability import majority, solvable
from acemath.records import Problem, Response


def said(problem: str, *answers: str) -> list[Response]:
    """Responses with these answers in their boxes; an empty one has none."""
    return [
        Response(problem, i, f"So \\boxed{{{a}}}." if a else "I cannot say.", "t")
        for i, a in enumerate(answers)
    ]


def test_the_majority_is_by_the_graders_equality() -> None:
    """Equal answers in different forms count together; a missing answer counts in the total; the first wins a tie."""
    assert majority(["1/2", "0.5", None, "3"]) == ("1/2", 0.5) and majority([None]) == (None, 0.0)
    assert majority(["3", "4"]) == ("3", 0.5)


def test_limits_that_nothing_passes_are_refused() -> None:
    """At least 0.9 and at most 0.5 would drop every prompt."""
    with pytest.raises(ValueError, match="no prompt could be kept"):
        SolvabilitySettings(at_least=0.9, at_most=0.5)


def test_prompts_stay_by_agreement() -> None:
    """Reasons: too little agreement, too much, not the reference answer, too few responses. Code has no vote."""
    rows = [
        Problem(n, n, a)
        for n, a in (("good", "0.5"), ("free", ""), ("split", "1"), ("other", "9"), ("few", "1"))
    ]
    rows.append(Problem("code", "code", subject="code"))
    votes = {
        "good": said("good", "1/2", "0.5", "", "1/2"),
        "free": said("free", "3", "3", "4", "3"),
        "split": said("split", "1", "2", "3", "4"),
        "other": said("other", "8", "8", "8", "8"),
        "few": said("few", "1"),
    }
    votes["good"][2] = replace(votes["good"][0], finish_reason="length")  # its number does not count
    votes["free"][3] = replace(votes["free"][3], finish_reason="length")
    settings = SolvabilitySettings(answers=4, at_least=0.5)
    kept, dropped = solvable(rows, votes, settings)
    assert [p.id for p in kept] == ["good", "free", "code"]
    assert {d.id: d.reason for d in dropped} == {
        "split": "unsolved",
        "other": "other-answer",
        "few": "unsolved",
    }
    assert dropped[1].detail == "100% answer '8', the reference is '9'"
    easy = solvable(rows, votes, settings.model_copy(update={"at_most": 0.9, "reference": False}))[1]
    assert {d.id: d.reason for d in easy}["other"] == "too-easy"
