"""Stages in which a role responds to problems: teachers, checkers, the labeller, candidates, benchmark samples."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from acemath.benchmarks.registry import BENCHMARKS
from acemath.grade import grade_many
from acemath.grade.conventions import STRICT, Conventions
from acemath.grade.reward import UNKNOWN
from acemath.models.engine import Engine, Paid, Sampling, collect, says_too_long
from acemath.models.spec import EndpointModel, Model, TransformersModel, VllmModel
from acemath.recipe.roles import Policy, Role
from acemath.records import (
    BENCHMARK,
    LENGTH,
    REFUSED,
    Dropped,
    Problem,
    Response,
    Verdict,
    by_id,
    content_key,
    fingerprint,
)
from acemath.run.context import Models
from acemath.run.partitions import Space
from acemath.run.stage import Copies, Facts, MapStage, Part, whole

TOO_LONG = "too-long"  # why a row is dropped: its prompt leaves no room for a response
ASKED = "asked"  # in a response's meta: a key of its prompt and of all that it depends on, by which it is used again


@dataclass(frozen=True)
class Responder:
    """A role that gives `n` responses to each problem of a stage, in its own chat.

    `name` goes into the responses' `model` column; by default it is the model's own name.
    """

    run: Models
    stage: str
    role: Role
    n: int = 1
    name: str = ""
    temperature: float | None = None  # None: the role's own
    seed: int | None = None  # None: the run's
    prompts: Callable[[Sequence[Problem]], Sequence[Problem]] | None = None  # what is asked for some problems
    reuse: bool = False  # whether responses of the part that is made again are kept where nothing changed for them
    _paid: list[Engine] = field(default_factory=list)  # the endpoint's engine, once the stage has used it

    @property
    def sampling(self) -> Sampling:
        """The settings of sampling."""
        seed = self.run.seed if self.seed is None else self.seed
        return self.role.sampling(self.n, seed, self.temperature)

    def settings(self) -> dict[str, Any]:
        """What the responses depend on: the model, the chat, the sampling. Prices and budgets are left out."""
        return {"role": self.run.identity_of(self.role), "sampling": self.sampling.model_dump()}

    @property
    def trained_by(self) -> tuple[str, ...]:
        """The stage of this run that trains the model; empty for a model from elsewhere."""
        return self.run.made_by(self.role.model)

    @contextmanager
    def engine(self) -> Iterator[Engine]:
        """The engine; its memory is freed when the block ends, before the next stage loads a model."""
        engine = self._engine()
        if isinstance(engine, Paid):
            self._paid[:] = [engine]
        try:
            yield engine
        finally:
            self.run.finished(engine)

    def cost(self) -> Facts:
        """{"cost": …} of the stage so far for an endpoint; empty for other engines."""
        paid = isinstance(self.run.model(self.role.model), EndpointModel)
        return cost_of(self._paid[0] if self._paid else self._engine()) if paid else {}

    @property
    def model_name(self) -> str:
        """The value of the responses' `model` column."""
        return self.name or self.run.model(self.role.model).name

    def _engine(self) -> Engine:
        return self.run.engine(self.role, self.model_name, self.stage)

    def responses(self, engine: Engine, problems: Sequence[Problem], part: Part) -> list[Response]:
        """All responses to some problems, in order of problem and sample."""
        asked = self.asked(problems)
        if not self.reuse:
            return collect(engine, asked, self.sampling, part.progress)
        keys = self._keys(asked)
        kept = self.kept(part.before(Response), asked)
        missing = [p for p in asked if p.id not in kept]
        written = collect(engine, missing, self.sampling, part.progress) if missing else []
        marked = [replace(r, meta={**r.meta, ASKED: keys[r.problem_id]}) for r in written]
        rows = [*marked, *(row for rows in kept.values() for row in rows)]
        return sorted(rows, key=lambda r: (r.problem_id, r.sample))

    def kept(self, rows: Iterable[Response], asked: Sequence[Problem]) -> dict[str, list[Response]]:
        """Of earlier responses, those to the problems (as they are asked) for which nothing has changed."""
        return complete(rows, self._keys(asked), self.n)

    def asked(self, problems: Sequence[Problem]) -> Sequence[Problem]:
        """The problems with the prompts that the model gets."""
        if self.prompts is not None:
            return self.prompts(problems)
        return after_shots(problems, self.role.listed if isinstance(self.role, Policy) else ())

    def _keys(self, asked: Sequence[Problem]) -> dict[str, str]:
        """By problem, a key of its prompt and of all settings but the number of samples."""
        sampling = self.sampling.model_dump(exclude={"n"})
        settings = fingerprint({"role": self.run.identity_of(self.role), "sampling": sampling})
        return {p.id: content_key(settings, p.prompt) for p in asked}


