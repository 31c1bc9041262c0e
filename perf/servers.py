"""The same recipe stages with real servers; only the engine's settings differ.

    python perf/servers.py --server transformers=http://127.0.0.1:8101/v1,MODEL --server vllm=http://127.0.0.1:8102/v1,nano

The teacher stages (one greedy response per prompt, filters, cross-check) and a policy stage (four samples per math problem,
in one request if the server allows it) run in process with nano and then with each server, through the code of a run. It
prints responses, share correct, share of greedy texts equal to those in process, requests, tokens and seconds. It checks
that the stages send no request when they run again in emptied folders. docs/teachers.md tells how to start the servers.
Exit code 1 if a response is missing or a second run sends requests.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from acemath.notices import quiet_transformers
from acemath.recipe.load import load_recipe
from acemath.recipe.roles import Policy
from acemath.records import Problem, Response
from acemath.run.context import Run
from acemath.run.display import Display
from acemath.run.partitions import open_run
from acemath.run.problems import row_counts
from acemath.run.responses import Responder, graded, responses_of
from acemath.run.runner import Runner
from acemath.run.stage import Part
from acemath.run.stages import data_stages

EACH = 4


def run_of(folder: Path, count: int, engine: dict[str, Any]) -> Run:
    """A run of the laptop recipe whose teacher is this model."""
    changes = {
        "problems.seeds.worksheets.count": count,
        "models.teacher": engine,
        "roles.teachers.all": {"model": "teacher", "max_new_tokens": 120},
        "curate.evolve.share": 0.01,
    }
    return Run(load_recipe("laptop", changes), folder, Display(quiet=True))


STAGES = ("teacher-math", "candidates-nano")


def math_prompts(part: Part) -> list[Problem]:
    """The math prompts of a partition."""
    return [p for p in part.rows("prompts", Problem) if p.group == "math"]


def stages(run: Run) -> tuple[list[Response], list[Response], float, list[dict[str, Any]]]:
    """The teacher's greedy responses, the policy's samples, the seconds and the cost of both."""
    policy = Policy(model="teacher", each=EACH, temperature=1.0, max_new_tokens=120)
    responder = Responder(run, STAGES[1], policy, EACH, "nano")
    open_run(run.folder, lambda: row_counts(run))
    runner = Runner(
        run.folder, [*data_stages(run), responses_of(responder, ("prompts",), math_prompts, grade=True)]
    )
    stores = runner.stores
    for name in runner.by_name:
        if name == STAGES[0]:
            started = time.monotonic()
        runner.make(name)
    seconds = time.monotonic() - started
    problems = [p for p in stores["prompts"].all_rows(Problem) if p.group == "math"]
    greedy = graded(list(stores[STAGES[0]].all_rows(Response)), problems)
    costs = [stores[name].manifest["facts"].get("cost", {}) for name in STAGES]
    return greedy, list(stores[STAGES[1]].all_rows(Response)), seconds, costs


def report(name: str, greedy: list[Response], sampled: list[Response], seconds: float) -> None:
    """One line of numbers."""
    right = [100 * sum(r.correct for r in rows) / max(1, len(rows)) for rows in (greedy, sampled)]
    print(
        f"{name}: {len(greedy)} greedy, {right[0]:.1f} % right; {len(sampled)} samples, {right[1]:.1f} % right; "
        f"{sum(r.tokens for r in (*greedy, *sampled)):,} tokens; {seconds:.1f} s",
        flush=True,
    )


def against(name: str, url: str, model: str, folder: Path, count: int, texts: dict[str, str]) -> bool:
    """Run the stages with one server, and again after removing their folders; returns whether all checks passed."""
    engine = {
        "engine": "endpoint",
        "url": url,
        "id": model,
        "per_request": EACH,
        "timeout": 120,
        "in_flight": 64,
    }
    run = run_of(folder, count, engine)
    greedy, sampled, seconds, costs = stages(run)
    report(name, greedy, sampled, seconds)
    same = sum(texts[r.problem_id] == r.text for r in greedy)
    print(f"  greedy texts equal to the in-process run's: {same} of {len(greedy)}")
    for stage, cost in zip(("teacher", "policy"), costs, strict=True):
        print(f"  {stage}: {cost}")
    for stage in STAGES:
        shutil.rmtree(folder / stage)
    again = stages(run)
    run.close()
    kept = [cost["requests"] for cost in again[3]] == [cost["requests"] for cost in costs]
    kept &= again[:2] == (greedy, sampled)
    print(
        f"  the stages again, from what is kept: {again[2]:.1f} s, {'nothing' if kept else 'SOMETHING'} asked"
    )
    return kept and len(greedy) == len(texts) and len(sampled) == EACH * len(texts)


def main() -> None:
    """Run the stages in process and with every server."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--server", action="append", required=True, help="NAME=URL,MODEL")
    parser.add_argument("--model", default="nano", help="the same model in process")
    parser.add_argument("--in-process", choices=("transformers", "vllm"), default="transformers")
    parser.add_argument("--count", type=int, default=100, help="worksheet problems")
    chosen = parser.parse_args()
    quiet_transformers()
    with tempfile.TemporaryDirectory() as work:
        engine = {"engine": chosen.in_process, "id": chosen.model}
        greedy, sampled, seconds, _ = stages(run_of(Path(work) / "local", chosen.count, engine))
        report(f"in process, {chosen.in_process}", greedy, sampled, seconds)
        texts = {r.problem_id: r.text for r in greedy}
        right = []
        for server in chosen.server:
            name, _, place = server.partition("=")
            url, _, model = place.partition(",")
            right.append(against(name, url, model, Path(work) / name, chosen.count, texts))
    sys.exit(0 if all(right) else 1)


if __name__ == "__main__":
    main()
