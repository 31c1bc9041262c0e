"""How an endpoint is reached, how hard it may be asked, and what it may cost."""

from __future__ import annotations

import os
from typing import Any, ClassVar, Literal
from urllib.parse import parse_qs, urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from acemath.errors import UserError

KEY = "OPENAI_API_KEY"
_SECRET = ("key", "token", "secret", "password")


class Endpoint(BaseModel):
    """Settings of one endpoint. A teacher and a policy of a recipe have them all; prices are US dollars.

    `engine` and `model` are the owner's. What a response says depends on `api`, `body` and `logprobs` alone; all
    other settings may change between two starts of a run and nothing is asked again (`identity`).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    engine: Literal["worksheets", "transformers", "vllm", "endpoint"] = "endpoint"
    model: str = ""
    url: str = ""  # begins with http:// or https://, usually ends with /v1
    api: Literal["chat", "completions"] = "chat"
    api_key_env: str = KEY  # the variable's name; the key itself stays in the environment
    reports: str = (
        ""  # what the server calls the model in its replies; "*": anything; "": as it was asked for
    )
    per_request: int = Field(1, ge=1, le=128)  # samples that one request asks for, where the server can
    in_flight: int = Field(256, ge=1, le=4096)  # at most so many requests at once
    timeout: float = Field(600.0, gt=0)  # seconds for one try, from its start to the last byte
    tries: int = Field(10, ge=1)  # of one request, and once more as many at the end
    patience: float = Field(900.0, gt=0)  # seconds without one good reply until the run stops
    logprobs: bool = False  # of the tokens written, into meta
    body: dict[str, Any] = Field(default_factory=dict)  # more fields of the request; null takes one away
    price_in: float = Field(0.0, ge=0)  # for a million prompt tokens
    price_out: float = Field(0.0, ge=0)  # for a million generated tokens
    budget_usd: float | None = Field(None, ge=0)
    budget_tokens: int | None = Field(None, ge=0)  # prompt and generated tokens together

    OPERATION: ClassVar[frozenset[str]] = frozenset(
        [
            "url",
            "api_key_env",
            "reports",
            "per_request",
            "in_flight",
            "timeout",
            "tries",
            "patience",
            "price_in",
            "price_out",
            "budget_usd",
            "budget_tokens",
        ]
    )

    @field_validator("url")
    @classmethod
    def _address(cls, url: str) -> str:
        if not url:
            return url
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(
                f"{url!r} is no address; it begins with http:// or https:// and usually ends with /v1"
            )
        names = [name for name in parse_qs(parts.query) if any(word in name.lower() for word in _SECRET)]
        if parts.password is not None or names:
            raise ValueError(
                "an address holds no key, because addresses are written down; put the key into an environment "
                "variable and its name into api_key_env"
            )
        return url.rstrip("/")

    @model_validator(mode="after")
    def _reachable(self) -> Endpoint:
        if self.engine == "endpoint" and not (self.url and self.model):
            missing = "url" if not self.url else "model"
            raise ValueError(f"engine endpoint needs {missing}; say which server and which model of it")
        if (
            self.budget_usd is not None
            and self.engine == "endpoint"
            and not (self.price_in or self.price_out)
        ):
            raise ValueError(
                "budget_usd needs prices; give price_in and price_out, US dollars for a million tokens"
            )
        return self

    def identity(self) -> dict[str, Any]:
        """The settings that responses depend on: the rest may change and nothing is asked again."""
        return self.model_dump(exclude=set(self.OPERATION))

    def usd(self, prompt_tokens: float, completion_tokens: float) -> float:
        """What so many tokens cost, in US dollars."""
        return (prompt_tokens * self.price_in + completion_tokens * self.price_out) / 1e6

    def key(self) -> str:
        """The key from the environment; "" where the usual variable is not set.

        UserError where another variable was named and is not set, and where it holds what no header can carry.
        """
        found = os.environ.get(self.api_key_env, "").strip()
        if not found and self.api_key_env != KEY:
            raise UserError(
                f"environment variable {self.api_key_env} is not set; export it with the key of {self.url}, or "
                "leave api_key_env out where the server asks for none"
            )
        if not (found.isascii() and found.isprintable()) or " " in found:
            raise UserError(
                f"environment variable {self.api_key_env} holds a blank or a character that no header can carry; "
                "set it to the key alone"
            )
        return found
