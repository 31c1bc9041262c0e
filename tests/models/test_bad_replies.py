"""Bad replies inside a 200: what becomes of them, how often they are requested, and what is booked."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from acemath.cli.sample import sample
from acemath.errors import UserError
from acemath.models.engine import Sampling
from acemath.models.generate.endpoint import asker
from acemath.models.generate.endpoint.account import IN_FLIGHT, RESPONSES, Account
from acemath.models.generate.endpoint.engine import EndpointEngine
from acemath.models.spec import EndpointModel
from acemath.records import REFUSED, Problem, Response

Script = Callable[..., Any]
TRIES = 4  # in each of two rounds
FAULTY, UNUSABLE = 8, 6  # requests after which a fault, or an unusable reply, is given up
USAGE = {"prompt_tokens": 11, "completion_tokens": 7}
GOOD = {"message": {"role": "assistant", "content": "It is 9."}, "finish_reason": "stop"}
PROBLEM = Problem("p", "What is 3 * 3?")


@contextmanager
def engine_at(folder: Path, url: str, **settings: Any) -> Iterator[EndpointEngine]:
    """An engine whose account lies in `folder`."""
    given = {"url": url, "id": "teacher", "tries": TRIES, "price_in": 1.0, "price_out": 2.0, **settings}
    with closing(Account(folder)) as account:
        yield EndpointEngine(EndpointModel.model_validate(given), account)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No wait between tries, unless the server asks for it."""
    monkeypatch.setattr(asker, "backoff", lambda *_: 0.001)


def chat(*choices: Any, **more: Any) -> dict[str, Any]:
    """A completion with these choices and the usual token counts."""
    return {"model": "teacher", "choices": list(choices), "usage": USAGE, **more}


def said(content: Any, reason: Any = "stop", **message: Any) -> dict[str, Any]:
    """A choice with this content."""
    return {"message": {"role": "assistant", "content": content, **message}, "finish_reason": reason}


def error(code: Any, message: str = "no seat left", **more: Any) -> dict[str, Any]:
    """An error object as OpenRouter sends it."""
    return {"error": {"message": message, "code": code, **more}}


class Case(NamedTuple):
    """A reply to every request, and what becomes of it. `words` are the text, or a part of the reason."""

    body: Any
    words: str
    reason: str
    requests: int
    known: int  # requests booked at the server's count
    lost: int  # requests booked at the most that they can have cost


def kept(body: Any, words: str = "It is 9.", reason: str = "stop", requests: int = 1) -> Case:
    """A response, paid for."""
    return Case(body, words, reason, requests, requests, 0)


def free(body: Any, words: str, requests: int = FAULTY) -> Case:
    """No response, and no cost."""
    return Case(body, words, REFUSED, requests, 0, 0)


def paid(body: Any, words: str, requests: int = UNUSABLE) -> Case:
    """No response, but paid for."""
    return Case(body, words, REFUSED, requests, requests, 0)


def lost(body: Any, words: str) -> Case:
    """No response, at an unknown cost."""
    return Case(body, words, REFUSED, UNUSABLE, 0, UNUSABLE)


