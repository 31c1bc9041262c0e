"""Cross-check: keep a response if checkers, other teachers, reach the same answer (section 3.2.2).

The paper asks one checker twice and keeps a response if all three answers agree. Here any number of checkers may vote, and
`share` is the share of their answers that must agree.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations

from acemath.grade import equal, extract
from acemath.records import STOP, Dropped, Response

ANSWERS = 2  # of the checker, as in the paper


def agree(answers: Sequence[str | None]) -> bool:
    """Whether there are answers, none is missing, and every pair of them is equal by the grader."""
    found = [answer for answer in answers if answer is not None]
    if not found or len(found) < len(answers):
        return False
    # Every pair, because equality within a tolerance is not transitive.
    return all(equal(a, b).correct for a, b in combinations(found, 2))


def answer_of(response: Response) -> str | None:
    """The final answer of a response; None if it is not complete, because its last number may be any."""
    return extract(response.text).answer if response.finish_reason == STOP else None


def verdict(
    response: Response, others: Sequence[Response], need: int = ANSWERS, share: float = 1.0
) -> tuple[str, str] | None:
    """None if a response passes; otherwise the reason and the answers.

    It passes if the checkers' answers agree with it and with each other; with a `share` below 1, if at least that share of
    them agrees with it. Reasons: "unchecked" (fewer than `need` answers of the checkers, so fewer chances to disagree),
    "no-answer" (a response has none), "check-split" (the checkers disagree with each other) or "disagrees".
    """
    if len(others) < need:
        return "unchecked", f"{len(others)} of {need} answers of the checkers"
    main = answer_of(response)
    theirs = [answer_of(other) for other in others]
    detail = f"{main!r} against {', '.join(map(repr, theirs))}"
    if main is None or share == 1.0 and None in theirs:
        return "no-answer", detail
    if share < 1.0:
        votes = sum(answer is not None and equal(main, answer).correct for answer in theirs)
        return None if votes / len(theirs) >= share else ("disagrees", detail)
    if agree([main, *theirs]):
        return None
    return ("disagrees" if agree(theirs) else "check-split"), detail


def agreement_counts(
    main: Sequence[Response], check: Mapping[str, Sequence[Response]]
) -> dict[str, dict[str, int]]:
    """By checking model: the number of its responses, of those without an answer, and of those that agree."""
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
    """`agreement_counts` with the last two as shares of the first."""
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
    """The responses that pass the cross-check, and those that fail, with the reason and the answers.

    A blend may still take the latter from an unchecked pool.
    """
    kept, dropped = [], []
    for row in main:
        fault = verdict(row, check.get(row.problem_id, ()), need, share)
        if fault is None:
            kept.append(row)
        else:
            dropped.append(Dropped(row.problem_id, "cross-check", fault[0], row.text, row.model, fault[1]))
    return kept, dropped
