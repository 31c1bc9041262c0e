"""AceMath-RewardBench built from several policies: their graded samples, written in the release's form."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from acemath.benchmarks.release import saved
from acemath.errors import UserError
from acemath.files.atomic import read_json
from acemath.files.identity import own_id
from acemath.records import BENCHMARK, Problem, Response, by_problem
from acemath.run.measuring.measure import MANIFEST
from acemath.run.measuring.problems import PROBLEMS
from acemath.run.measuring.stages import SAMPLES
from acemath.run.partitions import partitions_of
from acemath.run.store import StageStore


def write_bench(folder: Path, out: Path) -> dict[str, Any]:
    """Write the samples of all policies in an evaluation's folder as a release, and count what it holds.

    UserError if the folder holds no samples, or if a policy did not answer every problem.
    """
    stages = [one["stage"] for one in read_json(folder / MANIFEST)["stages"] if one["kind"] == SAMPLES]
    if not stages:
        raise UserError(f"{folder} holds no samples; give -n 8")
    count = partitions_of(folder)["benchmarks"].count
    stores = [StageStore(folder / stage, count) for stage in stages]
    counts = {"responses": 0, "right": 0}

    def rows() -> Iterator[tuple[str, dict[str, Any]]]:
        problems = StageStore(folder / PROBLEMS, count)
        for number in range(count):
            answered = [by_problem(store.rows(Response, number)) for store in stores]
            for problem in problems.rows(Problem, number):
                mine = [row for found in answered for row in found.get(problem.id, [])]
                counts["responses"] += len(mine)
                counts["right"] += sum(row.correct for row in mine)
                yield str(problem.meta[BENCHMARK]), _row(problem, mine)

    sets = saved(out, rows())
    return {"out": str(out), "policies": stages, "problems": sets, **counts}


def _row(problem: Problem, responses: Sequence[Response]) -> dict[str, Any]:
    """One row of the release. A response that was cut or refused has no answer and is wrong; `report` says why."""
    return {
        "idx": own_id(problem),
        "question": problem.prompt,
        "gt_cot": str(problem.meta.get("solution", "")),
        "gt": problem.answer,
        "code": [row.text for row in responses],
        "pred": [row.extracted or "" for row in responses],
        "report": [row.reason for row in responses],
        "score": [row.correct for row in responses],
        "model": [row.model for row in responses],
    }
