"""Selectors on real and on made-up candidates: controls, exact values beside draws, known values, time and memory.

    python perf/rewardbench.py                 # all parts, about two minutes
    python perf/rewardbench.py --only speed

Real responses come from ../shared/data; see its README. Prints Markdown; docs/rewardbench.md holds a copy.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"  # one core; before numpy is imported

import numpy as np
from grading_data import pool_outputs

from acemath.benchmarks.stored import stored_records
from acemath.benchmarks.tables import (
    AVERAGE,
    SELECTORS,
    Answer,
    Pool,
    Record,
    benchmarks_of,
    measure,
    record_of,
    reward_bench,
    selectors,
    values_at,
)
from acemath.grade import classes
from acemath.metrics import EXACT, FIRST, estimates
from acemath.metrics.pickers import chunks
from acemath.metrics.subsets import orders

SHARED = Path(__file__).resolve().parents[2] / "shared"
POOLS = ("gsm8k", "math_l5")
EACH = 8  # responses a problem, as AceMath-RewardBench's rm@8
DRAWS = 10_000
PROBLEMS, CANDIDATES, KS = 8_987, 64, (1, 2, 4, 8, 16, 32, 64)  # the size of AceMath-RewardBench


def real_records(seed: int = 0) -> list[Record]:
    """A record for each real problem: the responses of EACH different models, drawn by seed, with their labels."""
    found = []
    for pool in POOLS:
        draw = random.Random(seed)
        by_problem: dict[str, dict[str, Answer]] = {}
        for problem, row in pool_outputs(SHARED, pool):
            answer = None if row["pred"] is None else str(row["pred"])
            by_problem.setdefault(problem, {})[f"{row['model']} {row.get('kind', '')}"] = Answer(
                answer, bool(row["label"]), None, None, len(row["response"]), row["model"]
            )
        for problem, by_model in by_problem.items():
            if len(by_model) >= EACH:
                names = draw.sample(sorted(by_model), EACH)
                found.append(record_of(pool, problem, 0, [by_model[name] for name in names]))
    return found


def with_judge(records: Sequence[Record], seed: int = 1) -> list[Record]:
    """The records with made-up rewards, label + noise in steps of a half (so that some tie), and a made-up verifier."""
    rng = np.random.default_rng(seed)
    found = []
    for record in records:
        right = np.array(record.correct, float)
        rewards = np.round(2 * (right + rng.normal(size=len(right)))) / 2
        accepted = rng.random(len(right)) < 0.3 + 0.4 * right
        found.append(replace(record, rewards=tuple(map(float, rewards)), accepted=tuple(map(bool, accepted))))
    return found


def controls(records: Sequence[Record]) -> None:
    """The table of the selectors that need no judge, at k = 4 and 8."""
    names = [*benchmarks_of(records), AVERAGE]
    sizes = ", ".join(f"{name} {sum(r.benchmark == name for r in records)}" for name in names[:-1])
    print(f"Controls, {EACH} responses a problem from different models ({sizes} problems), percent, 95 % interval\n")
    print("| measure | " + " | ".join(names) + " |\n|---|" + "---|" * len(names))
    for k in (4, EACH):
        rows = {(row.measure, row.benchmark): row for row in reward_bench(records, k)}
        for name in dict.fromkeys(m for m, _ in rows):
            cells = [rows[name, b] for b in names]
            print(f"| {name} | " + " | ".join(f"{c.value:.2f} ({c.low:.2f} … {c.high:.2f})" for c in cells) + " |")
    print()


def against_draws(records: Sequence[Record], k: int = 4) -> None:
    """The exact mean over all problems beside that of DRAWS random subsets a problem, for every selector."""
    print(f"Exact and {DRAWS:,} draws of {k} from {EACH}, percent; rewards and verifier are made up\n")
    print("| measure | exact | drawn | difference / Monte-Carlo error |\n|---|---|---|---|")
    pool = Pool(records)
    keys = [f"{r.benchmark} {r.problem_id}" for r in records]
    worst = 0.0
    for name in selectors(records):
        picker = SELECTORS[name](pool)
        means, variances = [], []
        for rows in chunks(len(records), DRAWS * EACH * EACH):
            values = picker.on((orders(EACH, DRAWS, 7, keys[rows]) < k).astype(float), rows)
            means.append(values.mean(axis=1))
            variances.append(values.var(axis=1, ddof=1))
        exact = picker.exact([k]).mean()
        drawn, error = np.concatenate(means).mean(), np.sqrt(np.concatenate(variances).sum() / DRAWS) / len(records)
        worst = max(worst, abs(exact - drawn) / error)
        print(f"| {measure(name, k)} | {100 * exact:.4f} | {100 * drawn:.4f} | {(exact - drawn) / error:+.2f} |")
    print(f"\nThe largest difference is {worst:.2f} Monte-Carlo errors.\n")


def known_values() -> None:
    """The scored file of the Qwen2.5-Math harness in the harness's protocol, and with shared ties."""
    records, _ = stored_records([SHARED / "data" / "qwen_math100x8_scored.jsonl"])
    print("qwen_math100x8_scored.jsonl, k = 8 of 8, percent\n")
    print("| protocol | pass@1 | maj@8 | rm@8 | pass@8 |\n|---|---|---|---|---|")
    for protocol, words in ((FIRST, "the order breaks ties"), (EXACT, "ties share")):
        rows = {r.selector: r.value for r in reward_bench(records, 8, protocol) if r.benchmark == AVERAGE}
        cells = (rows[name] for name in ("random", "majority", "reward model", "oracle"))
        print(f"| {protocol.name}: {words} | " + " | ".join(f"{value:.2f}" for value in cells) + " |")
    print()


