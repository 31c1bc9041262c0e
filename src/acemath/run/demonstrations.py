"""The demonstrations before a benchmark's problems in a run (paper, section 3.4: five of its dev split for MMLU STEM)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from acemath.benchmarks.copies import local_copy
from acemath.benchmarks.registry import BENCHMARKS
from acemath.benchmarks.shots import Shots, demonstrations, with_shots
from acemath.recipe.schema import Recipe
from acemath.recipe.sources import Source
from acemath.records import BENCHMARK, Problem
from acemath.run.source_rows import files_key

if TYPE_CHECKING:  # the plan needs no Parquet
    from acemath.run.context import Run
    from acemath.run.stage import Everything, Facts, Part, Reduction

STAGE = "demonstrations"


def demonstrated(recipe: Recipe) -> dict[str, Source]:
    """The benchmarks whose problems come after demonstrations."""
    sources = recipe.problems.benchmarks.items() if recipe.bench.demonstrations else ()
    return {name: source for name, source in sources if source.benchmark is not None and BENCHMARKS[source.benchmark].shots}


def read_demonstrations(source: Source) -> Shots:
    """The demonstrations of a benchmark, beside its file or in the folder of ACEMATH_DATA, else of the hub."""
    known = BENCHMARKS[str(source.benchmark)]
    beside = None if source.file is None else local_copy(known.name, source.file.parent, known.shots_split)
    return demonstrations(known.name, known.shots, beside, revision=source.revision)


def stage_of(run: Run) -> list[Reduction]:
    """A stage of all demonstrations, as rows whose answer is worked; empty if the recipe has none."""
    from acemath.run.stage import Reduction

    sources = demonstrated(run.recipe)

    def work(all: Everything) -> None:
        rows = [
            Problem(f"{name}:{subject}:{n}", question, worked, name, subject=subject, meta={BENCHMARK: name})
            for name, source in sources.items()
            for subject, shots in read_demonstrations(source).items()
            for n, (question, worked) in enumerate(shots)
        ]
        all.part(0).write(rows, Problem, facts={"rows": len(rows)})

    def summary(facts: Facts) -> str:
        return f"{facts['rows']:,} demonstrations before the problems of {', '.join(sources)}"

    named = {name: (source, BENCHMARKS[str(source.benchmark)]) for name, source in sources.items()}
    folders = {name: None if source.file is None else source.file.parent for name, (source, _) in named.items()}
    files = {name: local_copy(known.name, folders[name], known.shots_split) for name, (_, known) in named.items()}
    settings = {
        "sources": {name: source.model_dump(mode="json") for name, source in sources.items()},
        "files": {name: files_key(file) for name, file in files.items() if file is not None},
    }
    return [Reduction(STAGE, settings, (), work=work, summary=summary, space="one")] if sources else []


def after_demonstrations(part: Part, problems: Sequence[Problem]) -> list[Problem]:
    """A partition's problems, each after the demonstrations of its benchmark and subject, if there are any."""
    found: dict[str, dict[str, list[tuple[str, str]]]] = {}
    for row in part.store(STAGE).all_rows(Problem):
        found.setdefault(str(row.meta[BENCHMARK]), {}).setdefault(row.subject, []).append((row.prompt, row.answer))
    return asked(problems, found)


def asked(problems: Sequence[Problem], shots: Mapping[str, Shots]) -> list[Problem]:
    """The problems, each after the demonstrations that `shots` has of its benchmark."""
    return [with_shots([p], mine)[0] if (mine := shots.get(str(p.meta[BENCHMARK]))) else p for p in problems]
