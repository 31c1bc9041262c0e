"""Ids and joins: no response ever counts for a problem that it does not answer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from acemath.cli.reading import read_answered, read_names, read_problems, read_prompts_with_responses
from acemath.curate.columns import problems_of
from acemath.errors import UserError
from acemath.files.identity import joined, own_id, qualified, with_prompt_keys
from acemath.files.rows import write_rows
from acemath.grade.stored import grade_file
from acemath.records import Problem, Response


def read(*records: dict[str, object], name: str = "") -> list[Problem]:
    """Problems of records, placed as lines of a file."""
    return list(problems_of(((f"f, line {n}", r) for n, r in enumerate(records, 1)), {}, name))


def names(problems: list[Problem], *asked: str) -> list[str]:
    """The ids that responses with these names are joined to."""
    responses = [Response(name, 0, "text", "m") for name in asked]
    return [r.problem_id for r in joined(responses, problems, "r.jsonl", "p.jsonl")]


def test_ids() -> None:
    """Qualified once; zero is an id; what stands behind the colon is the user's."""
    assert qualified("gsm8k", "7") == qualified("gsm8k", "gsm8k:7") == "gsm8k:7" and qualified("", "7") == "7"
    zero, seven = read({"id": 0, "problem": "a"}, {"id": 7.0, "problem": "b"}, name="set")
    assert (zero.id, own_id(zero), seven.id) == ("set:0", "0", "set:7")


def test_two_problems_under_one_id_are_refused_with_both_lines() -> None:
    """Whether prompts or answers differ; the very same row is read once."""
    first = {"id": "a", "problem": "1+1?", "answer": "2"}
    for other in ({**first, "problem": "1+2?"}, {**first, "answer": "3"}):
        with pytest.raises(UserError, match=r"f, line 3: id 'a' is taken .*f, line 1: '1\+1\?'"):
            read(first, {"id": "b", "problem": "?"}, other)
    assert len(read(first, first)) == 1
    assert [p.prompt for p in read({"problem": "same"}, {"problem": "same"})] == ["same", "same"]


def test_responses_name_problems_by_full_or_own_id() -> None:
    """Where only one problem has that id; else the message says which there are."""
    problems = read({"id": 1, "source": "x", "problem": "a"}, {"id": 2, "source": "x", "problem": "b"})
    assert names(problems, "x:1", "2") == ["x:1", "x:2"]
    both = [*problems, *read({"id": 1, "source": "y", "problem": "c"})]
    assert names(both, "y:1", "2") == ["y:1", "x:2"]
    with pytest.raises(UserError, match=r"r.jsonl: problem '1' is 2 problems of p.jsonl \(x:1, y:1\)"):
        names(both, "1")
    with pytest.raises(UserError, match=r"answers problem '3', which is not in p.jsonl \(its ids: 'x:1'"):
        names(both, "3")


def test_rows_count_as_names_only_where_a_file_has_no_ids() -> None:
    """A file numbered from 1 must not be read by rows from 0."""
    assert names(read({"problem": "a"}, {"problem": "b"}), "1") == [read({"problem": "b"})[0].id]
    numbered = read({"id": 1, "problem": "a"}, {"id": 2, "problem": "b"})
    assert names(numbered, "1") == ["1"]
    with pytest.raises(UserError, match="'0'"):
        names(numbered, "0")
    mixed = read({"id": "x", "problem": "a"}, {"id": "x", "problem": "a"}, {"problem": "b"}, {"id": 3, "problem": "c"}, {"problem": "d"})
    assert names(mixed, "2", "4", "3") == [mixed[1].id, mixed[3].id, "3"]
    with pytest.raises(UserError, match="which is not in"):
        names(mixed, "1")


def test_a_row_keeps_its_number_when_others_are_dropped(tmp_path: Path) -> None:
    """Responses that are numbered like the rows of a file without ids answer the same prompts after curation."""
    problems = read({"problem": "a"}, {"problem": "b"}, {"problem": "c"})
    write_rows(tmp_path / "clean.jsonl", problems[1:], Problem)
    assert names(read_problems(tmp_path / "clean.jsonl"), "2", "1") == [problems[2].id, problems[1].id]
    with pytest.raises(UserError, match="'0'"):
        names(read_problems(tmp_path / "clean.jsonl"), "0")


def test_the_prompt_decides_where_names_do_not() -> None:
    """A full id may be another problem's own; a response that remembers its prompt is never refused for that."""
    problems = read({"id": 1, "problem": "a"}, {"id": 1, "source": "s", "problem": "b"})
    with pytest.raises(UserError, match="problem '1' is 2 problems"):
        names(problems, "1")
    written = with_prompt_keys([Response("1", 0, "text", "m"), Response("s:1", 0, "text", "m")], problems)
    assert [r.problem_id for r in joined(written, problems, "r", "p")] == ["1", "s:1"]


def test_ids_of_responses_are_read_as_those_of_problems(tmp_path: Path) -> None:
    """Numbers of any kind, in every command that joins; the end of a text in any engine's words."""
    problems = tmp_path / "p.jsonl"
    problems.write_text('{"id": 0, "source": "s", "problem": "2+2?", "answer": 4}\n{"id": 7, "problem": "1+1?", "answer": 2}\n')
    path = tmp_path / "r.jsonl"
    rows = [{"problem_id": 0.0, "finish_reason": "EOS"}, {"problem_id": 7, "finish_reason": "max_tokens"}, {"problem_id": "s:0"}]
    path.write_text("".join(json.dumps({**row, "text": "4", "status": "correct"}) + "\n" for row in rows))
    _, found = read_answered(path, problems)
    assert [(r.problem_id, r.finish_reason, r.label) for r in found] == [
        ("s:0", "stop", True), ("7", "length", None), ("s:0", "stop", True),
    ]  # fmt: skip
    assert grade_file(path, "strict", read_names(problems))["by_status"] == {"correct": 2, "no_answer": 1}
    assert [len(texts) for _, texts in read_prompts_with_responses(path, read_names(problems), 9)] == [2, 1]


def test_a_row_lends_its_problem_no_reference(tmp_path: Path) -> None:
    """With a file of problems that one alone says what is right, whatever the columns of a response are called."""
    problems, path = tmp_path / "p.jsonl", tmp_path / "r.jsonl"
    problems.write_text('{"id": 0, "problem": "2+2?", "answer": 4}\n{"id": 1, "problem": "Prove it."}\n')
    rows = [{"problem_id": n, "response": "4", "answer": "4", "choices": [{"index": 0}]} for n in (0, 1)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert grade_file(path, "strict", read_names(problems)) == {"n": 1, "correct": 1, "by_status": {"correct": 1}, "no_reference": 1}


def test_a_response_to_another_prompt_is_refused(tmp_path: Path) -> None:
    """Two files that both have a problem 0: what was written to the one does not count for the other."""
    mine, other = read({"id": 0, "problem": "2+2?"}), read({"id": 0, "problem": "9-2?", "answer": "7"})
    written = with_prompt_keys([Response("0", 0, "4", "m")], mine)
    assert joined(written, mine, "r", "p") == written
    with pytest.raises(UserError, match="was written for another prompt"):
        joined(written, other, "r", "p")
    paths = tmp_path / "r.jsonl", tmp_path / "p.jsonl"
    write_rows(paths[0], written, Response)
    write_rows(paths[1], other, Problem)
    names = read_names(paths[1])
    for join in (
        lambda: grade_file(paths[0], "strict", names),
        lambda: read_prompts_with_responses(paths[0], names, 9),
    ):
        with pytest.raises(UserError, match="was written for another prompt"):
            join()
