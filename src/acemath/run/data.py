"""The stages of the data: problems, curation, responses, blends."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any

from acemath.curate.blend import Stock, blend_facts, make_blend, shortfalls
from acemath.curate.clean import clean
from acemath.curate.crosscheck import agreement, cross_checked
from acemath.curate.decontaminate import some_problems
from acemath.curate.evolve import evolve, evolve_with, winnow
from acemath.curate.filters import filter_responses
from acemath.curate.funnel import step_of
from acemath.curate.licences import non_commercial
from acemath.curate.solvability import solvable
from acemath.demo.worksheets.sheets import SOURCE
from acemath.errors import UserError
from acemath.recipe.roles import Role
from acemath.records import REFUSED, Chat, Dropped, Problem, Response, by_id, by_problem, content_key
from acemath.run.context import Run
from acemath.run.funnel import response_step
from acemath.run.responses import collect, cost_of, cost_words, refused_words, without_refused
from acemath.run.sampling import graded
from acemath.run.shards import Stage, shards
from acemath.run.sources import files_key, local_path, read_benchmark, read_source


def problems(run: Run) -> None:
    """Seeds and benchmarks, from where the recipe says."""
    recipe = run.recipe
    files = {
        f"{part}.{name}": files_key(path)
        for part, sources in (("seeds", recipe.problems.seeds), ("benchmarks", recipe.problems.benchmarks))
        for name, source in sources.items()
        if (path := local_path(source)) is not None
    }
    with run.stage(
        "problems", {"problems": recipe.problems.model_dump(), "seed": recipe.seed, "files": files}, []
    ) as opened:
        if opened is None:
            return
        stage, facts = opened
        seeds = [p for n, s in recipe.problems.seeds.items() for p in read_source(n, s, recipe.seed)]
        benchmarks = [
            p
            for n, s in recipe.problems.benchmarks.items()
            for p in some_problems(n, read_benchmark(n, s, recipe.seed))
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
        facts["funnel"] = [step_of("seeds", [p.source for p in seeds], []).record()]
        facts["counts"] = {"seeds": len(seeds), "benchmarks": dict(Counter(p.subject for p in benchmarks))}
        facts["summary"] = f"{len(seeds):,} seed prompts, {len(benchmarks):,} benchmark problems"


def evolution(run: Run) -> None:
    """New math prompts from the seeds: worksheets without a model, all others by the question writer."""
    recipe = run.recipe
    settings = recipe.curate.evolve
    writer = None if recipe.roles.writer is None else recipe.identity_of(recipe.roles.writer)
    with run.stage(
        "evolve",
        {
            "evolve": settings.model_dump(),
            "filters": recipe.curate.filters.model_dump(),
            "by": writer,
            "seed": recipe.seed,
        },
        ["problems"],
    ) as opened:
        if opened is None:
            return
        stage, facts = opened
        wanted = settings.sources
        math = [
            p
            for p in run.rows("problems", Problem, "seeds")
            if p.group == "math" and (not wanted or p.source in wanted)
        ]
        own, others = [p for p in math if p.source == SOURCE], [p for p in math if p.source != SOURCE]
        if own:
            born, dropped = evolve(own, settings, recipe.seed, recipe.curate.filters)
            stage.write("worksheets", born, Problem, dropped)
        if others:
            facts |= _evolve_others(run, stage, others)
        made = stage.rows(Problem)
        facts["funnel"] = [step_of("evolve", [p.source for p in made], stage.dropped()).record()]
        facts["summary"] = f"{len(made):,} new prompts from {len(math):,} math seeds{cost_words(facts)}"


def _evolve_others(run: Run, stage: Stage, rows: Sequence[Problem]) -> dict[str, Any]:
    """Evolve with a model, a shard at a time, round by round; each round from what the filters left of the last.

    Returns what it cost, for the manifest.
    """
    settings, writer = run.recipe.curate.evolve, run.recipe.roles.writer
    if not settings.methods:
        return {}
    if writer is None:
        raise UserError(
            f"nobody writes new questions from {len(rows):,} math seeds that are no worksheets: name a model as "
            "roles.writer, or set curate.evolve.methods to [] for no new questions"
        )
    engine = run.engine(writer, run.recipe.model(writer.model).name, "evolve")
    parents = [p for p in rows if int(content_key(p.id), 16) % 10_000 < 10_000 * settings.share]
    for turn in range(settings.rounds):
        sampling = writer.sampling(1, run.recipe.seed + turn)
        done = 0
        for key, part in shards(parents, 1000).items():
            name = f"round{turn}-{key}"
            if not stage.has(name):
                born, unfinished = evolve_with(engine, part, settings.methods, sampling)
                kept, dropped = winnow(born, run.recipe.curate.filters)
                stage.write(name, kept, Problem, [*unfinished, *dropped])
            done += len(part)
            run.display.progress(done, len(parents))
        parents = stage.rows(Problem, f"round{turn}-")
    return cost_of(engine)


def curate(run: Run) -> None:
    """Filter, deduplicate, decontaminate."""
    recipe = run.recipe
    identity = recipe.curate.model_dump(exclude={"evolve", "cross_check", "solvability"})
    with run.stage("curate", {"curate": identity}, ["problems", "evolve"]) as opened:
        if opened is None:
            return
        stage, facts = opened
        seeds = run.rows("problems", Problem, "seeds")
        benchmarks = run.rows("problems", Problem, "benchmarks")
        evolved = run.rows("evolve", Problem)
        steps = [step_of("seeds and evolved", [p.source for p in (*seeds, *evolved)], [])]
        found = clean([*seeds, *evolved], benchmarks, recipe.curate)
        steps += found.steps
        stage.write("prompts", found.rows, Problem, found.dropped)
        facts["funnel"] = [step.record() for step in steps]
        if found.near is not None:
            facts["near"] = found.near
        counts = [(len(seeds), "seeds"), *((s.rows_out, s.name) for s in steps)]
        facts["reported"] = found.reported
        near = ", ".join(f"{count:,} {kind}" for kind, count in found.reported.items() if count)
        facts["summary"] = " → ".join(f"{count:,} ({name})" for count, name in counts)
        facts["summary"] += f"; kept though near a benchmark: {near or 'none'}"


def _responses(run: Run, name: str, role: Role, n: int, rows: Sequence[Problem], inputs: list[str]) -> None:
    """A role's `n` answers to each problem, a shard at a time."""
    settings = {"role": run.recipe.identity_of(role), "n": n, "seed": run.recipe.seed}
    with run.stage(name, settings, inputs) as opened:
        if opened is None:
            return
        stage, facts = opened
        engine = run.engine(role, run.recipe.model(role.model).name, name)
        sampling = role.sampling(n, run.recipe.seed)
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


