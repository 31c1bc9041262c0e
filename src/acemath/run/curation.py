"""Stages that make prompts: evolution, filters, decontamination, the vote on solvability."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache

import pyarrow as pa

from acemath.curate.decontaminate.instructions import Wrapper, wrappers_of
from acemath.curate.decontaminate.scan import Decontaminator, reported_of, scan, sorted_out
from acemath.curate.evolve import evolve, evolve_with, winnow
from acemath.curate.filters import filter_problems
from acemath.curate.settings import DecontaminateSettings
from acemath.curate.solvability import solvable
from acemath.demo.worksheets.sheets import SOURCE
from acemath.errors import UserError
from acemath.models.engine import Engine
from acemath.recipe.sources import column_value
from acemath.records import Dropped, Problem, Response, by_problem, content_key, group_of
from acemath.run.context import Run
from acemath.run.problems import BENCHMARKS, SEEDS
from acemath.run.responses import Responder, responses_of
from acemath.run.stage import Everything, Facts, MapStage, Part, Reduction, whole
from acemath.run.steps import step_facts
from acemath.run.store import StageStore

INSTRUCTIONS = "instructions"
WRAPPER = pa.schema([("head", pa.string()), ("tail", pa.string())])


def evolution(run: Run) -> MapStage:
    """New math prompts from the seeds (section 3.2.2). Worksheets evolve without a model, all others by the writer role."""
    recipe, settings = run.recipe, run.recipe.curate.evolve
    writer = recipe.roles.writer
    chosen = {n: s for n, s in recipe.problems.seeds.items() if not settings.sources or n in settings.sources}
    named = {column_value(name, source) for name, source in chosen.items()}
    others = [n for n, s in chosen.items() if s.worksheets is None and group_of(s.subject) == "math"]

    def work(part: Part) -> None:
        wanted = [p for p in part.rows(SEEDS, Problem) if p.group == "math" and p.source in named]
        sheets = [p for p in wanted if p.source == SOURCE]
        born, dropped = evolve(sheets, settings, recipe.seed, recipe.curate.filters)
        if settings.methods and (rest := [p for p in wanted if p.source != SOURCE]):
            more, unfinished = _written(run, part.tool, rest)
            born, dropped = [*born, *more], [*dropped, *unfinished]
        facts = {"rows": len(born), "parents": len(wanted)}
        part.write(born, Problem, dropped, facts | step_facts("evolve", (p.source for p in born), dropped))

    def summary(facts: Facts) -> str:
        return f"{facts['rows']:,} new prompts from {facts['parents']:,} math seeds"

    keyed = {"evolve": settings.model_dump(), "filters": recipe.curate.filters.model_dump(), "seed": recipe.seed}
    if not others or not settings.methods:
        return MapStage("evolve", keyed, (SEEDS,), work=work, summary=summary)
    if writer is None:
        raise UserError(
            f"no role writes new questions from the seeds {', '.join(others)}, which are no worksheets: name a model as "
            "roles.writer, or set curate.evolve.methods to [] for no new questions"
        )
    responder = Responder(run, "evolve", writer)
    keyed |= responder.settings()
    return MapStage(
        "evolve", keyed, (SEEDS,), work=work, summary=summary, tool=responder.engine, more=responder.cost
    )


def _written(run: Run, engine: Engine, rows: Sequence[Problem]) -> tuple[list[Problem], list[Dropped]]:
    """New prompts by the writer, and those dropped. Each round starts from what the filters kept of the one before."""
    settings, writer = run.recipe.curate.evolve, run.recipe.roles.writer
    assert writer is not None  # the recipe is checked when it is loaded
    parents = [p for p in rows if int(content_key(p.id), 16) % 10_000 < 10_000 * settings.share]
    made: list[Problem] = []
    dropped: list[Dropped] = []
    for turn in range(settings.rounds):
        sampling = writer.sampling(1, run.recipe.seed + turn)
        born, unfinished = evolve_with(engine, parents, settings.methods, sampling)
        parents, out = winnow(born, run.recipe.curate.filters)
        made += parents
        dropped += [*unfinished, *out]
    return made, dropped


def filtered(run: Run) -> MapStage:
    """Seeds and evolved prompts, filtered (sections 3.2.1 and 3.2.2)."""
    settings = run.recipe.curate.filters

    def work(part: Part) -> None:
        rows = [*part.rows(SEEDS, Problem), *part.rows("evolve", Problem)]
        kept, dropped = filter_problems(rows, settings)
        facts = step_facts("seeds and evolved", (p.source for p in rows), ())["funnel"]
        facts |= step_facts("filter prompts", (p.source for p in kept), dropped)["funnel"]
        part.write(kept, Problem, dropped, {"rows": len(kept), "funnel": facts})

    return MapStage(
        "filter-prompts", {"filters": settings.model_dump()}, (SEEDS, "evolve"), work=work, summary=_kept, spread=True
    )


def instructions(run: Run) -> Reduction:
    """The instructions that surround all seed prompts of a source. Evolved prompts do not count: they often lack them."""

    def pairs(all: Everything) -> Iterator[tuple[str, str]]:
        for batch in all.batches(SEEDS, ("source", "prompt")):
            yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)

    return instructions_of(INSTRUCTIONS, SEEDS, pairs)


def instructions_of(
    name: str, given: str, pairs: Callable[[Everything], Iterable[tuple[str, str]]]
) -> Reduction:
    """A stage of the instructions that surround all prompts of a source, which decontamination ignores.

    `pairs` reads the source and the text of each prompt from the stage `given`. A reduction, because one partition may
    hold too few prompts of a source.
    """

    def work(all: Everything) -> None:
        found = wrappers_of(pairs(all))
        columns = {name: [wrapper[at] for wrapper in found] for at, name in enumerate(WRAPPER.names)}
        all.part(0).write_batches([pa.table(columns, schema=WRAPPER)], WRAPPER, facts={"rows": len(found)})

    def summary(facts: Facts) -> str:
        return f"{facts['rows']:,} instructions that surround all prompts of a source"

    return Reduction(name, {}, (given,), work=work, summary=summary, space="one")


def wrappers_in(store: StageStore) -> list[Wrapper]:
    """The wrappers that the stage `instructions` found."""
    return [(row["head"], row["tail"]) for batch in store.batches() for row in batch.to_pylist()]


def indexed(rule: DecontaminateSettings) -> Callable[[StageStore], Decontaminator]:
    """A function that makes the index of the benchmarks' problems, once in each job."""

    @cache
    def index(store: StageStore) -> Decontaminator:
        return Decontaminator(list(store.all_rows(Problem)), rule)

    return index


