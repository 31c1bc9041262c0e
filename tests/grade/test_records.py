"""Rows of other tools: each form gives its responses, references and labels; another form is told with its fields."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from acemath.errors import UserError
from acemath.grade.records import rows_of
from acemath.grade.stored import grade_file

FORMS: list[tuple[dict[str, Any], list[tuple[str, str, bool | None]]]] = [
    (
        {"code": [r"\boxed{4}", r"\boxed{5}"], "gt": "4", "score": [True, False]},
        [(r"\boxed{4}", "4", True), (r"\boxed{5}", "4", False)],
    ),
    ({"resps": [["so 4"]], "target": "4", "exact_match": 1.0}, [("so 4", "4", True)]),
    ({"resps": [["so 4", "so 5"]], "target": 4}, [("so 4", "4", None), ("so 5", "4", None)]),
    (
        {"messages": [{"role": "user", "content": "2+2"}, {"role": "assistant", "content": "4"}], "answer": "4"},
        [("4", "4", None)],
    ),
    ({"response": "so 4", "reference": "4", "label": 0}, [("so 4", "4", False)]),
    ({"output": ['{"answer": "4"}'], "correct_answer": "4", "acc": 1}, [('{"answer": "4"}', "4", True)]),
    ({"output": ["so 4", "so 5"], "answer": "4", "acc": 1}, [("so 4", "4", None), ("so 5", "4", None)]),
    ({"response": r"\boxed{4}", "answer": "4", "label": True}, [(r"\boxed{4}", "4", True)]),
    ({"text": "4", "reference": "4"}, [("4", "4", None)]),
    ({"response": "so", "pred": "4", "gold": "5", "label": False}, [("so\n\\boxed{4}", "5", False)]),
    ({"generated_solution": "x", "expected_answer": "9"}, [("x", "9", None)]),
    ({"completion": "x", "answer": "work #### 9"}, [("x", "9", None)]),
    ({"question": "2+2", "level": 1}, []),
    ({"completion": 512, "generation": "so 4", "answer": "4"}, [("so 4", "4", None)]),
    ({"resps": [["so 4"], ["so 5"]], "target": 4}, [("so 4", "4", None), ("so 5", "4", None)]),
    ({"response": ["so 4", None], "answer": "4"}, [("so 4", "4", None), ("", "4", None)]),
    ({"response": {"role": "assistant", "content": [{"type": "text", "text": "4"}]}, "answer": "4"}, [("4", "4", None)]),
    ({"completion": [[{"role": "assistant", "content": "4"}], [{"role": "assistant", "content": None}]], "answer": "4"},
     [("4", "4", None), ("", "4", None)]),
    ({"response": float("nan"), "answer": "4"}, [("", "4", None)]),
]  # fmt: skip


@pytest.mark.parametrize(("record", "expected"), FORMS)
def test_known_forms(record: dict[str, Any], expected: list[tuple[str, str, bool | None]]) -> None:
    """The response as it stands, the reference as text, the label where it is for this response alone."""
    assert [(row.response, row.reference, row.expected) for row in rows_of(record)] == expected


def test_files_of_any_kind_are_graded_alike(tmp_path: Path) -> None:
    """JSONL, a JSON list and Parquet hold the same rows; labels are compared; a row of no known form is named."""
    rows = [{"response": f"It is \\boxed{{{n}}}.", "answer": str(n % 3), "label": n < 3} for n in range(5)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "a.json").write_text(json.dumps(rows))
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    found = [grade_file(tmp_path / f"a.{ending}", "strict") for ending in ("jsonl", "json", "parquet")]
    assert found[0] == found[1] == found[2]
    assert found[0]["n"] == 5 and found[0]["correct"] == 3 and found[0]["agree"] == found[0]["labelled"] == 5
    (tmp_path / "b.json").write_text('[{"question": "2+2"}]')
    with pytest.raises(UserError, match=r"b.json, record 1: no response and reference among \['question'\]"):
        grade_file(tmp_path / "b.json", "strict")


def test_labels_are_read_as_they_are_meant() -> None:
    """False as a text, a label in a list of one, an answer under `expected`; one label for each response, or none."""
    def expected(**record: object) -> list[bool | None]:
        return [row.expected for row in rows_of(record)]

    assert expected(code=["a", "b"], gt="1", score=["False", [True]]) == [False, True]
    assert expected(response="\\boxed{2}", answer="1", expected="1") == [None]
    assert expected(response="\\boxed{2}", answer="1", expected="1", label=0) == [False]
    assert expected(response="\\boxed{2}", answer="12", expected=True) == [True]
    assert expected(response="\\boxed{72}", answer="72", label=72) == [None]
    assert [row.expected for row in rows_of({"response": "\\boxed{1}", "label": 1}, {"answer": "label"})] == [None]
    assert expected(response="\\boxed{A}", choices=["1", "2"], correct=0) == [None], "the right choice is no label"
    with pytest.raises(UserError, match="2 responses but 1 labels"):
        expected(code=["a", "b"], gt="1", score=[True])


@pytest.mark.parametrize(
    ("record", "says"),
    [
        ({"response": {"status_code": 200, "body": {"choices": []}}}, "a response is .*, not a text; name the column"),
        ({"output": [{"index": 0, "text": "4"}, {"index": 1, "text": "5"}]}, "a response is .*, not a text"),
        ({"resps": [[["-1.5", "False"]], [["-0.5", "True"]]]}, "a response is .*, not a text"),
        ({"question": ["2+2", "2+3"], "response": ["4", "5"], "answer": ["4", "5"]}, "it holds 2 questions"),
        ({"response": "4", "label": -1}, "label -1 is no verdict"),
        ({"code": ["4", "5"], "pred_score": [0.5]}, "2 responses but 1 rewards"),
    ],
)
def test_what_cannot_be_graded_is_refused(record: dict[str, Any], says: str) -> None:
    """A record that holds a response's text somewhere would be graded as it prints; labels of -1 would be left out of the agreement."""
    with pytest.raises(UserError, match=says):
        list(rows_of({"answer": "4", **record}))


