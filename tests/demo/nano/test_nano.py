"""nano: a lossless tokenizer, honest pages, pre-training that resumes, and weights that load anywhere."""

from __future__ import annotations

import json
import random
import shutil
import unicodedata
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerBase

import acemath.demo.nano.pretrain as pretraining
from acemath.demo.nano.pages import IGNORE, Encoded, checked, draw_page, encode_pages, page_of, solving
from acemath.demo.nano.pretrain import (
    Losses,
    PretrainSettings,
    batches,
    collate,
    new_model,
    new_tokenizer,
    pretrain,
)
from acemath.demo.worksheets.core import work_right, work_wrong
from acemath.demo.worksheets.registry import family_named
from acemath.demo.worksheets.sheets import split_of
from acemath.errors import UserError
from acemath.models.builtin import WEIGHTS

TINY = PretrainSettings(
    tokens=18_000, decay=9_000, batch_tokens=4096,
    chunk_pages=32, hidden=32, layers=1, heads=2, intermediate=48, compile=False,
    tokenizer_pages=200, widths=(128, 256, 512), warmup=1000,
)  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was never stopped."""
    return pretrain(tmp_path_factory.mktemp("whole"), TINY, every=1)


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    """A tokenizer trained on a few pages."""
    return new_tokenizer(TINY)


@settings(max_examples=200, deadline=None)
@given(text=st.text(max_size=60))
def test_any_text_comes_back(tokenizer: PreTrainedTokenizerBase, text: str) -> None:
    """Unicode of any kind is coded without loss, in its composed form (Qwen2's tokenizer composes)."""
    text = unicodedata.normalize("NFC", text)
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    if not any(special in text for special in ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|pad|>")):
        assert tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False) == text


def test_digits_stand_alone_and_marks_are_tokens(tokenizer: PreTrainedTokenizerBase) -> None:
    """One token a digit; the two mark words are one token each; ChatML's tokens and a pad of its own."""
    assert len(tokenizer("31415926", add_special_tokens=False)["input_ids"]) == 8
    assert all(
        len(tokenizer(word, add_special_tokens=False)["input_ids"]) == 1 for word in (" right", " wrong")
    )
    assert tokenizer.pad_token_id != tokenizer.eos_token_id and tokenizer.eos_token == "<|im_end|>"
    chat = tokenizer.apply_chat_template(
        [{"role": "user", "content": "1+1?"}], tokenize=False, add_generation_prompt=True
    )
    assert chat == "<|im_start|>user\n1+1?<|im_end|>\n<|im_start|>assistant\n"


def test_pages_teach_what_they_say(tokenizer: PreTrainedTokenizerBase) -> None:
    """Targets: the solution of a solving page; of a checking page the right lines, and a mark at each line's end."""
    question = family_named("divisor-pair").draw(random.Random(1), 2)
    right, wrong = (
        work_right(question, "short", random.Random(2)),
        work_wrong(question, "short", random.Random(2)),
    )
    assert wrong is not None
    (page,) = encode_pages([page_of(question, solving(right), checked(wrong))], tokenizer)
    solved, checking = (_branch(page, number) for number in (1, 2))
    learned = tokenizer.decode([t for t in solved.targets if t != IGNORE])
    assert learned == right.text + "\n<|endoftext|>" and not solved.is_mark.any()
    marks = tokenizer.decode(checking.targets[checking.is_mark]).split()
    assert marks == [{True: "right", False: "wrong"}[m] for m in wrong.marks if m is not None]
    line_break = tokenizer("\n", add_special_tokens=False)["input_ids"][0]
    assert (checking.ids[checking.is_mark] == line_break).all()
    assert "wrong" not in tokenizer.decode(checking.ids), "marks are targets, never inputs"
    # A target is the token that comes next, wherever it is learned and is not a mark.
    for branch in (solved, checking):
        written = (branch.targets[:-1] != IGNORE) & ~branch.is_mark[:-1]
        assert (branch.targets[:-1][written] == branch.ids[1:][written]).all()


def _branch(page: Encoded, number: int) -> Encoded:
    """A page with one of its branches alone."""
    mine = np.isin(page.segments, (0, number))
    return Encoded(
        *(part[mine] for part in (page.ids, page.positions, page.segments, page.targets, page.is_mark))
    )


def test_a_branch_reads_as_if_it_were_alone(tokenizer: PreTrainedTokenizerBase) -> None:
    """The loss of a page with four branches is that of four pages with one each."""
    model = new_model(TINY, tokenizer)
    losses = Losses(model, 1.0, compiled=False)
    rng = random.Random(8)
    pages = encode_pages([draw_page(rng) for _ in range(6)], tokenizer)
    alone = [_branch(page, number) for page in pages for number in range(1, 5)]
    together, apart = (losses(collate(rows, 512, tokenizer.pad_token_id)) for rows in (pages, alone))
    assert together[1:] == pytest.approx(apart[1:], rel=0.01)


def test_pages_are_of_the_training_split_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No page shows a question of another split or a held-out family."""
    import acemath.demo.nano.pages as pages

    seen = []
    original = pages.draw_question

    def watch(family, level, split, rng):  # type: ignore[no-untyped-def]
        found = original(family, level, split, rng)
        seen.append((family, split_of(family.name, found[1].key)))
        return found

    monkeypatch.setattr(pages, "draw_question", watch)
    rng = random.Random(3)
    for _ in range(400):
        draw_page(rng)
    assert {split for _, split in seen} == {"train"} and not any(f.held_out for f, _ in seen)


@pytest.mark.parametrize("stop_at", range(1, 6))
def test_pretraining_resumes_where_it_stopped(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop_at: int
) -> None:
    """Stopped at any of its saves and started again: the weights of an uninterrupted run."""

    class Stop(Exception):
        pass

    original, calls = pretraining.save, []

    def save_then_stop(*arguments):  # type: ignore[no-untyped-def]
        original(*arguments)
        calls.append(1)
        if len(calls) == stop_at:
            raise Stop

    with monkeypatch.context() as patch:
        patch.setattr(pretraining, "save", save_then_stop)
        with pytest.raises(Stop):
            pretrain(tmp_path / "half", TINY, every=1)
    with (tmp_path / "half" / "curve.jsonl").open("a") as curve:
        curve.write('{"tokens": 10000000}\n')  # what was written after the last save
    half = pretrain(tmp_path / "half", TINY, every=1)
    assert [_tokens(p) for p in (half, whole)] == [_tokens(whole)] * 2
    one, other = (AutoModelForCausalLM.from_pretrained(p).state_dict() for p in (whole, half))
    assert all(torch.equal(one[name], other[name]) for name in one)


def _tokens(folder: Path) -> list[int]:
    return [json.loads(line)["tokens"] for line in (folder / "curve.jsonl").open()]


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_compiled_gradients_repeat_to_the_bit(tokenizer: PreTrainedTokenizerBase) -> None:
    """The same batch gives the same gradients, whichever thread comes first: else no seed makes the same weights."""
    batch = next(batches(replace(TINY, chunk_pages=256), tokenizer, 0))
    losses = Losses(new_model(replace(TINY, hidden=128), tokenizer), mark_weight=1.0, compiled=True)

    def gradients() -> Tensor:
        losses.model.zero_grad(set_to_none=True)
        losses(batch)[0].backward()
        return torch.cat([p.grad.flatten() for p in losses.model.parameters() if p.grad is not None])

    first = gradients()
    assert all(torch.equal(first, gradients()) for _ in range(20))


def test_another_run_in_the_folder_is_refused(whole: Path) -> None:
    """A folder goes on with the settings that it was begun with, or not at all; the line names what differs."""
    before = (whole / "model.safetensors").read_bytes()
    with pytest.raises(UserError, match=r"other settings \(seed 0, now 1; tokens 18000, now 20000\)"):
        pretrain(whole, replace(TINY, seed=1, tokens=20_000))
    assert (whole / "model.safetensors").read_bytes() == before


def test_a_second_round_goes_on_from_the_weights(whole: Path, tmp_path: Path) -> None:
    """At half the rates from where the first ended, with its tokenizer; both cards and curves stay together."""
    second = replace(TINY.going_on(str(whole)), seed=1)
    assert second.muon_lr == TINY.muon_lr / 2 and second.rate(9500) == pytest.approx(0.25)
    pretrain(tmp_path / "more", replace(second, muon_lr=0.0, adam_lr=0.0), every=1)  # goes on, but not far
    one, other = (AutoModelForCausalLM.from_pretrained(p).state_dict() for p in (whole, tmp_path / "more"))
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert (tmp_path / "more" / "tokenizer.json").read_bytes() == (whole / "tokenizer.json").read_bytes()
    assert "README-base.md" in (tmp_path / "more" / "README.md").read_text()
    for name, kept in (("README.md", "README-base.md"), ("curve.jsonl", "curve-base.jsonl")):
        assert (tmp_path / "more" / kept).read_text() == (whole / name).read_text()


def test_a_second_round_needs_a_first(tiny_policy: Path, tmp_path: Path) -> None:
    """One line that says what is missing, and no folder."""
    with pytest.raises(UserError, match=r"holds no README.md: name a folder of acemath pretrain-nano"):
        pretrain(tmp_path / "more", TINY.going_on(str(tiny_policy)))
    assert not (tmp_path / "more").exists()


def test_rates_rise_and_fall(whole: Path) -> None:
    """Warm-up, plateau, linear fall, all by the square root of the batch; the curve ends with the last token."""
    factors = [TINY.rate(n) for n in (0, 500, 1000, 9000, 13_500, 18_000)]
    assert factors == pytest.approx([0.0, 0.25, 0.5, 0.5, 0.25, 0.0])  # a batch of a quarter: half the rates
    (last,) = _tokens(whole)  # fewer than fifty steps: one line
    assert TINY.tokens <= last < TINY.tokens + TINY.batch_tokens


@pytest.mark.skipif(
    not (WEIGHTS / "model.safetensors").exists(), reason="nano's weights are not in the package"
)
def test_the_shipped_weights(tokenizer: PreTrainedTokenizerBase) -> None:
    """Plain transformers loads them; they are small, of safetensors, and say how they were made."""
    model = AutoModelForCausalLM.from_pretrained(WEIGHTS)
    shipped = AutoTokenizer.from_pretrained(WEIGHTS)
    assert model.config.architectures == ["Qwen2ForCausalLM"] and "<|im_start|>" in shipped.chat_template
    assert sum(p.stat().st_size for p in WEIGHTS.iterdir()) < 25e6
    assert {p.suffix for p in WEIGHTS.iterdir()} <= {".safetensors", ".json", ".jinja", ".md", ".jsonl"}
    card = (WEIGHTS / "README.md").read_text()
    curve = [json.loads(line) for line in (WEIGHTS / "curve.jsonl").open()]
    assert "seed" in card.lower() and curve[-1]["tokens"] > 1e7 and curve[-1]["writing"] < curve[0]["writing"]
    ids = shipped("Problem: What is 3 + 4?\nSolution:\n", return_tensors="pt", add_special_tokens=False)
    out = model.generate(**ids, max_new_tokens=30, do_sample=False)
    assert "\\boxed{" in shipped.decode(out[0])
