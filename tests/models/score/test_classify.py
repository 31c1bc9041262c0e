"""Reward models on servers: token ids go out, and the logit of the reply is the score."""

from __future__ import annotations

import json
from collections.abc import Callable
from math import isnan
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForSequenceClassification

from acemath.errors import UserError
from acemath.models.engine import ChatFormat
from acemath.models.score.judge import Judge, open_judge
from acemath.models.score.score import RewardModel
from acemath.models.score.settings import settings_from

CHAT = ChatFormat(system="Think.")
ITEMS = [("What is 3 + 4?", ["It is 7.", "It is 8.", "It is 7."]), ("1+1?", ["2"])]
MANY = [("1+1?", [str(n) for n in range(9)])]


def judge_at(url: str, model: Path, journal: Path, **more: Any) -> Judge:
    """A judge of kind classify."""
    endpoint = {"id": "rm", "url": url, "timeout": 10}
    data = {
        "kind": "classify",
        "endpoint": endpoint,
        "tokenizer": str(model),
        "chat": CHAT.model_dump(),
        **more,
    }
    return open_judge(settings_from(data), journal)


def vllm(score: Callable[[list[int]], list[float]]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """vLLM's reply, which obeys `use_activation`."""

    def reply(request: dict[str, Any]) -> dict[str, Any]:
        assert request["use_activation"] is False and request["model"] == "rm"
        rows = [{"index": i, "probs": score(ids), "num_classes": 1} for i, ids in enumerate(request["input"])]
        return {
            "object": "list",
            "model": "rm",
            "data": rows,
            "usage": {"prompt_tokens": 9, "total_tokens": 9, "completion_tokens": 0},
        }

    return reply


def sglang(score: Callable[[list[int]], list[float]]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """SGLang's reply."""
    return lambda request: {
        "embedding": score(request["input_ids"]),
        "meta_info": {"id": "x", "prompt_tokens": 9},
    }


def pooling(score: Callable[[list[int]], list[float]]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """vLLM's reply with a number for each token."""

    def reply(request: dict[str, Any]) -> dict[str, Any]:
        assert request["task"] == "token_classify" and request["use_activation"] is False
        rows = [{"index": 0, "object": "pooling", "data": [[9.0]] * 5 + [score(request["input"][0])]}]
        return {
            "object": "list",
            "model": "rm",
            "data": rows,
            "usage": {"prompt_tokens": 9, "total_tokens": 9},
        }

    return reply


@pytest.mark.parametrize(("server", "form"), [("vllm", vllm), ("vllm-tokens", pooling), ("sglang", sglang)])
def test_servers_give_the_reward(
    server: str, form: Any, script: Callable[..., Any], random_reward_model: Path, tmp_path: Path
) -> None:
    """The ids are those that this process scores; what has arrived is not asked for again."""
    model = AutoModelForSequenceClassification.from_pretrained(
        random_reward_model, dtype=torch.float32
    ).eval()

    def score(ids: list[int]) -> list[float]:
        with torch.no_grad():
            return [float(v) for v in model(torch.tensor([ids])).logits[0]]

    running = script(form(score))
    judge = judge_at(running.url, random_reward_model, tmp_path / "j", server=server)
    expected = RewardModel(random_reward_model, CHAT, bf16=False).score_many(ITEMS)
    for _ in range(2):
        found = judge.score_many(ITEMS)
        assert [v for row in found for v in row] == pytest.approx(
            [v for row in expected for v in row], abs=1e-5
        )
    assert len(running.asked) == 3  # each distinct response once
    assert judge.identity()["endpoint"] == {"id": "rm"} and json.dumps(judge.identity())


def test_the_address_is_beside_v1(
    script: Callable[..., Any], random_reward_model: Path, tmp_path: Path
) -> None:
    """Users have the address of the chat API at hand."""
    running = script(vllm(lambda ids: [1.5]))
    assert running.url.endswith("/v1")
    judge = judge_at(running.url, random_reward_model, tmp_path / "j", end_ids=[5, 6])
    assert judge._endpoint.url == running.url.removesuffix("/v1")  # type: ignore[attr-defined]
    assert judge.score_many([("1+1?", ["2"])]) == [[1.5]]
    assert running.asked[0]["input"][0][-2:] == [5, 6]


@pytest.mark.parametrize(
    ("score", "said"),
    [
        (lambda ids: [1.0], "all 9 scores are 1: does the server apply an activation"),
        (lambda ids: [(-1.0) ** sum(ids)], "are 1 or -1: the server seems"),
        (lambda ids: [0.001 * (sum(ids) % 999)], "lie between 0 and 1: the server seems to squash them"),
    ],
)
def test_squashed_scores_are_noticed(
    score: Any, said: str, script: Callable[..., Any], random_reward_model: Path, tmp_path: Path, caplog: Any
) -> None:
    """The softmax over one output is 1, the sigmoid lies between 0 and 1."""
    judge_at(script(vllm(score)).url, random_reward_model, tmp_path / "j").score_many(MANY)
    assert said in caplog.text


def test_a_prompt_that_leaves_no_room_is_not_asked_about(
    script: Callable[..., Any], random_reward_model: Path, tmp_path: Path, caplog: Any
) -> None:
    """Its responses get no score, and a notice says so."""
    running = script(vllm(lambda ids: [1.5]))
    judge = judge_at(running.url, random_reward_model, tmp_path / "j", max_length=64)
    (fits, lost) = judge.score_many([("1+1?", ["2"]), ("word " * 80, ["2", "3"])])
    assert fits == [1.5] and len(lost) == 2 and all(map(isnan, lost)) and len(running.asked) == 1
    assert "the prompts of 1 of 2 problems leave no room" in caplog.text


def test_good_scores_raise_no_alarm(
    script: Callable[..., Any], random_reward_model: Path, tmp_path: Path, caplog: Any
) -> None:
    """A logit may be anything."""
    judge_at(
        script(vllm(lambda ids: [sum(ids) % 99 - 50.0])).url, random_reward_model, tmp_path / "j"
    ).score_many(MANY)
    assert not caplog.text


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        ({"data": [{"probs": [0.2, 0.8]}], "model": "rm"}, "the model has 2 outputs"),
        (
            {"data": [{"probs": [float("nan")]}], "model": "rm"},
            "gave no score for any of 1 responses .the first: .*nan",
        ),
        ({"choices": []}, "gave no score for any of 1 responses.*without a score"),
    ],
)
def test_what_is_no_score_is_one_line(
    reply: Any, said: str, script: Callable[..., Any], random_reward_model: Path, tmp_path: Path
) -> None:
    """A classifier, damaged weights, another kind of server."""
    with pytest.raises(UserError, match=said):
        judge_at(script(reply).url, random_reward_model, tmp_path / "j").score_many([("1+1?", ["2"])])


def test_one_refused_response_ranks_last(
    script: Callable[..., Any], random_reward_model: Path, tmp_path: Path, caplog: Any
) -> None:
    """The others keep their scores, and the count is said."""
    first = vllm(lambda ids: [2.5])
    running = script(first, {"error": {"code": 400, "message": "too long"}}, first)
    values = judge_at(running.url, random_reward_model, tmp_path / "j").score_many(
        [("1+1?", ["a", "b", "c"])]
    )[0]
    assert sum(map(isnan, values)) == 1 and sum(v == 2.5 for v in values) == 2
    assert (
        "gave no score for 1 of 3 responses, which rank last (the first: status 400: too long)" in caplog.text
    )
