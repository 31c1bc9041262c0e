"""The options of an engine, the engine made from them, and its responses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from pydantic import TypeAdapter, ValidationError

from acemath.cli.options import Setting, set_option
from acemath.errors import UserError
from acemath.files.lock import locked
from acemath.models.engine import ChatFormat, Engine, Sampling, collect, released
from acemath.models.generate.endpoint.account import Account
from acemath.models.generate.kept import KeptEngine
from acemath.models.hub import model_identity
from acemath.models.spec import EndpointModel, Model, WorksheetsModel
from acemath.notices import quiet_transformers
from acemath.recipe.load import first_fault
from acemath.recipe.plan import MATH_TOKENS
from acemath.records import REFUSED, Problem, Response
from acemath.run.display import Display
from acemath.run.engines import make_engine

BYTES_A_TOKEN = 4  # of English prompts, for estimates only: a budget reserves one token for each byte
_MODEL: TypeAdapter[Model] = TypeAdapter(Model)

EngineName = Annotated[
    Literal["worksheets", "transformers", "vllm", "endpoint"],
    typer.Option(
        "--engine",
        help="What generates responses: the built-in teacher of worksheets, a model in this process, or a server.",
    ),
]
Url = Annotated[
    str | None, typer.Option(help="The address of an OpenAI-compatible server; it usually ends in /v1.")
]
KeyEnv = Annotated[
    str | None,
    typer.Option(
        "--api-key-env", help="The environment variable with the server's key. [default: OPENAI_API_KEY]"
    ),
]
PriceIn = Annotated[float | None, typer.Option(min=0, help="US$ for a million prompt tokens.")]
PriceOut = Annotated[float | None, typer.Option(min=0, help="US$ for a million generated tokens.")]
Budget = Annotated[
    float | None,
    typer.Option(
        "--budget",
        min=0,
        help="The most US$ to spend on the server; stops before it spends more. Needs prices.",
    ),
]
ModelChanges = Annotated[
    list[Setting] | None,
    set_option("Another setting of the model, for example in_flight=64 or tensor_parallel=4."),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Print the number of requests and their cost; send none.")
]


def model_of(engine: str, model: str, changes: Sequence[Setting] | None, **options: Any) -> Model:
    """A model with the options that are given, and the settings of --set laid over them.

    UserError for an option that is wrong or missing.
    """
    if engine != "worksheets" and not model:
        raise UserError(f"engine {engine!r} needs a model; name it with --model")
    if engine == "worksheets" and model:
        raise UserError(
            f"engine 'worksheets' has no model {model!r}; name another --engine, or leave --model out"
        )
    given = {"id": model or None, **options, **dict(changes or ())}
    given = {name: value for name, value in given.items() if value is not None}
    try:
        return _MODEL.validate_python({"engine": engine, **given})
    except ValidationError as error:
        raise UserError(first_fault(error, "the options")) from error


@contextmanager
def engine_of(model: Model, chat: ChatFormat, journal: Path) -> Iterator[Engine]:
    """An engine for a command. The folder `journal` keeps its responses: an endpoint's as they arrive, a model's in this process in pieces."""
    if isinstance(model, EndpointModel):
        with locked(journal), closing(Account(journal)) as account:
            yield make_engine(model, chat, account=account)
        return
    quiet_transformers()
    if isinstance(model, WorksheetsModel):
        yield make_engine(model, chat)
        return
    with locked(journal), released(KeptEngine(make_engine(model, chat), model_identity(model) | chat.model_dump(), journal)) as engine:
        yield engine


def write(engine: Engine, rows: Sequence[Problem], sampling: Sampling, name: str) -> list[Response]:
    """Responses to problems, with progress on standard error. UserError if the engine refused all of them."""
    total = len(rows) * sampling.n
    with Display().during(name, f"asking {engine.name} for {total:,} responses") as display:
        found = collect(engine, rows, sampling, display.progress)
    if all(r.finish_reason == REFUSED for r in found):
        raise UserError(
            f"{engine.name} gave no response that can be used: all {total:,} were refused (the first: "
            f"{found[0].meta[REFUSED]}); check the model and the prompts"
        )
    return found


def estimate(
    rows: Sequence[Problem], model: Model, chat: ChatFormat, sampling: Sampling, journal: Path
) -> dict[str, Any]:
    """The requests and the cost of a command before it sends any: expected, and at most.

    The expected cost assumes four bytes for a token of a prompt, and the paper's mean of 800 tokens for a response or the
    limit if that is lower. The cost at most is what the budget would reserve.
    """
    from acemath.models.generate.endpoint.requests import Asking

    # A model in this process is counted like a server without prices.
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
