"""Reading the choices of a reply: their texts, whether they are complete, and how many tokens they have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

from acemath.models.generate.endpoint.errors import short
from acemath.records import FINISHED, LENGTH, REFUSED, STOP

FAULT = "fault"
# Finish reasons in lower case. Every other one (a filter, a tool call, repetition, an unknown word) is REFUSED: the text
# may be incomplete, and another try would give the same.
_FAULTS = "error abort aborted cancelled canceled timeout server_error network_error insufficient_system_resource null none"
_REASONS = FINISHED | dict.fromkeys(["", *_FAULTS.split()], FAULT)


@dataclass(frozen=True, slots=True)
class Choice:
    """One text of a reply.

    `finish_reason` is "stop" (complete), "length" (cut at the token limit), "refused" (unusable) or "fault" (unusable,
    but another try may help). `why` explains the last two.
    """

    text: str
    finish_reason: str
    tokens: int
    logprobs: tuple[float, ...] | None = None
    why: str = ""


def finished(reason: Any) -> str:
    """What a server's `finish_reason` means: "stop", "length", "refused" or "fault".

    null is a fault: servers with this field fill it in when a text is complete, and send null when they stopped before
    (Ollama at its time-out, LMDeploy at an abort).
    """
    return _REASONS.get("" if reason is None else str(reason).strip().lower(), REFUSED)


def unfinished(reason: Any) -> str:
    """Why a text with this finish reason, which is neither "stop" nor "length", is unusable."""
    return f"finish_reason {short(reason)!r}" if reason else "no finish_reason: the text may be cut off"


def read_choices(
    data: Sequence[dict[str, Any]], tokens: int, limit: int | None = None
) -> list[tuple[dict[str, Any], Choice]]:
    """The choices of a reply, each after the object that it was read from.

    They are in the order of their index, or as they came if the indices are not distinct numbers. Servers count the
    `tokens` of all choices together, so each gets a share by the length of its text. If a server sends no finish reason,
    a text of `limit` tokens counts as cut. No text at all does not: it is an empty reply, which deserves another try.
    """
    at = [c.get("index") for c in data]
    if all(type(i) is int for i in at) and len(set(at)) == len(at):
        data = sorted(data, key=lambda c: int(c["index"]))
    texts = [_text(c) for c in data]
    shares = _shares(tokens, [len(text) for text in texts])
    return [(c, _choice(c, text, share, limit)) for c, text, share in zip(data, texts, shares, strict=True)]


def _choice(data: dict[str, Any], text: str, tokens: int, limit: int | None) -> Choice:
    cut = bool(text.strip()) and limit is not None and tokens >= limit
    reason, message = _reason(data, cut), _message(data)
    meaning, refusal = finished(reason), _refusal(data)
    why = unfinished(reason) if meaning in (FAULT, REFUSED) else ""
    if refusal and meaning != FAULT:
        meaning, why = REFUSED, f"the model refuses: {short(refusal)}"
    elif meaning == STOP and isinstance(message, dict) and (message.get("tool_calls") or message.get("function_call")):
        meaning, why = REFUSED, "the model asks for a tool"
    return Choice(text, meaning, tokens, _logprobs(data.get("logprobs")), why)


def _reason(data: dict[str, Any], cut: bool) -> Any:
    """The finish reason, under any of its names; "length" or "stop" if the field is missing, but not if it is null."""
    if "finish_reason" in data:
        return data["finish_reason"]
    return data.get("finishReason") or data.get("stop_reason") or (LENGTH if cut else STOP)


def _message(data: dict[str, Any]) -> Any:
    """The message; some servers send it as the only delta of a stream."""
    return data.get("message") or data.get("delta")


def _content(data: dict[str, Any]) -> Any:
    message = _message(data)
    return message.get("content") if isinstance(message, dict) else message or data.get("text")


def _strings(content: Any, field: str, *types: str | None) -> str:
    """The texts of the parts of these types, joined. The content is a part or a list of parts."""
    parts = content if isinstance(content, list) else [content]
    found = [part.get(field) for part in parts if isinstance(part, dict) and part.get("type") in types]
    return "".join(text for text in found if isinstance(text, str))


def _text(data: dict[str, Any]) -> str:
    """The text of a choice. Reasoning parts are not part of the answer."""
    found = _content(data)
    if isinstance(found, list):
        found = [{"text": part} if isinstance(part, str) else part for part in found]
    if not isinstance(found, str):
        found = _strings(found, "text", "text", "output_text", None)
    return found.encode("utf-8", "replace").decode()  # UTF-8 cannot hold half of a surrogate pair


def _refusal(data: dict[str, Any]) -> str:
    """The words with which a model refuses to answer; "" if it does not refuse."""
    message = _message(data)
    said = message.get("refusal") if isinstance(message, dict) else None
    return said if isinstance(said, str) else _strings(_content(data), "refusal", "refusal")


def _shares(total: int, lengths: Sequence[int]) -> list[int]:
    """Split `total` in proportion to the lengths; the shares add up to it."""
    if not any(lengths):
        lengths = [1] * len(lengths)
    ends = [round(total * end / sum(lengths)) for end in accumulate(lengths)]
    return [end - start for start, end in pairwise([0, *ends])]


def _logprobs(data: Any) -> tuple[float, ...] | None:
    """The log-probabilities of the generated tokens, in the form of either API."""
    if not isinstance(data, dict):
        return None
    found = data.get("token_logprobs")
    if isinstance(data.get("content"), list):
        found = [t.get("logprob") for t in data["content"] if isinstance(t, dict)]
    if not isinstance(found, list):
        return None
    return tuple(float(v) for v in found if isinstance(v, int | float) and not isinstance(v, bool))
