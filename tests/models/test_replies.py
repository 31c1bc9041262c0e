"""Reading replies: names, waits, texts, counts."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime
from typing import Any

import pytest

from acemath.models.generate.endpoint.errors import retry_after
from acemath.models.generate.endpoint.replies import Fault, Good, Reader, Refusal, backoff, same_model

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("asked", "reported", "same"),
    [
        ("gpt-4o-mini", "gpt-4o-mini-2024-07-18", True),
        ("gpt-4", "gpt-4-0613", True),
        ("claude-x-latest", "claude-x-20241022", True),
        ("gemini-pro", "models/gemini-pro-001", True),
        ("Qwen/Qwen2.5-Math-72B-Instruct", "qwen2.5-math-72b-instruct", True),
        ("/models/nano", "/models/nano@main", True),
        ("llama3", "llama3:latest", True),
        ("teacher", "", True),
        ("gpt-4o", "gpt-4o-mini", False),
        ("gpt-4o", "gpt-4o-mini-2024-07-18", False),
        ("qwen2", "qwen2.5", False),
        ("llama-3.1-8b", "llama-3.1-70b", False),
        ("gpt-4o-2024-05-13", "gpt-4o-2024-08-06", False),
        ("teacher", "teacher-2", False),
    ],
)
def test_names_of_models(asked: str, reported: str, same: bool) -> None:
    """A fuller name is the same model, another name is not."""
    assert same_model(asked, reported) is same


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("Tue, 24 Nov 2026 12:00:30 GMT", 30.0),
        ("Tue, 24 Nov 2026 11:00:00 GMT", 0.0),
        ("soon", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after(header: str | None, seconds: float | None) -> None:
    """Seconds or an HTTP date; anything else is ignored."""
    assert retry_after(header, NOW) == seconds


def test_backoff_has_full_jitter_and_a_bound() -> None:
    """From 0 to a bound that doubles, never more than a minute."""
    rng = random.Random(0)
    for failures, bound in ((1, 0.5), (3, 2.0), (20, 60.0)):
        waits = [backoff(failures, rng) for _ in range(500)]
        assert max(waits) <= bound and min(waits) < bound / 20 and max(waits) > bound * 0.9


def reply(status: int = 200, headers: dict[str, str] | None = None, **content: Any) -> Any:
    """A reply to a request for at most eleven tokens of "teacher", as it is read."""
    return Reader("teacher", "").read(status, headers or {}, json.dumps(content).encode(), limit=11)


def test_texts_and_counts() -> None:
    """The tokens of samples add up to the server's count; reasoning cut at the limit gives an empty text."""
    usage = {"prompt_tokens": 3, "completion_tokens": 11}
    choices = [
        {"index": i, "message": {"content": "x" * (i + 1)}, "finish_reason": "stop"} for i in (2, 0, 1)
    ]
    good = reply(model="teacher", choices=choices, usage=usage)
    assert isinstance(good, Good) and [c.text for c in good.choices] == ["x", "xx", "xxx"]
    assert sum(c.tokens for c in good.choices) == 11
    cut = reply(
        choices=[{"message": {"content": None, "reasoning": "hm"}, "finish_reason": "length"}], usage=usage
    )
    assert isinstance(cut, Good) and cut.choices[0].finish_reason == "length"


@pytest.mark.parametrize("tokens", [0, 11])
@pytest.mark.parametrize(
    "choices",
    [[], [{}], [{"message": {}}], [{"message": {"content": None}}], [{"message": {"content": " "}}], None],
)
def test_an_empty_choice_is_a_fault_that_was_paid_for(choices: Any, tokens: int) -> None:
    """Whatever its form, also if the server counted as many tokens as it was allowed."""
    fault = reply(model="teacher", choices=choices, usage={"prompt_tokens": 3, "completion_tokens": tokens})
    assert isinstance(fault, Fault) and (fault.kind, fault.billed) == ("empty choice", "known")


def test_what_is_tried_again_and_what_is_not() -> None:
    """Overload, server errors and time-outs are; a used-up quota, a wrong key and a bad request are not."""
    for status in (408, 409, 425, 429, 500, 502, 503, 504, 529):
        assert isinstance(reply(status), Fault)
    assert reply(429, {"retry-after": "3"}).wait == 3.0 and reply(500, {"retry-after": "3"}).wait is None
    for status, wholesale in (
        (400, False),
        (413, False),
        (422, False),
        (401, True),
        (404, True),
        (302, True),
    ):
        refused = reply(status)
        assert isinstance(refused, Refusal) and refused.wholesale is wholesale
    quota = reply(429, error={"code": "insufficient_quota", "message": "You exceeded your quota"})
    assert isinstance(quota, Refusal) and quota.wholesale and quota.what == "You exceeded your quota"
    assert reply(200, model="another", choices=[], usage=None).kind == "wrong model"