def solvability(run: Run) -> None:
    """The vote on which math prompts can be solved, where the recipe asks for one."""
    settings = run.recipe.curate.solvability
    if settings is None:
        return
    prompts = run.rows("curate", Problem)
    math = [p for p in prompts if p.group == "math"]
    voter = run.recipe.roles.named()[settings.by].model_copy(update={"temperature": settings.temperature})
    _responses(run, "teacher-vote", voter, settings.answers, math, ["curate"])
    with run.stage(
        "solvability", {"solvability": settings.model_dump()}, ["curate", "teacher-vote"]
    ) as opened:
        if opened is None:
            return
        stage, facts = opened
        kept, dropped = solvable(prompts, by_problem(run.rows("teacher-vote", Response)), settings)
        stage.write("prompts", kept, Problem, dropped)
        facts["funnel"] = [step_of("solvability vote", [p.source for p in kept], dropped).record()]
        facts["summary"] = f"{len(kept):,} of {len(prompts):,} prompts pass the vote"


def synthesize(run: Run) -> None:
    """The responses of each subject's teacher, the filters, the checkers' responses and the cross-check."""
    prompts = run.rows(run.prompts, Problem)
    teachers = _teach(run, prompts)
    exact = _exact_sources(run)
    settings = {"filters": run.recipe.curate.filters.model_dump(), "exact": sorted(exact)}
    with run.stage("filter-responses", settings, [run.prompts, *teachers]) as opened:
        if opened is not None:
            stage, facts = opened
            rows = [row for name in teachers for row in run.rows(name, Response)]
            subjects = {p.id: p.group for p in prompts}
            kept, dropped = filter_responses(
                rows, run.recipe.curate.filters, lambda r: subjects[r.problem_id] == "math"
            )
            known = [p for p in prompts if p.group == "math" and p.answer and p.source in exact]
            kept, wrong, facts["reference"] = against_references(kept, known)
            dropped += wrong
            stage.write("responses", kept, Response, dropped)
            facts["funnel"] = [response_step("filter responses", prompts, kept, dropped).record()]
            facts["summary"] = f"{len(kept):,} of {len(rows):,} responses kept" + (
                f"; {len(wrong):,} were wrong by reference" if wrong else ""
            )
    good = {r.problem_id for r in run.rows("filter-responses", Response)}
    math = [p for p in prompts if p.group == "math" and p.id in good]
    for name, checker in run.recipe.roles.checkers.items():
        _responses(run, f"checker-{name}", checker, checker.answers, math, [run.prompts, "filter-responses"])
    _cross_check(run)


