"""The cross-check's reasons."""

from __future__ import annotations

from dataclasses import replace

from acemath.curate.crosscheck import agreement_counts, agreement_shares, cross_checked
from acemath.records import Response


def said(problem: str, *answers: str) -> list[Response]:
    """Responses with these answers in their boxes; an empty one has no answer at all."""
    return [
        Response(problem, i, f"So \\boxed{{{a}}}." if a else "So \\boxed{}.", "check")
        for i, a in enumerate(answers)
    ]


def test_every_response_that_fails_has_its_reason() -> None:
    """Answers agree by the grader's equality, not by text; fewer answers than needed are no agreement."""
    main = [Response(str(i), 0, "So \\boxed{\\frac{1}{2}}.", "main") for i in range(6)]
    main.append(Response("6", 0, "So \\boxed{}.", "main"))
    check = {
        "0": said("0", "0.5", "1/2"),
        "1": said("1", "0.5", "0.7"),
        "2": said("2", "0.7", "7/10"),
        "3": said("3", "0.5"),
        "4": said("4", "0.5", ""),
        "6": said("6", "0.5", "0.5"),
    }
    kept, dropped = cross_checked(main, check)
    assert [row.problem_id for row in kept] == ["0"]
    assert {row.id: row.reason for row in dropped} == {
        "1": "check-split",
        "2": "disagrees",
        "3": "unchecked",
        "4": "no-answer",
        "5": "unchecked",
        "6": "no-answer",
    }
    assert dropped[0].detail == r"'\\frac{1}{2}' against '0.5', '0.7'" and dropped[0].step == "cross-check"
    assert [r.problem_id for r in cross_checked(main, check, need=1)[0]] == ["0", "3"]


def test_a_share_of_votes_can_be_enough() -> None:
    """Three of four suffice for a share of 0.75; a vote without an answer is a vote against."""
    main = [Response("a", 0, "So \\boxed{7}.", "main"), Response("b", 0, "So \\boxed{7}.", "main")]
    check = {"a": said("a", "7", "7.0", "8", "7"), "b": said("b", "7", "", "8", "7")}
    kept, dropped = cross_checked(main, check, share=0.75)
    assert [row.problem_id for row in kept] == ["a"] and dropped[0].reason == "disagrees"
    assert not cross_checked(main, check)[0]
    check = {"a": said("a", *["7"] * 11, *["8"] * 9)}  # 0.55 * 20 is above 11 in floating point
    assert [row.problem_id for row in cross_checked(main, check, share=0.55)[0]] == ["a"]


def test_agreement_is_counted_for_each_checker() -> None:
    """The shares of answers that agree and of missing ones, by model."""
    main = [Response(i, 0, "So \\boxed{7}.", "main") for i in "ab"]
    other = [Response("a", 0, "So \\boxed{8}.", "other")]
    found = agreement_shares(agreement_counts(main, {"a": [*said("a", "7", "7.0"), *other], "b": said("b", "7", "")}))
    assert found == {
        "check": {"answers": 4, "no_answer": 0.25, "agree": 0.75},
        "other": {"answers": 1, "no_answer": 0.0, "agree": 0.0},
    }


def test_a_cut_answer_confirms_nothing() -> None:
    """The last number of an incomplete response is no answer, even if it is the right one."""
    main = [Response("0", 0, "So \\boxed{12}.", "main")]
    whole, cut = Response("0", 0, "It is 12", "check"), Response("0", 1, "3 * 4 = 12", "check", "length")
    assert cross_checked(main, {"0": [whole, replace(cut, finish_reason="stop")]})[0] == main
    assert [row.reason for row in cross_checked(main, {"0": [whole, cut]})[1]] == ["no-answer"]
    assert agreement_shares(agreement_counts(main, {"0": [whole, cut]}))["check"] == {"answers": 2, "no_answer": 0.5, "agree": 0.5}
