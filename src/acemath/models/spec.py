"""Specifications of models: where a model comes from, which engine runs it, and the settings of that engine.

A recipe names each model once, under `models:`, and its roles refer to that name. Each engine has a class of its own,
so a setting that the engine does not have is an error, and never ignored.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import parse_qs, urlsplit

from pydantic import (
    BaseModel,
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    field_validator,
    model_validator,
)

from acemath.errors import UserError
from acemath.files.settings import Settings

KEY = "OPENAI_API_KEY"
# Fields of a request that no recipe may set: with another value, replies would be paid for and not understood.
_FIXED = ("model", "messages", "prompt", "n", "stream")
_SECRET = ("key", "token", "secret", "password")  # in the names of query parameters


class _Model(Settings):
    """What all engines have in common."""


    OPERATION: ClassVar[frozenset[str]] = frozenset()
    """The settings that say how a model is run, and do not change what it writes."""

    @property
    def name(self) -> str:
        """The name for the `model` column of its responses."""
        raise NotImplementedError

    def identity(self) -> dict[str, Any]:
        """The settings that responses depend on. If others change, no response is written again."""
        return self.model_dump(mode="json", exclude=set(self.OPERATION))


class WorksheetsModel(_Model):
    """The offline teacher, which answers worksheet problems with code, without a neural network."""

    engine: Literal["worksheets"]
    """The built-in teacher."""
    skill: float = Field(0.97, gt=0, le=1)
    """The share of level 3 problems that it answers correctly."""

    @property
    def name(self) -> str:
        """It includes the skill, because each skill gives other answers."""
        return f"worksheets-{self.skill}"


class _Weights(_Model):
    """A model whose weights this machine loads."""

    id: str
    """A hub name, a folder, `nano`, or a fine-tuning stage of the recipe; by default the name under `models`."""
    revision: str | None = None
    """The branch, tag or commit of the hub repository; by default its main branch."""
    dtype: Literal["bfloat16", "float16", "float32"] = "bfloat16"
    """The number format of the weights."""
    max_length: int | None = Field(None, ge=2)
    """The most tokens of a prompt and its response together; by default what the model allows."""
    stop_ids: tuple[int, ...] = ()
    """Token ids that end a response, beside those of the chat template, tokenizer and generation config."""
    chat_template: Path | None = None
    """A Jinja file to use in place of the tokenizer's chat template."""
    trust_remote_code: bool = False
    """Whether Python code from the model's repository may run."""
    replicas: int = Field(1, ge=1)
    """The number of copies of the model that share a stage's partitions, each in a process with GPUs of its own."""

    @property
    def name(self) -> str:
        """The hub name or folder."""
        return self.id

    def template(self) -> str | None:
        """The text of `chat_template`, or None. UserError if the file cannot be read."""
        if self.chat_template is None:
            return None
        try:
            return self.chat_template.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(
                f"chat_template {str(self.chat_template)!r} of model {self.id!r} cannot be read ({error}); name a Jinja file"
            ) from error

    def identity(self) -> dict[str, Any]:
        """As for every model, with the text of the chat template in place of its path."""
        return super().identity() | {"chat_template": self.template()}


class TransformersModel(_Weights):
    """A model that transformers runs in this process."""

    engine: Literal["transformers"] = "transformers"
    """The library transformers, which is the default."""

    OPERATION: ClassVar[frozenset[str]] = frozenset(["replicas"])

    @property
    def devices(self) -> int:
        """The number of GPUs that one copy of the model takes."""
        return 1


class VllmModel(_Weights):
    """A model that vLLM runs in this process, on GPUs."""

    engine: Literal["vllm"]
    """The library vLLM."""
    tensor_parallel: int = Field(1, ge=1)
    """The number of GPUs that the weights are split over."""
    memory_share: float = Field(0.9, gt=0, le=1)
    """The share of each GPU's memory that vLLM may take."""
    prefix_caching: bool = True
    """Whether keys and values of a shared beginning of prompts are kept and used again."""

    OPERATION: ClassVar[frozenset[str]] = frozenset(
        ["tensor_parallel", "memory_share", "prefix_caching", "replicas"]
    )

    @property
    def devices(self) -> int:
        """The number of GPUs that one copy of the model takes."""
        return self.tensor_parallel


