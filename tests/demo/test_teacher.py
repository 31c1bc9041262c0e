"""The offline teacher: skill, styles, spoilt responses, determinism, refusals."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from acemath.curate.filters import filter_responses
from acemath.curate.settings import FilterSettings
from acemath.demo.teacher import WorksheetTeacher
from acemath.demo.worksheets.registry import MATH_SUBJECTS
from acemath.demo.worksheets.sheets import draw_problems
from acemath.errors import UserError
from acemath.grade import extract
from acemath.models.engine import Sampling

PROBLEMS = draw_problems("train", 600, 11, MATH_SUBJECTS)


def test_skill_is_the_share_of_right_answers_and_falls_with_the_level() -> None:
    """Perfect at skill 1; about the skill on average; level 5 is harder than level 1."""
    answers = {p.id: p for p in PROBLEMS}
    perfect = WorksheetTeacher("t", 1.0, malformed=0)
    assert all(
        extract(r.text).answer == answers[r.problem_id].answer for r in perfect.generate(PROBLEMS, Sampling())
    )
    weak = list(WorksheetTeacher("t", 0.6, malformed=0).generate(PROBLEMS, Sampling(n=3)))
    right: dict[int, list[bool]] = {}
    for r in weak:
        problem = answers[r.problem_id]
        right.setdefault(problem.level, []).append(extract(r.text).answer == problem.answer)
    share = {level: sum(marks) / len(marks) for level, marks in right.items()}
    assert 0.5 < sum(share.values()) / 5 < 0.75 and share[1] > share[3] > share[5]


def test_every_kind_of_spoilt_response_is_caught_by_its_filter() -> None:
    """No box, a loop, cut off, over-long: each appears and each is dropped for its own reason."""
    rows = list(WorksheetTeacher("t", 0.9, malformed=1.0).generate(PROBLEMS, Sampling()))
    kept, dropped = filter_responses(rows, FilterSettings())
    reasons = Counter(d.reason for d in dropped)
    assert set(reasons) == {"no-box", "loop", "cut-off", "too-long"} and min(reasons.values()) > 50
    assert not kept
    clean = list(WorksheetTeacher("t", 0.9, malformed=0).generate(PROBLEMS, Sampling()))
    assert not filter_responses(clean, FilterSettings())[1]


def test_an_answer_depends_on_name_seed_problem_and_sample_alone() -> None:
    """Not on the other problems or their order; two teachers and two seeds differ."""
    teacher = WorksheetTeacher("t", 0.8)
    rows = {(r.problem_id, r.sample): r for r in teacher.generate(PROBLEMS, Sampling(n=2))}
    alone = {(r.problem_id, r.sample): r for r in teacher.generate(PROBLEMS[:50][::-1], Sampling(n=2))}
    assert len(alone) == 100 and all(rows[key] == r for key, r in alone.items())
    texts = [r.text for r in alone.values()]
    other = WorksheetTeacher("u", 0.8)
    assert [r.text for r in other.generate(PROBLEMS[:50][::-1], Sampling(n=2))] != texts
    assert [r.text for r in teacher.generate(PROBLEMS[:50][::-1], Sampling(n=2, seed=1))] != texts
    styles = {
        r.meta["style"] for r in WorksheetTeacher("t", 1, styles=["short"]).generate(PROBLEMS, Sampling())
    }
    assert styles == {"short"} and {r.meta["style"] for r in rows.values()} == {"short", "full"}


def test_mistakes_are_named() -> None:
    """A share out of range, a style or a problem that the teacher does not know."""
    with pytest.raises(UserError, match="skill of teacher 't' is 97"):
        WorksheetTeacher("t", 97)
    with pytest.raises(UserError, match="name one or more of short, full"):
        WorksheetTeacher("t", 0.9, styles=["long"])
    foreign = replace(PROBLEMS[0], source="gsm8k")
    with pytest.raises(UserError, match="only worksheets"):
        list(WorksheetTeacher("t", 0.9).generate([foreign], Sampling()))
    with pytest.raises(UserError, match="does not identify the question \\('family'"):
        list(WorksheetTeacher("t", 0.9).generate([replace(PROBLEMS[0], meta={})], Sampling()))
