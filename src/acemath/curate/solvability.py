"""A vote on whether a prompt can be solved: a teacher answers it several times, and the answers must agree.

The paper has no such check (section 3.2.2). AceReason, by the same group, keeps a prompt if the majority of eight responses
has the reference answer. It is off by default, because it costs several responses per prompt.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from acemath.curate.crosscheck import answer_of
from acemath.curate.settings import SolvabilitySettings
from acemath.grade import classes, equal
from acemath.records import Dropped, Problem, Response


def majority(answers: Sequence[str | None]) -> tuple[str | None, float]:
    """The most frequent answer, by the grader's equality, and its share of all; (None, 0.0) if there is no answer.

    A missing answer (None) counts in the total. In a tie, the answer that came first wins.
    """
    groups = classes(answers)
    counts = Counter(group for group in groups if group >= 0)
    if not counts:
        return None, 0.0
    group, votes = max(counts.items(), key=lambda item: (item[1], -item[0]))
    return answers[groups.index(group)], votes / len(answers)


def fault(
    problem: Problem, responses: Sequence[Response], settings: SolvabilitySettings
) -> tuple[str, str] | None:
    """None if the prompt stays; otherwise the reason and the votes.

    Reasons: "unsolved" (too few responses, or too few agree), "too-easy" (too many agree) or "other-answer" (the majority
    differs from the reference answer, if there is one and `settings.reference` is on).
    """
    if len(responses) < settings.answers:
        return "unsolved", f"{len(responses)} of {settings.answers} responses"
    answer, share = majority([answer_of(row) for row in responses])
    detail = f"{share:.0%} answer {answer!r}"
    if answer is None or share < settings.at_least:
        return "unsolved", detail
    if share > settings.at_most:
        return "too-easy", detail
    if settings.reference and problem.answer and not equal(answer, problem.answer).correct:
        return "other-answer", f"{detail}, the reference is {problem.answer!r}"
    return None


def solvable(
    rows: Sequence[Problem], responses: Mapping[str, Sequence[Response]], settings: SolvabilitySettings
) -> tuple[list[Problem], list[Dropped]]:
    """The prompts that pass the vote, and those dropped. There is no vote on code and general prompts."""
    kept, dropped = [], []
    for row in rows:
        found = None
        if row.group == "math":
            found = fault(row, responses.get(row.id, ()), settings)
        if found is None:
            kept.append(row)
        else:
            dropped.append(Dropped(row.id, "solvability", found[0], row.prompt, row.source, found[1]))
    return kept, dropped