SEAT, NO_JSON, NO_CHOICE = "inside a 200: no seat left", "a reply that is no JSON", "a reply without a choice"
OVERLOADED = {"type": "error", "error": {"type": "overloaded_error", "message": "no seat left"}}
OLD_VLLM = {"object": "error", "message": "no seat left", "type": "BadRequestError", "code": 400}
THINKING = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
PARTS = [{"type": "text", "text": "It is "}, {"type": "output_text", "text": "9."}]
PART = "It is 9, but"  # of a text
ERRORS = {
    "429": free(error(429), f"status 429 {SEAT}"),
    "429 as text": free(error("429"), f"status 429 {SEAT}"),
    "429 in words": free(error("429 Too Many Requests"), f"status 429 {SEAT}"),
    "429 by name": free(error("rate_limit_exceeded"), f"status 429 {SEAT}"),
    "a class of errors": free(error(None, type="RateLimitError"), f"status 429 {SEAT}"),
    "Gemini": free([error("UNAVAILABLE")], f"status 503 {SEAT}"),
    "Anthropic": free(OVERLOADED, f"status 503 {SEAT}"),
    "Azure": free({"statusCode": 429, "message": "no seat left"}, f"status 429 {SEAT}"),
    "of a provider": free(error(502, "It failed", metadata={"raw": "down"}), "200: It failed (down)"),
    "an unknown code": free(error(1302), f"an error {SEAT}"),
    "no code": free({"error": "no seat left"}, f"an error {SEAT}"),
    "a detail": free({"detail": "no seat left"}, f"an error {SEAT}"),
    "400": free(error(400), "status 400: no seat left", 1),
    "400 of older vLLM": free(OLD_VLLM, "status 400: no seat left", 1),
    "400 by name": free(error("context_length_exceeded", type="other"), "status 400: no seat left", 1),
    "paid for": paid(chat(**error(429)), f"status 429 {SEAT}"),
    "429 in a choice": free(chat({**said(PART, "error"), **error(429)}, usage=None), f"status 429 {SEAT}"),
    "400 in a choice": paid(chat({**said("", "error"), **error(400)}), "status 400: no seat left", 1),
}
TEXTS = {
    "null with stop": kept(chat(said(None, reasoning_content="hm")), "", requests=3),
    "no content": kept(chat({"message": {"role": "assistant"}, "finish_reason": "stop"}), "", requests=3),
    "an empty list": kept(chat(said([])), "", requests=3),
    "null message": kept(chat({"message": None, "finish_reason": "stop"}), "", requests=3),
    "thoughts alone": kept(chat(said([{"type": "reasoning", "text": "9"}])), "", requests=3),
    "parts": kept(chat(said([THINKING, {"type": "reasoning", "text": "hm"}, *PARTS]))),
    "a refusal": paid(chat(said(None, refusal="I cannot help")), "I cannot help", 1),
    "a text and a refusal": paid(chat(said("It is", refusal="I cannot help")), "I cannot help", 1),
    "a text and a tool": paid(chat(said("Let me see.", tool_calls=[{"id": "1"}])), "asks for a tool", 1),
    "a tool with stop": paid(chat(said(None, tool_calls=[{"id": "1"}])), "asks for a tool", 1),
    "texts in a list": kept(chat(said(["It is ", "9."]))),
    "a message that is a text": kept(chat({"message": "It is 9.", "finish_reason": "stop"})),
    "the only piece of a stream": kept(chat({"delta": {"content": "It is 9."}, "finish_reason": "stop"})),
    "an error without words": kept(chat(GOOD, error={"code": None, "message": ""})),
    "an error without words in a choice": kept(chat({**GOOD, "error": {"code": 0, "message": None}})),
    "a refusing part": paid(chat(said([{"type": "refusal", "refusal": "I cannot"}])), "I cannot", 1),
    "no refusal": kept(chat(said("It is 9.", refusal=None))),
    "half a surrogate": kept(chat(said("It is 9.\ud800")), "It is 9.?"),
    "a long text": kept(chat(said("9" * 3_000_000)), "9" * 3_000_000),
}
REASONS = {
    "eos": kept(chat(said("It is 9.", "eos_token"))),
    "STOP": kept(chat(said("It is 9.", "STOP"))),
    "MAX_TOKENS": kept(chat(said(PART, "MAX_TOKENS")), PART, "length"),
    "all reasoning": kept(chat(said(None, "length")), "", "length"),
    "error": paid(chat(said(PART, "error")), "finish_reason 'error'"),
    "abort": paid(chat(said(PART, "abort")), "finish_reason 'abort'"),
    "abort, not counted": lost(chat(said(PART, "abort"), usage=None), "finish_reason 'abort'"),
    "null": paid(chat(said(PART, None)), "no finish_reason"),
    "under another name": kept(chat({"message": {"content": PART}, "finishReason": "MAX_TOKENS"}), PART, "length"),
    "stop_reason": kept(chat({"message": {"content": PART}, "stop_reason": "max_tokens"}), PART, "length"),
    "never sent": kept(chat({"message": {"role": "assistant", "content": "It is 9."}})),
    "content_filter": paid(chat(said(PART, "content_filter")), "finish_reason 'content_filter'", 1),
    "content_filter alone": paid(chat(said(None, "content_filter")), "'content_filter'", 1),
    "SAFETY": paid(chat(said(PART, "SAFETY")), "finish_reason 'SAFETY'", 1),
    "tool_calls": paid(chat(said(None, "tool_calls", tool_calls=[{}])), "'tool_calls'", 1),
    "repetition": paid(chat(said("9 9 9 9", "repetition")), "finish_reason 'repetition'", 1),
    "an object": paid(chat(said("It is 9.", {"a": 1})), "finish_reason \"{'a': 1}\"", 1),
}
OTHERS = {
    "a page": free("<html><title>Log in</title></html>", f"{NO_JSON}: '<html><title>Log in", UNUSABLE),
    "nothing": lost("", f"{NO_JSON}: ''"),
    "half": lost('{"model": "teacher", "choi', NO_JSON),
    "nested": lost("[" * 100_000, NO_JSON),
    "a health page": free({"status": "alive"}, f"{NO_CHOICE}: {{'status': 'alive'}}", UNUSABLE),
    "no choices": paid(chat(), NO_CHOICE),
    "no choices, not counted": lost(chat(usage=None), NO_CHOICE),
    "a choice that is a text": paid(chat("It is 9."), "no finish_reason"),
    "usage as text": kept(chat(GOOD, usage={"prompt_tokens": "11", "completion_tokens": 7.0})),
    "nothing counted": Case(
        chat(GOOD, usage={"prompt_tokens": 0, "completion_tokens": 0}), "It is 9.", "stop", 1, 0, 1
    ),
    "no choices and a message": free({"choices": None, "message": "no seat left", "code": 503}, f"status 503 {SEAT}"),
    "no usage": Case(chat(GOOD, usage=None), "It is 9.", "stop", 1, 0, 1),
    "negative usage": Case(
        chat(GOOD, usage={"prompt_tokens": -1, "completion_tokens": 7}), "It is 9.", "stop", 1, 0, 1
    ),
    "endless usage": Case(
        chat(GOOD, usage={"prompt_tokens": 11, "completion_tokens": 10**400}), "It is 9.", "stop", 1, 0, 1
    ),
}
CASES = ERRORS | TEXTS | REASONS | OTHERS