def _teach(run: Run, prompts: Sequence[Problem]) -> list[str]:
    """One response to each prompt by its subject's teacher (paper, section 3.2.1); the names of the stages.

    UserError, before anything is asked, where prompts have a subject that nobody teaches.
    """
    groups: dict[str, list[Problem]] = {subject: [] for subject in run.recipe.roles.teachers}
    for prompt in prompts:
        groups.setdefault(prompt.group, []).append(prompt)
    for subject, rows in groups.items():
        if subject not in run.recipe.roles.teachers:
            raise UserError(
                f"nobody answers the {len(rows):,} {subject} prompts; name a model as roles.teachers.{subject}, or leave them out"
            )
    for subject, teacher in run.recipe.roles.teachers.items():
        _responses(run, f"teacher-{subject}", teacher, 1, groups[subject], [run.prompts])
    return [f"teacher-{subject}" for subject in run.recipe.roles.teachers]


def _exact_sources(run: Run) -> set[str]:
    """The sources whose references are exact, as the `source` column names them."""
    seeds = run.recipe.problems.seeds.items()
    return {
        SOURCE if source.worksheets is not None else name
        for name, source in seeds
        if (source.worksheets is not None if source.exact is None else source.exact)
    }


def against_references(
    responses: Sequence[Response], problems: Sequence[Problem]
) -> tuple[list[Response], list[Dropped], dict[str, int]]:
    """Drop the responses that are wrong by the reference of one of these problems; and how many are right, wrong, unknown.

    Only a comparison that found another answer drops a response: what cannot be compared stays, as do the responses to
    other problems.
    """
    prompts = {p.id: p for p in problems}
    judged = {
        (r.problem_id, r.sample): r
        for r in graded([r for r in responses if r.problem_id in prompts], problems)
    }
    kept, dropped = [], []
    for row in responses:
        verdict = judged.get((row.problem_id, row.sample))
        if verdict is None or verdict.status != "wrong" or verdict.label is None:
            kept.append(row)
            continue
        detail = f"{verdict.extracted!r} against the reference {prompts[row.problem_id].answer!r}"
        dropped.append(
            Dropped(row.problem_id, "filter-responses", "wrong by reference", row.text, row.model, detail)
        )
    right = sum(r.correct for r in judged.values())
    counts = {"right": right, "wrong": len(dropped), "unknown": len(judged) - right - len(dropped)}
    return kept, dropped, counts


def _cross_check(run: Run) -> None:
    settings, checkers = run.recipe.curate.cross_check, run.recipe.roles.checkers
    stages = [f"checker-{name}" for name in checkers]
    with run.stage(
        "cross-check", {"cross_check": settings.model_dump()}, [run.prompts, "filter-responses", *stages]
    ) as opened:
        if opened is None:
            return
        stage, facts = opened
        check = by_problem([row for name in stages for row in run.rows(name, Response)])
        prompts = run.rows(run.prompts, Problem)
        math = {prompt.id for prompt in prompts if prompt.group == "math"}
        # Also those to which the checkers refused every answer: they are "unchecked", not forgotten.
        main = [r for r in run.rows("filter-responses", Response) if r.problem_id in math]
        need = sum(checker.answers for checker in checkers.values())
        kept, dropped = cross_checked(main, check, need, settings.share)
        stage.write("checked", kept, Response, dropped)
        facts["funnel"] = [response_step("cross-check", prompts, kept, dropped).record()]
        facts["agreement"] = len(kept) / max(1, len(main))
        facts["teachers"] = agreement(main, check)
        facts["summary"] = f"{len(kept):,} of {len(main):,} math responses cross-checked"


def blends(run: Run) -> None:
    """The conversations of each training stage."""
    recipe = run.recipe
    stages = {
        n: {"blend": s.blend, "counts": s.counts, "shares": s.shares} for n, s in recipe.sft.stages.items()
    }
    settings = {
        "stages": stages,
        "pools": {name: pool.model_dump() for name, pool in recipe.sft.pools.items()},
        "chat": recipe.sft.chat.model_dump(),
        "seed": recipe.seed,
    }
    with run.stage("blends", settings, [run.prompts, "filter-responses", "cross-check"]) as opened:
        if opened is None:
            return
        stage, facts = opened
        used: dict[str, set[str]] = {}
        stock = Stock(
            by_id(run.rows(run.prompts, Problem)),
            run.rows("filter-responses", Response),
            {r.problem_id for r in run.rows("cross-check", Response)},
            recipe.sft.pools,
            used,
        )
        counts = {}
        for name, part in recipe.sft.stages.items():
            chats = make_blend(part.blend, part.counts, stock, recipe.sft.chat, recipe.seed, part.shares)
            stage.write(name, chats, Chat)
            used[name] = {chat.problem_id for chat in chats}
            counts[name] = blend_facts(chats)
            for pool, (asked, had) in shortfalls(chats, part.blend, stock).items():
                run.display.warn(f"blend {name}: pool {pool} was to add {asked:,} prompts and had {had:,}")
        facts["counts"] = counts
        facts["summary"] = ", ".join(f"{n}: {c['conversations']:,}" for n, c in counts.items())
