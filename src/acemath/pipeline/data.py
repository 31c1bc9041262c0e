"""The stages of the data: problems, curation, responses, blends."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from acemath.curate.blend import make_blend
from acemath.curate.crosscheck import cross_check
from acemath.curate.decontaminate import decontaminate
from acemath.curate.dedup import dedup
from acemath.curate.evolve import evolve
from acemath.curate.filters import filter_problems, filter_responses
from acemath.engines.base import Engine, Sampling
from acemath.pipeline.context import Run
from acemath.pipeline.engines import teacher_engine
from acemath.pipeline.sources import read_benchmark, read_source
from acemath.recipe import Teacher
from acemath.records import Chat, Problem, Response, content_key
from acemath.store import by_id, shards
from acemath.worksheets.sheets import SOURCE


def _group(problem: Problem) -> str:
    return problem.subject if problem.subject in ("code", "general") else "math"


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
        facts["counts"] = {"seeds": len(seeds), "benchmarks": dict(Counter(p.subject for p in benchmarks))}
        facts["summary"] = f"{len(seeds):,} seed prompts, {len(benchmarks):,} benchmark problems"


def curate(run: Run) -> None:
    """Evolve, filter, deduplicate, decontaminate."""
    recipe = run.recipe
    with run.stage(
        "curate", {"curate": recipe.curate.model_dump(), "seed": recipe.seed}, ["problems"]
    ) as opened:
        if opened is None:
            return
        stage, facts = opened
        seeds = run.rows("problems", Problem, "seeds")
        benchmarks = run.rows("problems", Problem, "benchmarks")
        funnel = [("seeds", len(seeds))]
        math = [p for p in seeds if _group(p) == "math" and p.source == SOURCE]
        evolved = evolve(math, recipe.curate.evolve, recipe.seed)
        funnel.append(("evolved", len(seeds) + len(evolved)))
        kept, dropped = filter_problems([*seeds, *evolved], recipe.curate.filters)
        funnel.append(("filtered", len(kept)))
        kept, more = dedup(kept)
        dropped += more
        funnel.append(("deduplicated", len(kept)))
        kept, more = decontaminate(kept, benchmarks, recipe.curate.decontaminate)
        dropped += more
        funnel.append(("decontaminated", len(kept)))
        stage.write("prompts", kept, Problem, dropped)
        facts["funnel"] = funnel
        facts["drops"] = dict(Counter(f"{d.step}: {d.reason}" for d in dropped))
        facts["summary"] = " → ".join(f"{count:,} {name}" for name, count in funnel)


def _responses(
    run: Run, name: str, teacher: Teacher, n: int, rows: Sequence[Problem], inputs: list[str]
) -> None:
    """One teacher's answers, a shard at a time."""
    settings = {
        "teacher": teacher.model_dump(exclude={"budget_usd", "price_in", "price_out"}),
        "n": n,
        "seed": run.recipe.seed,
    }
    with run.stage(name, settings, inputs) as opened:
        if opened is None:
            return
        stage, facts = opened
        engine: Engine = teacher_engine(teacher, run.recipe)
        sampling = Sampling(
            n=n, temperature=teacher.temperature, max_new_tokens=teacher.max_new_tokens, seed=run.recipe.seed
        )
        parts, done = shards(rows, 2000), 0
        for key, part in parts.items():
            if not stage.has(key):
                stage.write(key, _ordered(engine.generate(part, sampling)), Response)
            done += len(part)
            run.display.progress(done, len(rows))
        facts["counts"] = {"responses": len(rows) * n}
        facts["summary"] = f"{len(rows) * n:,} responses by {engine.name}"


def _ordered(responses: Any) -> list[Response]:
    return sorted(responses, key=lambda r: (r.problem_id, r.sample))


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
            subjects = {p.id: _group(p) for p in prompts}
            kept, dropped = filter_responses(
                rows, run.recipe.curate.filters, lambda r: subjects[r.problem_id] == "math"
            )
            stage.write("responses", kept, Response, dropped)
            facts["drops"] = dict(Counter(f"{d.step}: {d.reason}" for d in dropped))
            facts["funnel"] = [("answered", len(rows)), ("well-formed", len(kept))]
            facts["summary"] = f"{len(kept):,} of {len(rows):,} responses kept"
    good = {r.problem_id for r in run.rows("filter-responses", Response)}
    math = [p for p in prompts if _group(p) == "math" and p.id in good]
    teacher = run.recipe.teachers.check
    _responses(run, "teacher-check", teacher, max(2, teacher.answers), math, ["curate", "filter-responses"])
    _cross_check(run)


def _cross_check(run: Run) -> None:
    with run.stage("cross-check", {}, ["filter-responses", "teacher-check"]) as opened:
        if opened is None:
            return
        stage, facts = opened
        check: dict[str, list[Response]] = {}
        for r in run.rows("teacher-check", Response):
            check.setdefault(r.problem_id, []).append(r)
        main = [r for r in run.rows("filter-responses", Response) if r.problem_id in check]
        verdicts = cross_check(main, check)
        stage.write("checked", [r for r in main if verdicts[r.problem_id]], Response)
        facts["funnel"] = [("math responses", len(main)), ("cross-checked", sum(verdicts.values()))]
        facts["summary"] = f"{sum(verdicts.values()):,} of {len(main):,} math responses cross-checked"


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
            counts[name] = {
                "conversations": len(chats),
                "pools": dict(Counter(str(c.meta["pool"]) for c in chats)),
            }
        facts["counts"] = counts
        facts["summary"] = ", ".join(f"{n}: {c['conversations']:,}" for n, c in counts.items())
