"""A recipe's stages with an endpoint as teacher and as policy: cost in the manifest, nothing asked twice."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from acemath.run.sampling import sample

from acemath.errors import UserError
from acemath.recipe.load import load_recipe
from acemath.recipe.roles import Policy
from acemath.records import Problem, Response
from acemath.run import data
from acemath.run.context import Run
from acemath.run.display import Display

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


def responses(run: Run) -> list[Response]:
    """The responses of all teachers."""
    return [row for stage in STAGES for row in run.rows(stage, Response)]


def run_of(folder: Path, url: str, **teacher: object) -> Run:
    """The laptop recipe on a few problems, with an endpoint as teacher."""
    model = {"engine": "endpoint", "url": url, "price_in": 1.0, "price_out": 2.0, **teacher}
    changes = {"problems.seeds.worksheets.count": 40, "models.teacher": model}
    return Run(load_recipe("laptop", changes), folder, Display(quiet=True))


def test_a_teacher_and_a_policy_behind_an_endpoint(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both book in one place; a stage that is run anew asks for nothing; settings of operation re-run no stage."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-planted-0123456789")
    with closing(run_of(tmp_path, url)) as run:
        data.problems(run)
        data.evolution(run)
        data.curate(run)
        data.synthesize(run)
        prompts = run.rows("curate", Problem)
        first = responses(run)
        assert len(first) == len(prompts) > 40
        costs = [run.manifest(stage)["cost"] for stage in STAGES]
        assert sum(cost["requests"] for cost in costs) == len(prompts) and all(c["usd"] > 0 for c in costs)
        policy = Policy(model="teacher", each=2)
        sample(run, "candidates-x", "x", policy, prompts[:20], ["curate"])
        assert run.manifest("candidates-x")["counts"]["responses"] == 40
    asked = sum(httpx.get(f"{url}/count").json()["outcomes"].values())
    for stage in STAGES:
        shutil.rmtree(tmp_path / stage)
    with closing(run_of(tmp_path, url, in_flight=4, tries=3)) as run:
        data.synthesize(run)
        assert responses(run) == first and run.ran == list(STAGES)
    assert sum(httpx.get(f"{url}/count").json()["outcomes"].values()) == asked
    files = [p for p in tmp_path.rglob("*") if p.is_file()]
    assert len(files) > 8 and all(b"sk-planted" not in p.read_bytes() for p in files)


def test_the_budget_of_the_whole_run(url: str, tmp_path: Path) -> None:
    """`budget_usd` of the recipe holds for all endpoints; a higher one goes on from there."""
    with closing(run_of(tmp_path, url)) as run:
        data.problems(run)
        data.evolution(run)
        data.curate(run)
    for budget in (0.0, 0.005):
        small = run_of(tmp_path, url)
        small.recipe = small.recipe.model_copy(update={"budget_usd": budget})
        with closing(small), pytest.raises(UserError, match="the budget of the whole run"):
            data.synthesize(small)
    count = httpx.get(f"{url}/count").json()
    assert sum(count["tokens"].values()) * 1.0 / 1e6 <= 0.005  # a token costs 1 or 2 US$ a million
    with closing(run_of(tmp_path, url)) as run:
        data.synthesize(run)
        assert responses(run)
