"""What servers put into a 200 beside good answers: what becomes of it, how often it is asked for, what is booked."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from acemath.engines.base import REFUSED, Sampling
from acemath.engines.endpoint import asker
from acemath.engines.endpoint.account import IN_FLIGHT, RESPONSES, Account
from acemath.engines.endpoint.engine import EndpointEngine
from acemath.engines.endpoint.settings import Endpoint
from acemath.errors import UserError
from acemath.records import Problem, Response

Script = Callable[..., Any]
TRIES = 4  # a round; there are two
FAULTY, UNUSABLE = 8, 6  # requests until a fault, or a reply that is no answer, is given up
USAGE = {"prompt_tokens": 11, "completion_tokens": 7}
GOOD = {"message": {"role": "assistant", "content": "It is 9."}, "finish_reason": "stop"}
PROBLEM = Problem("p", "What is 3 * 3?")


@contextmanager
def engine_at(folder: Path, url: str, **settings: Any) -> Iterator[EndpointEngine]:
    """An engine whose account lies in `folder`."""
    given = {"url": url, "model": "teacher", "tries": TRIES, "price_in": 1.0, "price_out": 2.0, **settings}
    with closing(Account(folder)) as account:
        yield EndpointEngine(Endpoint.model_validate(given), account)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No waiting between tries, but where a server asks for it."""
    monkeypatch.setattr(asker, "backoff", lambda *_: 0.001)


def chat(*choices: Any, **more: Any) -> dict[str, Any]:
    """A completion of these choices, with the usual count of tokens."""
    return {"model": "teacher", "choices": list(choices), "usage": USAGE, **more}


def said(content: Any, reason: Any = "stop", **message: Any) -> dict[str, Any]:
    """A choice with this content."""
    return {"message": {"role": "assistant", "content": content, **message}, "finish_reason": reason}


def error(code: Any, message: str = "no seat left", **more: Any) -> dict[str, Any]:
    """An error object as OpenRouter sends it."""
    return {"error": {"message": message, "code": code, **more}}


