"""Reading replies: usable choices, a fault that is worth another try, or a final refusal.

Everything that a server can send becomes one of these three, with what it cost if the server reports it.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field
from typing import Any, Literal

from acemath.models.generate.endpoint.choices import FAULT, Choice, read_choices
from acemath.models.generate.endpoint.errors import (
    ServerError,
    holds_error,
    is_error,
    parsed,
    retry_after,
    server_error,
    short,
)
from acemath.records import STOP

OVERLOADED = (429, 503)
RETRIED = (408, 409, 425, *OVERLOADED)
# Refusals of every request, because of the address, the method, the key or the bill.
WHOLESALE = (301, 302, 303, 307, 308, 401, 402, 404, 405, 410, 501)
Billed = Literal["no", "known", "unknown"]
BEGINNING = 4096  # bytes of a reply that may be shown in a message
LONGEST_WAIT = 60.0  # seconds between two tries, if the server asks for no other wait


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens that the server counted for one request."""

    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class Fault:
    """A reply, or the lack of one, after which another try may succeed.

    `billed` is "no" if nothing was generated, "known" if the reply says how much, and "unknown" if it was lost.
    """

    what: str
    kind: str  # a short word, for counts
    billed: Billed = "no"
    usage: Usage | None = None
    overloaded: bool = False
    wait: float | None = None  # seconds that the server asks for
    unusable: bool = False  # a whole reply without an answer, which may have been billed: only a few more tries
    empty: bool = False  # complete by its finish reason, but without text


@dataclass(frozen=True, slots=True)
class Refusal:
    """A final refusal. `wholesale` says that it holds for every request, not only for this one."""

    status: int
    what: str
    wholesale: bool
    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class Good:
    """A reply with a usable choice. Unusable ones are None in `choices`, and `bad` says why the first of them is."""

    choices: tuple[Choice | None, ...]
    usage: Usage | None
    bad: Fault | Refusal | None = None


Reply = Good | Fault | Refusal


def same_model(asked: str, reported: str) -> bool:
    """Whether the `model` of a reply, `reported`, is the one that was asked for.

    Servers report the full name of an alias, with an owner before it (`org/name`, a path), and a date, a revision or
    `latest` after it. So `gpt-4o-mini-2024-07-18` is `gpt-4o-mini`, and `nano@main` is `nano`; but `gpt-4o-mini` is not
    `gpt-4o`, `qwen2.5` is not `qwen2`, and a name with another date is another model. An empty name is accepted.
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


@dataclass(slots=True)
class Reader:
    """Reads the replies of one model. `reports` is the setting of the endpoint."""

    model: str
    reports: str
    seen: set[str] = field(default_factory=set)  # the names in replies so far

    def read(
        self, status: int, headers: Any, content: bytes, believe_empty: bool = False, limit: int | None = None
    ) -> Reply:
        """Read one reply.

        With `believe_empty`, a complete reply without text is accepted. `limit` is the token limit of the request.
        """
        data, text = parsed(content), short(content[:BEGINNING].decode("utf-8", "replace"))
        if not 200 <= status < 300:
            said = server_error(data) if data else ServerError(None, text)
            return _failed(status, said, headers, f"status {status}")
        if data is None:
            # A web page is not from the model. Anything else may be the rest of an answer that was billed.
            page = content.lstrip().startswith(b"<")
            return Fault(
                f"a reply that is no JSON: {text!r}", "half JSON", "no" if page else "unknown", unusable=True
            )
        usage = _usage(data.get("usage"))
        if is_error(data):
            return _inside(data, headers, usage)
        return self._completion(data, headers, usage, believe_empty, limit)

    def _completion(
        self, data: dict[str, Any], headers: Any, usage: Usage | None, believe_empty: bool, limit: int | None
    ) -> Reply:
        billed: Billed = "known" if usage else "unknown"
        reported = short(data.get("model") or "")
        self.seen.add(reported)
        if self.reports != "*" and not same_model(self.reports or self.model, reported):
            return Fault(f"a reply of model {reported!r}", "wrong model", billed, usage)
        found = data.get("choices")
        if not isinstance(found, list) or not found:
            what = f"a reply without a choice: {short(data)}"
            if not data.keys() & {"choices", "usage"}:
                billed = "no"  # not a completion
            return Fault(what, "empty choice", billed, usage, unusable=True)
        raw = [c if isinstance(c, dict) else {"finish_reason": None} for c in found]
        choices, bad = list[Choice | None](), list[Fault | Refusal]()
        read = read_choices(raw, usage.completion_tokens if usage else 0, limit)
        if usage is not None and not usage.completion_tokens and any(choice.text.strip() for _, choice in read):
            usage, billed = None, "unknown"  # a server that reports 0 tokens for a text: a budget would never be reached
        for said, choice in read:
            wrong: Fault | Refusal | None = None
            if holds_error(said):
                wrong = _inside(said, headers, usage)
            elif choice.finish_reason == FAULT:
                kind = "bad finish" if choice.text.strip() else "empty choice"
                wrong = Fault(choice.why, kind, billed, usage, unusable=True)
            elif choice.finish_reason == STOP and not choice.text.strip() and not believe_empty:
                wrong = Fault(
                    "a reply without text", "empty choice", billed, usage, unusable=True, empty=True
                )
            choices.append(choice if wrong is None else None)
            bad += [wrong] if wrong else []
        return Good(tuple(choices), usage, bad[0] if bad else None) if any(choices) else bad[0]


def _inside(data: dict[str, Any], headers: Any, usage: Usage | None) -> Fault | Refusal:
    """An error inside a 200, read as its status says. It cost what the server counted, or nothing.

    An unknown status counts as 500: the request is tried again, and dropped in the end with the server's message.
    """
    said = server_error(data)
    where = f"status {said.status} inside a 200" if said.status else "an error inside a 200"
    return _failed(said.status or 500, said, headers, where, usage)


def _failed(
    status: int, said: ServerError, headers: Any, where: str, usage: Usage | None = None
) -> Fault | Refusal:
    """The fault or refusal that a status means. `where`, the place of the error, goes into the message."""
    if said.status == 402 and status == 429:
        return Refusal(status, said.message, wholesale=True, usage=usage)
    if status in RETRIED or (status >= 500 and status != 501):
        overloaded = status in OVERLOADED
        wait = retry_after(headers.get("retry-after"))
        return Fault(
            f"{where}: {said.message}",
            f"status {status}",
            "known" if usage else "no",
            usage,
            overloaded=overloaded,
            wait=(said.wait if wait is None else wait) if overloaded else None,
            unusable=usage is not None and usage.completion_tokens > 0,
        )
    return Refusal(status, said.message, wholesale=status in WHOLESALE, usage=usage)


def _usage(data: Any) -> Usage | None:
    """The tokens that the server counted, from numbers or texts; None without a count that makes sense."""
    if not isinstance(data, dict):
        return None
    counts = [str(data.get(name)).removesuffix(".0") for name in ("prompt_tokens", "completion_tokens")]
    if not all(re.fullmatch(r"\d{1,12}", count, re.ASCII) for count in counts):
        return None
    return Usage(int(counts[0]), int(counts[1]))
