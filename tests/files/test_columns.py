"""Problems of every known form: the prompt, the reference, the level and the identity come out right, or the file is refused."""

from __future__ import annotations

import datetime
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from acemath.cli.output import show_notices
from acemath.cli.reading import read_benchmarks, read_problems
from acemath.curate.columns import level_of, problems_of
from acemath.errors import UserError
from acemath.files.columns import KNOWN_COLUMNS, parse_columns
from acemath.files.rows import read_records, read_rows, write_rows
from acemath.recipe.sources import Source
from acemath.records import Problem, Response
from acemath.run.source_rows import files_key, read_source

FORMS: list[tuple[dict[str, Any], str, str]] = [
    ({"question": "Pens?", "answer": "3 boxes of 4: <<3*4=12>>12\n#### 12"}, "Pens?", "12"),
    ({"problem": "Root?", "solution": r"First $\boxed{1}$ fails. So $\boxed{\frac{2}{3}}$."}, "Root?", r"\frac{2}{3}"),
    ({"prompt": [{"role": "user", "content": "Sum?"}], "reward_model": {"ground_truth": "34", "style": "rule"}}, "Sum?", "34"),
    ({"question": "Roots?", "final_answer": ["1", "-2"], "solution": ["work"]}, "Roots?", "1, -2"),
    ({"question": "One root?", "final_answer": "['7']"}, "One root?", "7"),
    ({"problem": "AMC?", "answer": 27.0}, "AMC?", "27"),
    ({"prompt": "[{'role': 'user', 'content': 'Sum?'}]", "reward_model": '{"ground_truth": "34"}'}, "Sum?", "34"),
    ({"prompt": '["a", "b"] has how many items?', "answer": 2}, '["a", "b"] has how many items?', "2"),
    ({"problem": "Half?", "expected_answer": 0.5, "answer": "a response"}, "Half?", "0.5"),
    ({"problem": "Big?", "gt": 10**60}, "Big?", str(10**60)),
    ({"problem": "Known twice?", "answer": None, "solution": "It is \\boxed{5}."}, "Known twice?", "5"),
    ({"problem": "Open?", "answer": float("nan")}, "Open?", ""),
    ({"messages": [{"role": "user", "content": "3+4?"}], "answer": "Adding, we get \\boxed{7}."}, "3+4?", "7"),
    ({"ID": "I-1", "Problem": "Capital?", "Answer": 204}, "Capital?", "204"),
    ({"question": "Which?", "choices": {"label": ["1", "2"], "text": ["a", "b"]}, "answerKey": "2"}, "Which?\nAnswer Choices: (1) a (2) b", "2"),
    ({"instruction": "Add.", "input": "2, 3", "output": "5"}, "Add.\n2, 3", ""),
    ({"prompt": "def f():", "solution": "return 5", "subject": "code"}, "def f():", ""),
]  # fmt: skip


def one(record: dict[str, Any], columns: dict[str, str] | None = None, **more: str) -> Problem:
    """The only problem of a record."""
    (found,) = problems_of([("here, line 1", record)], columns or {}, **more)
    return found


@pytest.mark.parametrize(("record", "prompt", "answer"), FORMS)
def test_known_forms(record: dict[str, Any], prompt: str, answer: str) -> None:
    """Each form as a command reads it and as a recipe's file does."""
    assert (one(record).prompt, one(record).answer) == (prompt, answer)
    assert (one(record, name="set").prompt, one(record, name="set").answer) == (prompt, answer)


CHOICES = ["mass", "force", "2"]


