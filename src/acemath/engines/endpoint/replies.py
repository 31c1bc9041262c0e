"""What came back: choices, a fault that is worth another try, or a refusal that is final.

An engine's caller never sees a half-understood reply: everything a server can send is one of these three, and says
what it cost where the server said so.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Literal

OVERLOADED = (429, 503)
RETRIED = (408, 409, 425, *OVERLOADED)
# Refusals that hold for every request: the address, the method, the key, the bill.
WHOLESALE = (301, 302, 303, 307, 308, 401, 402, 404, 405, 410, 501)
LONGEST_WAIT = 60.0  # seconds between two tries, where the server names no time


@dataclass(frozen=True, slots=True)
class Choice:
    """One text that came back."""

    text: str
    finish_reason: str
    tokens: int
    logprobs: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens that the server counted for one request."""

    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class Good:
    """A whole reply."""

    choices: tuple[Choice, ...]
    usage: Usage | None


@dataclass(frozen=True, slots=True)
class Fault:
    """A reply, or the lack of one, that another try may mend.

    `billed`: "no" where nothing was written, "known" where the reply says what, "unknown" where it was lost.
    """

    what: str
    kind: str  # a short word, for counts
    billed: Literal["no", "known", "unknown"] = "no"
    usage: Usage | None = None
    overloaded: bool = False
    wait: float | None = None  # seconds, from Retry-After
    empty: Good | None = None  # the reply itself, where its text is empty


@dataclass(frozen=True, slots=True)
class Refusal:
    """A final no. `wholesale`: to every request, not to this one alone."""

    status: int
    what: str
    wholesale: bool
    usage: Usage | None = None


Reply = Good | Fault | Refusal


def same_model(asked: str, reported: str) -> bool:
    """Whether a reply's `model` is the one that was asked for.

    Servers answer with the full name of an alias: an owner before it (`org/name`, a path), and a date, a revision or
    `latest` behind it. So `gpt-4o-mini` may report `gpt-4o-mini-2024-07-18` and `nano` `nano@main`, but `gpt-4o` never
    `gpt-4o-mini`, `qwen2` never `qwen2.5`, and a name with a date never another date. A reply without a name says
    nothing against it.
    """
    if not reported:
        return True
    wanted, found = _bare(asked), _bare(reported)
    while found not in (wanted, _LATEST.sub("", wanted)):
        shorter = _SUFFIX.sub("", found)
        if shorter == found:
            return False
        found = shorter
    return True


_LATEST = re.compile(r"[-:]latest$")
# A date (2024-07-18, 20240718, 0613, 05-06, 2407), a three-digit version (001), `latest`; a revision behind "@".
_SUFFIX = re.compile(r"(@[\w.-]+|[-:](latest|\d{3,4}|\d{6}|\d{8}|\d{4}-\d{2}-\d{2}|\d{2}-\d{2}(-\d{4})?))$")


def _bare(name: str) -> str:
    return name.strip().rstrip("/").lower().rsplit("/", 1)[-1]


def backoff(failures: int, rng: random.Random) -> float:
    """Seconds before the next try: full jitter, from 0 to a bound that doubles."""
    return rng.uniform(0, min(LONGEST_WAIT, 0.25 * 2 ** min(failures, 12)))


def retry_after(value: str | None, now: datetime | None = None) -> float | None:
    """The seconds that a Retry-After header asks for, from seconds or an HTTP date; None where it says nothing."""
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


