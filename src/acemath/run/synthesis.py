"""Stages of the responses for fine-tuning: the teachers, the filters, the checkers, the cross-check."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from acemath.curate.crosscheck import agreement_counts, cross_checked
from acemath.curate.filters import filter_responses
from acemath.errors import UserError
from acemath.recipe.sources import column_value
from acemath.records import Dropped, Problem, Response, by_problem
from acemath.run.context import Run
from acemath.run.responses import Responder, graded, responses_of
from acemath.run.stage import Facts, MapStage, Part
from acemath.run.steps import response_facts


def teachers(run: Run, prompts: str) -> list[MapStage]:
    """The responses to each prompt by the teacher of its subject (paper, section 3.2.1: one, greedy)."""
    return [
        responses_of(
            Responder(run, f"teacher-{subject}", role, role.each),
            (prompts,),
            _prompts_of(run, prompts, subject),
        )
        for subject, role in run.recipe.roles.teachers.items()
    ]


def _prompts_of(run: Run, prompts: str, subject: str) -> Callable[[Part], list[Problem]]:
    """The prompts that a subject's teacher responds to. UserError where a prompt has no teacher."""
    others = only_for(run, "reward")

    def chosen(part: Part) -> list[Problem]:
        rows = [p for p in part.rows(prompts, Problem) if p.source not in others]
        if lacking := {p.group for p in rows} - set(run.recipe.roles.teachers):
            raise UserError(
                f"no teacher answers the {min(lacking)} prompts; name a model as roles.teachers.{min(lacking)}, or leave "
                "them out"
            )
        return [p for p in rows if p.group == subject]

    return chosen


def only_for(run: Run, use: str) -> frozenset[str]:
    """The sources whose prompts are for one use alone, by their value in the `source` column."""
    seeds = run.recipe.problems.seeds.items()
    return frozenset(column_value(name, source) for name, source in seeds if source.use == use)


def responses(run: Run, prompts: str) -> MapStage:
    """The teachers' responses, filtered and compared with exact reference answers (sections 3.2.1 and 3.2.2)."""
    settings, exact = run.recipe.curate.filters, _exact_sources(run)
    stages = [f"teacher-{subject}" for subject in run.recipe.roles.teachers]

    def work(part: Part) -> None:
        rows = part.rows(prompts, Problem)
        given = [row for name in stages for row in part.rows(name, Response)]
        groups = {p.id: p.group for p in rows}
        kept, dropped = filter_responses(given, settings, lambda r: groups[r.problem_id] == "math")
        math = [p for p in rows if p.group == "math"]
        known = [p for p in math if p.answer and (p.source in exact or settings.right)]
        kept, wrong, reference = against_references(kept, known, {p.id for p in math} if settings.right else set())
        dropped += wrong
        facts = {"rows": len(kept), "of": len(given), "reference": reference}
        part.write(kept, Response, dropped, facts | response_facts("filter responses", rows, kept, dropped))

    def summary(facts: Facts) -> str:
        wrong = facts["reference"]["wrong"]
        words = f"{facts['rows']:,} of {facts['of']:,} responses kept"
        return f"{words}; {wrong:,} were wrong by reference" if wrong else words

    keyed = {"filters": settings.model_dump(), "exact": sorted(exact)}
    return MapStage("responses", keyed, (prompts, *stages), work=work, summary=summary, spread=True)


def _exact_sources(run: Run) -> set[str]:
    """The sources whose reference answers are exact, by their value in the `source` column."""
    return {
        column_value(name, source)
        for name, source in run.recipe.problems.seeds.items()
        if (source.worksheets is not None if source.exact is None else source.exact)
    }


def against_references(
    responses: Sequence[Response], problems: Sequence[Problem], right: Collection[str] = ()
) -> tuple[list[Response], list[Dropped], dict[str, int]]:
    """Drop the responses that contradict the reference answer of one of `problems`.

    Returns those kept, those dropped, and how many were right, wrong and unknown. A response is kept if it cannot be
    compared, and if it answers another problem; but those to problems with an id in `right` only if they are right.
    """
    prompts = {p.id: p for p in problems}
    judged = {
        (r.problem_id, r.sample): r
        for r in graded([r for r in responses if r.problem_id in prompts], problems)
    }
    kept, dropped = [], []
    for row in responses:
        verdict = judged.get((row.problem_id, row.sample))
        contradicts = verdict is not None and verdict.status == "wrong" and verdict.label is not None
        if not contradicts and (row.problem_id not in right or verdict is not None and verdict.correct):
            kept.append(row)
            continue
        why = "wrong by reference" if contradicts else "not known to be right"
        detail = ""
        if verdict is not None:
            detail = f"{verdict.extracted!r} against the reference {prompts[row.problem_id].answer!r}"
        dropped.append(Dropped(row.problem_id, "filter-responses", why, row.text, row.model, detail))
    good, bad = sum(r.correct for r in judged.values()), sum(d.reason == "wrong by reference" for d in dropped)
    return kept, dropped, {"right": good, "wrong": bad, "unknown": len(judged) - good - bad}


def checkers(run: Run, prompts: str) -> list[MapStage]:
    """The checkers' answers to the math prompts whose response was kept (paper, section 3.2.2)."""

    def math(part: Part) -> list[Problem]:
        answered = {r.problem_id for r in part.rows("responses", Response)}
        return [p for p in part.rows(prompts, Problem) if p.group == "math" and p.id in answered]

    return [
        responses_of(
            Responder(run, f"checker-{name}", role, role.answers), (prompts, "responses"), math
        )
        for name, role in run.recipe.roles.checkers.items()
    ]


def cross_check(run: Run, prompts: str) -> list[MapStage]:
    """The math responses that the checkers confirm (paper, section 3.2.2); no stage without a checker."""
    settings, roles = run.recipe.curate.cross_check, run.recipe.roles.checkers
    if not roles:
        return []
    stages = [f"checker-{name}" for name in roles]
    need = sum(role.answers for role in roles.values())

    def work(part: Part) -> None:
        rows = part.rows(prompts, Problem)
        math = {p.id for p in rows if p.group == "math"}
        check = by_problem(row for name in stages for row in part.rows(name, Response))
        # Responses without any checker's answer are included: they are dropped as "unchecked".
        main = [r for r in part.rows("responses", Response) if r.problem_id in math]
        kept, dropped = cross_checked(main, check, need, settings.share)
        facts = {"rows": len(kept), "of": len(main), "checkers": agreement_counts(main, check)}
        part.write(kept, Response, dropped, facts | response_facts("cross-check", rows, kept, dropped))

    def summary(facts: Facts) -> str:
        return f"{facts['rows']:,} of {facts['of']:,} math responses cross-checked"

    keyed = {"cross_check": settings.model_dump(), "answers": need}
    inputs = (prompts, "responses", *stages)
    return [MapStage("cross-check", keyed, inputs, work=work, summary=summary, spread=True)]
