"""Sampling a policy on problems, graded as it goes: for candidates and for benchmarks alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from acemath.grade import grade_many
from acemath.recipe.roles import Policy
from acemath.records import REFUSED, Problem, Response, Verdict
from acemath.run.context import Run
from acemath.run.responses import collect, cost_of, cost_words, refused_words, without_refused
from acemath.run.shards import Stage, shards

SHARD = 8000  # responses; a shard is what a stopped run may have to repeat


def sample(
    run: Run,
    stage_name: str,
    name: str,
    policy: Policy,
    problems: Sequence[Problem],
    inputs: list[str],
    n: int | None = None,
    temperature: float | None = None,
    count_refused: bool = False,
) -> None:
    """`policy.each` graded responses to each problem, sharded by problem.

    What the engine refused is dropped with the reason; with `count_refused` it stays, as a response without an
    answer: a benchmark's numbers are over all of its problems.
    """
    each = n or policy.each
    heat = policy.temperature if temperature is None else temperature
    trained = run.recipe.stage_of(policy.model)
    needs = inputs + ([f"sft-{trained}"] if trained is not None else [])
    settings = {
        "policy": run.recipe.identity_of(policy),
        "n": each,
        "temperature": heat,
        "count": len(problems),
        "seed": run.recipe.seed,
        "slots": run.recipe.engine_slots,
    }
    with run.stage(stage_name, settings, needs) as opened:
        if opened is None:
            return
        stage, facts = opened
        engine = run.engine(policy, name, stage_name)
        sampling = policy.sampling(each, run.recipe.seed, heat)
        done = 0
        for key, part in shards(problems, max(1, SHARD // each)).items():
            if not stage.has(key):
                tell = partial(run.tell, done, len(problems) * each)
                found = collect(engine, after_shots(part, policy.shots), sampling, tell)
                kept = (found, []) if count_refused else without_refused(found, part, stage_name)
                stage.write(key, graded(kept[0], part), Response, kept[1])
            done += len(part) * each
        facts |= _facts(stage, stage.rows(Response)) | cost_of(engine)
        facts["summary"] += cost_words(facts)


def _facts(stage: Stage, rows: Sequence[Response]) -> dict[str, Any]:
    """Counts of a stage's responses, and its summary."""
    right = sum(r.correct for r in rows)
    refused = len(stage.dropped()) + sum(r.finish_reason == REFUSED for r in rows)
    cut = sum(r.finish_reason == "length" for r in rows)
    ungraded = sum(r.status is None for r in rows)
    tokens = sum(r.tokens for r in rows)
    share = 100 * right / max(1, len(rows) - ungraded)
    words = f"{len(rows):,} responses, {share:.1f} % right"
    words += f" of those to problems with an answer; {ungraded:,} not graded" if ungraded else ""
    words += f", {cut:,} cut at the token limit" if cut else ""
    return {
        "counts": {
            "responses": len(rows),
            "correct": right,
            "tokens": tokens,
            REFUSED: refused,
            "cut": cut,
            "ungraded": ungraded,
        },
        "summary": words + refused_words(refused),
    }


def after_shots(problems: Sequence[Problem], shots: Sequence[tuple[str, str]]) -> Sequence[Problem]:
    """Problems as they are asked after worked examples, all in one turn: policies then answer as briefly.

    The paper asks so for short forms (section 4.1), as the Qwen2.5-Math harness does: question and answer,
    joined by blank lines.
    """
    if not shots:
        return problems
    head = "".join(f"{question}\n{answer}\n\n" for question, answer in shots)
    return [replace(problem, prompt=head + problem.prompt) for problem in problems]


def graded(responses: Sequence[Response], problems: Sequence[Problem]) -> list[Response]:
    """Responses with their verdicts, in order of problem and sample; those to problems without an answer have none."""
    answers = {p.id: p.answer for p in problems}
    ordered = sorted(responses, key=lambda r: (r.problem_id, r.sample))
    asked = [(r.text, answers[r.problem_id], r.finish_reason) for r in ordered if answers[r.problem_id]]
    verdicts = iter(grade_many(asked))
    return [_judged(r, next(verdicts)) if answers[r.problem_id] else r for r in ordered]


def _judged(response: Response, verdict: Verdict) -> Response:
    return replace(response, status=verdict.status, extracted=verdict.answer, reason=verdict.reason)
