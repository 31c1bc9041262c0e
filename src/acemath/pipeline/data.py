"""The stages of the data: problems, curation, responses, blends."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any

from acemath.curate.blend import blend_facts, make_blend
from acemath.curate.clean import clean
from acemath.curate.crosscheck import cross_checked
from acemath.curate.evolve import evolve, evolve_with
from acemath.curate.filters import filter_responses
from acemath.curate.funnel import step_of
from acemath.curate.licences import non_commercial
from acemath.engines.base import REFUSED, Engine, Sampling
from acemath.pipeline.context import Run
from acemath.pipeline.engines import teacher_engine
from acemath.pipeline.responses import collect, cost_of, cost_words, refused_words, without_refused
from acemath.pipeline.sources import read_benchmark, read_source
from acemath.recipe import Teacher
from acemath.records import Chat, Problem, Response, content_key
from acemath.store import Stage, by_id, shards
from acemath.worksheets.sheets import SOURCE


def problems(run: Run) -> None:
    """Seeds and benchmarks, from where the recipe says."""
    recipe = run.recipe
    files = {}
    for part in (recipe.problems.seeds, recipe.problems.benchmarks):
        for name, source in part.items():
            if source.file is not None and source.file.is_file():
                files[name] = content_key(source.file.read_bytes().hex())
    with run.stage(
        "problems", {"problems": recipe.problems.model_dump(), "seed": recipe.seed, "files": files}, []
    ) as opened:
        if opened is None:
            return
        stage, facts = opened
        seeds = [p for n, s in recipe.problems.seeds.items() for p in read_source(n, s, recipe.seed)]
        benchmarks = [
            p for n, s in recipe.problems.benchmarks.items() for p in read_benchmark(n, s, recipe.seed)
        ]
        stage.write("seeds", seeds, Problem)
        stage.write("benchmarks", benchmarks, Problem)
        facts["licences"] = dict(Counter(p.license or "unknown" for p in seeds))
        facts["non_commercial"] = non_commercial(facts["licences"])
        for name in facts["non_commercial"]:
            count = facts["licences"][name]
            run.display.warn(
                f"{count:,} prompts are under {name}: what is trained on them may not be used commercially"
            )
        facts["counts"] = {"seeds": len(seeds), "benchmarks": dict(Counter(p.subject for p in benchmarks))}
        facts["summary"] = f"{len(seeds):,} seed prompts, {len(benchmarks):,} benchmark problems"


def evolution(run: Run) -> None:
    """New math prompts from the seeds: worksheets without a model, all others written by the check teacher.

    The paper evolves with the model that cross-checks later, GPT-4o-mini (section 3.2.2).
    """
    recipe = run.recipe
    settings = recipe.curate.evolve
    writer = recipe.teachers.check.identity()
    with run.stage(
        "evolve", {"evolve": settings.model_dump(), "by": writer, "seed": recipe.seed}, ["problems"]
    ) as opened:
        if opened is None:
            return
        stage, facts = opened
        math = [p for p in run.rows("problems", Problem, "seeds") if p.group == "math"]
        own, others = [p for p in math if p.source == SOURCE], [p for p in math if p.source != SOURCE]
        if own:
            stage.write("worksheets", evolve(own, settings, recipe.seed), Problem)
        if others:
            facts |= _evolve_others(run, stage, others)
        count = len(stage.rows(Problem))
        facts["summary"] = f"{count:,} new prompts from {len(math):,} math seeds{cost_words(facts)}"


def _evolve_others(run: Run, stage: Stage, rows: Sequence[Problem]) -> dict[str, Any]:
    """Evolve with a model, a shard at a time, round by round. Returns what it cost, for the manifest."""
    settings, teacher = run.recipe.curate.evolve, run.recipe.teachers.check
    engine = teacher_engine(teacher, run, "evolve")
    parents = [p for p in rows if int(content_key(p.id), 16) % 10_000 < 10_000 * settings.share]
    for turn in range(settings.rounds):
        sampling = Sampling(temperature=teacher.temperature, max_new_tokens=1024, seed=run.recipe.seed + turn)
        done = 0
        for key, part in shards(parents, 1000).items():
            name = f"round{turn}-{key}"
            if not stage.has(name):
                stage.write(name, evolve_with(engine, part, settings.methods, sampling), Problem)
            done += len(part)
            run.display.progress(done, len(parents))
        parents = stage.rows(Problem, f"round{turn}-")
    return cost_of(engine)


def curate(run: Run) -> None:
    """Filter, deduplicate, decontaminate."""
    recipe = run.recipe
    identity = recipe.curate.model_dump(exclude={"evolve", "cross_check"})
    with run.stage("curate", {"curate": identity}, ["problems", "evolve"]) as opened:
        if opened is None:
            return
        stage, facts = opened
        seeds = run.rows("problems", Problem, "seeds")
        benchmarks = run.rows("problems", Problem, "benchmarks")
        evolved = run.rows("evolve", Problem)
        steps = [step_of("evolve", [p.source for p in (*seeds, *evolved)], [])]
        found = clean([*seeds, *evolved], benchmarks, recipe.curate)
        steps += found.steps
        stage.write("prompts", found.rows, Problem, found.dropped)
        facts["funnel"] = [step.record() for step in steps]
        if found.near is not None:
            facts["near"] = found.near
        counts = [(len(seeds), "seeds"), *((s.rows_out, s.name) for s in steps)]
        facts["summary"] = " → ".join(f"{count:,} ({name})" for count, name in counts)


def _responses(
    run: Run, name: str, teacher: Teacher, n: int, rows: Sequence[Problem], inputs: list[str]
) -> None:
    """One teacher's answers, a shard at a time."""
    settings = {
        "teacher": teacher.identity(),
        "n": n,
        "seed": run.recipe.seed,
    }
    with run.stage(name, settings, inputs) as opened:
        if opened is None:
            return
        stage, facts = opened
        engine: Engine = teacher_engine(teacher, run, name)
        sampling = Sampling(
            n=n, temperature=teacher.temperature, max_new_tokens=teacher.max_new_tokens, seed=run.recipe.seed
        )
        parts, done = shards(rows, 2000), 0
        for key, part in parts.items():
            if not stage.has(key):
                tell = partial(run.tell, done * n, len(rows) * n)
                found, dropped = without_refused(collect(engine, part, sampling, tell), part, name)
                stage.write(key, found, Response, dropped)
            done += len(part)
        refused = len(stage.dropped())
        facts["counts"] = {"responses": len(rows) * n - refused, REFUSED: refused}
        facts |= cost_of(engine)
        facts["summary"] = (
            f"{len(rows) * n - refused:,} responses by {engine.name}{refused_words(refused)}{cost_words(facts)}"
        )


