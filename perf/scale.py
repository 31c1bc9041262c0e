"""Memory and time of a run's data stages at the paper's size, and of making groups.

    python perf/scale.py --out /tmp/scale --rows 2300000           # the data stages: 2.3 M prompts, 800 tokens a response
    python perf/scale.py --out /tmp/reductions --rows 2300000 --reductions    # the reductions alone
    python perf/scale.py --out /tmp/groups --groups 20000 --each 56
    python perf/scale.py --out /tmp/scale --rows 2300000 --report  # print the table again

Prompts and responses are random words of docs/, so that files compress as text does. Teachers and checker are replaced
by an engine that returns such texts instantly; everything else is the code of a run. With `--reductions` the map stages
are replaced too, since their memory does not depend on the number of rows. Each stage runs in its own process; peak
memory and CPU time come from the operating system. A stopped call continues.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import acemath.run.context
from acemath.models.engine import Sampling
from acemath.recipe.load import load_recipe
from acemath.records import Problem, Response, content_key
from acemath.run.context import Run
from acemath.run.display import Display
from acemath.run.partitions import open_run
from acemath.run.reward import groups, held_out
from acemath.run.runner import Job, Runner
from acemath.run.stage import Everything, MapStage, Part, Reduction, Stage
from acemath.run.stages import stages_until

TOKENS = 800  # tokens of a response, at four characters each
SUBJECTS = {"math": 0.7, "code": 0.15, "general": 0.15}
CHECKER = "worksheets-0.93"  # the name of the checker's model in the recipe
WRONG = 0.2  # the share of its answers that are wrong
SETTINGS = "scale.json"
MEASURED = "measured.json"
WORDS = sorted(
    {
        word
        for page in (Path(__file__).parents[1] / "docs").glob("*.md")
        for word in re.findall(r"[a-z]{2,12}", page.read_text(encoding="utf-8"))
    }
)
_rng = random.Random(0)
CHUNKS = [" ".join(_rng.choices(WORDS, k=6)) for _ in range(50_000)]


def text_of(key: str, characters: int) -> str:
    """A text of about `characters` characters, which depends on the key alone."""
    rng = random.Random(key)
    return ". ".join(rng.choices(CHUNKS, k=max(1, characters // 38)))


class Writer:
    """An engine that answers instantly; the checker's answers are sometimes wrong."""

    def __init__(self, name: str) -> None:
        self.name = name

    def generate(self, problems: Sequence[Problem], sampling: Sampling) -> Iterator[Response]:
        """Texts that end with an answer in a box."""
        for problem in problems:
            for sample in range(sampling.n):
                key = f"{self.name} {problem.id} {sample}"
                right = self.name != CHECKER or random.Random(key).random() > WRONG
                answer = int(content_key(problem.id), 16) % 1000 + (0 if right else 1)
                text = f"{text_of(key, 4 * TOKENS)}. The answer is \\boxed{{{answer}}}."
                yield Response(problem.id, sample, text, self.name, "stop", TOKENS)


def write_seeds(folder: Path, rows: int) -> dict[str, Any]:
    """Write files of seed prompts and benchmark problems; returns them as sources of a recipe."""
    found: dict[str, Any] = {}
    sizes = {name: round(share * rows) for name, share in SUBJECTS.items()} | {"bench": 9000}
    for name, count in sizes.items():
        path = folder / f"{name}.jsonl"
        if not path.exists():
            with path.with_suffix(".tmp").open("w") as file:
                for number in range(count):
                    key = f"{name} {number}"
                    text = f"{text_of(key, 300)}. What is {number} plus {number % 977}?"
                    answer = {"answer": str(number)} if name == "bench" else {}
                    file.write(json.dumps({"id": key, "prompt": text, **answer}) + "\n")
            path.with_suffix(".tmp").rename(path)
        found[name] = {"file": str(path), "subject": "math" if name == "bench" else name}
    return found


def data_run(folder: Path, rows: int) -> tuple[Run, list[Stage]]:
    """The data stages of the laptop recipe on these files, without evolution."""
    sources = write_seeds(folder, rows)
    bench = sources.pop("bench")
    changes = {
        "problems.seeds": sources,
        "problems.benchmarks": {"bench": bench},
        "curate.evolve.methods": [],
        "sft.stages": {"math": {"blend": ["math.checked", "code", "general"]}},
        "bench.policies": ["math"],
        "reward.candidates.policies": ["math"],
    }
    run = Run(load_recipe("laptop", changes), folder, Display())
    acemath.run.context.make_engine = lambda model, *rest, **more: Writer(model.name)  # type: ignore[assignment]
    return run, stages_until(run, "data")


def reductions_run(folder: Path, rows: int) -> tuple[Run, list[Stage]]:
    """The reductions of `data_run`; the map stages between them only copy rows or write texts."""
    run, stages = data_run(folder, rows)
    texts = [text_of(f"response {n}", 4 * TOKENS) for n in range(1000)]

    def copy(part: Part) -> None:
        part.write(part.rows("deduplicate", Problem), Problem)

    def respond(part: Part) -> None:
        problems = part.rows("prompts", Problem)
        found = (Response(p.id, 0, texts[int(content_key(p.id), 16) % 1000], "teacher", "stop", TOKENS) for p in problems)
        part.write(found, Response)

    def check(part: Part) -> None:
        part.write(part.rows("responses", Response)[::2], Response)

    quick = {
        "prompts": MapStage("prompts", {}, ("deduplicate",), work=copy),
        "responses": MapStage("responses", {}, ("prompts",), work=respond),
        "cross-check": MapStage("cross-check", {}, ("responses",), work=check),
    }
    left_out = ("teacher-", "checker-")
    return run, [quick.get(s.name, s) for s in stages if not s.name.startswith(left_out)]


