"""The same recipe stages against real servers, with only the engine's settings changed.

    python perf/servers.py --server transformers=http://127.0.0.1:8101/v1,MODEL --server vllm=http://127.0.0.1:8102/v1,nano

The teacher stages (one greedy response a prompt, filters, cross-check) and a policy stage (four samples a math problem, all
asked for with one request where the server can) run in process with nano first and then against each server, through the recipe's own
code. Printed: responses, share right, share of greedy texts that equal those of the in-process run, requests, tokens,
seconds; and that the same stages on emptied stage folders ask the server nothing. How to start the servers is in
docs/teachers.md. Exit code 1 where a response is missing or a second run asks again.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from acemath.recipe.load import load_recipe
from acemath.recipe.roles import Policy
from acemath.records import Problem, Response
from acemath.run import data
from acemath.run.context import Run
from acemath.run.display import Display
from acemath.run.run import quiet_transformers
from acemath.run.sampling import graded, sample

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


def stages(run: Run) -> tuple[list[Response], list[Response], float]:
    """The greedy responses of the teacher, the samples of the policy, and the seconds of both."""
    data.problems(run)
    data.evolution(run)
    data.curate(run)
    problems = [p for p in run.rows("curate", Problem) if p.group == "math"]
    started = time.monotonic()
    data.synthesize(run)
    policy = Policy(model="teacher", each=EACH, temperature=1.0, max_new_tokens=120)
    sample(run, "candidates-nano", "nano", policy, problems, ["curate"])
    seconds = time.monotonic() - started
    known = {p.id for p in problems}
    greedy = graded([r for r in run.rows("teacher-math", Response) if r.problem_id in known], problems)
    return greedy, run.rows("candidates-nano", Response), seconds


def report(name: str, greedy: list[Response], sampled: list[Response], seconds: float) -> None:
    """One line of numbers."""
    right = [100 * sum(r.correct for r in rows) / max(1, len(rows)) for rows in (greedy, sampled)]
    print(
        f"{name}: {len(greedy)} greedy, {right[0]:.1f} % right; {len(sampled)} samples, {right[1]:.1f} % right; "
        f"{sum(r.tokens for r in (*greedy, *sampled)):,} tokens; {seconds:.1f} s",
        flush=True,
    )


def against(name: str, url: str, model: str, folder: Path, count: int, texts: dict[str, str]) -> bool:
    """The stages against one server, and again after their folders were taken away; whether all went well."""
    engine = {
        "engine": "endpoint",
        "url": url,
        "id": model,
        "per_request": EACH,
        "timeout": 120,
        "in_flight": 64,
    }
    run = run_of(folder, count, engine)
    greedy, sampled, seconds = stages(run)
    report(name, greedy, sampled, seconds)
    same = sum(texts[r.problem_id] == r.text for r in greedy)
    costs = [run.manifest(stage)["cost"] for stage in ("teacher-math", "candidates-nano")]
    print(f"  greedy texts equal to the in-process run's: {same} of {len(greedy)}")
    for stage, cost in zip(("teacher", "policy"), costs, strict=True):
        print(f"  {stage}: {cost}")
    for stage in ("teacher-math", "candidates-nano"):
        shutil.rmtree(folder / stage)
    again = stages(run)
    requests = [run.manifest(stage)["cost"]["requests"] for stage in ("teacher-math", "candidates-nano")]
    run.close()
    kept = requests == [cost["requests"] for cost in costs] and again[:2] == (greedy, sampled)
    print(
        f"  the stages again, from what is kept: {again[2]:.1f} s, {'nothing' if kept else 'SOMETHING'} asked"
    )
    return kept and len(greedy) == len(texts) and len(sampled) == EACH * len(texts)


def main() -> None:
    """Run the stages in process and against every server."""
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
        engine = {"engine": chosen.in_process, "model": chosen.model}
        greedy, sampled, seconds = stages(run_of(Path(work) / "local", chosen.count, engine), engine)
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
