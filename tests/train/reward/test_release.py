"""A model of AceMath-7B-RM's shape (tiny widths, random weights) and one of ours work in other software."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForSequenceClassification,
    pipeline,
)

from acemath.models.engine import PAPER_CHAT
from acemath.models.score.parity import check_parity
from acemath.models.score.score import RewardModel

QUESTION = "Find x with 2x + 3 = 11."
TEXTS = ["2x = 8, so x = 4.\nThe answer is \\boxed{4}.", "x = 7 \\boxed{7}", "I do not know.", "\\boxed{4}"]
# ChatML as Qwen2.5-Math writes it: a system prompt of its own where none is given.
TEMPLATE = (
    "{% for m in messages %}{% if loop.first and m['role'] != 'system' %}<|im_start|>system\n"
    "You are a helpful assistant.<|im_end|>\n{% endif %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# config.json in the form of the release: transformers 4.37, old names, no layer types, no pad token.
CONFIG: dict[str, Any] = {
    "architectures": ["Qwen2ForSequenceClassification"], "attention_dropout": 0.0, "hidden_act": "silu",
    "hidden_size": 128, "id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}, "initializer_range": 0.02,
    "intermediate_size": 96, "max_position_embeddings": 4096, "max_window_layers": 28, "model_type": "qwen2",
    "num_attention_heads": 4, "num_hidden_layers": 2, "num_key_value_heads": 2, "rms_norm_eps": 1e-06,
    "rope_theta": 10000, "sliding_window": 4096, "tie_word_embeddings": False, "torch_dtype": "float32",
    "transformers_version": "4.37.0", "use_cache": True, "use_sliding_window": False, "vocab_size": 259,
    "bos_token_id": 256, "eos_token_id": 256,
}  # fmt: skip


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder: bytes as tokens, Qwen's special tokens, <|endoftext|> for end and padding alike."""
    folder = tmp_path_factory.mktemp("acemath-7b-rm-shaped")
    vocabulary = {c: i for i, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    made = Tokenizer(models.BPE(vocabulary, []))
    made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=made,
        eos_token="<|endoftext|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=["<|im_start|>", "<|im_end|>"],
    )
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    model = Qwen2ForSequenceClassification(
        Qwen2Config(**{k: v for k, v in CONFIG.items() if k != "transformers_version"})
    )
    torch.nn.init.normal_(model.score.weight, std=0.3)
    model.save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    return folder


def _card(folder: Path) -> list[float]:
    """Rewards as the model card says: template with its system prompt, no special tokens, one at a time."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=1, dtype=torch.float32)
    found = []
    for text in TEXTS:
        chat = tokenizer.apply_chat_template(
            PAPER_CHAT.messages(QUESTION, text), tokenize=False, add_generation_prompt=False
        )
        inputs = tokenizer.encode(chat, return_tensors="pt", add_special_tokens=False)
        with torch.no_grad():
            found.append(float(model(input_ids=inputs)[0][0]))
    return found


@pytest.fixture(params=["released", "random_reward_model"])
def folder(request: pytest.FixtureRequest) -> Path:
    """The released shape, and a folder that acemath wrote."""
    return Path(request.getfixturevalue(request.param))


def test_scores_are_the_card_s(folder: Path) -> None:
    """Prefix-shared scores equal the card's way to 1e-5; the scored token is the line's end after <|im_end|>."""
    rewards = RewardModel(folder, bf16=False).score(QUESTION, TEXTS)
    assert rewards == pytest.approx(_card(folder), abs=1e-5) and len(set(rewards)) == len(TEXTS)
    found = check_parity(folder, [(QUESTION, TEXTS)], PAPER_CHAT)
    assert found.alarms == [] and found.max_abs_diff < 1e-5
    assert found.seen.tokens[-2:] == ["<|im_end|>", "\n"] and found.seen.scored == "\n"
    assert "check your final answer within" in "".join(found.seen.tokens)


def test_loads_in_rewardbench_s_runner(folder: Path) -> None:
    """The text-classification pipeline, padded and without activation, as RewardBench uses it."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=1, dtype=torch.float32)
    model.config.pad_token_id = tokenizer.pad_token_id  # as the runner does
    texts = [tokenizer.apply_chat_template(PAPER_CHAT.messages(QUESTION, t), tokenize=False) for t in TEXTS]
    run = pipeline("text-classification", model=model, tokenizer=tokenizer, device="cpu")
    found = run(texts, batch_size=4, padding=True, truncation=True, max_length=2048, function_to_apply="none")
    assert [row["score"] for row in found] == pytest.approx(_card(folder), abs=1e-5)


def test_loads_in_trl(folder: Path, tmp_path: Path) -> None:
    """RewardTrainer takes the folder, and its loss on a pair is that of the card's scores."""
    from datasets import Dataset
    from trl import RewardConfig, RewardTrainer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=1, dtype=torch.float32)
    ids = [
        tokenizer(
            tokenizer.apply_chat_template(PAPER_CHAT.messages(QUESTION, text), tokenize=False),
            add_special_tokens=False,
        )["input_ids"]
        for text in TEXTS[:2]
    ]
    trainer = RewardTrainer(
        model=model,
        args=RewardConfig(
            output_dir=str(tmp_path),
            per_device_eval_batch_size=1,
            report_to="none",
            max_length=None,
            use_cpu=True,
            bf16=False,
        ),  # fmt: skip
        train_dataset=Dataset.from_list([{"chosen_ids": ids[0], "rejected_ids": ids[1]}]),
        eval_dataset=Dataset.from_list([{"chosen_ids": ids[0], "rejected_ids": ids[1]}]),
        processing_class=tokenizer,
    )
    right, wrong = _card(folder)[:2]
    expected = torch.nn.functional.softplus(torch.tensor(wrong - right)).item()
    assert trainer.evaluate()["eval_loss"] == pytest.approx(expected, abs=1e-4)


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that acemath wrote, with heads of 32: vLLM has no kernel for smaller ones."""
    from acemath.demo.nano.pretrain import PretrainSettings, new_model, new_tokenizer
    from acemath.train.reward.start import new_reward_model

    settings = PretrainSettings(
        hidden=128, layers=2, heads=4, kv_heads=2, intermediate=96, tokenizer_pages=300
    )
    folder, tokenizer = tmp_path_factory.mktemp("wide"), new_tokenizer(settings)
    new_model(settings, tokenizer).save_pretrained(folder / "policy")
    tokenizer.save_pretrained(folder / "policy")
    new_reward_model(folder / "policy", tokenizer, None, seed=3).save_pretrained(folder / "reward")
    tokenizer.save_pretrained(folder / "reward")
    return folder / "reward"


@pytest.mark.parametrize("name", ["released", "wide"])
def test_loads_in_vllm(name: str, request: pytest.FixtureRequest) -> None:
    """vLLM's pooling gives the same rewards in the same order. Runs where vLLM is installed."""
    pytest.importorskip("vllm", reason="vLLM is not installed: pip install 'acemath[vllm]'")
    folder = request.getfixturevalue(name)
    found = check_parity(folder, [(QUESTION, TEXTS)], PAPER_CHAT, max_length=1024)
    last = found.engines[-1]
    assert last.engine == "vLLM" and last.max_abs_diff < 1e-4 and last.rank_agreement == 1.0
