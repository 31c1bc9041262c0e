"""Files of rows: Parquet, JSONL and JSON are read as they were written; damage and bad rows are one line."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path

import pytest

from acemath.errors import UserError
from acemath.files.rows import read_rows, write_rows
from acemath.records import Chat, Dropped, Group, Problem, Response
from acemath.run.parts import write_part

ROWS = [
    Problem(f"p{i}", f"What is {i}+1?", str(i + 1), meta={"level": i % 3, "é": [1, 2]}) for i in range(40)
]


@pytest.mark.parametrize("name", ["rows.parquet", "rows.jsonl", "rows.jsonl.gz"])
def test_row_files(tmp_path: Path, name: str) -> None:
    """Rows through a file of any kind, the same bytes for the same rows."""
    write_rows(tmp_path / name, ROWS, Problem)
    first = (tmp_path / name).read_bytes()
    assert read_rows(tmp_path / name, Problem) == ROWS
    write_rows(tmp_path / name, ROWS, Problem)
    assert (tmp_path / name).read_bytes() == first
    group = Group("p", "q", ("a", "b"), (1, 0), ("m", "m"))
    chat = Chat("p", ({"role": "user", "content": "q"},))
    write_rows(tmp_path / name, [group], Group)
    assert read_rows(tmp_path / name, Group) == [group]
    write_rows(tmp_path / name, [chat], Chat)
    assert read_rows(tmp_path / name, Chat) == [chat]


def test_no_flipped_bit_changes_a_row(tmp_path: Path) -> None:
    """A bit that rots on the disk is an error or has no effect: rows never come back other than written."""
    path, rng = tmp_path / "rows.parquet", random.Random(2)
    write_rows(path, ROWS, Problem)
    whole = path.read_bytes()
    refused = 0
    for _ in range(120):
        content = bytearray(whole)
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        path.write_bytes(content)
        try:
            assert read_rows(path, Problem) == ROWS
        except UserError as error:
            refused += "not a whole Parquet file" in str(error)
    assert refused > 20


def test_a_stages_folder_is_a_row_file(tmp_path: Path) -> None:
    """Its rows are read and its dropped rows are not; an empty folder is no row file."""
    for number in range(2):
        part = tmp_path / "a" / f"part-{number:05}.parquet"
        part.parent.mkdir(exist_ok=True)
        write_part(part, ROWS[number::2], Problem, "k", [Dropped("d", "step", "why", "text")])
    assert sorted(p.id for p in read_rows(tmp_path / "a", Problem)) == sorted(p.id for p in ROWS)
    (tmp_path / "b").mkdir()
    with pytest.raises(UserError, match=r"holds no \.parquet file"):
        read_rows(tmp_path / "b", Problem)
    with pytest.raises(UserError, match=r"name it \.parquet, \.jsonl or \.jsonl\.gz"):
        write_rows(tmp_path / "rows.csv", ROWS, Problem)


BAD = [
    (b'{"id": "a", "prompt": "x"}\n{"id": \n', Problem, r"line 2: not valid JSON"),
    (b'\n\n{"question": "x"}\n', Response, r"line 3: not a Response, it has no problem_id"),
    (b'{"id": "a", "prompt": "x"}\n[1]\n', Problem, r"line 2: a record is a JSON object, this is list"),
    (b'{"id": 5, "prompt": "x"}\n', Problem, r"line 1: id is 5, not of the type string"),
    (b'{"id": "a", "prompt": "x", "level": 3.7}\n', Problem, r"line 1: level is 3\.7, not of the type int32"),
    (b'{"id": "a", "prompt": "x", "level": 9999999999}\n', Problem, r"level is 9999999999"),
    (b'{"id": "a", "prompt": "x", "meta": "{"}\n', Problem, r"line 1: not a Problem \(Expecting"),
    (b'{"id": "a", "prompt": "x", "meta": [1]}\n', Problem, r"line 1: meta is \[1\]"),
    (b'{"problem_id": "a", "prompt": "x", "responses": "ab", "labels": [1]}', Group, r"responses is 'ab'"),
    (b'{"problem_id": "a", "prompt": "x", "responses": ["a"], "labels": [300]}', Group, r"labels is \[300\]"),
    (b'{"problem_id": "a", "messages": [{"role": "user"}]}', Chat, r"line 1: messages is "),
    (b'{"id": "a", "prompt": "\xff"}\n', Problem, r"not UTF-8"),
]


@pytest.mark.parametrize(("content", "kind", "message"), BAD)
def test_bad_rows_are_one_line(tmp_path: Path, content: bytes, kind: type[Problem], message: str) -> None:
    """A record that does not fit is named by file, line, column and value."""
    (tmp_path / "bad.jsonl").write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        read_rows(tmp_path / "bad.jsonl", kind)
    assert "bad.jsonl" in str(caught.value) and "\n" not in str(caught.value)


def test_json_files_hold_one_object_a_list_or_lines(tmp_path: Path) -> None:
    """Written on one line or many; what is no object, or no JSON, is told with its place."""
    path, row = tmp_path / "a.json", {"id": "a", "prompt": "x"}
    for text in (json.dumps(row), json.dumps([row], indent=2), json.dumps(row) + "\n"):
        path.write_text(text)
        assert read_rows(path, Problem) == [Problem("a", "x")]
    path.write_text(f"{json.dumps(row)}\n\n{json.dumps(row)}\n")
    assert read_rows(path, Problem) == [Problem("a", "x")] * 2
    for text, message in (
        ('[{"id": "a", "prompt": "x"}, 3]', r"record 2: a record is a JSON object, this is int"),
        ('[\n{"id": "a",\n]', r"line 3: not valid JSON"),
        ('{"id": "a", "prompt": "x"}\n{', r"line 2: not valid JSON"),
    ):
        path.write_text(text)
        with pytest.raises(UserError, match=message):
            read_rows(path, Problem)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """No file, no gzip, half a gzip; and what is fine: a byte-order mark, null for a default."""
    with pytest.raises(UserError, match="does not exist"):
        read_rows(tmp_path / "none.jsonl", Problem)
    line = b'{"id": "a", "prompt": "x", "answer": null, "more": 1}\n'
    (tmp_path / "a.jsonl.gz").write_bytes(line)
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(line * 999)[:-9])
    for name in "ab":
        with pytest.raises(UserError, match="not a whole gzip file"):
            read_rows(tmp_path / f"{name}.jsonl.gz", Problem)
    (tmp_path / "mark.jsonl").write_bytes(b"\xef\xbb\xbf" + line)
    assert read_rows(tmp_path / "mark.jsonl", Problem) == [Problem("a", "x")]
