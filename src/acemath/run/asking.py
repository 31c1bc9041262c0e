"""Stages in which models respond to problems: teachers, checkers, the labeller, candidates, benchmark samples."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from acemath.grade import grade_many
from acemath.models.engine import Engine, Paid, Sampling
from acemath.models.spec import EndpointModel
from acemath.recipe.roles import Role
from acemath.records import LENGTH, REFUSED, Dropped, Problem, Response, Verdict
from acemath.run.context import Run
from acemath.run.partitions import Space
from acemath.run.stage import Facts, MapStage, Part, Progress, whole


@dataclass(frozen=True)
class Asked:
    """Who is asked in a stage, and how: a role in its chat, `n` responses to each problem.

    `name` is what the responses' `model` column says, by default the model's own name.
    """

    run: Run
    stage: str
    role: Role
    n: int = 1
    name: str = ""
    temperature: float | None = None  # None: the role's own
    shots: Sequence[tuple[str, str]] = ()
    _paid: list[Engine] = field(default_factory=list)  # the endpoint that was asked last, which knows its own faults

    @property
    def sampling(self) -> Sampling:
        """How responses are drawn."""
        return self.role.sampling(self.n, self.run.recipe.seed, self.temperature)

    def settings(self) -> dict[str, Any]:
        """What the responses depend on: the model, the chat, the sampling. What an endpoint costs is not among it."""
        return {"role": self.run.recipe.identity_of(self.role), "sampling": self.sampling.model_dump()}

    @property
    def models(self) -> tuple[str, ...]:
        """The stage that makes the model, if it is one of this run."""
        return self.run.made_by(self.role.model)

    @contextmanager
    def engine(self) -> Iterator[Engine]:
        """The engine, whose memory is free again afterwards."""
        engine = self._engine()
        if isinstance(engine, Paid):
            self._paid[:] = [engine]
        yield engine
        gc.collect()
        if (torch := sys.modules.get("torch")) is not None and torch.cuda.is_available():
            torch.cuda.empty_cache()

    def cost(self) -> Facts:
        """{"cost": …} of the stage so far, for an engine that costs money; nothing for others."""
        paid = isinstance(self.run.recipe.model(self.role.model), EndpointModel)
        return cost_of(self._paid[0] if self._paid else self._engine()) if paid else {}

    @property
    def writer(self) -> str:
        """What the responses' `model` column says."""
        return self.name or self.run.recipe.model(self.role.model).name

    def _engine(self) -> Engine:
        return self.run.engine(self.role, self.writer, self.stage)

    def responses(self, engine: Engine, problems: Sequence[Problem], part: Part) -> list[Response]:
        """All responses to some problems, in order of problem and sample."""
        return collect(engine, after_shots(problems, self.shots), self.sampling, part.progress)


def collect(
    engine: Engine, problems: Sequence[Problem], sampling: Sampling, progress: Progress
) -> list[Response]:
    """All responses to some problems, in order of problem and sample.

    They stay in memory until the last one is there. An endpoint also writes each to disk as it arrives, so that a stop
    loses none; a model in this process repeats them.
    """
    found: list[Response] = []
    for response in engine.generate(problems, sampling):
        found.append(response)
        note = engine.status() if isinstance(engine, Paid) else ""
        progress(len(found), len(problems) * sampling.n, note)
    return sorted(found, key=lambda r: (r.problem_id, r.sample))


def cost_of(engine: Engine) -> dict[str, Any]:
    """What goes into a manifest: {"cost": …} for an engine that costs money, nothing for others."""
    return {"cost": engine.cost()} if isinstance(engine, Paid) else {}


def responses_of(
    asked: Asked,
    inputs: tuple[str, ...],
    problems: Callable[[Part], list[Problem]],
    *,
    judged: bool = False,
    keep_refused: bool = False,
    space: Space = "training",
) -> MapStage:
    """A stage of a role's responses to the problems of each partition, with `judged` graded by the reference answers.

    What the engine refused is dropped with the reason; with `keep_refused` it stays, as a response without an answer:
    a benchmark's numbers are over all of its problems.
    """

    def work(part: Part) -> None:
        mine = problems(part)
        found = asked.responses(part.tool, mine, part)
        kept, dropped = (found, []) if keep_refused else without_refused(found, mine, asked.stage)
        rows = graded(kept, mine) if judged else kept
        part.write(rows, Response, dropped, counts_of(rows, dropped))

    return MapStage(
        asked.stage,
        asked.settings(),
        (*inputs, *(whole(name) for name in asked.models)),
        work=work,
        tool=asked.engine,
        more=asked.cost,
        summary=partial(_summary, asked.writer, judged),
        space=space,
    )


def rows_of(stage: str) -> Callable[[Part], list[Problem]]:
    """The problems of a stage, for `responses_of`."""

    def rows(part: Part) -> list[Problem]:
        return part.rows(stage, Problem)

    return rows


def counts_of(rows: Sequence[Response], dropped: Sequence[Dropped]) -> dict[str, Any]:
    """The counts of some responses."""
    return {
        "responses": len(rows),
        "correct": sum(r.correct for r in rows),
        "tokens": sum(r.tokens for r in rows),
        "refused": len(dropped) + sum(r.finish_reason == REFUSED for r in rows),
        "cut": sum(r.finish_reason == LENGTH for r in rows),
        "ungraded": sum(r.status is None for r in rows),
    }


def _summary(name: str, judged: bool, facts: Facts) -> str:
    words = f"{facts['responses']:,} responses"
    if judged:
        known = facts["responses"] - facts["ungraded"]
        words += f", {100 * facts['correct'] / max(1, known):.1f} % right"
        words += f" of those to problems with an answer; {facts['ungraded']:,} not graded" if facts["ungraded"] else ""
    else:
        words += f" by {name}"
    words += f", {facts['cut']:,} cut at the token limit" if facts["cut"] else ""
    words += f", {facts['refused']:,} refused" if facts["refused"] else ""
    return words + cost_words(facts)


def cost_words(facts: Mapping[str, Any]) -> str:
    """The cost among a stage's facts in a few words; empty where nothing was paid for."""
    cost = facts.get("cost")
    if cost is None:
        return ""
    tokens = cost["prompt_tokens"] + cost["completion_tokens"]
    words = f"; {cost['requests']:,} requests, {tokens:,} tokens, {cost['usd']:.2f} US$"
    if cost["lost_requests"]:
        words += f", and for {cost['lost_requests']:,} lost replies at most {cost['lost_usd_at_most']:.2f} US$ more"
    return words


def without_refused(
    responses: Sequence[Response], problems: Sequence[Problem], step: str
) -> tuple[list[Response], list[Dropped]]:
    """The responses that were not refused, and the refused ones as dropped rows with the engine's reason."""
    prompts = {p.id: p for p in problems}
    kept, dropped = [], []
    for row in responses:
        if row.finish_reason != REFUSED:
            kept.append(row)
            continue
        problem = prompts[row.problem_id]
        detail = f"sample {row.sample}: {row.meta[REFUSED]}"
        dropped.append(Dropped(row.problem_id, step, REFUSED, problem.prompt, problem.source, detail))
    return kept, dropped


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
