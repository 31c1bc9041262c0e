"""Generative judges on a local server: what is asked, what is read, and what counts as no score."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from math import isnan
from pathlib import Path
from typing import Any

import pytest

from acemath.errors import UserError
from acemath.models.score.generative import GenerativeJudge
from acemath.models.score.judge import judge_settings, open_judge
from acemath.models.score.settings import settings_from

ITEMS = [
    ("What is 3 + 4?", ["It is 7.", "It is 8.", "It is 7."]),
    (r"What is \frac{1}{2} + {x}?", ["{problem}"]),
]


def completion(*texts: str, reason: str = "stop") -> dict[str, Any]:
    """A reply of the chat API."""
    return {
        "model": "judge",
        "choices": [
            {"index": i, "message": {"role": "assistant", "content": text}, "finish_reason": reason}
            for i, text in enumerate(texts)
        ],
        "usage": {"prompt_tokens": 20, "completion_tokens": 9},
    }


def settings(url: str, **more: Any) -> Any:
    """A generative judge at this address."""
    return settings_from(
        {"kind": "generative", "endpoint": {"id": "judge", "url": url, "timeout": 10}, **more}
    )


def graded(request: dict[str, Any]) -> dict[str, Any]:
    """9 for a response with 7, 2 for the others, after a number that is no score."""
    solution = request["messages"][-1]["content"].split("Solution:\n")[1].split("\n\n")[0]
    return completion(f"Score: 5? No.\n**Score:** {9 if '7' in solution else 2}")


def test_the_last_number_is_the_score(script: Callable[..., Any], tmp_path: Path) -> None:
    """Equal responses are asked about once; braces in texts stay; a second call asks for nothing."""
    server = script(graded)
    judge = open_judge(settings(server.url), tmp_path / "journal")
    assert judge.score_many(ITEMS) == [[9, 2, 9], [2]]
    asked = [row["messages"][-1]["content"] for row in server.asked]
    assert (
        len(asked) == 3
        and sum(r"\frac{1}{2} + {x}?" in text and "Solution:\n{problem}\n" in text for text in asked) == 1
    )
    assert all(row["temperature"] == 0 for row in server.asked)
    assert open_judge(settings(server.url), tmp_path / "journal").score_many(ITEMS) == [[9, 2, 9], [2]]
    assert len(server.asked) == 3
    identity = judge.identity()
    assert identity == json.loads(json.dumps(identity)) and "url" not in identity["endpoint"]
    assert identity != open_judge(settings(server.url, votes=2), tmp_path).identity()


@pytest.mark.parametrize(
    ("reply", "score"),
    [
        ("Score: 7/10", 7), ("**SCORE**: 9.5.", 9.5), ("score:\n\n4", 4), ("Score: 3\nScore: 10", 10), ("Score: 1e3", None),
        ("Score: 10.5", None), ("Score: -1", None), ("Score: ten", None), ("Score: n", None), ("7", None),
    ],
)  # fmt: skip
def test_what_the_default_pattern_reads(reply: str, score: float | None, tmp_path: Path) -> None:
    """Numbers on the scale; the last one counts."""
    judge = open_judge(settings("http://127.0.0.1:9/v1"), tmp_path)
    assert isinstance(judge, GenerativeJudge)
    found = judge.read(reply)
    assert isnan(found) if score is None else found == score


def test_votes_are_averaged_and_verdicts_read(script: Callable[..., Any], tmp_path: Path) -> None:
    """Votes that cannot be read are left out of the mean."""
    server = script(*(completion(f"Verdict: {word}") for word in ("Correct", "wrong", "correct", "perhaps")))
    judge = open_judge(
        settings(server.url, votes=4, pattern=r"Verdict: (\w+)", verdicts={"correct": 1, "wrong": 0}),
        tmp_path / "journal",
    )
    assert judge.score_many([("1+1?", ["2"])]) == [[pytest.approx(2 / 3)]]
    assert {row["temperature"] for row in server.asked} == {1.0} and len(
        {row["seed"] for row in server.asked}
    ) == 4


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (completion("I cannot say."), "1 unreadable"),
        (completion("Score: 11"), "1 unreadable"),
        (completion("Score: 7 would be", reason="length"), "1 cut"),
        (completion("Score: 7", reason="content_filter"), "1 refused"),
    ],
)
def test_no_score_is_nan_and_said(
    reply: Any, why: str, script: Callable[..., Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Text without a number, a number outside the scale, a cut reply, a refusal. None at all is an error."""
    server = script(lambda request: reply if "bad" in str(request["messages"]) else completion("Score: 3.5"))
    judge = open_judge(settings(server.url), tmp_path / "journal")
    good, bad = judge.score_many([("1+1?", ["2", "bad"])])[0]
    assert good == 3.5 and isnan(bad)
    assert why in caplog.text and "1 of 2 responses get none at all and rank last" in caplog.text
    with pytest.raises(UserError, match=f"gave no score for any of 1 responses.*{why}"):
        judge.score_many([("1+1?", ["bad"])])


