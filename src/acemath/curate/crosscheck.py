"""Cross-check: keep a response when other teachers come to the same answer (section 3.2.2).

The paper asks one other teacher twice and keeps what all three answers agree on. Any number of teachers and answers
may vote; `share` says how many of the votes are enough.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations

from acemath.grade import equal, extract
from acemath.records import Dropped, Response

ANSWERS = 2  # of the check teacher, as in the paper


def agree(answers: Sequence[str | None]) -> bool:
    """Whether there are answers and all of them, each with each, are equal by the grader."""
    found = [answer for answer in answers if answer is not None]
    if not found or len(found) < len(answers):
        return False
    # Each pair, not each with the first: equality within a tolerance does not carry over.
    return all(equal(a, b).correct for a, b in combinations(found, 2))


def answer_of(response: Response) -> str | None:
    """The final answer of a complete response. One that was cut or refused has none, whatever its last number is."""
    return extract(response.text).answer if response.finish_reason == "stop" else None


def verdict(
    response: Response, others: Sequence[Response], need: int = ANSWERS, share: float = 1.0
) -> tuple[str, str] | None:
    """None where the check teacher's answers agree with each other and with the response.

    With a `share` below 1 it is enough that such a share of them agrees with the response. Otherwise why not, and
    the answers: "unchecked" (the check teacher gave fewer than `need` answers: fewer chances to disagree must not make
    a response pass), "no-answer" (one of the responses has none), "check-split" (the check teacher disagrees with
    itself) or "disagrees".
    """
    if len(others) < need:
        return "unchecked", f"{len(others)} of {need} answers of the check teacher"
    main = answer_of(response)
    theirs = [answer_of(other) for other in others]
    detail = f"{main!r} against {', '.join(map(repr, theirs))}"
    if main is None or share == 1.0 and None in theirs:
        return "no-answer", detail
    if share < 1.0:
        votes = sum(answer is not None and equal(main, answer).correct for answer in theirs)
        return None if votes >= share * len(theirs) else ("disagrees", detail)
    if agree([main, *theirs]):
        return None
    return ("disagrees" if agree(theirs) else "check-split"), detail


def agreement_counts(
    main: Sequence[Response], check: Mapping[str, Sequence[Response]]
) -> dict[str, dict[str, int]]:
    """For each model that checks: its answers, how many of its responses have none, how many agree with the response."""
    counts: dict[str, Counter[str]] = {}
    for row in main:
        answer = answer_of(row)
        for other in check.get(row.problem_id, ()):
            theirs = answer_of(other)
            mine = counts.setdefault(other.model, Counter(answers=0, no_answer=0, agree=0))
            mine["answers"] += 1
            mine["no_answer"] += theirs is None
            mine["agree"] += answer is not None and theirs is not None and equal(answer, theirs).correct
    return {model: dict(count) for model, count in sorted(counts.items())}


def agreement_shares(counts: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, float]]:
    """`agreement_counts` as shares of each model's answers, beside the number of answers."""
    return {
        model: {
            "answers": count["answers"],
            "no_answer": count["no_answer"] / count["answers"],
            "agree": count["agree"] / count["answers"],
        }
        for model, count in counts.items()
    }


def cross_checked(
    main: Sequence[Response], check: Mapping[str, Sequence[Response]], need: int = ANSWERS, share: float = 1.0
) -> tuple[list[Response], list[Dropped]]:
    """The responses that pass the cross-check, and those that do not, with the reason and the answers.

    They are not lost to training: a blend may still take them from a pool that is not checked.
    """
    kept, dropped = [], []
    for row in main:
        fault = verdict(row, check.get(row.problem_id, ()), need, share)
        if fault is None:
            kept.append(row)
        else:
            dropped.append(Dropped(row.problem_id, "cross-check", fault[0], row.text, row.model, fault[1]))
    return kept, dropped
