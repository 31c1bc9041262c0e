"""Two benchmarks whose rows have equal ids: each problem keeps its own prompt, reference and responses."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from acemath.benchmarks.tables import reward_bench
from acemath.models.engine import Sampling
from acemath.models.spec import EndpointModel, WorksheetsModel
from acemath.recipe.load import load_recipe
from acemath.records import Problem, Response, by_id
from acemath.run.display import Display
from acemath.run.evaluation import records_of
from acemath.run.measuring import models
from acemath.run.measuring.measure import measure
from acemath.run.measuring.settings import Measured, Plan

SUMS = {f"How much is {n} plus {n + 3}?": str(2 * n + 3) for n in range(6)}
PRODUCTS = {f"What do {n} boxes of {n + 2} pens hold?": str(n * (n + 2)) for n in range(6)}
ANSWERS = SUMS | PRODUCTS


def right(question: str) -> str:
    """The reference, in a box."""
    return f"We find \\boxed{{{ANSWERS[question.strip()]}}}."


def off_by_one(question: str) -> str:
    """One more than the reference."""
    return f"We find \\boxed{{{int(ANSWERS[question.strip()]) + 1}}}."


MODELS = {"right": right, "off-by-one": off_by_one}


@pytest.fixture(scope="module")
def url(serve: Any) -> str:
    """The address of both models."""
    return str(serve(MODELS))


@pytest.fixture()
def files(tmp_path: Path) -> list[Path]:
    """Two benchmark files that number their rows alike."""
    found = []
    for name, part in (("sums", SUMS), ("products", PRODUCTS)):
        rows = [{"id": n, "question": q, "answer": a} for n, (q, a) in enumerate(part.items())]
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        found.append(path)
    return found


@pytest.mark.parametrize(("model", "percent"), [("right", 100.0), ("off-by-one", 0.0)])
def test_in_a_run(
    model: str, percent: float, files: list[Path], url: str, make: Any, tmp_path: Path
) -> None:
    """All of 12 problems right by the reference, none one beside it: greedy, sampled, and on each benchmark."""
    changes = {
        "problems.benchmarks": {path.stem: {"file": str(path)} for path in files},
        f"models.{model}": {"engine": "endpoint", "url": url},
        "bench": {"headline": model, "k": 2, "policies": [model], "each": 4, "temperature": 0.7},
    }
    names = [f"{kind}-{model}" for kind in ("greedy", "samples")]
    stores = make(load_recipe("laptop", changes), tmp_path / "run", *names).stores
    problems = by_id(stores["benchmarks"].all_rows(Problem))
    greedy, samples = (list(stores[name].all_rows(Response)) for name in names)
    assert len(problems) == len(greedy) == 12 and len(samples) == 48
    assert all(100.0 * r.correct == percent for r in (*greedy, *samples))
    rows = reward_bench(records_of(problems, samples), 2)
    assert {row.value for row in rows} == {percent}
    assert {row.benchmark for row in rows} == {"sums", "products", "average"}


@pytest.mark.parametrize(("model", "percent"), [("right", 100.0), ("off-by-one", 0.0)])
def test_in_eval(model: str, percent: float, files: list[Path], url: str, tmp_path: Path) -> None:
    """The same in an evaluation of both files at once."""
    policy = Measured(model=EndpointModel(url=url, id=model), n=3, max_new_tokens=64)
    plan = Plan(policies={model: policy}, benchmarks=tuple(map(str, files)), k=2)
    found = measure(plan, tmp_path / "out", Display(quiet=True))
    assert found["benchmarks"] == {"sums": 6, "products": 6}
    assert {row["value"] for row in found["rows"]} == {percent}
    assert {row["benchmark"] for row in found["rows"]} == {"sums", "products", "average"}


class Cut:
    """A policy whose responses are all cut behind the right number."""

    name = "cut"

    def generate(self, problems: Sequence[Problem], sampling: Sampling) -> Iterator[Response]:
        """The reference of each problem as the last number of half a text."""
        for problem in problems:
            for sample in range(sampling.n):
                yield Response(problem.id, sample, f"so far {problem.answer}", self.name, "length")


def test_eval_says_that_responses_were_cut(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They earn nothing, though each ends in the reference; the reason for 0 % is said and stands in the result."""
    monkeypatch.setattr(models, "make_engine", lambda *_: Cut())
    policy = Measured(model=WorksheetsModel(engine="worksheets"), n=2, max_new_tokens=7)
    plan = Plan(policies={"cut": policy}, benchmarks=tuple(map(str, files)), k=2)
    found = measure(plan, tmp_path / "out", Display(quiet=True))
    assert {row["value"] for row in found["rows"]} == {0.0}
    assert [(r["kind"], r["cut"], r["cut_percent"]) for r in found["responses"]] == [("greedy", 12, 100.0), ("samples", 24, 100.0)]
    assert any("12 of 12 greedy responses have no end (12 cut at --max-new-tokens 7" in note for note in found["notes"])
