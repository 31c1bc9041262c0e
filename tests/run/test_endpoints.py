"""A recipe's stages with an endpoint as teacher and as policy: cost in the manifest, nothing asked twice."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from acemath.errors import UserError
from acemath.recipe.load import load_recipe
from acemath.recipe.schema import Recipe
from acemath.records import REFUSED, Problem, Response
from acemath.run.runner import Runner

FAULTY = Path(__file__).resolve().parents[2] / "perf" / "faulty_server.py"


@pytest.fixture()
def url() -> Iterator[str]:
    """The address of a server that fails one request of ten."""
    command = [sys.executable, str(FAULTY), "--seconds", "240", "--latency", "0.002", "--faults", "0.1"]
    server = subprocess.Popen([*command, "--kinds", "429,500,cut"], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    with server.stdout:
        yield server.stdout.readline().strip()
        server.kill()
        server.wait()


STAGES = ("teacher-math", "teacher-code", "teacher-general")
Make = Callable[..., Runner]


def responses(runner: Runner) -> list[Response]:
    """The responses of all teachers."""
    return [row for stage in STAGES for row in runner.stores[stage].all_rows(Response)]


def recipe_of(url: str, budget: float | None = None, **teacher: object) -> Recipe:
    """The laptop recipe on a few problems in four partitions, with an endpoint as teacher and as policy."""
    model = {"engine": "endpoint", "url": url, "price_in": 1.0, "price_out": 2.0, **teacher}
    changes = {
        "partitions": 4,
        "problems.seeds.worksheets.count": 40,
        "models.teacher": model,
        "roles.ranker": None,
        "reward.problems": 20,
        "reward.candidates": {"policies": {"x": {"model": "teacher", "each": 2}}},
        "budget_usd": budget,
    }
    return load_recipe("laptop", changes)


def asked(url: str) -> int:
    """How many requests the server has answered in any way."""
    return sum(httpx.get(f"{url}/count").json()["outcomes"].values())


def test_a_teacher_and_a_policy_behind_an_endpoint(
    url: str, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both book in one place; a stage that is run anew asks for nothing; settings of operation re-run no stage."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-planted-0123456789")
    runner = make(recipe_of(url), tmp_path, *STAGES, "candidates-x")
    first = responses(runner)
    assert len(first) == sum(1 for _ in runner.stores["prompts"].all_rows(Problem)) > 40
    costs = [runner.stores[stage].manifest["facts"]["cost"] for stage in STAGES]
    assert sum(cost["requests"] for cost in costs) == len(first) and all(c["usd"] > 0 for c in costs)
    assert all(cost["most_in_flight"] > 0 for cost in costs) and sum(sum(c["faults"].values()) for c in costs) > 0
    facts = runner.stores["candidates-x"].manifest["facts"]
    assert facts["responses"] == facts["cost"]["requests"] == 40
    count = asked(url)
    for stage in STAGES:
        shutil.rmtree(tmp_path / stage)
    again = make(recipe_of(url, in_flight=4, tries=3), tmp_path, *STAGES, "candidates-x")
    assert again.ran == list(STAGES) and responses(again) == first and asked(url) == count
    assert costs[0]["usd"] == again.stores["teacher-math"].manifest["facts"]["cost"]["usd"]
    files = [p for p in tmp_path.rglob("*") if p.is_file()]
    assert len(files) > 8 and all(b"sk-planted" not in p.read_bytes() for p in files)


def test_the_budget_of_the_whole_run(url: str, make: Make, tmp_path: Path) -> None:
    """`budget_usd` of the recipe holds for all endpoints; a higher one goes on from there and asks for nothing twice."""
    for budget in (0.0, 0.005):
        with pytest.raises(UserError, match="the budget of the whole run"):
            make(recipe_of(url, budget), tmp_path, *STAGES)
    count = httpx.get(f"{url}/count").json()
    assert sum(count["tokens"].values()) * 1.0 / 1e6 <= 0.005  # a token costs 1 or 2 US$ a million
    done = list(tmp_path.glob("teacher-math/part-*"))
    whole = responses(make(recipe_of(url), tmp_path, *STAGES))
    assert whole and all(path.exists() for path in done)
    twice = Counter(httpx.get(f"{url}/count").json()["delivered"])
    assert max(twice.values()) == 1


def test_what_a_server_refuses_is_dropped_with_its_reason(serve: Any, make: Make, tmp_path: Path) -> None:
    """A teacher's refused responses are dropped rows of its stage; a benchmark's stay, for its numbers are over all."""

    def some(question: str) -> str | None:
        return None if len(question) % 5 == 0 else "So \\boxed{1}."

    changes = {
        "partitions": 4,
        "problems.seeds.worksheets.count": 40,
        "problems.benchmarks.worksheets.count": 28,
        "curate.evolve.methods": [],
        "models.teacher": {"engine": "endpoint", "url": serve({"teacher": some})},
        "bench": {"headline": "p", "policies": {"p": {"model": "teacher"}}, "each": 1},
    }
    runner = make(load_recipe("laptop", changes), tmp_path, "teacher-math", "greedy-p")
    store = runner.stores["teacher-math"]
    prompts = {p.id: p for p in runner.stores["prompts"].all_rows(Problem) if p.group == "math"}
    kept, dropped = list(store.all_rows(Response)), list(store.dropped())
    assert {r.problem_id for r in kept} | {d.id for d in dropped} == set(prompts) and kept and dropped
    assert {(d.step, d.reason) for d in dropped} == {("teacher-math", REFUSED)}
    assert all("this question is refused" in d.detail and d.text == prompts[d.id].prompt for d in dropped)
    facts = store.manifest["facts"]
    assert (facts["responses"], facts["refused"]) == (len(kept), len(dropped))
    greedy = list(runner.stores["greedy-p"].all_rows(Response))
    assert len(greedy) == 28 and {r.status for r in greedy if r.finish_reason == REFUSED} == {"no_answer"}