@pytest.mark.parametrize(
    ("choices", "answer", "letter"),
    [
        (CHOICES, 1, "B"),
        (CHOICES, 1.0, "B"),
        (CHOICES, "b", "B"),
        (CHOICES, "(B)", "B"),
        (CHOICES, "force", "B"),
        (CHOICES, "0", "A"),
        (str(CHOICES), 2, "C"),
        ({"label": ["1", "2"], "text": ["mass", "force"]}, "2", "2"),
        ({"A": "mass", "B": "force"}, "B", "B"),
        ({"A": "mass", "B": "force", "C": None}, "B", "B"),
        ({"a": "mass", "b": "force"}, "b", "B"),
        ({"1": "mass", "2": "force"}, 1, "1"),
        ('{"A": "mass", "B": "force"}', 1, "B"),
        ([{"label": "A", "text": "mass"}, {"label": "B", "text": "force"}], "B", "B"),
        (["A)mass", "B)force"], "B", "B"),
        (np.array(CHOICES), np.int64(1), "B"),
        (CHOICES, "B) force", "B"),
        (CHOICES, "B: Force", "B"),
        (CHOICES, r"$\text{(B)}$", "B"),
        (CHOICES, "Force.", "B"),
    ],
)
def test_choices_stand_in_the_prompt_and_the_reference_is_a_letter(choices: Any, answer: Any, letter: str) -> None:
    """A list, a list that became text, labels of their own; an index, a letter, the choice's text."""
    row = one({"question": "What is measured in newtons?", "choices": choices, "answer": answer})
    assert row.answer == letter
    assert f"({letter}) " in row.prompt and ") mass (" in row.prompt and row.prompt.startswith("What is measured")


def test_choices_are_not_listed_twice_and_never_guessed() -> None:
    """A prompt that lists them stays as it is; an answer that names no choice, or two, is refused with its place."""
    with pytest.raises(UserError, match="names no choice"):
        one({"question": "?", "choices": ["mass", "force"], "answer": "B) mass"})
    row = one({"question": "Speed?", "option_a": "1 m", "option_b": "2 m", "answer": "2 m"})
    assert (row.prompt, row.answer) == ("Speed?\nAnswer Choices: (A) 1 m (B) 2 m", "B")
    sides = {"question": "Side?", "A": 3, "B": 4, "C": 5}
    assert (one({**sides, "answer": 2}).answer, one({**sides, "answer": "2"}).prompt) == ("2", "Side?")  # quantities
    assert one({**sides, "answer": "b"}).prompt == "Side?\nAnswer Choices: (A) 3 (B) 4 (C) 5"
    assert one({"question": "Free?", "choices": [""], "answer": "42"}).answer == "42"
    listed = "Which? (A) red wine (B) white wine"
    assert one({"question": listed, "options": ["red wine", "white wine"], "answer": "A"}).prompt == listed
    for wrong in (3, "E", "2", "copper", -1):
        with pytest.raises(UserError, match=r"^here, line 1: the answer .* names (no|more than one) choice"):
            one({"question": "?", "choices": ["mass", "2", "force"], "answer": wrong})
    with pytest.raises(UserError, match="choices are"):
        one({"question": "?", "choices": "red, green", "answer": 1})
    assert one({"question": "?", "options": {"percent": True}, "answer": "4"}).answer == "4"  # settings, not choices


def test_columns_can_be_named() -> None:
    """Names of one's own win over the known ones, deep ones too; a wrong name tells the columns that are there."""
    record = {"q": "What?", "prompt": "system text", "meta_data": {"key": "9"}, "answer": "8"}
    row = one(record, {"prompt": "q", "answer": "meta_data.key"})
    assert (row.prompt, row.answer) == ("What?", "9")
    with pytest.raises(UserError, match=r"no text in column 'p'.*'meta_data'"):
        one(record, {"prompt": "p"})
    with pytest.raises(UserError, match=r"no prompt \(the columns are \['Frage'\]\).*--columns prompt="):
        one({"Frage": "Was?"})
    with pytest.raises(UserError, match=r"problem is 'gsm8k-17', and question is 'What is it\?'; name the column"):
        one({"problem": "gsm8k-17", "question": "What is it?"})
    assert one({"problem": "gsm8k-17", "question": "What is it?"}, {"prompt": "question"}).prompt == "What is it?"
    assert parse_columns("prompt=q, answer=a.b") == {"prompt": "q", "answer": "a.b"}
    for wrong in ("prompt", "frage=q", "prompt="):
        with pytest.raises(UserError, match="write ours=theirs"):
            parse_columns(wrong)
    assert one({"problem": "?", "solution": "long", "answer": "The answer is 5."}, {"solution": "answer"}).answer == "5"