def synthesize(run: Run) -> None:
    """The main teacher's responses, the check teacher's, the filters and the cross-check."""
    prompts = run.rows("curate", Problem)
    _responses(run, "teacher-main", run.recipe.teachers.main, 1, prompts, ["curate"])
    with run.stage(
        "filter-responses", {"filters": run.recipe.curate.filters.model_dump()}, ["curate", "teacher-main"]
    ) as opened:
        if opened is not None:
            stage, facts = opened
            rows = run.rows("teacher-main", Response)
            subjects = {p.id: p.group for p in prompts}
            kept, dropped = filter_responses(
                rows, run.recipe.curate.filters, lambda r: subjects[r.problem_id] == "math"
            )
            stage.write("responses", kept, Response, dropped)
            facts["funnel"] = [step_of("filter responses", [r.model for r in kept], dropped).record()]
            facts["summary"] = f"{len(kept):,} of {len(rows):,} responses kept"
    good = {r.problem_id for r in run.rows("filter-responses", Response)}
    math = [p for p in prompts if p.group == "math" and p.id in good]
    teacher = run.recipe.teachers.check
    _responses(run, "teacher-check", teacher, max(2, teacher.answers), math, ["curate", "filter-responses"])
    _cross_check(run)


def _cross_check(run: Run) -> None:
    settings = run.recipe.curate.cross_check
    with run.stage(
        "cross-check", {"cross_check": settings.model_dump()}, ["filter-responses", "teacher-check"]
    ) as opened:
        if opened is None:
            return
        stage, facts = opened
        check: dict[str, list[Response]] = {}
        for r in run.rows("teacher-check", Response):
            check.setdefault(r.problem_id, []).append(r)
        main = [r for r in run.rows("filter-responses", Response) if r.problem_id in check]
        kept, dropped = cross_checked(main, check, share=settings.share)
        stage.write("checked", kept, Response, dropped)
        facts["funnel"] = [step_of("cross-check", [r.model for r in kept], dropped).record()]
        facts["agreement"] = len(kept) / max(1, len(main))
        facts["summary"] = f"{len(kept):,} of {len(main):,} math responses cross-checked"


def blends(run: Run) -> None:
    """The conversations of each training stage."""
    recipe = run.recipe
    stages = {n: {"blend": s.blend, "counts": s.counts} for n, s in recipe.sft.stages.items()}
    settings = {"stages": stages, "chat": recipe.sft.chat.model_dump(), "seed": recipe.seed}
    with run.stage("blends", settings, ["curate", "filter-responses", "cross-check"]) as opened:
        if opened is None:
            return
        stage, facts = opened
        rows = by_id(run.rows("curate", Problem))
        responses = run.rows("filter-responses", Response)
        checked = {r.problem_id: True for r in run.rows("cross-check", Response)}
        counts = {}
        for name, part in recipe.sft.stages.items():
            chats = make_blend(
                part.blend, part.counts, rows, responses, checked, recipe.sft.chat, recipe.seed
            )
            stage.write(name, chats, Chat)
            counts[name] = blend_facts(chats)
        facts["counts"] = counts
        facts["summary"] = ", ".join(f"{n}: {c['conversations']:,}" for n, c in counts.items())