def complete(
    rows: Iterable[Response], keys: Mapping[str, str], n: int
) -> dict[str, list[Response]]:
    """Of earlier responses, the first n to each problem that has n of them under its key in `keys`."""
    found: dict[str, list[Response]] = {}
    for row in rows:
        if row.sample < n and row.finish_reason != REFUSED and row.meta.get(ASKED) == keys.get(row.problem_id, ""):
            found.setdefault(row.problem_id, []).append(row)
    return {key: mine for key, mine in found.items() if len(mine) == n}


def cost_of(engine: Engine) -> dict[str, Any]:
    """{"cost": …} for an engine that costs money; empty for others."""
    return {"cost": engine.cost()} if isinstance(engine, Paid) else {}


def responses_of(
    responder: Responder,
    inputs: tuple[str, ...],
    problems: Callable[[Part], list[Problem]],
    *,
    grade: bool = False,
    keep_refused: bool = False,
    space: Space = "training",
    also: Sequence[str] = (),
) -> MapStage:
    """A stage of a role's responses to the problems of each partition. `grade` compares them with the reference answers.

    A refused response is dropped, with the engine's reason; a prompt that is too long has a reason of its own. With `keep_refused` it is kept as a response without an
    answer, because a benchmark's numbers are over all of its problems. `also` names stages that `problems` reads as a whole.
    """

    def work(part: Part) -> None:
        mine = problems(part)
        found = responder.responses(part.tool, mine, part)
        kept, dropped = (found, []) if keep_refused else without_refused(found, mine, responder.stage)
        rows = graded(kept, mine) if grade else kept
        part.write(rows, Response, dropped, counts_of(rows, dropped))

    model = responder.run.model(responder.role.model)
    return MapStage(
        responder.stage,
        responder.settings(),
        (*inputs, *map(whole, also), *(whole(name) for name in responder.trained_by)),
        work=work,
        tool=responder.engine,
        copies=copies_of(model),
        more=responder.cost,
        summary=partial(_summary, responder.model_name, grade),
        space=space,
    )


def copies_of(model: Model) -> Copies:
    """The copies of a model that a stage loads."""
    if isinstance(model, TransformersModel | VllmModel):
        return Copies(model.replicas, model.devices)
    return Copies()


def rows_of(stage: str) -> Callable[[Part], list[Problem]]:
    """A reader of a stage's problems, for `responses_of`."""

    def rows(part: Part) -> list[Problem]:
        return part.rows(stage, Problem)

    return rows


def counts_of(rows: Sequence[Response], dropped: Sequence[Dropped]) -> dict[str, Any]:
    """The facts of a partition of responses."""
    return {
        "responses": len(rows),
        "correct": sum(r.correct for r in rows),
        "tokens": sum(r.tokens for r in rows),
        "refused": len(dropped) + sum(r.finish_reason == REFUSED for r in rows),
        "too_long": sum(d.reason == TOO_LONG for d in dropped) + sum(map(_too_long, rows)),
        "cut": sum(r.finish_reason == LENGTH for r in rows),
        "ungraded": sum(r.status is None for r in rows),
        "unknown": sum(r.status in UNKNOWN for r in rows),
    }


