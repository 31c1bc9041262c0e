"""Packing: no leak between conversations, loss on responses alone, best fit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from acemath.errors import UserError
from acemath.models.encoding import encode_all
from acemath.models.engine import ChatFormat
from acemath.models.score.attention import SEGMENTS
from acemath.train.packing import Collator, as_example, check_packing, learned_alone, pack
from acemath.train.sft.settings import SftSettings
from acemath.train.sft.trainer import use_layout

TEXTS = [
    ("What is 3+4?", "3+4=7\nSo \\boxed{7}."),
    ("Tom has 12 apples and eats 5.", "12-5=7\nThe answer is \\boxed{7}."),
    ("7*8?", "\\boxed{56}"),
]


def test_packed_loss_equals_unpacked(tiny_policy: Path) -> None:
    """The sum of the packed row's token losses is that of the conversations read alone, gradients too."""
    tokenizer = AutoTokenizer.from_pretrained(tiny_policy)
    model = AutoModelForCausalLM.from_pretrained(tiny_policy, dtype=torch.float32)
    rows = list(encode_all([ChatFormat().messages(q, a) for q, a in TEXTS], tokenizer))
    collate = Collator(tokenizer.pad_token_id)

    def total(bins: list) -> tuple[float, torch.Tensor]:
        model.zero_grad()
        batch = collate([as_example(b) for b in bins])
        labels = batch.pop("labels")
        logits = model(**batch, use_cache=False).logits[:, :-1]
        loss = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), labels[:, 1:].flatten(), reduction="sum"
        )
        loss.backward()
        return loss.item(), model.model.layers[0].self_attn.q_proj.weight.grad.clone()

    alone = [total([[row]]) for row in rows]
    packed, gradient = total([rows])
    mixed, _ = total([rows[:2], rows[2:]])
    assert abs(packed - sum(loss for loss, _ in alone)) < 1e-3
    assert abs(mixed - packed) < 1e-3
    assert torch.allclose(gradient, sum(g for _, g in alone), atol=1e-4)


def test_logits_of_labelled_tokens_alone_give_the_same_loss(tiny_policy: Path) -> None:
    """Two rows of different length, gradients of the embeddings too; and a batch without a label has the loss 0."""
    tokenizer = AutoTokenizer.from_pretrained(tiny_policy)
    model = AutoModelForCausalLM.from_pretrained(tiny_policy, dtype=torch.float32)
    rows = list(encode_all([ChatFormat().messages(q, a) for q, a in TEXTS], tokenizer))
    batch = Collator(tokenizer.pad_token_id)([as_example(rows[:2]), as_example(rows[2:])])

    def loss_of(given: dict) -> tuple[float, torch.Tensor]:
        model.zero_grad()
        loss = model(**given, num_items_in_batch=torch.tensor(7)).loss
        loss.backward()
        return loss.item(), model.get_input_embeddings().weight.grad.clone()

    whole, gradient = loss_of({**batch, "use_cache": False})
    alone, same = loss_of(learned_alone(batch))
    assert learned_alone(batch)["logits_to_keep"].numel() < batch["labels"].shape[1]
    assert abs(whole - alone) < 1e-5 and torch.allclose(gradient, same, atol=1e-6)
    blank = Collator(0)([{"input_ids": [0], "labels": [-100], "position_ids": [0]}])
    assert loss_of(learned_alone(blank))[0] == 0


def test_only_the_response_is_learned(tiny_policy: Path) -> None:
    """Labels begin with the response and end with the template's end of turn."""
    tokenizer = AutoTokenizer.from_pretrained(tiny_policy)
    (row,) = encode_all([ChatFormat(system="Be brief.").messages("What is 3+4?", "7")], tokenizer)
    learned = [i for i in row.labels if i >= 0]
    assert tokenizer.decode(learned) == "7<|im_end|>\n"
    assert len(row.ids) == len(row.labels)


def test_best_fit_wastes_little_and_loses_nothing(tiny_policy: Path) -> None:
    """Every conversation is in exactly one bin, and no bin holds more than its room."""
    tokenizer = AutoTokenizer.from_pretrained(tiny_policy)
    lengths = [
        len(r.ids)
        for r in encode_all(
            [ChatFormat().messages("word " * (i % 23 + 1), "x") for i in range(200)], tokenizer
        )
    ]
    bins = pack(lengths, 64)
    assert sorted(i for b in bins for i in b) == list(range(200))
    sizes = [sum(lengths[i] for i in b) for b in bins]
    assert max(sizes) <= 64 and sum(sizes) / (64 * len(bins)) > 0.9


@pytest.mark.parametrize(
    ("name", "refused"),
    [("llama", False), ("gpt2", False), ("gemma2", False), ("opt", True), ("bloom", True), ("mamba", True)],
)
def test_a_model_that_sees_other_conversations_is_refused(name: str, refused: bool) -> None:
    """Positions counted from the mask, slopes in place of positions, a state that is carried on."""
    sizes = {
        "vocab_size": 61,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
    }
    more = {"num_key_value_heads": 2, "head_dim": 8} if name in ("llama", "gemma2") else {}
    more |= {"ffn_dim": 48, "word_embed_proj_dim": 32} if name == "opt" else {}
    torch.manual_seed(0)
    config = AutoConfig.for_model(name, **sizes, **more, initializer_range=0.3, pad_token_id=0)
    model = AutoModelForCausalLM.from_config(config)
    if refused:
        with pytest.raises(UserError, match="attends to other conversations in a packed row.* packing: false"):
            check_packing(model)
    else:
        check_packing(model)


@pytest.mark.parametrize(
    ("name", "more", "planned"),
    [
        ("llama", {}, True),
        ("gemma2", {}, True),
        ("mistral", {"sliding_window": 64}, True),
        ("mistral", {"sliding_window": 16}, False),
        ("gpt2", {}, False),
        ("mamba", {}, False),
        ("deepseek_v3", {}, False),
    ],
)
def test_a_row_has_no_mask_where_a_plan_does_the_same(name: str, more: dict, planned: bool) -> None:
    """Not with a window shorter than the row, dropout, a carried state or compressed keys: those keep their attention."""
    sizes = {"vocab_size": 61, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    more |= {"num_key_value_heads": 2, "head_dim": 8} if name in ("llama", "gemma2", "mistral") else {}
    config = AutoConfig.for_model(name, **sizes, **more, pad_token_id=0)
    model = AutoModelForCausalLM.from_config(config)
    before = model.config._attn_implementation
    layout = use_layout(model, SftSettings(), 32)
    assert (layout is not None) == planned
    assert model.config._attn_implementation == (SEGMENTS if planned else before)
