"""What came back: choices, a fault that is worth another try, or a refusal that is final.

An engine's caller never sees a half-understood reply: everything a server can send is one of these three, and says
what it cost where the server said so.
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
# Refusals that hold for every request: the address, the method, the key, the bill.
WHOLESALE = (301, 302, 303, 307, 308, 401, 402, 404, 405, 410, 501)
Billed = Literal["no", "known", "unknown"]
BEGINNING = 4096  # bytes of a reply that are looked at for words
LONGEST_WAIT = 60.0  # seconds between two tries, where the server names no time


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens that the server counted for one request."""

    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class Fault:
    """A reply, or the lack of one, that another try may mend.

    `billed`: "no" where nothing was written, "known" where the reply says what, "unknown" where it was lost.
    """

    what: str
    kind: str  # a short word, for counts
    billed: Billed = "no"
    usage: Usage | None = None
    overloaded: bool = False
    wait: float | None = None  # seconds that the server asks for
    unusable: bool = False  # a whole reply of the server that is no answer: asked for again a few times only
    empty: bool = False  # a reply that says it is complete and has no text


@dataclass(frozen=True, slots=True)
class Refusal:
    """A final refusal. `wholesale`: of every request, not only of this one."""

    status: int
    what: str
    wholesale: bool
    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class Good:
    """A reply with something to keep. `choices` has None in the place of each that cannot be used, `bad` says why."""

    choices: tuple[Choice | None, ...]
    usage: Usage | None
    bad: Fault | Refusal | None = None


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


@dataclass(slots=True)
class Reader:
    """Reads replies of one model. `reports` as in the endpoint's settings."""

    model: str
    reports: str
    seen: set[str] = field(default_factory=set)  # names that replies carried

    def read(
        self, status: int, headers: Any, content: bytes, believe_empty: bool = False, limit: int | None = None
    ) -> Reply:
        """Judge one reply by its status and its content.

        `believe_empty`: an answer without text is one. `limit`: tokens of a text at most, where they were limited.
        """
        data, text = parsed(content), short(content[:BEGINNING].decode("utf-8", "replace"))
        if not 200 <= status < 300:
            said = server_error(data) if data else ServerError(None, text)
            return _failed(status, said, headers, f"status {status}")
        if data is None:
            # The model did not write a web page. Anything else may be the rest of an answer.
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
                billed = "no"  # it is no completion
            return Fault(what, "empty choice", billed, usage, unusable=True)
        raw = [c if isinstance(c, dict) else {"finish_reason": None} for c in found]
        choices, bad = list[Choice | None](), list[Fault | Refusal]()
        read = read_choices(raw, usage.completion_tokens if usage else 0, limit)
        if usage is not None and not usage.completion_tokens and any(choice.text.strip() for _, choice in read):
            usage, billed = None, "unknown"  # a server that counts nothing: no budget would ever be reached
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
    """An error inside a 200: what its status would be, and no more is paid for than the server counted.

    A status that nobody knows is taken for a 500: tried again, and dropped in the end with what the server said.
    """
    said = server_error(data)
    where = f"status {said.status} inside a 200" if said.status else "an error inside a 200"
    return _failed(said.status or 500, said, headers, where, usage)


def _failed(
    status: int, said: ServerError, headers: Any, where: str, usage: Usage | None = None
) -> Fault | Refusal:
    """The fault or refusal that a status means. `where` it was found goes into the message."""
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
    """What the server counted, from numbers or their texts; None where it did not, or nothing that makes sense."""
    if not isinstance(data, dict):
        return None
    counts = [str(data.get(name)).removesuffix(".0") for name in ("prompt_tokens", "completion_tokens")]
    if not all(re.fullmatch(r"\d{1,12}", count, re.ASCII) for count in counts):
        return None
    return Usage(int(counts[0]), int(counts[1]))
