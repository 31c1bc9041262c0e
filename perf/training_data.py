"""Data of the training and scoring benchmark: a random model of a real shape, real prompts and responses."""

from __future__ import annotations

import gzip
import json
import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen2ForSequenceClassification,
)

from acemath.models.score.model import tokenizer_of as tokenizer_of_model
from acemath.records import Group
from acemath.train.reward.start import new_reward_model

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
MAX_LENGTH = 1024  # tokens of a prompt with its response; longer ones are left out in all jobs
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@dataclass(frozen=True, slots=True)
class Shape:
    """A model's size: about 50 million parameters by default."""

    vocabulary: int = 16_000
    hidden: int = 512
    layers: int = 13
    heads: int = 8
    kv_heads: int = 2
    intermediate: int = 1_408


SMALL = Shape(4_000, 128, 4, 4, 1, 352)


def records(name: str) -> Iterator[dict[str, Any]]:
    """The rows of a file of the development data."""
    path = DATA / name
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
        for line in file:
            yield json.loads(line)


def tokenizer_of(shape: Shape) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer trained on GSM8K's training texts: real text gets realistic lengths."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    made.decoder = decoders.ByteLevel()
    special = ["<|pad|>", "<|im_start|>", "<|im_end|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=shape.vocabulary,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator(
        (f"{r['question']}\n{r['answer']}" for r in records("gsm8k_train.jsonl")), trainer
    )
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=made,
        pad_token="<|pad|>",
        eos_token="<|im_end|>",
        additional_special_tokens=special[1:],
    )
    wrapped.chat_template = TEMPLATE
    return wrapped


def make_models(folder: Path, shape: Shape) -> int:
    """A policy and a reward model of this shape, random weights, in `folder`; returns the parameters."""
    tokenizer = tokenizer_of(shape)
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        intermediate_size=shape.intermediate,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        num_labels=1,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
    )
    torch.manual_seed(0)
    for name, kind in (("policy", Qwen2ForCausalLM), ("reward", Qwen2ForSequenceClassification)):
        model = kind(config)
        model.save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
    return sum(p.numel() for p in model.parameters())


def borrow_models(folder: Path, base: Path) -> int:
    """A pretrained policy and a reward model that starts from it, in `folder`; returns the parameters."""
    (folder / "policy").symlink_to(base.resolve())
    tokenizer = tokenizer_of_model(base)
    model = new_reward_model(base, tokenizer, None, seed=0)
    model.save_pretrained(folder / "reward")
    tokenizer.save_pretrained(folder / "reward")
    return sum(p.numel() for p in model.parameters())


def _answers() -> dict[int, dict[str, bool]]:
    """Distinct responses of real models to GSM8K problems, with their labels, by problem."""
    found: dict[int, dict[str, bool]] = defaultdict(dict)
    for row in records("gsm8k_outputs_dev.jsonl.gz"):
        if not row["uncertain"] and row["response"].strip():
            # If the model gave reasoning and answer in two fields, the reasoning lacks the answer.
            boxed = (
                row["response"]
                if "boxed" in row["response"]
                else f"{row['response']}\n\\boxed{{{row['pred']}}}"
            )
            found[row["qid"]][boxed] = bool(row["label"])
    return found


def questions() -> list[str]:
    """GSM8K's test problems, by their index."""
    return [row["question"] for row in records("gsm8k_test.jsonl")]


def groups(count: int, tokenizer: Any) -> list[Group]:
    """Problems with three right and three wrong responses each, drawn with a fixed seed."""
    texts, rng = questions(), random.Random(0)
    answers = _answers()
    found: list[Group] = []
    for problem in rng.sample(sorted(answers), len(answers)):
        fit = {
            t: y for t, y in answers[problem].items() if _length(tokenizer, texts[problem], t) <= MAX_LENGTH
        }
        sides = [[t for t, y in fit.items() if y == side] for side in (True, False)]
        if min(map(len, sides)) >= 3 and len(found) < count:
            chosen = [(t, 1) for t in rng.sample(sides[0], 3)] + [(t, 0) for t in rng.sample(sides[1], 3)]
            rng.shuffle(chosen)
            found.append(Group(str(problem), texts[problem], *map(tuple, zip(*chosen, strict=True))))
    return found


def candidates(problems: int, each: int, tokenizer: Any) -> list[tuple[str, list[str]]]:
    """The problems with the most distinct responses, and at most `each` responses of each."""
    texts, answers = questions(), _answers()
    most = sorted(answers, key=lambda p: (-len(answers[p]), p))[:problems]
    return [
        (texts[p], [t for t in answers[p] if _length(tokenizer, texts[p], t) <= MAX_LENGTH][:each])
        for p in most
    ]


def conversations(count: int, longest: int, tokenizer: Any) -> list[tuple[str, str]]:
    """Questions with one right response each of at most `longest` tokens together, drawn with a fixed seed."""
    texts, rng = questions(), random.Random(1)
    found = [
        (texts[problem], text)
        for problem, mine in sorted(_answers().items())
        for text, right in mine.items()
        if right
    ]
    rng.shuffle(found)
    fit = (pair for pair in found if _length(tokenizer, *pair) <= longest)
    return [pair for pair, _ in zip(fit, range(count), strict=False)]


def _length(tokenizer: Any, question: str, response: str) -> int:
    """Tokens of a conversation, with room for the template and the system prompt."""
    return len(tokenizer(question + response)["input_ids"]) + 60