def test_levels_are_levels() -> None:
    """Numbers and the words around them; a date or a grade of school is none."""
    values = [3, 3.0, "3", "Level 5", "level 2.0", "2024-05-01", "Level ?", None, "hard", datetime.date(2024, 5, 1), 12345]
    assert [level_of(value) for value in values] == [3, 3, 3, 5, 2, 0, 0, 0, 0, 0, 0]


def test_what_a_row_says_of_itself_is_kept() -> None:
    """Subject, level, licence and meta; a recipe's subject wins, a row's licence does."""
    record = {"problem": "?", "level": "Level 4", "type": "Geometry", "license": "CC-BY-NC-4.0", "meta": '{"a": 1}'}
    row = one(record)
    assert (row.subject, row.level, row.license, row.meta) == (
        "Geometry", 4, "CC-BY-NC-4.0", {"a": 1, "file_row": 0},
    )  # fmt: skip
    assert one({**record, "id": 7}).meta == {"a": 1}
    told = one(record, name="set", subject="code", license="MIT")
    assert (told.subject, told.license, told.source) == ("code", "CC-BY-NC-4.0", "set")
    with pytest.raises(UserError, match="here, line 1: meta is"):
        one({"problem": "?", "meta": "{"})


def test_a_folder_holds_one_data_set(tmp_path: Path) -> None:
    """Shards of one are read together; a split for training and one for testing never are."""
    for name, rows in (("train-00000-of-00002", ["a"]), ("train-00001-of-00002", ["b"])):
        pq.write_table(pa.table({"problem": rows, "answer": ["1"]}), tmp_path / f"{name}.parquet")
    assert [row.prompt for row in read_problems(tmp_path)] == ["a", "b"]
    pq.write_table(pa.table({"problem": ["c"], "answer": ["1"]}), tmp_path / "test-00000-of-00001.parquet")
    with pytest.raises(UserError, match=r"several data sets \(test, train\)"):
        read_problems(tmp_path)


def test_values_that_tables_hold(tmp_path: Path) -> None:
    """Parquet columns of bytes, decimals and dates; huge integers and half a surrogate pair in JSON."""
    table = {
        "problem": [b"What is 1.10 + 1?"],
        "answer": [Decimal("2.10")],
        "level": [3.0],
        "day": [datetime.date(2024, 5, 1)],
        "picture": [b"\xff\x00"],
        "share": pa.array([0.1, None][:1], pa.float32()),
    }
    pq.write_table(pa.table(table), tmp_path / "t.parquet")
    row = read_problems(tmp_path / "t.parquet")[0]
    assert (row.prompt, row.answer, row.level) == ("What is 1.10 + 1?", "2.10", 3)
    record = next(read_records(tmp_path / "t.parquet"))
    assert (record["day"], record["share"]) == ("2024-05-01", 0.1)
    lines = ['{"id": "big", "prompt": "?", "answer": %s}' % ("9" * 5000), '{"id": "half", "prompt": "a \\ud83d b"}']
    for ending in ("jsonl", "json"):
        path = tmp_path / f"odd.{ending}"
        path.write_text("\n".join(lines) if ending == "jsonl" else f"[{','.join(lines)}]")
        rows = read_problems(path)
        assert len(rows[0].answer) == 5000 and rows[1].prompt == "a \ufffd b"
        write_rows(tmp_path / "out.parquet", rows, Problem)
        assert read_rows(tmp_path / "out.parquet", Problem) == rows
    deep = tmp_path / "deep.jsonl"
    deep.write_text("[" * 200_000)
    with pytest.raises(UserError, match=r"line 1: (nested too deeply|not valid JSON)"):
        read_problems(deep)


