"""What can be opened: runs, finished or not, a stage, files of responses; and what is said of each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from acemath.errors import UserError
from acemath.files.identity import Names
from acemath.files.rows import write_rows
from acemath.records import Response
from acemath.serve.viewer.curves import Curves
from acemath.serve.viewer.index import Index
from acemath.serve.viewer.jobs import Worker
from acemath.serve.viewer.library import open_sources

from .conftest import POOL, problems, responses, write_run


def test_the_sets_of_a_run(run: Path) -> None:
    """Scored samples stand for the samples; a stage's own folder opens that stage alone."""
    assert [source.name for source in open_sources([run])] == ["scores-m", "greedy-m"]
    [one] = open_sources([run / "greedy-m"])
    assert one.name == "greedy-m" and len(one.problems) == 4 and not one.notes


def test_the_sets_of_an_evaluation_and_of_scored_candidates(tmp_path: Path) -> None:
    """Each judge's scores of the samples of each seed are a set; what they score is not shown again."""
    rows = responses(POOL)
    names = ("samples-m", "samples-m@2", "samples-n", "scores-a@m", "scores-b@m", "scores-a@m@2", "greedy-m")
    folder = write_run(tmp_path / "eval", dict.fromkeys(names, rows))
    assert [s.name for s in open_sources([folder])] == [
        "scores-a@m",
        "scores-a@m@2",
        "scores-b@m",
        "samples-n",
        "greedy-m",
    ]
    folder = write_run(tmp_path / "bench", {"candidates": rows, "votes": rows, "scores-x": rows})
    assert [s.name for s in open_sources([folder])] == ["scores-x"]
    folder = write_run(tmp_path / "unscored", {"candidates": rows})
    assert [s.name for s in open_sources([folder])] == ["candidates"]


def test_an_unfinished_run_opens_with_what_is_there(run: Path) -> None:
    """A stage without a manifest and with one of two parts is shown, and the page says so."""
    (run / "scores-m" / "part-00001.parquet").unlink()
    (run / "scores-m" / "manifest.json").unlink()
    names = {source.name: source for source in open_sources([run])}
    assert list(names) == ["scores-m", "samples-m", "greedy-m"]
    assert "1 of 2 parts" in names["scores-m"].notes[0]
    assert any("2 of 4 problems have no response" in note for note in Index(names["scores-m"]).notes)


def test_two_folders_of_one_name_are_told_apart(tmp_path: Path) -> None:
    """Both are called by the folder before as well."""
    paths = [write_run(tmp_path / name / "run", {"greedy-m": responses(POOL)}) for name in ("a", "b")]
    assert [source.name for source in open_sources(paths)] == ["a/run · greedy-m", "b/run · greedy-m"]


