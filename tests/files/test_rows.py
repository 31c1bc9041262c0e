"""Files of rows: Parquet, JSONL and JSON are read as they were written; damage and bad rows are one line."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from acemath.errors import UserError
from acemath.files.rows import read_records, read_rows, write_rows
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


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('id,prompt\na,"half a ce', r"record 1: not valid CSV"),
        ('id,prompt\na,"half a\ncell\n', r"record 1: not valid CSV"),
        ("id,prompt,prompt\na,x,y\n", r"has two columns called 'prompt'"),
        ("id,prompt\na,x\nid,prompt\nb,y\n", r"record 2: it names the columns again"),
        ("\ufeffid,prompt\na,x\n\ufeffid,prompt\nb,y\n", r"record 2: it names the columns again"),
    ],
)
def test_csv_files_that_lost_their_form(tmp_path: Path, text: str, message: str) -> None:
    """A file that was cut inside of quotes, joined with another one, or names a column twice."""
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(UserError, match=message):
        list(read_records(tmp_path / "a.csv"))


def test_two_columns_of_one_name_in_parquet(tmp_path: Path) -> None:
    """Only one of them would be read."""
    pq.write_table(pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["x", "x"]), tmp_path / "a.parquet")
    with pytest.raises(UserError, match="has two columns called 'x'"):
        list(read_records(tmp_path / "a.parquet"))


def test_numbers_as_tables_write_them(tmp_path: Path) -> None:
    """3.0 where a cell of the column is empty, texts in CSV, empty cells; no other text and no part of a number."""
    path = tmp_path / "a.csv"
    path.write_text("problem_id,sample,text,tokens,reward,status\np,1,so 4,7.0,0.5,correct\np,,so 5,,,\n")
    assert read_rows(path, Response) == [
        Response("p", 1, "so 4", "", tokens=7, status="correct", reward=0.5),
        Response("p", 1, "so 5", "", status=""),
    ]
    path = tmp_path / "a.jsonl"
    path.write_text('{"problem_id": "p", "sample": NaN, "response": "so 4", "tokens": 3.0, "finish_reason": NaN}\n')
    assert read_rows(path, Response) == [Response("p", 0, "so 4", "", tokens=3)]
    for wrong in ('"tokens": 3.5', '"reward": "high"', '"tokens": true', f'"reward": {10**400}'):
        path.write_text(f'{{"problem_id": "p", "text": "x", {wrong}}}\n')
        with pytest.raises(UserError, match=r"line 1: \w+ is .*, not of the type"):
            read_rows(path, Response)
    for meta in ("[1]", '["ab"]', "5"):
        path.write_text(json.dumps({"problem_id": "p", "text": "x", "meta": meta}) + "\n")
        with pytest.raises(UserError, match="not a Response .meta is"):
            read_rows(path, Response)


def test_a_question_is_not_read_as_the_response(tmp_path: Path) -> None:
    """`text` beside a `response`: which of them is meant has to be said."""
    path = tmp_path / "a.jsonl"
    path.write_text('{"problem_id": "p", "text": "What is 2+2?", "response": "4"}\n')
    with pytest.raises(UserError, match=r"text is 'What is 2\+2\?' and response is '4'"):
        read_rows(path, Response)
    assert [row.text for row in read_rows(path, Response, {"text": "response"})] == ["4"]


def test_parquet_values_that_python_writes_otherwise(tmp_path: Path) -> None:
    """32-bit floats in lists and records are as short as alone; a date that Python has no year for is one line."""
    short = pa.array([[0.1]], pa.list_(pa.float32()))
    inside = pa.array([{"a": [0.1], "b": "x"}], pa.struct([("a", pa.list_(pa.float32())), ("b", pa.string())]))
    pq.write_table(pa.table({"x": short, "y": inside}), tmp_path / "a.parquet")
    assert list(read_records(tmp_path / "a.parquet")) == [{"x": [0.1], "y": {"a": [0.1], "b": "x"}}]
    pq.write_table(pa.table({"x": pa.array([10**18], pa.timestamp("us"))}), tmp_path / "b.parquet")
    with pytest.raises(UserError, match=r"b\.parquet: a value cannot be read"):
        list(read_records(tmp_path / "b.parquet"))


def test_a_folder_of_shards_is_one_whole_data_set(tmp_path: Path) -> None:
    """Two splits in one folder would be mixed, and half of a split would pass for all of it."""
    def folder(*names: str) -> Path:
        place = tmp_path / str(len(list(tmp_path.iterdir())))
        place.mkdir()
        for name in names:
            write_rows(place / f"{name}.parquet", ROWS[:1], Problem)
        return place

    for names in (("0000", "0001"), ("part-0", "part-1"), ("train-00000-of-00002-ab3", "train-00001-of-00002-9c4"), ("train",)):
        assert len(read_rows(folder(*names), Problem)) == len(names)
    for names in (("train", "test"), ("train-00000-of-00001", "test-00000-of-00001")):
        with pytest.raises(UserError, match=r"holds several data sets \(test, train\)"):
            read_rows(folder(*names), Problem)
    with pytest.raises(UserError, match="holds 1 of 2 shards of train; copy or download it again"):
        read_rows(folder("train-00000-of-00002"), Problem)


def test_a_json_object_that_has_a_key_twice(tmp_path: Path) -> None:
    """Only one of the values would be read, as with two columns of one name."""
    for name, text in (("a.jsonl", '{"id": "a", "prompt": "x", "answer": "1", "answer": "2"}'), ("a.json", '[{"id": "a", "meta": {"b": 1, "b": 1}}]')):
        (tmp_path / name).write_text(text)
        with pytest.raises(UserError, match="line 1: not valid JSON .the key '(answer|b)' stands twice in one object"):
            read_rows(tmp_path / name, Problem)
