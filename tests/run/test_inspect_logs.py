"""Logs for inspect_ai's viewer: their structure, and inspect_ai itself where it is installed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from acemath.errors import UserError
from acemath.records import BENCHMARK, Problem, Response
from acemath.run.inspect_logs import write_logs
from acemath.run.partitions import Partitions, open_run
from acemath.run.runner import Runner
from acemath.run.stage import Everything, MapStage, Part, Reduction

PROBLEMS = [
    Problem(f"{name}/{n}", f"What is {n} + {n}? <b>", str(2 * n), name, "MIT", "math", 1, {BENCHMARK: name})
    for name, count in (("gsm8k", 5), ("aime_24", 2))
    for n in range(count)
]


def answer(problem: Problem, sample: int) -> Response:
    """The first sample is right, the second wrong, the third has no answer and was cut."""
    status = ("correct", "wrong", "no_answer")[sample]
    finish = "length" if sample == 2 else "stop"
    text = "half a pair \ud835 </script>" if sample == 2 else f"It is \\boxed{{{sample}}}."
    return Response(problem.id, sample, text, "policy", finish, 7, status, None if sample == 2 else str(sample), "because")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run with two partitions: problems, samples, and the rewards of two judges."""
    home = tmp_path_factory.mktemp("runs") / "mine"
    open_run(home, lambda: {"benchmarks": 7}, {"benchmarks": 2})

    def problems(everything: Everything) -> None:
        split = Partitions(2)
        for part in everything.parts():
            part.write([p for p in PROBLEMS if split.partition_of(p.id) == part.number], Problem, facts={})

    def samples(count: int) -> Callable[[Part], None]:
        return lambda part: part.write(
            [answer(p, n) for p in part.rows("problems", Problem) for n in range(count)], Response, facts={}
        )

    def scores(part: Part) -> None:
        rows = part.rows("samples-policy", Response)
        part.write([replace(r, reward=None if r.sample == 2 else -float(r.sample)) for r in rows], Response, facts={})

    sampling = {"sampling": {"temperature": 0.7, "top_p": 1.0, "max_new_tokens": 99, "n": 3, "seed": 4}}
    quiet: dict[str, Any] = {"summary": lambda facts: "", "space": "benchmarks"}
    stages = [
        Reduction("problems", {}, (), work=problems, **quiet),
        MapStage("samples-policy", sampling, ("problems",), work=samples(3), **quiet),
        MapStage("greedy-policy", {}, ("problems",), work=samples(1), **quiet),
        MapStage("scores-policy", {}, ("samples-policy", "problems"), work=scores, **quiet),
        MapStage("scores-strict@policy", {}, ("samples-policy", "problems"), work=scores, **quiet),
    ]
    Runner(home, stages).make_all()
    return home


def test_the_logs_hold_what_the_folder_holds(folder: Path, tmp_path: Path) -> None:
    """A log for each stage and benchmark; samples, scores, results, the sampling; the same bytes again."""
    paths = write_logs(folder, tmp_path / "logs")
    assert len(paths) == 4 and all(len(p.name.split("_")) == 3 for p in paths)
    (path,) = [p for p in paths if "_gsm8k-samples-policy_" in p.name]
    with ZipFile(path) as log:
        assert log.testzip() is None
        header, summaries = (json.loads(log.read(name)) for name in ("header.json", "summaries.json"))
        wrong = json.loads(log.read("samples/gsm8k/3_epoch_2.json"))
        cut = json.loads(log.read("samples/gsm8k/3_epoch_3.json"))
        assert len(log.namelist()) == 2 + 15
    assert (header["version"], header["status"]) == (2, "success")
    spec = header["eval"]
    assert (spec["task"], spec["model"], spec["config"]["epochs"]) == ("gsm8k", "policy", 3)
    assert spec["model_generate_config"] == {"temperature": 0.7, "top_p": 1.0, "max_tokens": 99, "seed": 4}
    assert spec["dataset"]["samples"] == 5
    results = {s["name"]: s["metrics"] for s in header["results"]["scores"]}
    assert results["grader"]["accuracy"]["value"] == pytest.approx(1 / 3) and results["grader"]["stderr"]["value"] == 0
    assert results["reward model"]["mean"]["value"] == -0.5 and set(results) == {"grader", "reward model", "strict"}
    assert len(summaries) == 15 and summaries[0]["scores"]["grader"]["value"] == "C"
    assert (wrong["target"], wrong["scores"]["grader"]["value"], wrong["scores"]["strict"]["value"]) == ("6", "I", -1.0)
    assert cut["output"]["choices"][0]["stop_reason"] == "max_tokens" and set(cut["scores"]) == {"grader"}
    assert cut["scores"]["grader"]["value"] == "N" and "\ufffd </script>" in cut["output"]["completion"]
    again = write_logs(folder, tmp_path / "again")
    assert [p.read_bytes() for p in paths] == [p.read_bytes() for p in again]


def test_inspect_itself_reads_them(folder: Path, tmp_path: Path) -> None:
    """Its reader validates every field."""
    inspect_log = pytest.importorskip("inspect_ai.log", reason="inspect_ai is not installed")
    for path in write_logs(folder, tmp_path / "logs"):
        log = inspect_log.read_eval_log(str(path))
        assert log.status == "success" and len(log.samples) == log.results.total_samples
        assert log.samples[0].scores["grader"].value == "C"
        assert len(inspect_log.read_eval_log_sample_summaries(str(path))) == len(log.samples)


def test_what_cannot_be_exported_is_one_line(folder: Path, tmp_path: Path) -> None:
    """A folder without responses, and a place that holds something else; nothing is left there."""
    with pytest.raises(UserError, match="holds no finished responses"):
        write_logs(tmp_path, tmp_path / "logs")
    assert not (tmp_path / "logs").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="is not empty"):
        write_logs(folder, tmp_path / "mine")
    assert [p.name for p in tmp_path.iterdir()] == ["mine"]