def groups_run(folder: Path, problems: int, each: int) -> tuple[Run, list[Stage]]:
    """Group-making on this many problems with `each` candidates, right or wrong at random."""
    names = [f"policy-{n}" for n in range(-(-each // 4))]
    changes = {"reward.candidates": {"policies": [{name: {"model": "nano"}} for name in names], "each": 4}, "roles.ranker": None}
    run = Run(load_recipe("laptop", changes), folder, Display())

    def make_problems(all: Everything) -> None:
        parts: dict[int, list[Problem]] = {n: [] for n in range(all.count)}
        for number in range(problems):
            key = f"problem {number}"
            row = Problem(key, text_of(key, 300), str(number), "scale", "MIT", "math")
            parts[int(content_key(key), 16) % all.count].append(row)
        for number, rows in parts.items():
            all.part(number).write(rows, Problem, facts={"rows": len(rows)})

    def candidates(name: str) -> MapStage:
        def work(part: Part) -> None:
            part.write(rows_of(part), Response)

        def rows_of(part: Part) -> Iterator[Response]:
            for problem in part.rows("reward-problems", Problem):
                for sample in range(4):
                    key = f"{name} {problem.id} {sample}"
                    status = "correct" if random.Random(key).random() < 0.5 else "wrong"
                    yield Response(problem.id, sample, text_of(key, 4 * TOKENS), name, "stop", TOKENS, status)

        return MapStage(f"candidates-{name}", {}, ("reward-problems",), work=work)

    stages = [
        Reduction("reward-problems", {}, (), work=make_problems), *map(candidates, names), groups(run), held_out(run),
    ]  # fmt: skip
    return run, stages


def made(folder: Path) -> tuple[Run, list[Stage]]:
    """The run that a folder was made for."""
    options = json.loads((folder / SETTINGS).read_text())
    if options["groups"]:
        return groups_run(folder, options["groups"], options["each"])
    return (reductions_run if options["reductions"] else data_run)(folder, options["rows"])


def stages_of(folder: Path) -> list[Stage]:
    """The stages of a folder, for a job in a process of its own."""
    return made(folder)[1]


def measure(folder: Path) -> None:
    """Make all stages, each job in its own process, and record its peak memory and time."""
    options = json.loads((folder / SETTINGS).read_text())
    run, stages = made(folder)
    rows = options["groups"] or options["rows"]
    open_run(folder, lambda: {"training": rows, "benchmarks": 9000})
    path = folder / MEASURED
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}

    def launch(jobs: Sequence[Job]) -> None:
        for job in jobs:
            environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
            process = subprocess.Popen(job.command("scale:stages_of"), env=environment)
            started = time.monotonic()
            _, status, usage = os.wait4(process.pid, 0)
            if status:
                raise SystemExit(f"stage {job.stage} failed")
            mine = found.setdefault(job.stage, {"peak_mb": 0.0, "cpu": 0.0, "wall": 0.0})
            mine["peak_mb"] = max(mine["peak_mb"], usage.ru_maxrss / 1024)
            mine["cpu"] += usage.ru_utime + usage.ru_stime
            mine["wall"] += time.monotonic() - started
            path.write_text(json.dumps(found, indent=1))

    Runner(folder, stages, Display(), launch=launch).make_all()
    found["planner"] = {"peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}
    path.write_text(json.dumps(found, indent=1))


def report(folder: Path) -> None:
    """Print the table of measurements."""
    found = json.loads((folder / MEASURED).read_text())
    _, stages = made(folder)
    runner = Runner(folder, stages)
    print("| stage | kind | rows | peak, MB | processor s a million rows | MB on disk |\n|---|---|---|---|---|---|")
    for stage in stages:
        store = runner.stores[stage.name]
        rows = sum(store_rows(store.part(n)) for n in range(store.count))
        size = sum(path.stat().st_size for path in store.folder.glob("*.parquet")) / 1e6
        mine = found[stage.name]
        kind = "map" if isinstance(stage, MapStage) else "reduction"
        each = mine["cpu"] / max(1, rows) * 1e6
        print(f"| {stage.name} | {kind} | {rows:,} | {mine['peak_mb']:,.0f} | {each:,.0f} | {size:,.0f} |")
    print(f"\nThe planner's peak: {found['planner']['peak_mb']:,.0f} MB.")


def store_rows(path: Path) -> int:
    """The number of rows of a part file."""
    import pyarrow.parquet as pq

    return int(pq.read_metadata(path).num_rows)


def main() -> None:
    """Measure, or print the table again."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=0)
    parser.add_argument("--groups", type=int, default=0)
    parser.add_argument("--each", type=int, default=56)
    parser.add_argument("--reductions", action="store_true")
    parser.add_argument("--report", action="store_true")
    args = parser.parse_args()
    if not args.report:
        args.out.mkdir(parents=True, exist_ok=True)
        options = {"rows": args.rows, "groups": args.groups, "each": args.each, "reductions": args.reductions}
        (args.out / SETTINGS).write_text(json.dumps(options))
        measure(args.out)
    report(args.out)


if __name__ == "__main__":
    main()