def made_records(seed: int = 0) -> list[Record]:
    """PROBLEMS of CANDIDATES each: skills from hopeless to sure, from 3 to 60 wrong answers, rewards and lengths."""
    rng = np.random.default_rng(seed)
    shape = (PROBLEMS, CANDIDATES)
    correct = rng.random(shape) < rng.beta(0.6, 0.6, (PROBLEMS, 1))
    wrong = 1 + (rng.random(shape) ** 2 * rng.integers(2, 60, (PROBLEMS, 1))).astype(int)
    labels = np.where(correct, 0, wrong)
    labels[(rng.random(shape) < 0.05) & ~correct] = -1
    columns = (labels, correct, rng.normal(size=shape) + correct, rng.integers(100, 4000, shape))
    return [
        Record(f"set {at % 7}", str(at), 0, *(tuple(column[at].tolist()) for column in columns))
        for at in range(PROBLEMS)
    ]


def speed() -> None:
    """Time and peak memory of every selector on made-up records of the size of AceMath-RewardBench."""
    records = made_records()
    print(f"{PROBLEMS:,} problems × {CANDIDATES} candidates, k = {', '.join(map(str, KS))}, 1,000 resamples, one core\n")
    print(f"records in memory: {peak():,.0f} MB\n")
    print("| selector | values, s | intervals, s | peak, MB |\n|---|---|---|---|")
    asked = 0.0
    names = ("random", "oracle", "shortest", "longest", "reward model", "majority", "weighted majority", "softmax majority", "reward model in majority")
    for name in names:
        start = time.process_time()
        values = values_at(records, name, KS)
        middle = time.process_time()
        estimates([values[at::7] for at in range(7)], draws=1000)
        end = time.process_time()
        if name in ("oracle", "reward model", "majority", "weighted majority"):
            asked += end - start
        print(f"| {name} | {middle - start:.2f} | {end - middle:.2f} | {peak():,.0f} |")
    print(f"\nrm@k, pass@k, maj@k and the weighted vote together: {asked:.1f} s.\n")


def grouping() -> None:
    """The time of grouping equal answers, on all real answers."""
    answers: dict[tuple[str, str], list[str | None]] = {}
    for pool in POOLS:
        for problem, row in pool_outputs(SHARED, pool):
            answers.setdefault((pool, problem), []).append(None if row["pred"] is None else str(row["pred"]))
    start = time.process_time()
    for group in answers.values():
        classes(group)
    taken, count = time.process_time() - start, sum(map(len, answers.values()))
    print(
        f"Grouping equal answers (`acemath.grade.classes`): {count:,} real answers of {len(answers):,} problems in {taken:.1f} s, "
        f"so about {taken / count * PROBLEMS * CANDIDATES:.0f} s for {PROBLEMS:,} × {CANDIDATES}.\n"
    )


def peak() -> float:
    """The most memory that this process has had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=("speed", "controls", "draws", "known", "grouping"))
    only = parser.parse_args().only
    if only in (None, "speed"):  # first, so that its memory is its own
        speed()
    if only in (None, "grouping"):
        grouping()
    if only in (None, "known"):
        known_values()
    if only in (None, "controls", "draws"):
        records = real_records()
        if only != "draws":
            controls(records)
        if only != "controls":
            against_draws(with_judge(records))


if __name__ == "__main__":
    main()
