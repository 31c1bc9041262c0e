"""From a command's options to engines, and responses from them into a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from acemath.errors import UserError
from acemath.files.atomic import write_json_lines
from acemath.files.identity import with_prompt_keys
from acemath.files.lock import locked
from acemath.files.rows import write_rows
from acemath.models.engine import ChatFormat, Engine, Sampling
from acemath.models.generate.endpoint.account import Account
from acemath.models.spec import EndpointModel, Model, TransformersModel
from acemath.recipe.load import first_fault
from acemath.recipe.plan import MATH_TOKENS
from acemath.records import REFUSED, Problem, Response
from acemath.run.asking import collect, cost_of, graded, without_refused
from acemath.run.display import Display
from acemath.run.engines import make_engine

BYTES_A_TOKEN = 4  # of English prompts, for estimates alone: a budget reserves one token a byte
_MODEL: TypeAdapter[Model] = TypeAdapter(Model)


def model_of(engine: str, model: str, changes: Mapping[str, Any]) -> Model:
    """A model from a command's options. UserError naming an option that is wrong or missing."""
    if engine != "worksheets" and not model:
        raise UserError(f"engine {engine!r} needs a model; name it with --model")
    if engine == "worksheets" and model:
        raise UserError(
            f"engine 'worksheets' has no model {model!r}; name another --engine, or leave --model out"
        )
    given = {name: value for name, value in changes.items() if value is not None}
    if model:
        given["id"] = model
    try:
        return _MODEL.validate_python({"engine": engine, **given})
    except ValidationError as error:
        raise UserError(first_fault(error, "the options")) from error


@contextmanager
def engine_of(model: Model, chat: ChatFormat, journal: Path) -> Iterator[Engine]:
    """An engine for a command. An endpoint's responses are kept in the folder `journal` as they arrive."""
    if isinstance(model, EndpointModel):
        with locked(journal), closing(Account(journal)) as account:
            yield make_engine(model, chat, account=account)
        return
    if isinstance(model, TransformersModel):
        from acemath.run.run import quiet_transformers

        quiet_transformers()
    yield make_engine(model, chat)


def write(engine: Engine, rows: Sequence[Problem], sampling: Sampling, name: str) -> list[Response]:
    """Responses to problems, with progress on standard error. UserError where the engine refused every one."""
    display, total = Display(), len(rows) * sampling.n
    display.start(name, f"asking {engine.name} for {total:,} responses")
    try:
        found = collect(engine, rows, sampling, display.progress)
    finally:
        display.stop()
    if all(r.finish_reason == REFUSED for r in found):
        raise UserError(
            f"{engine.name} gave no response that can be used: all {total:,} were refused (the first: "
            f"{found[0].meta[REFUSED]}); check the model and the prompts"
        )
    return found


def sample(
    name: str, rows: Sequence[Problem], engine: Engine, sampling: Sampling, out: Path
) -> dict[str, Any]:
    """Responses to problems in a file, graded where the problem has an answer; what was refused in a file beside it.

    "accuracy" is over the graded responses; "note" says what it leaves out.
    """
    responses, dropped = without_refused(write(engine, rows, sampling, name), rows, name)
    responses = graded(responses, rows)
    write_rows(out, with_prompt_keys(responses, rows), Response)
    found: dict[str, Any] = {
        "n": len(responses),
        "problems": len(rows),
        "tokens": sum(r.tokens for r in responses),
        "out": str(out),
    }
    if dropped:
        path = out.with_suffix(".dropped.jsonl")
        write_json_lines(path, [asdict(row) for row in dropped])
        found |= {REFUSED: len(dropped), "dropped": str(path)}
    return found | _accuracy(rows, responses) | cost_of(engine)


def _accuracy(rows: Sequence[Problem], responses: Sequence[Response]) -> dict[str, Any]:
    """How many of the graded responses are right, and a note where not all problems and responses count."""
    answered = sum(bool(p.answer) for p in rows)
    graded_ones = [r for r in responses if r.status is not None]
    cut = sum(r.finish_reason == "length" for r in responses)
    found: dict[str, Any] = {"answered": answered, "cut": cut}
    if graded_ones:
        found["accuracy"] = round(100 * sum(r.correct for r in graded_ones) / len(graded_ones), 2)
    if not answered:
        found["note"] = "nothing is graded: no problem has an answer"
    elif answered < len(rows):
        without = len(rows) - answered
        found["note"] = (
            f"accuracy is over {answered:,} of {len(rows):,} problems; {without:,} "
            f"{'has' if without == 1 else 'have'} no answer"
        )
    return found


def estimate(
    rows: Sequence[Problem], model: Model, chat: ChatFormat, sampling: Sampling, journal: Path
) -> dict[str, Any]:
    """What a command would ask and pay before its first request: expected, and at the very most.

    Expected: four bytes a token in prompts, and the paper's mean of 800 tokens a response or the limit where that is
    lower. At most: what the budget would reserve.
    """
    from acemath.models.generate.endpoint.requests import Asking

    # What runs in process is counted as a server without prices would.
    settings = (
        model if isinstance(model, EndpointModel) else EndpointModel(id=model.name, url="http://localhost")
    )
    asking = Asking(settings, chat, sampling)
    known: dict[str, Any] = {}
    if (journal / "responses.jsonl").exists():
        with locked(journal), closing(Account(journal)) as account:
            known = account.known
    found = list(asking.requests(list(dict.fromkeys(p.prompt for p in rows)), known, settings.per_request))
    most = [asking.most(request) for request in found]
    wanted = sum(len(request.samples) for request in found)
    prompts = sum(asking.prompt_bytes(request) for request in found) // BYTES_A_TOKEN
    written = wanted * min(MATH_TOKENS, sampling.max_new_tokens)
    return {
        "problems": len(rows),
        "responses": wanted,
        "kept_already": len(rows) * sampling.n - wanted,
        "requests": len(found),
        "prompt_tokens": prompts,
        "completion_tokens": written,
        "usd": round(settings.usd(prompts, written), 4),
        "tokens_at_most": sum(amount.tokens for amount in most),
        "usd_at_most": round(sum(amount.usd for amount in most), 4),
        "budget_usd": settings.budget_usd,
        "budget_tokens": settings.budget_tokens,
    }
