"""Scoring: the rewards of plain forward passes, whatever shares a row or batch; alarms; refusals."""

from __future__ import annotations

import logging
import random
import shutil
from math import isfinite, isnan
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from acemath.errors import UserError
from acemath.models.engine import PAPER_CHAT, ChatFormat
from acemath.models.score.score import RewardModel
from acemath.train.reward.start import base_checker, new_reward_model

PROMPT = "Tom has 12 apples and eats 5. How many are left?"


def _texts(count: int) -> list[str]:
    rng = random.Random(5)
    return [f"{i}: " + "so it is " * rng.randint(0, 40) + f"\\boxed{{{i}}}" for i in range(count)]


def test_scores_are_those_of_the_model_card(random_reward_model: Path) -> None:
    """The code of the model card, one response at a time, gives the same rewards to 1e-5."""
    tokenizer = AutoTokenizer.from_pretrained(random_reward_model)
    model = AutoModelForSequenceClassification.from_pretrained(
        random_reward_model, num_labels=1, dtype=torch.float32
    )
    texts = _texts(23)
    rewards = RewardModel(random_reward_model, bf16=False).score(PROMPT, texts)
    for text, reward in zip(texts, rewards, strict=True):
        rendered = tokenizer.apply_chat_template(PAPER_CHAT.messages(PROMPT, text), tokenize=False)
        ids = tokenizer(rendered, return_tensors="pt", add_special_tokens=False)
        with torch.no_grad():
            expected = model(**ids)[0][0].item()
        assert reward == pytest.approx(expected, abs=1e-5)


def test_other_problems_and_repetition_change_no_reward(random_reward_model: Path) -> None:
    """Many problems at once, with repeated and missing responses."""
    model = RewardModel(random_reward_model, ChatFormat(), bf16=False, budget=700)
    texts = _texts(9)
    items = [(PROMPT, texts), ("1+1?", []), ("7*8?", [texts[2], texts[0], texts[2]])]
    found = model.score_many(items)
    assert [len(row) for row in found] == [9, 0, 3] and found[2][0] == found[2][2]
    assert found == model.score_many(items)
    assert found[0] == pytest.approx(model.score(PROMPT, texts), abs=1e-5)
    assert found[2][1] == pytest.approx(model.score("7*8?", [texts[0]])[0], abs=1e-5)
    assert len(set(found[0])) == 9


def test_alarms(random_reward_model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Cut responses, which keep their end, and a head of zeros are reported."""
    with caplog.at_level(logging.WARNING):
        short = RewardModel(random_reward_model, ChatFormat(), max_length=64, bf16=False)
        long = "word " * 200
        one, two = short.score("1+1?", [long + "\\boxed{2}", long + "\\boxed{3}"])
        assert one != two and "2 of 2 responses were longer than 64 tokens" in caplog.text
        with pytest.raises(UserError, match="leaves no room"):
            short.score("word " * 80, ["2"])
        fits, lost, empty = short.score_many([("1+1?", ["2"]), ("word " * 80, ["2", "3"]), ("word " * 80, [])])
        assert isfinite(fits[0]) and len(lost) == 2 and all(map(isnan, lost)) and empty == []
        assert "the prompts of 1 of 3 problems leave no room for a response in max_length 64" in caplog.text
        model = AutoModelForSequenceClassification.from_pretrained(random_reward_model, num_labels=1)
        torch.nn.init.zeros_(model.score.weight)
        model.save_pretrained(tmp_path)
        AutoTokenizer.from_pretrained(random_reward_model).save_pretrained(tmp_path)
        RewardModel(tmp_path, ChatFormat()).score(PROMPT, _texts(9))
        assert "all 9 rewards are 0" in caplog.text


def test_a_template_without_the_response_is_noticed(
    random_reward_model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Equal rewards within each problem are a sign, unless the responses are equal."""
    shutil.copytree(random_reward_model, tmp_path / "m")
    model = RewardModel(tmp_path / "m", ChatFormat(), bf16=False)
    questions = [f"{i} + {i}?" for i in range(5)]
    model.score_many([(q, ["It is 4", "It is 4"]) for q in questions])
    model.score_many([(q, ["It is 4", "Or 5"]) for q in questions])
    assert "same reward" not in caplog.text
    rows, _ = model.encode([(q, ["It is 4", "Or 5"]) for q in questions])
    same = model.alarms(rows, [[0.25 * i] * 2 for i in range(5)], 0)
    assert "have the same reward, in all of 5 problems" in same[0]
    model.tokenizer.chat_template = (
        "{% for m in messages %}{{ m['role'] }}: {{ m['content'] if m['role'] == 'user' else 'said' }}\n{% endfor %}"
        "{% if add_generation_prompt %}assistant: {% endif %}"
    )
    with pytest.raises(UserError, match="does not write the assistant's response"):
        model.score_many([(questions[0], ["It is 4", "Or 5"])])


def test_a_policy_is_no_reward_model(tiny_policy: Path, tmp_path: Path) -> None:
    """Weights without a head are refused, because transformers would make one up. So is a path without a model."""
    with pytest.raises(UserError, match="no score head"):
        RewardModel(tiny_policy)
    with pytest.raises(UserError, match="cannot load model"):
        RewardModel(tmp_path / "nowhere")


def test_head_words_start_at_the_base_s_judgement(tiny_policy: Path, tmp_path: Path) -> None:
    """The reward is the policy's logit of the first word minus that of the second, after the last token."""
    from transformers import AutoModelForCausalLM

    from acemath.train.reward.start import CHECK_TEMPLATE

    policy = AutoModelForCausalLM.from_pretrained(tiny_policy, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(tiny_policy)
    tokenizer.chat_template = CHECK_TEMPLATE
    chat = ChatFormat()
    found = RewardModel(base_checker(tiny_policy, tmp_path), chat, bf16=False).score("3+4?", ["3+4=7", "8"])
    right, wrong = (tokenizer(w, add_special_tokens=False)["input_ids"][0] for w in (" right", " wrong"))
    for text, reward in zip(["3+4=7", "8"], found, strict=True):
        ids = tokenizer(f"Problem: 3+4?\nCheck:\n{text}\n", return_tensors="pt", add_special_tokens=False)
        with torch.no_grad():
            logits = policy(**ids).logits[0, -1]
        assert reward == pytest.approx(float(logits[right] - logits[wrong]), abs=1e-4)
    with pytest.raises(UserError, match="single tokens"):
        new_reward_model(tiny_policy, tokenizer, (" right", " quite wrong"), 0)