def decontaminated(run: Run) -> MapStage:
    """The prompts that leak no benchmark problem (section 3.2.3)."""
    rule = run.recipe.curate.decontaminate
    given = "drop-near-copies" if run.recipe.curate.near is not None else "deduplicate"

    index = indexed(rule)

    def work(part: Part) -> None:
        rows = part.rows(given, Problem)
        hits = scan(rows, index(part.store(BENCHMARKS)), wrappers=wrappers_in(part.store(INSTRUCTIONS)))
        kept, dropped = sorted_out(rows, hits, rule)
        found = step_facts("decontaminate", (p.source for p in kept), dropped, reported_of(hits, rule))
        part.write(kept, Problem, dropped, {"rows": len(kept)} | found)

    def summary(facts: Facts) -> str:
        reported = facts["funnel"]["decontaminate"]["reported"]
        near = ", ".join(f"{count:,} {kind}" for kind, count in reported.items() if count)
        return f"{_kept(facts)}; kept though near a benchmark: {near or 'none'}"

    return MapStage(
        "prompts",
        {"decontaminate": rule.model_dump()},
        (given, whole(INSTRUCTIONS), whole(BENCHMARKS)),
        work=work,
        summary=summary,
        spread=True,
    )


def vote(run: Run) -> list[MapStage]:
    """The vote on which math prompts can be solved: its responses, and the prompts that pass. Empty without a vote."""
    settings = run.recipe.curate.solvability
    if settings is None:
        return []
    role = run.recipe.roles.named()[settings.by]
    responder = Responder(run, "votes", role, settings.answers, temperature=settings.temperature)

    def math(part: Part) -> list[Problem]:
        return [p for p in part.rows("prompts", Problem) if p.group == "math"]

    def work(part: Part) -> None:
        rows = part.rows("prompts", Problem)
        kept, dropped = solvable(rows, by_problem(part.rows("votes", Response)), settings)
        found = step_facts("solvability vote", (p.source for p in kept), dropped)
        part.write(kept, Problem, dropped, {"rows": len(kept)} | found)

    passed = MapStage(
        "solvable",
        {"solvability": settings.model_dump()},
        ("prompts", "votes"),
        work=work,
        summary=_kept,
        spread=True,
    )
    return [responses_of(responder, ("prompts",), math), passed]


def _kept(facts: Facts) -> str:
    return f"{facts['rows']:,} prompts kept"