# A server's reply to every request; finish reason; text, or words of the reason; requests; of these known, and lost.
CASES: dict[str, tuple[Any, str, str, int, int, int]] = {
    # Errors inside a 200.
    "429": (error(429), REFUSED, "status 429 inside a 200: no seat left", FAULTY, 0, 0),
    "429 as text": (error("429"), REFUSED, "status 429 inside a 200: no seat left", FAULTY, 0, 0),
    "429 by name": (
        error("rate_limit_exceeded"),
        REFUSED,
        "status 429 inside a 200: no seat left",
        FAULTY,
        0,
        0,
    ),
    "a class of errors": (
        error(None, type="RateLimitError"),
        REFUSED,
        "status 429 inside a 200: no seat left",
        FAULTY,
        0,
        0,
    ),
    "Gemini's": (
        [error(503, status="UNAVAILABLE")],
        REFUSED,
        "status 503 inside a 200: no seat left",
        FAULTY,
        0,
        0,
    ),
    "Anthropic's": (
        {"type": "error", "error": {"type": "overloaded_error", "message": "no seat left"}},
        REFUSED,
        "status 503 inside a 200: no seat left",
        FAULTY,
        0,
        0,
    ),
    "Azure's": (
        {"statusCode": 429, "message": "no seat left"},
        REFUSED,
        "status 429 inside a 200",
        FAULTY,
        0,
        0,
    ),
    "502 of a provider": (
        error(502, "Provider returned error", metadata={"raw": "upstream is down"}),
        REFUSED,
        "Provider returned error (upstream is down)",
        FAULTY,
        0,
        0,
    ),
    "an unknown code": (error(1302), REFUSED, "an error inside a 200: no seat left", FAULTY, 0, 0),
    "no code": ({"error": "no seat left"}, REFUSED, "an error inside a 200: no seat left", FAULTY, 0, 0),
    "a detail": ({"detail": "no seat left"}, REFUSED, "an error inside a 200: no seat left", FAULTY, 0, 0),
    "400": (error(400), REFUSED, "status 400: no seat left", 1, 0, 0),
    "400 of older vLLM": (
        {"object": "error", "message": "no seat left", "type": "BadRequestError", "code": 400},
        REFUSED,
        "status 400: no seat left",
        1,
        0,
        0,
    ),
    "400 by name": (
        error("context_length_exceeded", type="invalid_request_error"),
        REFUSED,
        "status 400: no seat left",
        1,
        0,
        0,
    ),
    "an error that was paid for": (
        chat(**error(429)),
        REFUSED,
        "status 429 inside a 200",
        UNUSABLE,
        UNUSABLE,
        0,
    ),
    "429 in a choice": (
        chat({**said("It is 9.", "error"), **error(429)}, usage=None),
        REFUSED,
        "status 429 inside a 200: no seat left",
        FAULTY,
        0,
        0,
    ),
    "400 in a choice": (
        chat({**said("", "error"), **error(400)}),
        REFUSED,
        "status 400: no seat left",
        1,
        1,
        0,
    ),
    # Texts.
    "null with stop": (chat(said(None, reasoning_content="hm")), "stop", "", 3, 3, 0),
    "no content": (chat(said(None) | {"message": {"role": "assistant"}}), "stop", "", 3, 3, 0),
    "an empty list": (chat(said([])), "stop", "", 3, 3, 0),
    "null message": (chat({"message": None, "finish_reason": "stop"}), "stop", "", 3, 3, 0),
    "thoughts alone": (chat(said([{"type": "reasoning", "text": "It is 9."}])), "stop", "", 3, 3, 0),
    "parts": (
        chat(
            said(
                [
                    {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
                    {"type": "reasoning", "text": "hm"},
                    {"type": "text", "text": "It is "},
                    {"type": "output_text", "text": "9."},
                ]
            )
        ),
        "stop",
        "It is 9.",
        1,
        1,
        0,
    ),
    "a refusal": (chat(said(None, refusal="I cannot help")), REFUSED, "I cannot help", 1, 1, 0),
    "a refusal as a part": (
        chat(said([{"type": "refusal", "refusal": "I cannot help"}])),
        REFUSED,
        "I cannot help",
        1,
        1,
        0,
    ),
    "no refusal": (chat(said("It is 9.", refusal=None)), "stop", "It is 9.", 1, 1, 0),
    "half a surrogate": (chat(said("It is 9.\ud800")), "stop", "It is 9.?", 1, 1, 0),
    "a long text": (chat(said("9" * 3_000_000)), "stop", "9" * 3_000_000, 1, 1, 0),
    # Finish reasons.
    "eos": (chat(said("It is 9.", "eos_token")), "stop", "It is 9.", 1, 1, 0),
    "STOP": (chat(said("It is 9.", "STOP")), "stop", "It is 9.", 1, 1, 0),
    "MAX_TOKENS": (chat(said("It is 9, but", "MAX_TOKENS")), "length", "It is 9, but", 1, 1, 0),
    "all reasoning": (chat(said(None, "length")), "length", "", 1, 1, 0),
    "error": (chat(said("It is 9, but", "error")), REFUSED, "finish_reason 'error'", UNUSABLE, UNUSABLE, 0),
    "abort": (chat(said("It is 9, but", "abort")), REFUSED, "finish_reason 'abort'", UNUSABLE, UNUSABLE, 0),
    "abort, not counted": (
        chat(said("It is 9, but", "abort"), usage=None),
        REFUSED,
        "finish_reason 'abort'",
        UNUSABLE,
        0,
        UNUSABLE,
    ),
    "null reason": (chat(said("It is 9, but", None)), REFUSED, "no finish_reason", UNUSABLE, UNUSABLE, 0),
    "content_filter": (chat(said("It is 9, but", "content_filter")), REFUSED, "'content_filter'", 1, 1, 0),
    "content_filter alone": (chat(said(None, "content_filter")), REFUSED, "'content_filter'", 1, 1, 0),
    "SAFETY": (chat(said("It is 9, but", "SAFETY")), REFUSED, "finish_reason 'SAFETY'", 1, 1, 0),
    "tool_calls": (chat(said(None, "tool_calls", tool_calls=[{}])), REFUSED, "'tool_calls'", 1, 1, 0),
    "repetition": (chat(said("9 9 9 9", "repetition")), REFUSED, "'repetition'", 1, 1, 0),
    "unheard of": (chat(said("It is 9.", {"a": 1})), REFUSED, "finish_reason \"{'a': 1}\"", 1, 1, 0),
    # Replies that are no completions.
    "a page": (
        "<html><title>Log in</title></html>",
        REFUSED,
        "no JSON: '<html><title>Log in</title></html>'",
        UNUSABLE,
        0,
        0,
    ),
    "nothing": ("", REFUSED, "a reply that is no JSON: ''", UNUSABLE, 0, UNUSABLE),
    "half": ('{"model": "teacher", "choi', REFUSED, "a reply that is no JSON", UNUSABLE, 0, UNUSABLE),
    "nested": ("[" * 100_000, REFUSED, "a reply that is no JSON", UNUSABLE, 0, UNUSABLE),
    "a health page": (
        {"status": "alive"},
        REFUSED,
        "a reply without a choice: {'status': 'alive'}",
        UNUSABLE,
        0,
        0,
    ),
    "no choices": (chat(), REFUSED, "a reply without a choice", UNUSABLE, UNUSABLE, 0),
    "no choices, not counted": (chat(usage=None), REFUSED, "a reply without a choice", UNUSABLE, 0, UNUSABLE),
    "a choice of another kind": (chat("It is 9."), REFUSED, "no finish_reason", UNUSABLE, UNUSABLE, 0),
    # Counts.
    "usage as text": (
        chat(GOOD, usage={"prompt_tokens": "11", "completion_tokens": 7.0}),
        "stop",
        "It is 9.",
        1,
        1,
        0,
    ),
    "no usage": (chat(GOOD, usage=None), "stop", "It is 9.", 1, 0, 1),
    "usage without sense": (
        chat(GOOD, usage={"prompt_tokens": -1, "completion_tokens": 10**400}),
        "stop",
        "It is 9.",
        1,
        0,
        1,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_reply_ends_well(name: str, script: Script, tmp_path: Path) -> None:
    """Text or reason, requests and books are right, at once and when everything is read back."""
    body, reason, text, requests, known, lost = CASES[name]
    server = script(body)
    with engine_at(tmp_path, server.url, timeout=30) as engine:
        (found,) = engine.generate([PROBLEM], Sampling(max_new_tokens=50))
        cost = engine.cost()
    assert found.finish_reason == reason and len(server.asked) == requests
    if reason == REFUSED:
        assert text in found.meta[REFUSED] and found.text == ""
    else:
        assert found.text == text
    assert (cost["requests"], cost["lost_requests"]) == (known, lost)
    assert cost["usd"] == round(known * (11 * 1.0 + 7 * 2.0) / 1e6, 6)
    assert (cost["prompt_tokens"], cost["completion_tokens"]) == (11 * known, 7 * known)
    with engine_at(tmp_path, server.url) as engine:
        kept = [engine.account.choice(key) for key in engine.account.known]
        assert (
            engine.cost()["usd"] == cost["usd"]
            and engine.cost()["lost_usd_at_most"] == cost["lost_usd_at_most"]
        )
        if kept:
            assert list(engine.generate([PROBLEM], Sampling(max_new_tokens=50))) == [found]
    assert len(server.asked) == requests and not (tmp_path / IN_FLIGHT).read_text()


@pytest.mark.parametrize(
    "body",
    [
        *map(error, (401, 402, 404, "insufficient_quota", "invalid_api_key", "model_not_found")),
        error(429, type="insufficient_quota"),
    ],
)
def test_a_final_error_inside_a_200_ends_the_run(body: Any, script: Script, tmp_path: Path) -> None:
    """In one line with what the server said, after one request, for nothing."""
    server = script(body)
    with engine_at(tmp_path, server.url, in_flight=1) as engine:
        with pytest.raises(UserError, match=r"status 40\d, 'no seat left'"):
            list(engine.generate([Problem(str(i), f"What is {i}?") for i in range(9)], Sampling()))
        assert engine.cost()["requests"] == engine.cost()["lost_requests"] == 0
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "body",
    [
        error(429, metadata={"headers": {"Retry-After": "1"}}),
        error("overloaded_error", retry_after=1.0),
        {"error": {"message": "no seat left", "metadata": {"retry_after_seconds": 1}}, "code": 503},
    ],
)
def test_a_wait_inside_a_body_is_kept(body: Any, script: Script, tmp_path: Path) -> None:
    """Nothing is sent before it is over."""
    server = script(body, chat(GOOD))
    started = time.monotonic()
    with engine_at(tmp_path, server.url) as engine:
        (found,) = engine.generate([PROBLEM], Sampling())
    assert found.text == "It is 9." and time.monotonic() - started > 0.95 and len(server.asked) == 2


def test_the_good_choices_of_a_reply_are_kept(script: Script, tmp_path: Path) -> None:
    """Only the others are asked for again, each under its own number and paid for once."""
    first = chat(
        {**said("two", "error"), "index": 2},
        {**said("one"), "index": 1},
        {**said("no", "content_filter"), "index": 3},
        {**said("zero"), "index": 0},
    )
    server = script(first, chat(said("two")))
    sampling = Sampling(n=4, temperature=1.0)
    with engine_at(tmp_path, server.url, per_request=4) as engine:
        found = sorted(engine.generate([PROBLEM], sampling), key=lambda r: r.sample)
        assert engine.cost()["requests"] == 2
    assert [(r.text, r.finish_reason) for r in found] == [
        ("zero", "stop"),
        ("one", "stop"),
        ("two", "stop"),
        ("", REFUSED),
    ]
    assert [asked.get("n", 1) for asked in server.asked] == [4, 1]
    with engine_at(tmp_path, server.url) as engine:
        again = sorted(engine.generate([PROBLEM], sampling), key=lambda r: r.sample)
    assert again == found and len(server.asked) == 2


def test_an_empty_choice_among_others_is_believed_the_third_time(script: Script, tmp_path: Path) -> None:
    """As where it is alone."""
    server = script(chat(said("zero"), said("")), chat(said(None)))
    with engine_at(tmp_path, server.url, per_request=2) as engine:
        found = sorted(engine.generate([PROBLEM], Sampling(n=2, temperature=1.0)), key=lambda r: r.sample)
    assert [(r.text, r.finish_reason) for r in found] == [("zero", "stop"), ("", "stop")]
    assert [asked.get("n", 1) for asked in server.asked] == [2, 1, 1]


@pytest.mark.parametrize("indices", [(None, None), (0, 0), ("1", "0"), (1, None)])
def test_choices_without_clear_indices_stay_in_order(indices: Any, script: Script, tmp_path: Path) -> None:
    """A missing, repeated or strange index is none."""
    server = script(chat(*({**said(t), "index": i} for t, i in zip(("zero", "one"), indices, strict=True))))
    with engine_at(tmp_path, server.url, per_request=2) as engine:
        found = sorted(engine.generate([PROBLEM], Sampling(n=2, temperature=1.0)), key=lambda r: r.sample)
    assert [r.text for r in found] == ["zero", "one"] and len(server.asked) == 1


@pytest.mark.parametrize(
    ("choice", "reason", "text", "requests"),
    [
        ({"text": "It is 9.", "finish_reason": "stop"}, "stop", "It is 9.", 1),
        ({"text": None, "finish_reason": "stop"}, "stop", "", 3),
        ({"text": "It is", "finish_reason": "abort"}, REFUSED, "", UNUSABLE),
        ({"text": "It is", "finish_reason": "content_filter"}, REFUSED, "", 1),
    ],
)
def test_the_completions_api_alike(
    choice: Any, reason: str, text: str, requests: int, script: Script, tmp_path: Path
) -> None:
    """Texts beside the finish reason, without a message."""
    server = script(chat(choice))
    with engine_at(tmp_path, server.url, api="completions") as engine:
        (found,) = engine.generate([PROBLEM], Sampling())
    assert (found.finish_reason, found.text, len(server.asked)) == (reason, text, requests)


@pytest.mark.parametrize(
    ("logprobs", "kept"),
    [
        (None, None),
        ({"content": None}, None),
        ({"content": [{"token": "9", "logprob": -0.5}, {"token": ".", "logprob": None}]}, [-0.5]),
        ({"token_logprobs": [None, -1, "x"]}, [-1.0]),
    ],
)
def test_log_probabilities(logprobs: Any, kept: Any, script: Script, tmp_path: Path) -> None:
    """Numbers alone."""
    server = script(chat({**GOOD, "logprobs": logprobs}))
    with engine_at(tmp_path, server.url, logprobs=True) as engine:
        (found,) = engine.generate([PROBLEM], Sampling())
    assert found.meta.get("logprobs") == kept


def test_a_server_that_never_answers_is_given_up_early(script: Script, tmp_path: Path) -> None:
    """A web page at a wrong address, or a word for the end of a text that nobody knows: one line, nothing endless."""
    many = [Problem(str(i), f"What is {i}?") for i in range(400)]
    for body, what in (
        ("<html>Log in</html>", "<html>Log in"),
        (chat(said("9", "over")), "finish_reason 'over'"),
    ):
        server = script(body)
        with (
            engine_at(tmp_path / what[:5], server.url, in_flight=4) as engine,
            pytest.raises(UserError, match=f"replies and no answer for model 'teacher' .*{what}"),
        ):
            list(engine.generate(many, Sampling()))
        assert len(server.asked) < 120


def test_a_budget_is_not_eaten_by_errors(script: Script, tmp_path: Path) -> None:
    """Room for one answer is enough after any number of errors that cost nothing."""
    server = script(*[error(429)] * 5, chat(GOOD))
    with engine_at(tmp_path, server.url, tries=9, budget_tokens=150) as engine:
        (found,) = engine.generate([PROBLEM], Sampling(max_new_tokens=50))
    assert found.text == "It is 9." and len(server.asked) == 6


def test_a_journal_of_an_older_version(script: Script, tmp_path: Path) -> None:
    """What it kept under the server's own reasons is complete, cut, refused, or asked for again."""
    server = script(chat(GOOD))
    sampling = Sampling(n=6, temperature=1.0)
    with engine_at(tmp_path, server.url, in_flight=1) as engine:
        list(engine.generate([PROBLEM], sampling))
        keys = list(engine.account.known)
    old = ["stop", "eos", "max_tokens", "content_filter", "tool_calls", "error"]
    with (tmp_path / RESPONSES).open("w") as file:
        for number, (key, reason) in enumerate(zip(keys, old, strict=True)):
            sample = {"key": key, "text": f"old {number}", "finish_reason": reason, "tokens": 1}
            file.write(json.dumps({"request": str(number), "usage": {}, "samples": [sample]}) + "\n")
    before = len(server.asked)
    with engine_at(tmp_path, server.url) as engine:
        found: list[Response] = sorted(engine.generate([PROBLEM], sampling), key=lambda r: r.sample)
    assert [(r.text, r.finish_reason) for r in found] == [
        ("old 0", "stop"),
        ("old 1", "stop"),
        ("old 2", "length"),
        ("", REFUSED),
        ("", REFUSED),
        ("It is 9.", "stop"),
    ]
    assert found[4].meta[REFUSED] == "finish_reason 'tool_calls'" and len(server.asked) == before + 1


def test_the_replies_of_the_shared_cases(script: Script, tmp_path: Path, shared: Path) -> None:
    """Each as its words say."""
    cases = json.loads((shared / "cases/endpoint/replies.json").read_text())
    found = {}
    for name, case in cases.items():
        server = script(case["body"], status=case["status"])
        with engine_at(tmp_path / name, server.url, tries=10) as engine:
            (response,) = engine.generate([PROBLEM], Sampling())
            cost = engine.cost()
        why = response.meta.get(REFUSED, "").partition(" tries: ")[2]
        found[name] = (
            response.finish_reason,
            response.text,
            why,
            len(server.asked),
            cost["requests"],
            cost["lost_requests"],
        )
    assert found == {
        "error_in_200": (
            REFUSED,
            "",
            "status 429 inside a 200: Rate limit exceeded: free-models-per-day",
            20,
            0,
            0,
        ),
        "null_content_stop": ("stop", "", "", 3, 3, 0),
        "content_list": ("stop", "so \\boxed{4}", "", 1, 1, 0),
        "finish_error": (REFUSED, "", "finish_reason 'error'", 6, 6, 0),
    }
