"""Conversations as tokens: responses are learned, whatever is packed, cut or rewritten."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

from acemath.errors import UserError
from acemath.models.encoding import Tokens, encode_all
from acemath.train.packing import Collator, as_example

LAST_ONLY = (  # writes only the last response with its end, as templates do that rewrite earlier turns
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] }}"
    "{% if loop.last or m['role'] == 'user' %}{{ '<|im_end|>' }}{% endif %}{{ '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
NO_END = "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"


@pytest.fixture
def tokenizer(tiny_policy: Path) -> Any:
    """A fresh tokenizer, whose template a test may change."""
    return AutoTokenizer.from_pretrained(tiny_policy)


def _talk(*texts: str) -> list[dict[str, str]]:
    return [{"role": ("user", "assistant")[at % 2], "content": text} for at, text in enumerate(texts)]


def _texts(row: Tokens, tokenizer: Any) -> list[str]:
    return [tokenizer.decode(row.ids[first:end]) for first, end in row.spans]


TALKS = [
    _talk("What is 3+4?", "7", "And twice that?", "2*7=14", "And once more?", "28"),
    _talk("7*8?", "\\boxed{56}"),
    _talk("Tom has 12 apples and eats 5.", "12-5=7", "And 2 more?", "5"),
]


def test_each_response_is_learned_with_its_end(tokenizer: Any) -> None:
    """Labels are the ids of every response and its end of turn, and nothing else."""
    row = next(encode_all(TALKS, tokenizer))
    assert _texts(row, tokenizer) == ["7<|im_end|>\n", "2*7=14<|im_end|>\n", "28<|im_end|>\n"]
    assert [label for label in row.labels if label >= 0] == [
        i for first, end in row.spans for i in row.ids[first:end]
    ]
    assert row.learned == sum(label >= 0 for label in row.labels) and len(row.labels) == len(row.ids)
    assert tokenizer.decode(row.ids) == tokenizer.apply_chat_template(TALKS[0], tokenize=False)


def test_a_cut_conversation_keeps_the_responses_that_have_room(tokenizer: Any) -> None:
    """Whole responses, a part of one, or none."""
    row = next(encode_all(TALKS, tokenizer))
    (_, end), (second, _), _ = row.spans
    assert row.cut(end).spans == row.spans[:1] and row.cut(end).learned == end - row.spans[0][0]
    assert row.cut(second + 1).spans == (row.spans[0], (second, second + 1))
    assert row.cut(row.spans[0][0]).learned == 0 and row.cut(10_000) is row


def test_packed_loss_of_several_turns_equals_unpacked(tokenizer: Any, tiny_policy: Path) -> None:
    """The token losses of one row add up to those of separate conversations."""
    model = AutoModelForCausalLM.from_pretrained(tiny_policy, dtype=torch.float32)
    rows = list(encode_all(TALKS, tokenizer))
    collate = Collator(tokenizer.pad_token_id)

    def total(members: list[Tokens]) -> tuple[float, int]:
        batch = collate([as_example(members)])
        labels = batch.pop("labels")[:, 1:].flatten()
        with torch.no_grad():
            logits = model(**batch, use_cache=False).logits[:, :-1].flatten(0, 1)
        return torch.nn.functional.cross_entropy(logits, labels, reduction="sum").item(), int(
            (labels >= 0).sum()
        )

    alone = [total([row]) for row in rows]
    packed, learned = total(rows)
    assert packed == pytest.approx(sum(loss for loss, _ in alone), abs=1e-3)
    assert learned == sum(count for _, count in alone) == sum(row.learned for row in rows)


def test_what_a_template_rewrites_is_counted(tokenizer: Any, caplog: pytest.LogCaptureFixture) -> None:
    """The last responses are learned, and one notice counts the others."""
    tokenizer.chat_template = LAST_ONLY
    with caplog.at_level(logging.WARNING):
        rows = list(encode_all(TALKS, tokenizer))
    assert [_texts(row, tokenizer) for row in rows] == [
        ["28<|im_end|>\n"],
        ["\\boxed{56}<|im_end|>\n"],
        ["5<|im_end|>\n"],
    ]
    (said,) = [record.getMessage() for record in caplog.records]
    assert "in 2 of 3 conversations the last response is learned, 3 earlier ones are not" in said


def test_an_end_inside_of_a_response_is_told_of(tokenizer: Any, caplog: pytest.LogCaptureFixture) -> None:
    """A server that keeps special tokens returns it; a policy would learn to end there and to go on."""
    ended = [*TALKS[1][:-1], {"role": "assistant", "content": "56<|im_end|>"}]
    with caplog.at_level(logging.WARNING):
        list(encode_all([TALKS[0], ended], tokenizer))
    (said,) = [record.getMessage() for record in caplog.records]
    assert said.startswith("1 responses hold <|im_end|>, as texts of a server do that keeps special tokens")


def test_an_end_is_learned_where_the_template_has_none(tokenizer: Any) -> None:
    """The tokenizer's end of text follows the last response; without one it is an error."""
    tokenizer.chat_template = NO_END
    row = list(encode_all(TALKS, tokenizer))[0]
    assert (
        tokenizer.decode(row.ids).endswith("assistant: 28\n<|im_end|>")
        and row.labels[-1] == tokenizer.eos_token_id
    )
    tokenizer.eos_token = None
    with pytest.raises(UserError, match="could never stop"):
        list(encode_all(TALKS, tokenizer))


@pytest.mark.parametrize("legacy", [True, False])
def test_no_space_is_put_before_a_response(legacy: bool) -> None:
    """SentencePiece tokenizers put a space before a text; pieces still get the ids of the whole text."""
    made = Tokenizer(models.BPE(unk_token="<unk>"))
    if legacy:  # Llama 2's and Mistral's
        made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    else:
        made.pre_tokenizer = pre_tokenizers.Metaspace("▁", prepend_scheme="first", split=False)
    texts = [turn["content"] for talk in TALKS for turn in talk]
    trainer = trainers.BpeTrainer(vocab_size=200, special_tokens=["<unk>", "</s>"])
    made.train_from_iterator([*texts, "user: assistant: \nacemathprobe"], trainer)
    spaced = PreTrainedTokenizerFast(tokenizer_object=made, eos_token="</s>", unk_token="<unk>")
    spaced.chat_template = NO_END.replace("+ '\n'", "+ eos_token")
    for row, talk in zip(encode_all(TALKS, spaced), TALKS, strict=True):
        whole = spaced.apply_chat_template(talk, tokenize=False)
        assert row.ids.tolist() == spaced(whole, add_special_tokens=False)["input_ids"]
        assert len(row.spans) == len(talk) // 2
        assert all(row.ids[end - 1] == spaced.eos_token_id for _, end in row.spans)


def test_a_conversation_at_fault_is_named(tokenizer: Any) -> None:
    """By its number, beyond the first batch too."""
    talks = [*TALKS, _talk("no answer")]
    for at_once in (2, 100):
        with pytest.raises(UserError, match="conversation 4: a conversation has the roles"):
            list(encode_all(talks, tokenizer, at_once))
