"""Batches, classes, the cache, record forms and rewards."""

from __future__ import annotations

import gzip
import inspect
import json
from pathlib import Path

import pytest

from acemath.errors import UserError
from acemath.grade import CACHE, STRICT, classes, equal, grade, grade_many
from acemath.grade.cache import VerdictCache
from acemath.grade.records import read_rows
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


FORMS = [
    ({"response": r"\boxed{4}", "answer": "4", "label": True}, [(r"\boxed{4}", "4", True)]),
    ({"text": "4", "reference": "4"}, [("4", "4", None)]),
    ({"code": ["a", "b"], "gt": "4", "score": [True, False]}, [("a", "4", True), ("b", "4", False)]),
    ({"response": "so", "pred": "4", "gold": "5", "label": False}, [("so\n\\boxed{4}", "5", False)]),
    ({"resps": [["a"]], "target": "4", "exact_match": 1.0}, [("a", "4", True)]),
    ({"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "4"}], "answer": "4"},
     [("4", "4", None)]),
    ({"generated_solution": "x", "expected_answer": "9"}, [("x", "9", None)]),
    ({"completion": "x", "answer": "work #### 9"}, [("x", "9", None)]),
]  # fmt: skip


@pytest.mark.parametrize(("record", "expected"), FORMS)
def test_known_record_forms(record: dict[str, object], expected: list[object], tmp_path: Path) -> None:
    plain, packed, table = tmp_path / "r.jsonl", tmp_path / "r.jsonl.gz", tmp_path / "r.parquet"
    line = json.dumps(record)
    plain.write_text(line + "\n")
    packed.write_bytes(gzip.compress(line.encode()))
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist([record]), table)
    for path in (plain, packed, table):
        assert [tuple(row)[:3] for row in read_rows(path)] == expected


def test_unreadable_files_end_in_one_line(tmp_path: Path) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"a": 1}\n')
    with pytest.raises(UserError, match="row 1"):
        read_rows(bad)
    bad.write_text("{\n")
    with pytest.raises(UserError, match="line 1"):
        read_rows(bad)
    for path in (tmp_path / "none.jsonl", tmp_path / "x.csv"):
        with pytest.raises(UserError):
            read_rows(path)


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