def _summary(name: str, grade: bool, facts: Facts) -> str:
    words = f"{facts['responses']:,} responses"
    if grade:
        known = facts["responses"] - facts["ungraded"]
        words += f", {100 * facts['correct'] / max(1, known):.1f} % right"
        words += f" of those graded; {facts['ungraded']:,} not graded" if facts["ungraded"] else ""
    else:
        words += f" by {name}"
    words += f", {facts['cut']:,} cut at the token limit" if facts["cut"] else ""
    words += f", {facts['refused']:,} refused" if facts["refused"] else ""
    words += f" ({facts['too_long']:,} of them because the prompt is too long)" if facts.get("too_long") else ""
    return words + cost_words(facts)


def cost_words(facts: Mapping[str, Any]) -> str:
    """The cost in a stage's facts, for the end of its summary; empty if the stage cost nothing."""
    cost = facts.get("cost")
    if cost is None:
        return ""
    tokens = cost["prompt_tokens"] + cost["completion_tokens"]
    words = f"; {cost['requests']:,} requests, {tokens:,} tokens, {cost['usd']:.2f} US$"
    if cost["lost_requests"]:
        words += f", and at most {cost['lost_usd_at_most']:.2f} US$ more for {cost['lost_requests']:,} lost replies"
    return words


def without_refused(
    responses: Sequence[Response], problems: Sequence[Problem], step: str
) -> tuple[list[Response], list[Dropped]]:
    """The responses without the refused ones, and those as dropped rows with the engine's reason.

    Whether a model of this process or a server refused a prompt for its length, the row is dropped as `TOO_LONG`.
    """
    prompts = {p.id: p for p in problems}
    kept, dropped = [], []
    for row in responses:
        if row.finish_reason != REFUSED:
            kept.append(row)
            continue
        problem = prompts[row.problem_id]
        reason, detail = TOO_LONG if _too_long(row) else REFUSED, f"sample {row.sample}: {row.meta[REFUSED]}"
        dropped.append(Dropped(row.problem_id, step, reason, problem.prompt, problem.source, detail))
    return kept, dropped


def _too_long(row: Response) -> bool:
    return row.finish_reason == REFUSED and says_too_long(str(row.meta.get(REFUSED, "")))


def after_shots(problems: Sequence[Problem], shots: Sequence[tuple[str, str]]) -> Sequence[Problem]:
    """The problems with worked examples before each prompt, in the same turn; policies then answer as briefly.

    The paper gets its short responses in this way (section 4.1). The form is that of the Qwen2.5-Math harness:
    questions and answers, separated by blank lines.
    """
    if not shots:
        return problems
    head = "".join(f"{question}\n{answer}\n\n" for question, answer in shots)
    return [replace(problem, prompt=head + problem.prompt) for problem in problems]


def graded(responses: Sequence[Response], problems: Sequence[Problem]) -> list[Response]:
    """Responses with their verdicts, in order of problem and sample. Without a reference answer there is no verdict.

    A benchmark of the registry has conventions of its own.
    """
    asked = by_id(problems)
    found = sorted(responses, key=lambda r: (r.problem_id, r.sample))
    by_rules: dict[Conventions, list[int]] = {}
    for at, row in enumerate(found):
        if asked[row.problem_id].answer:
            by_rules.setdefault(_conventions(asked[row.problem_id]), []).append(at)
    for conventions, places in by_rules.items():
        pairs = [(found[at].text, asked[found[at].problem_id].answer, found[at].finish_reason) for at in places]
        for at, verdict in zip(places, grade_many(pairs, conventions), strict=True):
            found[at] = _with_verdict(found[at], verdict)
    return found


def _conventions(problem: Problem) -> Conventions:
    known = BENCHMARKS.get(str(problem.meta.get(BENCHMARK)))
    return STRICT if known is None else known.conventions


def _with_verdict(response: Response, verdict: Verdict) -> Response:
    return replace(response, status=verdict.status, extracted=verdict.answer, reason=verdict.reason)