def test_mistakes_are_one_line(run: Path, tmp_path: Path) -> None:
    """No such path, the same one twice, a run without responses, a file of something else, a damaged part."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "run.json").write_text(json.dumps({"format": 2, "partitions": {}}))
    (tmp_path / "other.jsonl").write_text('{"colour": "red"}\n')
    (tmp_path / "bad.jsonl").write_text('{"problem_id": "p", "text": "x", "status": "maybe"}\n')
    for paths, words in (
        ([tmp_path / "none"], "does not exist"),
        ([run, run], "given twice"),
        ([tmp_path / "empty"], "holds no response"),
        ([tmp_path / "other.jsonl"], "no response among"),
        ([tmp_path / "bad.jsonl"], "'maybe' is no verdict"),
    ):
        with pytest.raises(UserError, match=words):
            open_sources(paths)
    (run / "greedy-m" / "part-00000.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(UserError, match="not a whole Parquet file"):
        open_sources([run])


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_a_file_of_responses_with_its_problems(tmp_path: Path, ending: str) -> None:
    """What acemath sample or score writes, with the problems from their file; without them the page says so."""
    path = tmp_path / f"scored.{ending}"
    write_rows(path, responses(POOL), Response)
    [bare] = open_sources([path])
    assert "4 of 4 problems have no text" in bare.notes[0]
    [source] = open_sources([path], Names(problems(), "problems.jsonl"))
    index = Index(source)
    assert not source.notes and index.benchmarks == ["alpha", "alpha", "beta", "beta"]
    assert index.view().right.tolist() == [3, 2, 2, 1]
    assert index.source.rows.full([5])[0]["text"].endswith("number 1 of p1, so \\boxed{7}.")


def test_records_of_the_harness(tmp_path: Path) -> None:
    """Lists of responses, verdicts and rewards; two problems of one id stay apart by their prompts."""
    record: dict[str, Any] = {
        "idx": 0, "question": "What is 1+1?", "gt": "2", "level": "Level 3", "code": ["It is 2.", "It is 3."], "pred": ["2", "3"],
        "score": [True, False], "pred_score": [[0.5], [1.5]],
    }  # fmt: skip
    path = tmp_path / "h.jsonl"
    path.write_text(
        "".join(
            json.dumps(r) + "\n"
            for r in (record, record | {"question": "What is 4-2?"}, record | {"uncertain": True})
        )
    )
    [source] = open_sources([path])
    view = Index(source).view()
    assert view.judge.tolist() == [0.0, 0.0] and view.margin.tolist() == [-1.0, -1.0]
    assert [p.prompt for p in view.index.problems] == [
        "What is 1+1?",
        "What is 4-2?",
    ] and view.index.problems[0].level == 3
    assert any("1 rows that are marked uncertain" in note for note in source.notes)


def test_the_known_values_of_real_responses(shared: Path) -> None:
    """The values in the README of the development data; a shared tie counts half, where the harness's order gives 93."""
    from acemath.serve.viewer.jobs import Grouping, Worker

    [source] = open_sources([shared / "data" / "qwen_math100x8_scored.jsonl"])
    index = Index(source)
    view, worker = index.view(), Worker()
    job = Grouping(index, worker).job
    assert job.wait(60) and job.result is not None
    worker.close()
    shares = [
        100 * values.mean()
        for values in (view.right / view.n, view.judge, view.votes(job.result).value, view.right > 0)
    ]
    assert [round(float(share), 1) for share in shares] == [91.0, 94.0, 92.5, 96.0]


def test_rows_of_a_file_that_are_not_what_they_seem(tmp_path: Path) -> None:
    """Texts of CSV are read as numbers and truths; repeated rows count once; equal ids of two benchmarks stay apart."""
    row: dict[str, Any] = {"problem_id": "a", "sample": "0", "text": "so 4", "status": "correct", "uncertain": "False", "tokens": "7", "reward": "0.5"}
    path = tmp_path / "r.jsonl"

    def opened(*rows: dict[str, Any]) -> Index:
        path.write_text("".join(json.dumps(row | one) + "\n" for one in rows))
        return Index(open_sources([path])[0])

    index = opened({}, {}, {"sample": "1", "label": False}, {"sample": "2", "finish_reason": "length", "label": True})
    assert index.right.tolist() == [True, False, False] and index.length.tolist() == [7, 7, 7] and index.reward.tolist() == [0.5] * 3
    assert any("1 rows appear twice" in note for note in index.notes)
    assert any("1 rows have a label that differs from their status; the label counts" in note for note in index.notes)
    assert len(opened({"meta": {"benchmark": "one"}}, {"meta": {"benchmark": "two"}}).problems) == 2
    for wrong, says in (({"sample": 0.5}, "sample is 0.5"), ({"reward": "inf"}, "reward is 'inf'"), ({"text": "so 5"}, "has two texts")):
        with pytest.raises(UserError, match=f"line 2.*{says}"):
            opened({}, wrong)
    labelled = opened({})
    assert any("1 responses are right but have no answer" in note for note in labelled.notes)
    worker = Worker()
    curves = Curves(labelled.view(), np.ones(1, bool), np.array([-1]), worker)
    list(curves._all())
    worker.close()
    assert set(curves.found) == {"pass@k", "rm@k", "pass@1"}
    with pytest.raises(UserError, match="2 responses but 1 answers"):
        opened({"code": ["4", "5"], "gt": "4", "pred": ["4"], "sample": None})
