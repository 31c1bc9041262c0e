"""Rows of results from a file and from an evaluation's folder, and `acemath export --to` on them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from acemath.errors import UserError
from acemath.run.result_rows import result_rows

ROWS = [
    {"model": "p", "selector": s, "judge": "", "measure": m, "benchmark": "gsm8k", "value": 50.0, "low": 40.0, "high": 60.0, "problems": 9}
    for s, m in (("greedy", "greedy"), ("majority", "maj@8"))
]  # fmt: skip


def test_rows_of_a_file_and_of_a_folder(tmp_path: Path) -> None:
    """results.json of an evaluation, or what --json printed."""
    (tmp_path / "results.json").write_text(json.dumps({"k": 8, "rows": ROWS}))
    assert result_rows(tmp_path) == result_rows(tmp_path / "results.json") == ROWS


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "does not exist"),
        ({"k": 8}, "has no rows with measure"),
        ({"rows": [{"value": 1}]}, "has no rows"),
        ({"rows": [ROWS[0] | {"value": "50"}]}, "value of greedy on gsm8k is '50'"),
    ],
)
def test_what_holds_no_results_is_one_line(tmp_path: Path, content: Any, says: str) -> None:
    """A folder without results, and a file of something else."""
    if content is not None:
        (tmp_path / "results.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=says):
        result_rows(tmp_path)


def test_the_command_writes_tables(command: Callable[..., Any], tmp_path: Path) -> None:
    """The form by the file's ending; a wrong ending, --push and a k that is not there are one line each."""
    (tmp_path / "results.json").write_text(json.dumps({"k": 8, "rows": ROWS}))
    done = command("export", "results.json", "--to", "table-6", "--json")
    assert done.code == 0 and json.loads(done.out) == {"out": "table-6.md", "lines": 1, "benchmarks": ["gsm8k"]}
    assert "| p: majority | 50.00 (40.0 to 60.0) |" in (tmp_path / "table-6.md").read_text()
    done = command("export", "results.json", "--to", "table-3", "--paper", "--out", "t.html")
    assert done.code == 0 and "AceMath-72B-Instruct" in (tmp_path / "t.html").read_text()
    for more, says in (
        (("table-3", "--out", "t.txt"), "must end in .md, .html, .json"),
        (("table-3", "--push", "a/b"), "--push and --public are for data sets"),
        (("table-6", "-k", "4"), "choose another -k"),
        (("inspect",), "holds no finished responses"),
    ):
        failed = command("export", "results.json" if more[0] != "inspect" else ".", "--to", *more)
        assert failed.code == 2 and says in failed.err and "Traceback" not in failed.err


def test_a_folder_of_scores_as_a_table_and_as_logs(command: Callable[..., Any], tmp_path: Path, random_reward_model: Path) -> None:
    """What acemath rewardbench score made: the controls once and the judge by name; a log for each set, of all its candidates."""
    from datasets import Dataset, DatasetDict

    rows = [
        {
            "idx": p, "question": f"What is {p} + 1?", "gt_cot": "", "gt": str(p + 1), "code": [f"It is {p + n % 2}." for n in range(4)],
            "pred": [str(p + n % 2) for n in range(4)], "report": [None] * 4, "score": [n % 2 == 1 for n in range(4)],
        }
        for p in range(6)
    ]  # fmt: skip
    for name in ("gsm8k", "math500"):
        DatasetDict({"test": Dataset.from_list(rows)}).save_to_disk(str(tmp_path / "bench" / name))
    done = command("rewardbench", "score", f"mine={random_reward_model}", "--bench", "bench", "--out", "scored", "-k", "2")
    assert done.code == 0, done.err
    names = [r["judge"] for r in result_rows(tmp_path / "scored", 2) if r["measure"] == "rm@2"]
    assert names == [str(random_reward_model)] * 3
    done = command("export", "scored", "--to", "table-6", "-k", "2", "--out", "t.json")
    assert done.code == 0, done.err
    lines = json.loads((tmp_path / "t.json").read_text())["lines"]
    assert [line["name"] for line in lines].count("majority") == 1 and str(random_reward_model) in [line["name"] for line in lines]
    done = command("export", "scored", "--to", "inspect", "--out", "logs", "--json")
    assert done.code == 0 and json.loads(done.out) == {"out": "logs", "logs": 2}, done.err
    with ZipFile(next((tmp_path / "logs").glob("*_gsm8k-candidates_*.eval"))) as log:
        header = json.loads(log.read("header.json"))
    assert header["results"]["total_samples"] == 24
    assert {s["name"] for s in header["results"]["scores"]} == {"grader", "mine"}
    assert header["results"]["scores"][0]["metrics"]["accuracy"]["value"] == 0.5
