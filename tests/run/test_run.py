"""A whole small run with nano, and two policies behind an endpoint whose results are known beforehand.

It has 16 partitions. Its numbers are what its rows say; a second run does nothing, a change re-runs what it touches,
kills do no harm, other programs read its files.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import combinations
from pathlib import Path
from statistics import mean
from typing import Any

import pyarrow.parquet as pq
import pytest

from acemath.benchmarks.tables import STANDARD
from acemath.demo.worksheets.sheets import question_of, split_of
from acemath.files.rows import read_rows
from acemath.models.builtin import WEIGHTS
from acemath.recipe.load import load_recipe
from acemath.records import Problem
from acemath.run.source_rows import read_benchmark

pytestmark = [
    pytest.mark.skipif(
        not (WEIGHTS / "model.safetensors").exists(), reason="nano's weights are not in the package"
    ),
]

SMALL = [
    "partitions=16",
    "problems.seeds.worksheets.count=240",
    "problems.benchmarks.worksheets.count=45",
    "sft.stages={math: {blend: [math, general, code]}}",
    "sft.settings={learning_rate: 2.0e-3, global_batch: 4, micro_batch: 4, max_length: 256, validation: 8, save_every: 20}",
    "reward.problems=60",
    "reward.candidates={policies: [math, hot: {model: math, temperature: 1.3}], each: 8, max_new_tokens: 80}",
    "reward.train.batch_groups=8",
    "bench.k=3",
    "bench.curve=[1, 8]",
]
K = 3
PROGRAM = [sys.executable, "-m", "acemath"]


def _reference_answers() -> dict[str, str]:
    changes = {"problems.benchmarks.worksheets.count": 45}
    recipe = load_recipe("laptop", changes)
    rows = read_benchmark("worksheets", recipe.problems.benchmarks["worksheets"], recipe.seed)
    return {p.prompt: p.answer for p in rows}


@pytest.fixture(scope="module", autouse=True)
def policies(serve: Any) -> None:
    """The policies of every run here: nano's, one that answers by the reference, and one that answers beside it."""
    answers = _reference_answers()
    url = serve(
        {
            "right": lambda question: f"So \\boxed{{{answers[question]}}}.",
            "wrong": lambda question: f"So \\boxed{{{answers[question]}+1}}.",
        }
    )
    served = [f"models.{name}={{engine: endpoint, url: '{url}'}}" for name in ("right", "wrong")]
    SETTINGS[:] = [*SMALL, *served, "bench.each=8", "bench.policies=[math: {max_new_tokens: 80}, right, wrong]"]


SETTINGS: list[str] = []


def _words(folder: Path, *changes: str) -> list[str]:
    settings = [part for change in (*SETTINGS, *changes) for part in ("--set", change)]
    return ["run", "laptop", "--out", str(folder), "--json", *settings]