@dataclass(slots=True)
class Reader:
    """Reads replies of one model. `reports` as in the endpoint's settings."""

    model: str
    reports: str
    seen: set[str] = field(default_factory=set)  # names that replies carried

    def read(self, status: int, headers: Any, content: bytes) -> Reply:
        """Judge one reply by its status and its content."""
        if 200 <= status < 300:
            return self._answer(content)
        said = _message(content)
        if status == 429 and "insufficient_quota" in content.decode("utf-8", "replace"):
            return Refusal(status, said, wholesale=True)
        if status in RETRIED or (status >= 500 and status != 501):
            wait = retry_after(headers.get("retry-after"))
            return Fault(
                f"status {status}: {said}",
                f"status {status}",
                overloaded=status in OVERLOADED,
                wait=wait if status in OVERLOADED else None,
            )
        return Refusal(status, said, wholesale=status in WHOLESALE)

    def _answer(self, content: bytes) -> Reply:
        try:
            data = json.loads(content)
        except ValueError:
            return Fault("a reply that is no JSON", "half JSON", billed="unknown")
        if not isinstance(data, dict):
            return Fault("a reply that is no JSON object", "half JSON", billed="unknown")
        usage = _usage(data.get("usage"))
        billed: Literal["known", "unknown"] = "known" if usage else "unknown"
        reported = str(data.get("model") or "")
        self.seen.add(reported)
        wanted = self.reports or self.model
        if self.reports != "*" and not same_model(wanted, reported):
            return Fault(f"a reply of model {reported!r}", "wrong model", billed, usage)
        choices = _choices(data.get("choices"), usage)
        if not choices:
            return Fault("a reply without a choice", "empty choice", billed, usage)
        good = Good(choices, usage)
        if all(not c.text.strip() and c.finish_reason == "stop" for c in choices):
            return Fault("a reply without text", "empty choice", billed, usage, empty=good)
        return good


def _message(content: bytes) -> str:
    """What the server said, in one short line."""
    text = content.decode("utf-8", "replace")
    try:
        data = json.loads(text)
    except ValueError:
        data = None
    if isinstance(data, dict):
        error = data.get("error") or data.get("detail") or data.get("message") or data
        text = str(error.get("message") or error) if isinstance(error, dict) else str(error)
    return " ".join(text.split())[:200]


def _usage(data: Any) -> Usage | None:
    if not isinstance(data, dict):
        return None
    counts = [data.get("prompt_tokens"), data.get("completion_tokens")]
    if not all(isinstance(c, int) and c >= 0 for c in counts):
        return None
    return Usage(int(counts[0] or 0), int(counts[1] or 0))


def _choices(data: Any, usage: Usage | None) -> tuple[Choice, ...]:
    """The choices of a reply that have a text, in the order of their index; none where one of them is broken."""
    if not isinstance(data, list) or not all(isinstance(c, dict) for c in data):
        return ()
    parts = [(_text(c), c) for c in sorted(data, key=lambda c: c.get("index") or 0)]
    if any(text is None for text, _ in parts):
        return ()
    texts = [text or "" for text, _ in parts]
    shares = _shares(usage.completion_tokens if usage else 0, [len(t) for t in texts])
    return tuple(
        Choice(text, str(c.get("finish_reason") or "stop"), share, _logprobs(c.get("logprobs")))
        for text, (_, c), share in zip(texts, parts, shares, strict=True)
    )


def _text(choice: dict[str, Any]) -> str | None:
    """A choice's text; "" where a model spent itself on reasoning or was filtered; None where it has none."""
    message = choice.get("message")
    found = message.get("content") if isinstance(message, dict) else choice.get("text")
    if isinstance(found, str):
        return found.encode("utf-8", "replace").decode()  # half a surrogate pair fits no file
    if not isinstance(message, dict):
        return None
    return "" if choice.get("finish_reason") in ("length", "content_filter") else None


def _shares(total: int, lengths: Sequence[int]) -> list[int]:
    """Tokens of each choice. Servers count a request's tokens together: they are shared out by length of text."""
    if len(lengths) == 1:
        return [total]
    whole, shares, before = max(1, sum(lengths)), list[int](), 0
    for at in range(len(lengths)):
        upto = round(total * sum(lengths[: at + 1]) / whole)
        shares.append(upto - before)
        before = upto
    return shares


def _logprobs(data: Any) -> tuple[float, ...] | None:
    """The log probability of each token written; both APIs' forms."""
    if not isinstance(data, dict):
        return None
    if isinstance(data.get("content"), list):
        return tuple(float(t["logprob"]) for t in data["content"] if isinstance(t, dict) and "logprob" in t)
    if isinstance(data.get("token_logprobs"), list):
        return tuple(float(v) for v in data["token_logprobs"] if v is not None)
    return None
