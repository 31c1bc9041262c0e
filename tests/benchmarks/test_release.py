"""The released form of AceMath-RewardBench: what is read, what is refused, and what is said of the rest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from acemath.benchmarks.release import Entry, Unread, entries, is_release, saved, sets_of, size_of
from acemath.benchmarks.stored import stored_records
from acemath.cli.rewardbench import rewardbench
from acemath.errors import UserError


def row(idx: int = 0, n: int = 4, **more: Any) -> dict[str, Any]:
    """A row in the columns of the release; the first half of its candidates is right."""
    return {
        "idx": idx,
        "question": f"What is {idx} + 1?",
        "gt_cot": "Add one.",
        "gt": str(idx + 1),
        "code": [f"so {idx + 1 + (at >= n // 2) * at}" for at in range(n)],
        "pred": [str(idx + 1 + (at >= n // 2) * at) for at in range(n)],
        "report": [None] * n,
        "score": [at < n // 2 for at in range(n)],
    } | more


def write(folder: Path, sets: dict[str, list[dict[str, Any]]]) -> Path:
    """A release as `datasets` writes it."""
    from datasets import Dataset, DatasetDict, disable_progress_bars

    disable_progress_bars()
    DatasetDict({name: Dataset.from_list(rows) for name, rows in sets.items()}).save_to_disk(str(folder))
    return folder


def read(folder: Path, unread: Unread | None = None, **columns: str) -> list[Entry]:
    found = sets_of(folder)
    return [e for name, records in found.items() for e in entries(name, records(), unread or Unread(), columns)]


def test_the_release_as_it_is_written(tmp_path: Path) -> None:
    """Two sets, one row each: problem, texts, answers, verdicts; nothing of `report` is read, and that is said."""
    folder = write(tmp_path / "bench", {"gsm8k": [row(3)], "math500": [row(3), row(4)]})
    unread = Unread()
    first, *others = read(folder, unread)
    assert is_release(folder) and is_release(folder / "gsm8k") and len(others) == 2 and size_of(folder) == 12
    assert (first.problem.id, first.problem.prompt, first.problem.answer) == ("gsm8k:3", "What is 3 + 1?", "4")
    assert first.problem.meta == {"benchmark": "gsm8k", "solution": "Add one."}
    assert first.texts == ["so 4", "so 4", "so 6", "so 7"] and first.answers == ["4", "4", "6", "7"]
    assert first.correct == [True, True, False, False] and first.rewards == [None] * 4
    assert unread.ignored == {"report": 3} and not unread.dropped
    assert [e.problem.id for e in read(folder / "math500")] == ["math500:3", "math500:4"]


@pytest.mark.parametrize(
    "other",
    [
        {"scores": [True, True, False, False], "score": None},
        {"score": [1, 1, 0, 0]},
        {"score": [1.0, 1.0, 0.0, 0.0]},
        {"score": [[True], [True], [False], [False]]},
        {"difficulty": 3, "topic": "sums"},
        {"pred_score": [[0.5], [1.5], [0.0], [-2.0]]},
        {"code": None, "response": ["so 4", "so 4", "so 6", "so 7"]},
    ],
)
def test_other_forms_of_a_row(other: dict[str, Any], tmp_path: Path) -> None:
    """`scores`, labels as numbers, lists of one, an extra column, rewards: the same candidates."""
    given = {name: value for name, value in row(3, **other).items() if value is not None}
    unread = Unread()
    (found,) = read(write(tmp_path / "bench", {"gsm8k": [given]}), unread)
    assert found.correct == [True, True, False, False] and found.texts[0] == "so 4"
    assert found.rewards == [r[0] for r in other.get("pred_score", [[None]] * 4)]
    assert set(unread.ignored) == {"report"} | ({"difficulty", "topic"} & set(other))


@pytest.mark.parametrize(
    ("gone", "says"),
    [
        ("score", "set 'gsm8k' has no column for their verdicts: it is expected in score or scores"),
        ("code", "no column for the responses: it is expected in code or responses or response or solutions; its columns are idx"),
        ("pred", "no column for the answers found in them: .*name it with --columns extracted=…"),
        ("question", "no column for the question"),
    ],
)
def test_a_missing_column(gone: str, says: str, tmp_path: Path) -> None:
    """One line with the column, where it is expected, what is there instead, and the option that names it."""
    given = row(3)
    given["eigen"] = given.pop(gone)
    folder = write(tmp_path / "bench", {"gsm8k": [given]})
    with pytest.raises(UserError, match=says) as caught:
        read(folder)
    assert "\n" not in str(caught.value) and "eigen" in str(caught.value)
    ours = {"score": "label", "code": "text", "pred": "extracted", "question": "prompt"}[gone]
    assert read(folder, **{ours: "eigen"})[0].correct == [True, True, False, False]


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([row(3), row(3, gt="9")], "row 1: problem 'gsm8k:3' stands in .*row 0 already"),
        ([row(3, score=[True])], "row 0: 4 responses, 4 answers, 1 verdicts"),
        ([row(3, score=[0.25, 0.5, 0.1, 0.9])], "label 0.25 is no verdict"),
    ],
)
def test_rows_that_are_refused(rows: list[dict[str, Any]], says: str, tmp_path: Path) -> None:
    """A row that could be measured in two ways is an error that names it."""
    with pytest.raises(UserError, match=says):
        read(write(tmp_path / "bench", {"gsm8k": rows}))


def test_rows_that_are_left_out_are_told(tmp_path: Path) -> None:
    """Without responses, verdicts or a question a row cannot be measured; the reason is counted, and so is the size."""
    rows = [row(0), row(1, code=[], pred=[], score=[]), row(2, score=[True, None, True, True]), row(3, question=" ")]
    folder = write(tmp_path / "bench", {"gsm8k": rows})
    unread = Unread()
    assert len(read(folder, unread)) == 1
    assert {d.id: d.reason for d in unread.dropped} == {
        "gsm8k:1": "no responses", "gsm8k:2": "a response has no verdict", "gsm8k:3": "no question",
    }  # fmt: skip
    notes = rewardbench([folder], 2)["notes"]
    assert "gsm8k: rows that are left out: a response has no verdict: 1, no question: 1, no responses: 1" in notes
    assert any("gsm8k has 4 problems, but GSM8K has 1,319" in note for note in notes)
    assert "gsm8k: columns that are not read: report" in notes


def test_no_release(tmp_path: Path) -> None:
    """A folder of something else, a missing folder, a file that was cut: one line each."""
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no set of AceMath-RewardBench"):
        sets_of(tmp_path / "empty")
    with pytest.raises(UserError, match="there is no"):
        sets_of(tmp_path / "nowhere")
    folder = write(tmp_path / "bench", {"gsm8k": [row(n) for n in range(50)]})
    shard = next(folder.rglob("*.arrow"))
    shard.write_bytes(shard.read_bytes()[:900])
    with pytest.raises(UserError, match="is not a whole Arrow file"):
        read(folder)
    shard.unlink()
    with pytest.raises(UserError, match="download the set again"):
        read(folder)


def test_one_table_whatever_the_form(tmp_path: Path) -> None:
    """A release, and the same rows as a file of the harness; a release that is given twice is refused."""
    rows = [row(n, pred_score=[[float(at)] for at in range(4)]) for n in range(6)]
    folder = write(tmp_path / "bench", {"own": rows})
    file = tmp_path / "own.jsonl"
    file.write_text("".join(json.dumps(r) + "\n" for r in rows))
    assert rewardbench([folder], 2)["rows"] == rewardbench([file], 2)["rows"]
    assert list(sets_of(file)) == ["own"]  # a file is one set
    with pytest.raises(UserError, match="stands in two of the folders"):
        stored_records([folder, folder / "own"])


def test_written_and_read_again(tmp_path: Path) -> None:
    """What `saved` writes is read by `datasets` and by us; a second time replaces the first, and nothing else is left."""
    from datasets import load_from_disk

    more = {"report": ["equal"] * 4, "model": ["m", "m", "k", "k"]}
    for count in (5, 3):
        rows = [("math500", row(0) | {"idx": "m"} | more), *(("gsm8k", row(at) | {"idx": f"a{at}"} | more) for at in range(count))]
        assert saved(tmp_path / "bench", iter(rows)) == {"gsm8k": count, "math500": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["bench"]
    loaded = load_from_disk(str(tmp_path / "bench"))
    assert list(loaded) == ["gsm8k", "math500"] and loaded["gsm8k"].num_rows == 3
    assert loaded["gsm8k"][1]["code"] == row(1)["code"] and loaded["gsm8k"][1]["score"] == row(1)["score"]
    unread = Unread()
    first = read(tmp_path / "bench", unread)[0]
    assert first.problem.id == "gsm8k:a0" and first.models == ["m", "m", "k", "k"] and set(unread.ignored) == {"report"}
    with pytest.raises(UserError, match="no release of AceMath-RewardBench"):
        saved(tmp_path, [])
