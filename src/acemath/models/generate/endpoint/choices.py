"""One choice of a reply: its text, whether that is complete, and the tokens that it cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from acemath.models.generate.endpoint.errors import short
from acemath.records import FINISHED, LENGTH, REFUSED, STOP

FAULT = "fault"
# What servers call the end of a text, in small letters. Whatever is not here (a filter, a call of a tool, a loop that
# was cut off, a word that nobody knows) is REFUSED: the text may be a part, and asking again would change nothing.
_REASONS = FINISHED | {
    word: meaning
    for meaning, words in {
        FAULT: "error abort aborted cancelled canceled timeout server_error network_error insufficient_system_resource "
        "null none",
    }.items()
    for word in words.split()
} | {"": FAULT}


@dataclass(frozen=True, slots=True)
class Choice:
    """One text that came back.

    `finish_reason` is "stop" (complete), "length" (cut at the limit of tokens), "refused" (not to be used) or "fault"
    (perhaps better at the next try). `why` says what was wrong with the last two.
    """

    text: str
    finish_reason: str
    tokens: int
    logprobs: tuple[float, ...] | None = None
    why: str = ""


def finished(reason: Any) -> str:
    """What a server's `finish_reason` means: "stop", "length", "refused" or "fault".

    null is a fault: servers that have the field fill it in when a text is complete, and send null when they were
    stopped on the way (Ollama at its time-out, LMDeploy at an abort).
    """
    return _REASONS.get("" if reason is None else str(reason).strip().lower(), REFUSED)


def unfinished(reason: Any) -> str:
    """The words for a finish reason that is neither "stop" nor "length"."""
    return f"finish_reason {short(reason)!r}" if reason else "no finish_reason: the text may be cut off"


def read_choices(
    data: Sequence[dict[str, Any]], tokens: int, limit: int | None = None
) -> list[tuple[dict[str, Any], Choice]]:
    """A reply's choices, each beside what it was read from, in the order of their index, or as they came where the
    indices are not clear.

    Servers count the `tokens` of all choices together: they are shared out by length of text. Of a server that sends no
    finish reason a text of `limit` tokens was cut.
    """
    at = [c.get("index") for c in data]
    if all(type(i) is int for i in at) and len(set(at)) == len(at):
        data = sorted(data, key=lambda c: int(c["index"]))
    texts = [_text(c) for c in data]
    shares = _shares(tokens, [len(text) for text in texts])
    return [(c, _choice(c, text, share, limit)) for c, text, share in zip(data, texts, shares, strict=True)]


def _choice(data: dict[str, Any], text: str, tokens: int, limit: int | None) -> Choice:
    reason, message = _reason(data, tokens, limit), _message(data)
    meaning, refusal = finished(reason), _refusal(data)
    why = unfinished(reason) if meaning in (FAULT, REFUSED) else ""
    if refusal and meaning != FAULT:
        meaning, why = REFUSED, f"the model refuses: {short(refusal)}"
    elif meaning == STOP and isinstance(message, dict) and (message.get("tool_calls") or message.get("function_call")):
        meaning, why = REFUSED, "the model asks for a tool"
    return Choice(text, meaning, tokens, _logprobs(data.get("logprobs")), why)


def _reason(data: dict[str, Any], tokens: int, limit: int | None) -> Any:
    """The finish reason, under any name; plain servers never send one. A null is another thing."""
    if "finish_reason" in data:
        return data["finish_reason"]
    cut = LENGTH if limit is not None and tokens >= limit else STOP
    return data.get("finishReason") or data.get("stop_reason") or cut


def _message(data: dict[str, Any]) -> Any:
    """What was said: a message, or the only piece of one."""
    return data.get("message") or data.get("delta")


def _content(data: dict[str, Any]) -> Any:
    message = _message(data)
    return message.get("content") if isinstance(message, dict) else message or data.get("text")


def _strings(content: Any, field: str, *types: str | None) -> str:
    """What the parts of these types say, in a content that is a part or a list of parts."""
    parts = content if isinstance(content, list) else [content]
    found = [part.get(field) for part in parts if isinstance(part, dict) and part.get("type") in types]
    return "".join(text for text in found if isinstance(text, str))


def _text(data: dict[str, Any]) -> str:
    """A choice's text; of a list of parts the text parts alone, because reasoning is no part of the answer."""
    found = _content(data)
    if isinstance(found, list):
        found = [{"text": part} if isinstance(part, str) else part for part in found]
    if not isinstance(found, str):
        found = _strings(found, "text", "text", "output_text", None)
    return found.encode("utf-8", "replace").decode()  # half a surrogate pair fits no file


def _refusal(data: dict[str, Any]) -> str:
    """The words with which a model refuses to answer; "" where it does not refuse."""
    message = _message(data)
    said = message.get("refusal") if isinstance(message, dict) else None
    return said if isinstance(said, str) else _strings(_content(data), "refusal", "refusal")


def _shares(total: int, lengths: Sequence[int]) -> list[int]:
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
    found = data.get("token_logprobs")
    if isinstance(data.get("content"), list):
        found = [t.get("logprob") for t in data["content"] if isinstance(t, dict)]
    if not isinstance(found, list):
        return None
    return tuple(float(v) for v in found if isinstance(v, int | float) and not isinstance(v, bool))