class EndpointModel(_Model):
    """A model behind an OpenAI-compatible server. Prices are US dollars.

    A response depends only on `id`, `api`, `body` and `logprobs`. The same model at another address counts as the same
    model.
    """

    engine: Literal["endpoint"] = "endpoint"
    """A server."""
    id: str
    """What the server calls the model; by default the name under `models`."""
    url: str
    """The server's address, which usually ends in `/v1`."""
    api: Literal["chat", "completions"] = "chat"
    """The chat API, or the completions API with plain texts and a blank line between them."""
    api_key_env: str = KEY
    """The environment variable that holds the key."""
    reports: str = ""
    """What the server calls the model in its replies: by default its `id`; `*` accepts any name."""
    per_request: int = Field(1, ge=1, le=128)
    """The number of samples in one request, if the server can give several."""
    in_flight: int = Field(256, ge=1, le=4096)
    """The most requests at once."""
    timeout: float = Field(600.0, gt=0)
    """Seconds for one try, from its start to the last byte."""
    tries: int = Field(10, ge=1)
    """Tries of one request; a request that used them up gets as many again at the end."""
    patience: float = Field(900.0, gt=0)
    """Seconds without one good reply after which the run stops."""
    logprobs: bool = False
    """Whether the log-probabilities of the tokens are kept in `meta`."""
    body: dict[str, Any] = Field(default_factory=dict)
    """More fields of the request, except `model`, `messages`, `prompt`, `n` and `stream`; `null` leaves one out."""
    price_in: float = Field(0.0, ge=0)
    """US dollars for a million prompt tokens."""
    price_out: float = Field(0.0, ge=0)
    """US dollars for a million generated tokens."""
    budget_usd: float | None = Field(None, ge=0)
    """The most US dollars that this model may cost in a run."""
    budget_tokens: int | None = Field(None, ge=0)
    """The most tokens, prompts and responses together, that this model may use in a run."""

    OPERATION: ClassVar[frozenset[str]] = frozenset(
        [
            "url", "api_key_env", "reports", "per_request", "in_flight", "timeout", "tries", "patience", "price_in",
            "price_out", "budget_usd", "budget_tokens",
        ]
    )  # fmt: skip

    @field_validator("url")
    @classmethod
    def _address(cls, url: str) -> str:
        parts = urlsplit(url)
        try:  # a port is a number up to 65535, and a name in a host has 1 to 63 characters
            host, _ = (parts.hostname or "").encode("idna"), parts.port
        except ValueError as error:
            raise ValueError(f"{url!r} is no address ({error}); correct it") from error
        if parts.scheme not in ("http", "https") or not host or not url.isprintable() or " " in url:
            raise ValueError(
                f"{url!r} is no address; it begins with http:// or https:// and usually ends with /v1"
            )
        names = [name for name in parse_qs(parts.query) if any(word in name.lower() for word in _SECRET)]
        if parts.password is not None or names:
            raise ValueError(
                "the address holds a key, and addresses are written into files; put the key into an environment variable and "
                "its name into api_key_env"
            )
        if parts.path.rstrip("/").endswith("/completions"):
            raise ValueError(f"{url!r} is the address of one request; give what comes before /chat/completions or /completions")
        return url.rstrip("/")

    @field_validator("body")
    @classmethod
    def _own_fields(cls, body: dict[str, Any]) -> dict[str, Any]:
        fixed = [name for name in _FIXED if body.get(name) is not None]
        if fixed:
            raise ValueError(
                f"body sets {', '.join(fixed)}, which acemath sets itself; leave it out (samples of one request: per_request)"
            )
        return body

    @model_validator(mode="after")
    def _priced(self) -> EndpointModel:
        if self.budget_usd is not None and not (self.price_in or self.price_out):
            raise ValueError(
                "budget_usd needs prices; give price_in and price_out, in US dollars for a million tokens"
            )
        return self

    @property
    def name(self) -> str:
        """The name by which the server knows the model."""
        return self.id

    def usd(self, prompt_tokens: float, completion_tokens: float) -> float:
        """What these tokens cost, in US dollars."""
        return (prompt_tokens * self.price_in + completion_tokens * self.price_out) / 1e6

    def key(self) -> str:
        """The key from the environment; "" if `api_key_env` is the default and not set.

        UserError if another variable is named and not set, or if the key has characters that a header cannot hold.
        """
        found = os.environ.get(self.api_key_env, "").strip()
        if not found and self.api_key_env != KEY:
            raise UserError(
                f"environment variable {self.api_key_env} is not set; export it with the key of {self.url}, or "
                "leave api_key_env out if the server needs none"
            )
        if not (found.isascii() and found.isprintable()) or " " in found:
            raise UserError(
                f"environment variable {self.api_key_env} holds a space or a character that no header can hold; "
                "set it to the key alone"
            )
        return found


ENGINES: Mapping[str, type[_Model]] = {
    "transformers": TransformersModel,
    "vllm": VllmModel,
    "endpoint": EndpointModel,
    "worksheets": WorksheetsModel,
}


def owners(key: str, kinds: Mapping[str, type[BaseModel]] = ENGINES) -> list[str]:
    """The engines (or other kinds) that have this key."""
    return [name for name, kind in kinds.items() if key in kind.model_fields]


def check_keys(
    data: Mapping[str, Any], chosen: str, kinds: Mapping[str, type[BaseModel]], word: str, plural: str, of: str
) -> None:
    """ValueError for a kind that does not exist, and for a key that the `chosen` kind does not have.

    `word` is the key that chooses the kind; `plural` and `of` stand in the messages.
    """
    if chosen not in kinds:
        raise ValueError(f"{word} is {chosen!r}; the {plural} are {', '.join(kinds)}")
    for key in data:
        if key not in kinds[chosen].model_fields:
            others = owners(str(key), kinds)
            has = f"it belongs to {', '.join(others)}" if others else f"no {word} has it"
            known = ", ".join(kinds[chosen].model_fields)
            raise ValueError(f"{key!r} is no key of {of} {chosen} ({has}); its keys are {known}")


def _engine(data: Any) -> str:
    return str(data.get("engine", "transformers") if isinstance(data, Mapping) else data.engine)


def _fitting(data: Any) -> Any:
    if isinstance(data, Mapping):
        check_keys(data, _engine(data), ENGINES, "engine", "engines", "engine")
    return data


Model = Annotated[
    Annotated[
        Annotated[TransformersModel, Tag("transformers")]
        | Annotated[VllmModel, Tag("vllm")]
        | Annotated[EndpointModel, Tag("endpoint")]
        | Annotated[WorksheetsModel, Tag("worksheets")],
        Discriminator(_engine),
    ],
    BeforeValidator(_fitting),
]
