"""Reward models in the forms of released ones give what a plain forward pass gives, in the chat of their cards."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    Gemma2Config,
    LlamaConfig,
    Qwen3Config,
)

from acemath.errors import UserError
from acemath.models.engine import PAPER_CHAT, ChatFormat
from acemath.models.score.heads import QWEN_CHAT, check_base, check_head
from acemath.models.score.judge import judge_settings, open_judge
from acemath.models.score.parity import check_parity
from acemath.models.score.score import RewardModel
from acemath.models.spec import TransformersModel
from acemath.run.engines import make_ranker

sys.path.insert(0, str(Path(__file__).parent))
from shapes import QUESTION, TEXTS, layered, states, two_layers  # noqa: E402

SIZES: dict[str, Any] = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "head_dim": 8, "max_position_embeddings": 512,
}  # fmt: skip


def ids_of(folder: Path, system: str, text: str) -> list[int]:
    """The token ids of a conversation, by transformers alone."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    turns = [{"role": "system", "content": system}] if system else []
    turns += [{"role": "user", "content": QUESTION}, {"role": "assistant", "content": text}]
    return list(
        tokenizer(tokenizer.apply_chat_template(turns, tokenize=False), add_special_tokens=False)["input_ids"]
    )


@pytest.fixture(scope="module")
def math_rm(tiny_policy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shape of Qwen2.5-Math-RM."""
    return layered(tiny_policy, tmp_path_factory.mktemp("qwen") / "Qwen2.5-Math-RM-tiny", 1)


@pytest.mark.parametrize("share", [True, False])
def test_two_layers_with_a_relu(share: bool, math_rm: Path) -> None:
    """Through shared prompts and padded rows; the code of the repository is neither there nor needed."""
    assert QWEN_CHAT.system == "Please reason step by step, and put your final answer within \\boxed{}."
    expected = [
        float(two_layers(math_rm, states(math_rm, ids_of(math_rm, QWEN_CHAT.system, text))[-1]))
        for text in TEXTS
    ]
    assert max(expected) - min(expected) > 1e-3
    judge = RewardModel(math_rm, bf16=False, share_prefix=share)
    assert judge.score(QUESTION, TEXTS) == pytest.approx(expected, abs=1e-5)
    assert judge.identity()["chat"] == QWEN_CHAT.model_dump()


def test_another_class_with_two_layers_is_noticed(
    math_rm: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It may have another function between them. Qwen's class under another name is read in Qwen's chat, and that is said."""
    RewardModel(math_rm, bf16=False)
    assert "ReLU" not in caplog.text and "does not say" not in caplog.text
    shutil.copytree(math_rm, tmp_path / "renamed")
    assert RewardModel(tmp_path / "renamed", bf16=False).chat == QWEN_CHAT
    assert "does not say which chat" in caplog.text and "ReLU" not in caplog.text
    config = json.loads((math_rm / "config.json").read_text()) | {"architectures": ["OtherModel"]}
    (tmp_path / "renamed" / "config.json").write_text(json.dumps(config))
    RewardModel(tmp_path / "renamed", ChatFormat(), bf16=False)
    assert "(OtherModel) has a head of two layers, which is read with a ReLU between them" in caplog.text


def test_two_layers_rank_and_agree_but_are_not_trained(math_rm: Path) -> None:
    """The ranker of a recipe, the comparison of engines; training keeps one linear layer only."""
    check_head(math_rm)
    ranker = make_ranker(TransformersModel(id=str(math_rm), dtype="float32"), None)
    assert len(ranker.score_many([(QUESTION, TEXTS)])[0]) == 3
    assert check_parity(math_rm, [(QUESTION, TEXTS)]).max_abs_diff < 1e-5
    with pytest.raises(
        UserError, match=r"cannot be trained from: its head has 2 layers \(score.0.weight, score.2.weight\)"
    ):
        check_base(math_rm)


@pytest.mark.parametrize(
    ("name", "config", "chat"),
    [
        ("Skywork-Reward-Llama-3.1-8B-v0.2", LlamaConfig, ChatFormat()),
        ("Skywork-Reward-Gemma-2-27B-v0.2", Gemma2Config, ChatFormat()),
        ("Skywork-Reward-V2-Qwen3-8B", Qwen3Config, ChatFormat()),
        ("AceMath-7B-RM", Qwen3Config, PAPER_CHAT),
    ],
)
def test_one_layer_on_several_backbones(
    name: str, config: Any, chat: ChatFormat, tiny_policy: Path, tmp_path: Path
) -> None:
    """Skywork's models read no system prompt, AceMath's the paper's."""
    tokenizer = AutoTokenizer.from_pretrained(tiny_policy)
    torch.manual_seed(4)
    shape = config(**SIZES, vocab_size=len(tokenizer), num_labels=1, pad_token_id=tokenizer.pad_token_id)
    model = AutoModelForSequenceClassification.from_config(shape, dtype=torch.float32).eval()
    torch.nn.init.normal_(model.score.weight, std=0.5)
    model.save_pretrained(tmp_path / name)
    tokenizer.save_pretrained(tmp_path / name)
    with torch.no_grad():
        rows = [torch.tensor([ids_of(tmp_path / name, chat.system, text)]) for text in TEXTS]
        expected = [float(model(row).logits[0, 0]) for row in rows]
    judge = open_judge(judge_settings(tmp_path / name, {"dtype": "float32"}))
    assert judge.score_many([(QUESTION, TEXTS)])[0] == pytest.approx(expected, abs=1e-5)
    assert judge.identity()["chat"] == chat.model_dump()


def test_code_of_a_repository_is_not_run(random_reward_model: Path, tmp_path: Path) -> None:
    """InternLM2-reward: transformers does not know its architecture."""
    folder = tmp_path / "internlm2-7b-reward"
    shutil.copytree(random_reward_model, folder)
    config = json.loads((folder / "config.json").read_text())
    config |= {
        "model_type": "internlm2",
        "auto_map": {"AutoModel": "modeling_internlm2.InternLM2ForRewardModel"},
    }
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(
        UserError, match="'internlm2', which is Python code in its repository.*kind: classify"
    ) as found:
        open_judge(judge_settings(folder))
    assert "\n" not in str(found.value)


def test_identity_follows_the_weights(random_reward_model: Path, tmp_path: Path) -> None:
    """A model trained again under the same name is another judge."""
    folder = tmp_path / "m"
    shutil.copytree(random_reward_model, folder)
    before = RewardModel(folder, bf16=False).identity()
    assert before == RewardModel(folder, bf16=False).identity() == json.loads(json.dumps(before))
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    with torch.no_grad():
        model.score.weight += 1
    model.save_pretrained(folder)
    assert RewardModel(folder, bf16=False).identity() != before
