"""Reading a server's errors: their status, their message, and how long the server asks to wait.

Servers put an error into the body of a 4xx or 5xx reply, into a 200, or into one choice of a 200, in several forms: `{"error": {"message", "code"}}` (OpenAI, OpenRouter, vLLM), the same in a list (Gemini), `{"object": "error",
"message", "code"}` (older vLLM), `{"detail"}` (FastAPI), `{"statusCode", "message"}` (Azure).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

SHOWN = 200  # the most characters of a server's message that are shown
_BODIES = ("error", "detail", "message", "errors", "msg")  # fields that may hold an error, the best first
_CODES = ("code", "status_code", "statusCode", "status", "type")  # fields that may hold its status


@dataclass(frozen=True, slots=True)
class ServerError:
    """An error. `status` is an HTTP status, None if the error has no known one; `wait` is in seconds."""

    status: int | None
    message: str
    wait: float | None = None


def parsed(content: bytes) -> dict[str, Any] | None:
    """The JSON object of a reply, or the first object of a list; None if the reply holds neither."""
    try:
        data = json.loads(content.decode("utf-8-sig", "replace"))
    except (ValueError, RecursionError):
        return None
    if isinstance(data, list) and data:
        data = data[0]
    return data if isinstance(data, dict) else None


def short(value: object) -> str:
    """A server's words on one line for a message: cut to SHOWN characters, all of them printable."""
    return " ".join("".join(c if c.isprintable() else " " for c in str(value)[: 4 * SHOWN]).split())[:SHOWN]


def is_error(data: Mapping[str, Any]) -> bool:
    """Whether the object of a 200 is an error and not a completion."""
    return holds_error(data) or (not data.get("choices") and any(data.get(name) for name in _BODIES))


def holds_error(data: Mapping[str, Any]) -> bool:
    """Whether a reply or choice holds an error. Some servers send one with only empty fields beside a good text."""
    error = data.get("error")
    return any(error.values()) if isinstance(error, dict) else bool(error)


def server_error(data: Mapping[str, Any]) -> ServerError:
    """The error in a reply's object, or in one of its choices."""
    found = next((data[name] for name in _BODIES if data.get(name) not in (None, "", True, False)), data)
    inner = found if isinstance(found, dict) else {}
    metadata = _object(inner.get("metadata"))
    message = inner.get("message") or inner.get("msg") or found
    if metadata.get("raw"):  # the message of the provider behind a router
        message = f"{message} ({metadata['raw']})"
    quota = "insufficient_quota" in str(data)  # OpenAI's 429 for a used-up quota, which routers quote too; waiting does not help
    codes = (402 if quota else _status(holder.get(name)) for holder in (inner, data) for name in _CODES)
    waits = _waits((inner, metadata, _object(metadata.get("headers")), data))
    return ServerError(next(filter(None, codes), None), short(message), next(waits, None))


def retry_after(value: str | None, now: datetime | None = None) -> float | None:
    """The wait in seconds that a Retry-After header asks for, as seconds or an HTTP date; None if it is neither."""
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        at = parsedate_to_datetime(value)
    except ValueError:
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(0.0, (at - (now or datetime.now(UTC))).total_seconds())


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _waits(holders: Iterable[Mapping[str, Any]]) -> Iterator[float]:
    """The waits that these objects ask for, under a name for them."""
    for holder in holders:
        for name, value in holder.items():
            if name.lower().replace("_", "-") in ("retry-after", "retry-after-seconds"):
                wait = retry_after(str(value))
                if wait is not None:
                    yield wait


def _status(code: Any) -> int | None:
    """The HTTP status in a code: 429, "429", "429 Too Many Requests", "rate_limit_exceeded", "RateLimitError" …"""
    if found := re.match(r"([45]\d\d)\b", str(code)):
        return int(found[1])
    return _STATUSES.get(_letters(code)) if isinstance(code, str) else None


def _letters(word: str) -> str:
    return re.sub("[^a-z]", "", word[:SHOWN].lower()).removesuffix("exception").removesuffix("error")


_STATUSES = {_letters(status.name): status.value for status in HTTPStatus if status >= 400} | {
    word: status
    for status, words in {
        400: "badrequest invalidrequest invalidargument invalidprompt contextlengthexceeded contentfilter "
        "contentpolicyviolation",
        401: "authentication invalidapikey unauthenticated",
        402: "insufficientquota insufficientcredits insufficientbalance billing",
        403: "permission permissiondenied",
        404: "modelnotfound",
        408: "timeout",
        413: "requesttoolarge",
        429: "ratelimit ratelimited ratelimitexceeded resourceexhausted throttling",
        500: "api server internal",
        503: "overloaded unavailable",
        504: "deadlineexceeded",
    }.items()
    for word in words.split()
}