def test_a_response_is_graded_once(tmp_path: Path) -> None:
    """A numbered row that stands twice; a document of lm-eval under each of its filters."""
    path = tmp_path / "x.jsonl"

    def graded(*rows: dict[str, Any]) -> dict[str, Any]:
        path.write_text("".join(json.dumps({"answer": "1", **row}) + "\n" for row in rows))
        return grade_file(path, "strict")

    row = {"problem_id": "a", "sample": 0, "text": "\\boxed{1}", "model": "m"}
    found = graded(row, row, {**row, "sample": 1}, {**row, "model": "n"}, {**row, "sample": None}, {**row, "sample": None})
    assert (found["n"], found["repeated"]) == (5, 1)
    with pytest.raises(UserError, match="line 2: sample 0 of problem 'a' by 'm' has two texts"):
        graded(row, {**row, "text": "\\boxed{2}"})
    filters = [{"doc_id": 0, "resps": [["so 1"]], "filter": name} for name in ("strict-match", "flexible-extract")]
    with pytest.raises(UserError, match="line 2: the responses to document 0 stand under the filters 'strict-match' and"):
        graded(*filters)
    assert graded(filters[0], {**filters[0], "doc_id": 1})["n"] == 2


def test_an_empty_response_is_not_called_a_missing_reference(tmp_path: Path) -> None:
    """And `uncertain` as CSV writes it marks no row."""
    path = tmp_path / "x.jsonl"
    rows = [{"response": "\\boxed{1}", "answer": "1", "uncertain": "False"}, {"response": None, "answer": "1"}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = grade_file(path, "strict")
    assert (found["n"], found["no_response"], found.get("no_reference")) == (1, 1, None)