def test_the_budget_holds(script: Callable[..., Any], tmp_path: Path) -> None:
    """The endpoint's own budget stops the judge."""
    endpoint = {"id": "judge", "url": script(graded).url, "budget_tokens": 100}
    judge = open_judge(settings_from({"kind": "generative", "endpoint": endpoint}), tmp_path / "journal")
    with pytest.raises(UserError, match="budget"):
        judge.score_many(ITEMS)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "kind: generative\nendpoint: {id: a, url: 'http://h/v1'}\ntemplate: '{problem}'",
            r"template: the template lacks {response}",
        ),
        (
            "kind: generative\nendpoint: {id: a, url: 'http://h/v1'}\npattern: 'x'",
            "pattern: the pattern has no group",
        ),
        ("kind: generative\nendpoint: {id: a, url: 'http://h/v1'}\npattern: '('", "no regular expression"),
        (
            "kind: generative\nendpoint: {id: a, url: 'http://h/v1'}\nvotes: 3\ntemperature: 0",
            "all votes are equal",
        ),
        (
            "kind: generative\nendpoint: {id: a, url: 'http://h/v1'}\nmodel: x",
            r"'model' is no key .*belongs to reward, process",
        ),
        ("kind: generative\nendpoint: {id: a, url: 'h'}", "endpoint.url: 'h' is no address"),
        ("kind: generative", "endpoint: Field required"),
        (
            "kind: oracle\nmodel: x",
            "kind is 'oracle'; the kinds of judges are reward, process, generative, classify",
        ),
        ("model: x\naggregation: min", "'aggregation' is no key of a judge of kind reward"),
        ("model: x\ntensor_parallel: 2", "'tensor_parallel' is no key of engine transformers"),
        ("kind: process\nmodel: x\naggregation: mean", "aggregation: "),
        ("kind: classify\nendpoint: {id: a, url: 'http://h', body: {}}", "writes no text"),
        ("- a", "maps keys to values"),
        ("a: [", "not valid YAML"),
    ],
)
def test_wrong_settings_are_one_line(text: str, said: str, tmp_path: Path) -> None:
    """Each names the file, the key and the rule."""
    file = tmp_path / "judge.yaml"
    file.write_text(text)
    with pytest.raises(UserError, match=re.escape(said) if "{" in said else said) as found:
        judge_settings(file)
    assert str(file) in str(found.value) and "\n" not in str(found.value)
    with pytest.raises(UserError, match="cannot be read"):
        judge_settings(tmp_path / "none.yaml")


def test_options_are_laid_over_a_file(tmp_path: Path) -> None:
    """Those that are not given change nothing."""
    file = tmp_path / "judge.yaml"
    file.write_text("kind: process\nmodel: m\nmax_length: 99\naggregation: last\n")
    found = judge_settings(file, {"max_length": None, "aggregation": "product", "chat": None})
    assert found.model_dump()["max_length"] == 99 and found.model_dump()["aggregation"] == "product"