def test_missing_references_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The first line on standard error counts them and names the columns; an empty file is refused."""
    path = tmp_path / "p.jsonl"
    path.write_text('{"problem": "a", "Loesung": "1"}\n{"problem": "b", "answer": "2"}\n')
    show_notices()
    assert [row.answer for row in read_problems(path)] == ["", "2"]
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith(f"acemath: {path}: no reference answer was found for 1 of 2 problems")
    assert [row.answer for row in read_problems(path, {"answer": "Loesung"})] == ["1", ""]
    path.write_text("\n")
    with pytest.raises(UserError, match="holds no problem"):
        read_problems(path)


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Rows as JSONL."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_equal_ids_of_several_files_stay_apart(tmp_path: Path) -> None:
    """Two sources of a recipe, two benchmark files of a command, and rows that name their own source."""
    one_file = write(tmp_path / "first.jsonl", [{"id": 0, "problem": "a"}, {"id": 1, "problem": "b"}])
    other = write(tmp_path / "second.jsonl", [{"id": 0, "problem": "c"}])
    ids = [p.id for name, file in (("x", one_file), ("y", other)) for p in read_source(name, Source(file=file), 0)]
    assert ids == ["x:0", "x:1", "y:0"]
    assert [(p.id, p.meta["benchmark"]) for p in read_benchmarks([one_file, other])] == [
        ("first:0", "first"), ("first:1", "first"), ("second:0", "second"),
    ]  # fmt: skip
    own = [{"id": 0, "problem": "a", "source": "s"}, {"id": 0, "problem": "b", "source": "t"}]
    mixed = write(tmp_path / "mixed.jsonl", own)
    assert [p.id for p in read_problems(mixed)] == ["s:0", "t:0"]
    curated = tmp_path / "curated.parquet"
    write_rows(curated, read_problems(mixed), Problem)
    assert [p.id for p in read_problems(curated)] == ["s:0", "t:0"], "an id is qualified once"
    (tmp_path / "copy").mkdir()
    with pytest.raises(UserError, match="two benchmarks are called 'first'"):
        read_benchmarks([one_file, write(tmp_path / "copy" / "first.jsonl", own)])


def test_changed_files_and_folders_are_seen(tmp_path: Path) -> None:
    """A folder of Parquet has a key of its content, as a file has."""
    folder = tmp_path / "rows"
    folder.mkdir()
    pq.write_table(pa.table({"problem": ["a"]}), folder / "part-0.parquet")
    before = files_key(folder)
    assert files_key(folder) == before
    pq.write_table(pa.table({"problem": ["b"]}), folder / "part-0.parquet")
    assert files_key(folder) != before != files_key(folder / "part-0.parquet")


def test_responses_need_no_more_than_a_problem_and_a_text(tmp_path: Path) -> None:
    """Integer ids, no sample, no model, a text under another name."""
    rows = [{"problem_id": 0, "output": "four"}, {"problem_id": 0, "output": "five"}, {"problem_id": 1, "output": "x"}]
    found = read_rows(write(tmp_path / "r.jsonl", rows), Response, {"text": "output"})
    assert [(r.problem_id, r.sample, r.text) for r in found] == [("0", 0, "four"), ("0", 1, "five"), ("1", 0, "x")]


def test_the_real_benchmarks_are_read_as_they_are(shared: Path) -> None:
    """All eleven files: the right number of problems, each with a reference but the two that GaoKao's file lacks."""
    counts = {
        "gsm8k": 1319, "math500": 500, "math": 5000, "minerva_math": 272, "gaokao2023en": 385, "olympiadbench": 675,
        "college_math": 2818, "mmlu_stem": 3018, "aime24": 30, "aime25": 30, "amc23": 40,
    }  # fmt: skip
    for name, count in counts.items():
        rows = read_problems(shared / "data" / f"{name}_test.jsonl")
        lacking = 2 if name == "gaokao2023en" else 0
        assert (len(rows), sum(not row.answer for row in rows)) == (count, lacking), name
        assert len({row.id for row in rows}) == count
    stem = read_problems(shared / "data" / "mmlu_stem_test.jsonl")
    assert {row.answer for row in stem} == set("ABCD") and all("\nAnswer Choices: (A) " in row.prompt for row in stem)
    assert set(KNOWN_COLUMNS) >= {"prompt", "answer", "solution", "choices", "id"}
