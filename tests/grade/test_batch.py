"""Batches, classes, the cache, record forms and rewards."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from acemath.errors import UserError
from acemath.grade import CACHE, STRICT, classes, equal, grade, grade_many
from acemath.grade.cache import VerdictCache
from acemath.grade.reward import accuracy_reward, compute_score


def test_grade_many_equals_grade_one_by_one_and_keeps_the_order() -> None:
    rows = [(rf"so \boxed{{{i % 7}}}", str(i % 5)) for i in range(60)]
    assert grade_many(rows) == [grade(*row) for row in rows]
    assert grade_many(rows, workers=2) == grade_many(rows, cache=False)
    with pytest.raises(UserError, match="workers=0"):
        grade_many(rows, workers=0)


def test_grade_many_in_processes() -> None:
    rows = [(rf"so \boxed{{{i % 700}}}", str(i % 5)) for i in range(4100)]
    assert grade_many(rows, workers=2) == grade_many(rows)


def test_classes_by_equality() -> None:
    answers = ["1/2", None, "0.5", r"\frac12", "2", "x+1", "1+x", "", "2.0", "50%"]
    assert classes(answers) == [0, -1, 0, 0, 1, 2, 2, -1, 1, 0]
    assert classes([str(i) for i in range(500)]) == list(range(500))


def test_cache_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "verdicts.sqlite"
    first = VerdictCache()
    first.open(path)
    key = ("0.5", r"\frac12", STRICT)
    first.put(key, ("correct", "why", "structure"))
    first.put(("a", "b", STRICT), ("timeout", "late", "symbolic"))
    first.close()
    second = VerdictCache()
    second.open(path)
    assert second.get(key) == ("correct", "why", "structure")
    assert second.get(("0.5", r"\frac12", STRICT.but(digits=3))) is None
    assert second.get(("a", "b", STRICT)) is None, "a time-out is tried again"
    second.close()


def test_cache_is_bounded_and_used() -> None:
    small = VerdictCache(2)
    for i in range(5):
        small.put((str(i), "x", STRICT), ("wrong", "", ""))
    assert small.get(("0", "x", STRICT)) is None and small.get(("4", "x", STRICT)) is not None
    equal("(x+1)^2", "x^2+2x+1")
    assert CACHE.get(("(x+1)^2", "x^2+2x+1", STRICT)) is not None


def test_reward_functions() -> None:
    chats = [
        [{"role": "assistant", "content": r"\boxed{4}"}],
        [{"role": "assistant", "content": r"\boxed{5}"}],
    ]
    assert accuracy_reward(chats, solution=["4", r"so \boxed{4}"], prompts=["a", "b"]) == [1.0, 0.0]
    assert accuracy_reward(["4", "5"], answer=["4", None]) == [1.0, None]
    with pytest.raises(UserError, match="solution"):
        accuracy_reward(["4"])
    assert compute_score("gsm8k", r"\boxed{4}", "4")["score"] == 1.0
    assert compute_score("gsm8k", r"\boxed{4}", "5", extra_info={})["score"] == 0.0


def test_the_reward_fits_trl() -> None:
    rewards = pytest.importorskip("trl.rewards", reason="trl is not installed")
    theirs = inspect.signature(rewards.accuracy_reward)
    ours = inspect.signature(accuracy_reward)
    assert "completions" in ours.parameters and "completions" in theirs.parameters
    assert any(p.kind is p.VAR_KEYWORD for p in ours.parameters.values())
    assert list(theirs.parameters)[0] == list(ours.parameters)[0]
