"""Two benchmarks whose rows have equal ids: each problem keeps its own prompt, reference and responses."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from acemath.benchmarks.tables import reward_bench
from acemath.cli.eval import evaluate
from acemath.models.engine import ChatFormat, Sampling
from acemath.models.generate.endpoint.account import Account
from acemath.models.generate.endpoint.engine import EndpointEngine
from acemath.models.spec import EndpointModel
from acemath.recipe.load import load_recipe
from acemath.records import Problem, Response, by_id
from acemath.run.evaluation import records_of

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
    """The same through `acemath eval` with both files at once."""
    with closing(Account(tmp_path / "journal")) as account:
        engine = EndpointEngine(EndpointModel(url=url, id=model), account, ChatFormat(), model)
        found = evaluate(files, engine, 3, 2, None, ChatFormat(), 64)
    assert found["n"] == 12 and 100 * found["greedy"]["value"] == percent
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


def test_eval_says_that_responses_were_cut(files: list[Path], caplog: pytest.LogCaptureFixture) -> None:
    """They earn nothing, though each ends in the reference; the reason for 0 % is said and stands in the result."""
    found = evaluate(files, Cut(), 2, 2, None, ChatFormat(), 7)
    assert found["greedy"]["value"] == 0.0 and {row["value"] for row in found["rows"]} == {0.0}
    assert found["greedy_unfinished"] == {"length": 12} and found["samples_unfinished"] == {"length": 24}
    assert "12 of 12 greedy responses have no end (12 cut at --max-new-tokens 7" in caplog.text
