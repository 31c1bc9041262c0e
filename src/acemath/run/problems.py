"""The first stages: the seed prompts, and the problems of the benchmarks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from acemath.curate.decontaminate.scan import checked_benchmark
from acemath.curate.licences import non_commercial
from acemath.errors import UserError
from acemath.files.identity import shown
from acemath.recipe.sources import Source
from acemath.records import Problem, benchmark_of
from acemath.run.context import Run
from acemath.run.partitions import Partitions, Space
from acemath.run.scatter import scattered
from acemath.run.source_rows import count_rows, files_key, local_path, read_benchmark, read_source
from acemath.run.stage import Everything, Facts, Reduction
from acemath.run.steps import step_facts

SEEDS, BENCHMARKS = "seeds", "benchmarks"


def row_counts(run: Run) -> Mapping[Space, int]:
    """How many problems a new run starts with; its number of partitions follows from it."""
    problems = run.recipe.problems
    stages = {name: stage.data for name, stage in run.recipe.sft.stages.items()} | {
        "reward": run.recipe.reward.data
    }
    data = [count_rows(name, source) for name, source in stages.items() if source is not None]
    return {
        "training": max([sum(count_rows(name, source) for name, source in problems.seeds.items()), *data]),
        "benchmarks": sum(count_rows(name, source) for name, source in problems.benchmarks.items()),
    }


def seeds(run: Run) -> Reduction:
    """The seed prompts (paper, section 3.2)."""
    sources = run.recipe.problems.seeds

    def work(all: Everything) -> None:
        licences: Counter[str] = Counter()

        def rows() -> Iterator[Problem]:
            for name, source in sources.items():
                for problem in read_source(name, source, run.recipe.seed):
                    licences[problem.license or "unknown"] += 1
                    yield problem

        _write(all, rows())
        for name in non_commercial(licences):
            run.display.warn(
                f"{licences[name]:,} prompts have the licence {name}: models that are trained on them may not be used commercially"
            )

    def summary(facts: Facts) -> str:
        return f"{facts['rows']:,} seed prompts"

    return Reduction(SEEDS, _settings(run, sources), (), work=work, summary=summary)


def benchmarks(run: Run) -> Reduction:
    """The benchmarks' problems: policies are measured on them, and no training prompt may repeat them (paper, section 4.3.1)."""
    sources = run.recipe.problems.benchmarks

    def rows() -> Iterator[Problem]:
        for name, source in sources.items():
            yield from checked_benchmark(name, read_benchmark(name, source, run.recipe.seed))

    def work(all: Everything) -> None:
        _write(all, rows())

    def summary(facts: Facts) -> str:
        return f"{facts['rows']:,} benchmark problems"

    return Reduction(
        BENCHMARKS, _settings(run, sources), (), work=work, summary=summary, space="benchmarks"
    )


def _settings(run: Run, sources: Mapping[str, Source]) -> dict[str, Any]:
    """The settings that the rows depend on. Files count by their content, not by name and date."""
    files = {
        name: files_key(path) for name, source in sources.items() if (path := local_path(source)) is not None
    }
    return {
        "sources": {name: source.model_dump(mode="json") for name, source in sources.items()},
        "files": files,
        "seed": run.recipe.seed,
    }


def _write(all: Everything, rows: Iterable[Problem]) -> None:
    for number, found in scattered(rows, Partitions(all.count), all.folder):
        mine = _once(found)
        all.part(number).write(mine, Problem, facts=_facts(mine))
        all.progress(number + 1, all.count)


def _once(rows: Sequence[Problem]) -> list[Problem]:
    """Each problem once: several sources of worksheets may draw the same one. UserError for one id of two problems."""
    found: dict[str, Problem] = {}
    for row in rows:
        first = found.setdefault(row.id, row)
        if (first.prompt, first.answer) != (row.prompt, row.answer):
            raise UserError(
                f"two problems have the id {row.id!r} ({shown(first.prompt)} and {shown(row.prompt)}); rename a source"
            )
    return list(found.values())


def _facts(rows: list[Problem]) -> dict[str, Any]:
    return {
        "rows": len(rows),
        "benchmarks": dict(Counter(map(benchmark_of, rows))),
        "groups": dict(Counter(p.group for p in rows)),
        "answers": dict(Counter(benchmark_of(p) for p in rows if p.answer)),
        "licences": dict(Counter(p.license or "unknown" for p in rows)),
        **step_facts("seeds", (p.source for p in rows), ()),
    }


def check_benchmarks(run: Run, facts: Mapping[str, Any]) -> None:
    """Warn of benchmark problems without a reference answer: policies are not measured on them.

    UserError for a benchmark in which no problem has a reference answer.
    """
    if not facts["rows"]:
        raise UserError("problems.benchmarks holds no problem to measure policies on; name a benchmark")
    for name, source in run.recipe.problems.benchmarks.items():
        if source.worksheets is not None:
            continue  # every worksheet has an answer, and each subject is a benchmark
        count, answered = facts["benchmarks"].get(name, 0), facts["answers"].get(name, 0)
        if not answered:
            raise UserError(
                f"benchmark {name!r} holds no problem with a reference answer (it has {count:,} problems); correct its "
                f"file, or name the column in problems.benchmarks.{name}.columns.answer"
            )
        if answered < count:
            run.display.warn(
                f"{count - answered:,} of {count:,} problems of {name} have no reference answer: policies are not measured on them"
            )