def _run(folder: Path) -> dict[str, Any]:
    """The run in a process of its own, as it is killed in one: the bytes of its files can depend on the process."""
    done = subprocess.run([*PROGRAM, *_words(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return dict(json.loads(done.stdout))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an uninterrupted small run."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    result = _run(folder)
    assert Path(result["report"]).exists() and result["peak_mb"] < 4096
    tables = _tables(folder)
    assert result["headline"] == {name: round(e["value"], 2) for name, e in tables["headline"].items()}
    return folder


def _value(text: str | None) -> object:
    """An answer as a number where it is one, without the grader's help; None where there is none."""
    if text is None:
        return None
    plain = re.sub(r"\\frac\{(-?\d+)\}\{(\d+)\}", r"\1/\2", text).strip()
    try:
        return Fraction(plain)
    except ValueError:
        return plain


def _stored(folder: Path, name: str) -> tuple[dict[str, Problem], dict[str, list[dict[str, Any]]]]:
    """The benchmarks' problems, and a policy's scored responses to each, as they lie on disk."""
    problems = {p.id: p for p in read_rows(folder / "benchmarks", Problem)}
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for path in sorted((folder / f"scores-{name}").glob("part-*.parquet")):
        for row in pq.read_table(path).to_pylist():
            rows[row["problem_id"]].append(row)
    return problems, rows


def _best(key: Callable[[dict[str, Any]], float], rows: Sequence[dict[str, Any]]) -> float:
    """How often the highest of `key` is right; equal ones share."""
    top = max(map(key, rows))
    return mean(row["status"] == "correct" for row in rows if key(row) == top)


def _vote(rows: Sequence[dict[str, Any]]) -> float:
    """How often the answer with most votes is right; equal ones share, no answer has no vote."""
    votes = Counter(v for row in rows if (v := _value(row["extracted"])) is not None)
    if not votes:
        return 0.0
    winners = [v for v, n in votes.items() if n == max(votes.values())]
    right = {_value(row["extracted"]) for row in rows if row["status"] == "correct"}
    return mean(v in right for v in winners)


def _brute_force(
    folder: Path, name: str, value: Callable[[Sequence[dict[str, Any]]], float], k: int
) -> float:
    """Percent: the mean over all k-subsets, problems, and then benchmarks."""
    problems, rows = _stored(folder, name)
    by_benchmark: dict[str, list[float]] = defaultdict(list)
    for key, mine in rows.items():
        assert len(mine) == 8
        by_benchmark[problems[key].subject].append(mean(map(value, combinations(mine, k))))
    assert sum(map(len, by_benchmark.values())) == len(problems) == 45
    return 100 * mean(map(mean, by_benchmark.values()))


VALUES: dict[str, tuple[Callable[[Sequence[dict[str, Any]]], float], int]] = {
    "pass@1": (lambda rows: rows[0]["status"] == "correct", 1),
    f"maj@{K}": (_vote, K),
    f"rm@{K} before training": (
        lambda rows: _best(lambda row: json.loads(row["meta"])["reward before training"], rows),
        K,
    ),
    f"rm@{K}": (lambda rows: _best(lambda row: row["reward"], rows), K),
    f"pass@{K}": (lambda rows: any(row["status"] == "correct" for row in rows), K),
}


def test_the_headline_is_what_the_stored_rows_say(finished: Path) -> None:
    """Every number of the headline by brute force over all subsets of the rows on disk, and the differences."""
    tables = _tables(finished)
    found = {name: e["value"] for name, e in tables["headline"].items()}
    assert found == pytest.approx({name: _brute_force(finished, "math", *VALUES[name]) for name in VALUES})
    assert 0 < found["pass@1"] < found[f"pass@{K}"] < 100, "a run in which nothing differs shows nothing"
    for name, difference in tables["differences"].items():
        assert difference["value"] == pytest.approx(found[f"rm@{K}"] - found[name])
    assert set(tables["differences"]) == set(found) - {f"rm@{K}", f"pass@{K}"}


def test_every_stored_verdict_is_true(finished: Path) -> None:
    """A whole response with a box is right where its box holds the answer that its worksheet works out to."""
    problems, rows = _stored(finished, "math")
    checked = Counter[bool]()
    for key, mine in rows.items():
        answer = _value(question_of(problems[key]).answer)
        for row in mine:
            boxes = re.findall(r"\\boxed\{((?:[^{}]|\{[^{}]*\})*)\}", row["text"])
            if row["finish_reason"] == "stop" and len(boxes) == 1:
                right = _value(boxes[0]) == answer
                assert (row["status"] == "correct") == right, row
                checked[right] += 1
    assert min(checked[True], checked[False]) > 40


def test_policies_whose_results_are_known(finished: Path) -> None:
    """By the reference: 100 in every measure, greedy and on each benchmark. Beside the reference: 0."""
    policies = _tables(finished)["policies"]
    for name, percent in (("right", 100.0), ("wrong", 0.0)):
        found = policies[name]
        assert found["greedy"]["value"] == percent and found["greedy"]["problems"] == 45
        assert set(found["greedy by benchmark"].values()) == {percent}
        assert {e["value"] for row in found["curves"].values() for e in row} == {percent}


def test_rewardbench_gives_the_runs_numbers(finished: Path, command: Callable[..., Any]) -> None:
    """`acemath rewardbench` on a run's scored rows: the headline's names and values, and those of all policies together."""
    tables = _tables(finished)
    folders = {name: str(finished / f"scores-{name}") for name in ("math", "right", "wrong")}
    for given in ([folders["math"]], list(folders.values())):
        rows = json.loads(command("rewardbench", *given, "-k", K, "--json").out)["rows"]
        if len(given) > 1:
            mine = [row for row in rows if row["selector"] in STANDARD]
            assert len(mine) == len(tables["rewardbench"]["rows"])
            for row, stored in zip(mine, tables["rewardbench"]["rows"], strict=True):
                assert {key: row[key] for key in stored} == pytest.approx(stored, abs=1e-6)
            continue
        averages = {row["measure"]: row for row in rows if row["benchmark"] == "average"}
        for name, e in tables["headline"].items():
            assert {key: averages[name][key] for key in e} == pytest.approx(e, abs=1e-6)
        assert {row["benchmark"] for row in rows} == {
            "average",
            *(row["benchmark"] for row in tables["rewardbench"]["rows"]),
        }


def test_nothing_that_was_trained_on_is_measured(finished: Path) -> None:
    """No prompt of a training stage is a question of the test split, and every benchmark problem is."""
    tests = read_rows(finished / "benchmarks", Problem)
    trained = read_rows(finished / "prompts", Problem)
    keys = {(p.meta["family"], repr(question_of(p).key)) for p in tests}
    assert all(split_of(p.meta["family"], question_of(p).key) == "test" for p in tests)
    assert len(trained) > 300
    assert not [p.id for p in trained if (p.meta["family"], repr(question_of(p).key)) in keys]
    assert not {p.prompt for p in trained} & {p.prompt for p in tests}


def test_second_run_does_nothing(finished: Path) -> None:
    """Unchanged, no stage runs and torch is not even imported, so that it ends at once."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "acemath", *_words(finished)], capture_output=True, text=True, check=True
    )
    imported = {line.rsplit("|", 1)[1].strip() for line in done.stderr.splitlines() if "|" in line}
    assert json.loads(done.stdout)["ran"] == [] and "acemath.recipe.schema" in imported and "torch" not in imported


def test_a_model_that_was_made_again_gets_its_table(finished: Path, command: Callable[..., Any]) -> None:
    """The card of a reward model with the same weights, but without rm@k, as after its folder was made again."""
    facts = finished / "reward" / "model" / "training.json"
    whole = json.loads(facts.read_text())
    assert whole["bench"] and f"## rm@{K}" in (finished / "reward" / "model" / "README.md").read_text()
    facts.write_text(json.dumps(whole | {"bench": []}))
    assert json.loads(command(*_words(finished)).out)["ran"] == [] and json.loads(facts.read_text()) == whole


def test_change_runs_what_it_touches(finished: Path, tmp_path: Path, command: Callable[..., Any]) -> None:
    """A setting of the groups re-runs groups, reward, scores, tables and report, and nothing before them.

    Without held-out groups the trained weights are kept, better or not, so that what follows has something to do.
    """
    folder = shutil.copytree(finished, tmp_path / "changed")
    result = json.loads(command(*_words(folder, "reward.groups.pool=4", "reward.groups.held_out=0")).out)
    assert "groups" in result["ran"] and "tables" in result["ran"]
    assert not any(
        name.startswith(("sft", "candidates", "samples", "prompts", "teacher")) for name in result["ran"]
    )


def test_a_run_that_ends_early_is_gone_on_with(tmp_path: Path, command: Callable[..., Any]) -> None:
    """Until the training sets, then until the policies, which is one command for all stages; a wrong name is told."""
    words = _words(tmp_path / "run", "problems.seeds.worksheets.count=40", "problems.benchmarks.worksheets.count=14")
    data = json.loads(command(*words, "--until", "data").out)
    assert data["models"] == [] and not (tmp_path / "run" / "sft-math").exists() and data["conversations"]["math"] > 0
    trained = json.loads(command(*words, "--until", "sft").out)
    assert trained["ran"] == ["sft-math"] and (Path(trained["models"][0]) / "model.safetensors").exists()
    assert not (tmp_path / "run" / "reward").exists()
    wrong = command(*words, "--until", "stf")
    assert wrong.code == 2 and "'stf'" in wrong.err and len(wrong.err.splitlines()) == 1


def _tables(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "tables" / "numbers" / "tables.json").read_text()))


def _made(folder: Path) -> dict[str, bytes]:
    """The bytes of every part file, file of dropped rows and table."""
    files = [*folder.glob("*/*.parquet"), *folder.glob("tables/numbers/*.json")]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_killed_run_ends_with_the_same_bytes(finished: Path, tmp_path: Path) -> None:
    """kill -9 when these files are there, then the same command: the rows and tables of a run that was never stopped."""
    folder = tmp_path / "killed"
    for pattern, count in (
        ("checker-first/part-*", 9),
        ("sft-math/work/*/*", 1),
        ("reward/work/*/*", 1),
    ):
        worker = subprocess.Popen([*PROGRAM, *_words(folder)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while len(list(folder.glob(pattern))) < count:
            assert worker.poll() is None, f"the run ended before {pattern} was there"
            time.sleep(0.01)
        worker.send_signal(signal.SIGKILL)
        worker.wait()
    _run(folder)
    assert _made(folder) == _made(finished)


def test_other_programs_read_every_stage(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pandas reads every part file, and `datasets` all parts of each stage that has rows, without acemath."""
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    import pandas as pd
    from datasets import load_dataset

    stages = sorted({path.parent.name for path in finished.glob("*/part-*.parquet")})
    assert len(stages) > 20
    by_columns: dict[tuple[str, ...], dict[str, str]] = defaultdict(dict)
    counts = {}
    for stage in stages:
        frames = [pd.read_parquet(path) for path in sorted((finished / stage).glob("part-*.parquet"))]
        assert len(frames) in (1, 16)
        count = sum(map(len, frames))
        if count == 0:  # `datasets` loads no split without rows
            assert stage == "instructions"
            continue
        counts[stage.replace("-", "_")] = count
        by_columns[tuple(frames[0].columns)][stage.replace("-", "_")] = str(finished / stage / "part-*.parquet")
    for files in by_columns.values():
        loaded = load_dataset("parquet", data_files=files, cache_dir=str(tmp_path / "cache"))
        assert {name: len(rows) for name, rows in loaded.items()} == {name: counts[name] for name in files}


def test_what_an_older_acemath_made_is_told_in_one_line(tmp_path: Path, command: Callable[..., Any]) -> None:
    """A run's folder and a recipe of before partitions, models and roles: what they are and what to do; exit code 2."""
    (tmp_path / "run" / "problems").mkdir(parents=True)
    (tmp_path / "run" / "problems" / "manifest.json").write_text("{}")
    recipe = tmp_path / "old.yaml"
    recipe.write_text("name: old\nteachers: {main: {engine: worksheets}}\n")
    (tmp_path / "run" / "recipe.yaml").write_bytes(recipe.read_bytes())
    older_run = "was made by an older acemath; use another --out, or remove it"
    for arguments, message in (
        (["run", "laptop", "--out", str(tmp_path / "run")], older_run),
        (["report", str(tmp_path / "run")], older_run),
        (["run", str(recipe), "--out", str(tmp_path / "new")], "'teachers' is of an older acemath; describe models"),
    ):
        done = command(*arguments)
        assert done.code == 2 and message in done.err and len(done.err.splitlines()) == 1