@pytest.mark.parametrize("name", CASES)
def test_a_reply_ends_well(name: str, script: Script, tmp_path: Path) -> None:
    """The text or reason, the number of requests and the costs are right, now and when all is read back."""
    body, words, reason, requests, known, lost = CASES[name]
    server = script(body)
    with engine_at(tmp_path, server.url, timeout=30) as engine:
        (found,) = engine.generate([PROBLEM], Sampling(max_new_tokens=50))
        cost = engine.cost()
    assert found.finish_reason == reason and len(server.asked) == requests
    if reason == REFUSED:
        assert words in found.meta[REFUSED] and found.text == ""
    else:
        assert found.text == words
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
    """In one line with the server's message, after one request, without cost."""
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
    """Nothing is sent before the wait is over."""
    server = script(body, chat(GOOD))
    started = time.monotonic()
    with engine_at(tmp_path, server.url) as engine:
        (found,) = engine.generate([PROBLEM], Sampling())
    assert found.text == "It is 9." and time.monotonic() - started > 0.95 and len(server.asked) == 2


def test_a_full_text_of_a_server_without_finish_reasons_was_cut(script: Script, tmp_path: Path) -> None:
    """Only the number of tokens shows that it was cut; a finish reason comes first."""
    for reason, expected in (({}, "length"), ({"finish_reason": "stop"}, "stop")):
        server = script(chat({"message": {"content": PART}, **reason}))
        with engine_at(tmp_path / expected, server.url) as engine:
            (found,) = engine.generate([PROBLEM], Sampling(max_new_tokens=7))
        assert (found.finish_reason, found.text) == (expected, PART) and server.asked[0]["stream"] is False


def test_nothing_but_refusals_is_an_error(script: Script, tmp_path: Path) -> None:
    """A command without any response fails, so that an evaluation does not report 0 %."""
    server = script(chat(said(None, "content_filter")))
    with engine_at(tmp_path, server.url) as engine, pytest.raises(UserError, match="all 2 were refused .*content_filter"):
        sample("sample", [PROBLEM], engine, Sampling(n=2, max_new_tokens=50), tmp_path / "out.jsonl")
    assert not (tmp_path / "out.jsonl").exists()


def test_the_good_choices_of_a_reply_are_kept(script: Script, tmp_path: Path) -> None:
    """Only the others are requested again, under their own numbers."""
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
    """As if it were alone."""
    server = script(chat(said("zero"), said("")), chat(said(None)))
    with engine_at(tmp_path, server.url, per_request=2) as engine:
        found = sorted(engine.generate([PROBLEM], Sampling(n=2, temperature=1.0)), key=lambda r: r.sample)
    assert [(r.text, r.finish_reason) for r in found] == [("zero", "stop"), ("", "stop")]
    assert [asked.get("n", 1) for asked in server.asked] == [2, 1, 1]


@pytest.mark.parametrize("indices", [(None, None), (0, 0), ("1", "0"), (1, None)])
def test_choices_without_clear_indices_stay_in_order(indices: Any, script: Script, tmp_path: Path) -> None:
    """Missing, repeated or strange indices are ignored."""
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
    """Its choices hold a text in place of a message."""
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
    """Only numbers are kept."""
    server = script(chat({**GOOD, "logprobs": logprobs}))
    with engine_at(tmp_path, server.url, logprobs=True) as engine:
        (found,) = engine.generate([PROBLEM], Sampling())
    assert found.meta.get("logprobs") == kept


def test_a_server_that_never_answers_is_given_up_early(script: Script, tmp_path: Path) -> None:
    """A web page at a wrong address, or an unknown finish reason, ends the call with one line."""
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
    """Errors that cost nothing leave room for the answer."""
    server = script(*[error(429)] * 5, chat(GOOD))
    with engine_at(tmp_path, server.url, tries=9, budget_tokens=150) as engine:
        (found,) = engine.generate([PROBLEM], Sampling(max_new_tokens=50))
    assert found.text == "It is 9." and len(server.asked) == 6


def test_a_journal_of_an_older_version(script: Script, tmp_path: Path) -> None:
    """The server's own reasons in it mean complete, cut, refused, or to be requested again."""
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
    """The replies in shared/cases."""
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
