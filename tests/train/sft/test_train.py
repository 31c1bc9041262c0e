"""Fine-tuning for real on a tiny model: it learns, resumes after a kill, refuses what cannot be trained."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from acemath.errors import UserError
from acemath.models.encoding import encode_all, texts_of
from acemath.models.hardware import rows_a_pass
from acemath.records import Chat
from acemath.train import memory
from acemath.train.checkpoints import last_checkpoint, weights_key
from acemath.train.lora import shrink_frozen
from acemath.train.packing import Bins, PackedRows, pack
from acemath.train.settings import LoraSettings
from acemath.train.sft import trainer
from acemath.train.sft.settings import SftSettings
from acemath.train.sft.train import train_sft
from acemath.train.sft.trainer import make_trainer, quiet, training_arguments

SETTINGS = SftSettings(
    learning_rate=5e-3, global_batch=4, micro_batch=4, max_length=128, validation=4, save_every=2, bf16=False
)


def _chats(count: int) -> list[Chat]:
    return [
        Chat(
            f"c{i}",
            (
                {"role": "user", "content": f"What is {i}+1?"},
                {"role": "assistant", "content": f"{i}+1={i + 1}\nSo \\boxed{{{i + 1}}}."},
            ),
        )
        for i in range(count)
    ]


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).state_dict()


def test_trainer_losses_do_not_depend_on_packing(tiny_policy: Path, tmp_path: Path) -> None:
    """The trainer's loss over packed rows equals that over single conversations, so there is no leak."""
    tokenizer = AutoTokenizer.from_pretrained(tiny_policy)
    rows = list(encode_all([c.messages for c in _chats(23)], tokenizer))
    single = PackedRows(rows, Bins.single(np.arange(len(rows))), 128)
    packed = PackedRows(rows, pack([len(r.ids) for r in rows], 128), 128)
    assert len(packed) < len(single)
    total, count = {}, {}
    for name, data in (("single", single), ("packed", packed)):
        trainer = make_trainer(str(tiny_policy), tokenizer, data, data, tmp_path / name, SETTINGS, 0, quiet)
        total[name] = count[name] = 0.0
        for number in range(len(data)):
            batch = trainer.data_collator([data[number]])
            learned = int((batch["labels"][:, 1:] >= 0).sum())
            with torch.no_grad():
                total[name] += float(trainer.compute_loss(trainer.model, batch)) * learned
            count[name] += learned
    assert count["single"] == count["packed"]
    assert total["single"] / count["single"] == pytest.approx(total["packed"] / count["packed"], abs=1e-5)


def test_learns_and_loads_in_plain_transformers(
    tiny_policy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Validation loss falls, the folder loads, progress names the speed, standard output stays empty."""
    notes: list[str] = []
    result = train_sft(
        tiny_policy,
        _chats(80),
        tmp_path / "out",
        tmp_path / "work",
        SETTINGS.model_copy(update={"epochs": 3.0}),
        progress=lambda done, total, note: notes.append(f"{done}/{total} {note}"),
    )
    assert result.validation_before is not None and result.validation_after is not None
    assert result.validation_after < result.validation_before - 1
    assert result.curve[0] == {"step": 0.0, "eval_loss": result.validation_before}
    steps = [note for note in notes if "tokens/s" in note]
    assert any("loss" in row for row in result.curve) and "eval_loss" in result.curve[-1]
    assert 0 < result.learned_tokens < result.tokens and result.cut == 0 and 0 <= result.padding < 0.5
    assert all(word in steps[-1] for word in ("loss", "tokens/s", "padding", "MFU")) and 0 < result.mfu < 1.5
    assert steps[-1].split()[0].split("/")[0] == steps[-1].split()[0].split("/")[1]
    assert AutoTokenizer.from_pretrained(tmp_path / "out").chat_template and _weights(tmp_path / "out")
    assert capsys.readouterr().out == ""


def test_stopped_run_ends_with_the_same_weights(tiny_policy: Path, tmp_path: Path) -> None:
    """Stopped between checkpoints, one of them half-written: the weights and figures of an unstopped run."""

    class Stop(Exception):
        pass

    def stop(done: int, total: int, note: str) -> None:
        if done == total - 1:
            raise Stop

    settings = SETTINGS.model_copy(update={"epochs": 4.0, "save_every": 3})
    whole = train_sft(tiny_policy, _chats(60), tmp_path / "whole", tmp_path / "w1", settings)
    with pytest.raises(Stop):
        train_sft(tiny_policy, _chats(60), tmp_path / "half", tmp_path / "w2", settings, progress=stop)
    good = last_checkpoint(tmp_path / "w2")
    assert good is not None
    broken = tmp_path / "w2" / "checkpoint-999.tmp"
    shutil.copytree(good, broken)
    (broken / "trainer_state.json").write_text('{"half')
    assert last_checkpoint(tmp_path / "w2") == good
    resumed = train_sft(tiny_policy, _chats(60), tmp_path / "half", tmp_path / "w2", settings)
    assert resumed.validation_before == whole.validation_before
    assert resumed.validation_after == whole.validation_after and resumed.curve == whole.curve
    first, second = _weights(tmp_path / "whole"), _weights(tmp_path / "half")
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_lora_beside_frozen_matrices_in_bfloat16(tiny_policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of their memory, the same losses and the same saved model, to the last bit; resumed too."""
    pytest.importorskip("peft", reason="peft is not installed: pip install 'acemath[lora]'")
    base = tmp_path / "base"
    shutil.copytree(tiny_policy, base)
    AutoModelForCausalLM.from_pretrained(tiny_policy, dtype=torch.bfloat16).save_pretrained(base)
    settings = SETTINGS.model_copy(update={"bf16": True, "lora": LoraSettings(rank=4), "save_every": 3})
    kinds: set[torch.dtype] = set()

    class Stop(Exception):
        pass

    def stop(done: int, *_: Any) -> None:
        if done == 5:
            raise Stop

    def shrink(model: Any) -> None:
        shrink_frozen(model)
        kinds.update(weights.dtype for name, weights in model.named_parameters() if "base_layer.weight" in name)

    monkeypatch.setattr(trainer, "pass_dtype", lambda _: torch.bfloat16)
    monkeypatch.setattr(trainer, "shrink_frozen", shrink)
    with pytest.raises(Stop):
        train_sft(base, _chats(60), tmp_path / "small", tmp_path / "w1", settings, progress=stop)
    small = train_sft(base, _chats(60), tmp_path / "small", tmp_path / "w1", settings)
    monkeypatch.setattr(trainer, "shrink_frozen", lambda _: None)
    full = train_sft(base, _chats(60), tmp_path / "full", tmp_path / "w2", settings)
    first, second = _weights(tmp_path / "small"), _weights(tmp_path / "full")
    assert kinds == {torch.bfloat16} and small.curve == full.curve
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_training_that_cannot_fit_is_refused(tiny_policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before its first step, with the memory that it needs and what to do. With LoRA the same model fits."""
    monkeypatch.setattr(memory, "free_memory", lambda: 100_000)
    with pytest.raises(UserError, match=r"too small to train [\d,]+ weights: .* 0.0 GB are free; set lora.rank"):
        train_sft(tiny_policy, _chats(20), tmp_path / "out", tmp_path / "work", SETTINGS)
    assert not (tmp_path / "out").exists()
    pytest.importorskip("peft", reason="peft is not installed: pip install 'acemath[lora]'")
    small = SETTINGS.model_copy(update={"lora": LoraSettings(rank=1, targets=("q_proj",))})
    train_sft(tiny_policy, _chats(20), tmp_path / "out", tmp_path / "work", small)


def test_other_arguments_start_anew(tiny_policy: Path, tmp_path: Path) -> None:
    """Checkpoints of other conversations or settings are not resumed."""
    for count, rate in ((40, 5e-3), (44, 5e-3), (44, 1e-3)):
        settings = SETTINGS.model_copy(update={"learning_rate": rate})
        seen: list[int] = []
        train_sft(
            tiny_policy,
            _chats(count),
            tmp_path / "out",
            tmp_path / "work",
            settings,
            progress=lambda done, total, note, seen=seen: seen.append(done) if "tokens/s" in note else None,
        )
        assert seen[0] == 1


def test_another_chat_template_is_another_base(tiny_policy: Path, tmp_path: Path) -> None:
    """The same weights with another tokenizer or template give another identity; a rewritten card does not."""
    base = tmp_path / "base"
    shutil.copytree(tiny_policy, base)
    first = weights_key(str(base))
    (base / "README.md").write_text("A card.")
    assert weights_key(str(base)) == first
    (base / "chat_template.jinja").write_text("{{ messages[0]['content'] }} other")
    assert weights_key(str(base)) != first


def test_what_cannot_be_trained_is_refused(tiny_policy: Path, tmp_path: Path) -> None:
    """No conversations, no model, no response at the end: one line each."""
    tokenizer = AutoTokenizer.from_pretrained(tiny_policy)
    with pytest.raises(UserError, match="no conversations"):
        train_sft(tiny_policy, [], tmp_path / "o", tmp_path / "w", SETTINGS)
    with pytest.raises(UserError, match="cannot load model"):
        train_sft(tmp_path / "nowhere", _chats(3), tmp_path / "o", tmp_path / "w", SETTINGS)
    for messages in (({"role": "user", "content": "x"},), ({"role": "assistant", "content": "x"},)):
        with pytest.raises(UserError, match="must hold a question"):
            texts_of([messages], tokenizer)
    tokenizer.chat_template = "{% if messages|length > 1 %}other {% endif %}{{ messages[0]['content'] }}"
    with pytest.raises(UserError, match="does not write the assistant's response"):
        texts_of([_chats(1)[0].messages], tokenizer)
    assert not (tmp_path / "o").exists()


def test_batches_hold_what_the_settings_say(tmp_path: Path) -> None:
    """The global batch does not depend on the size of a pass."""
    for batch, micro in ((128, 8), (6, 4), (7, 4), (4, 16)):
        settings = SftSettings(global_batch=batch, micro_batch=micro)
        made = training_arguments(1000, tmp_path, settings, 0)
        assert made.per_device_train_batch_size * made.gradient_accumulation_steps == batch
        assert made.per_device_train_batch_size <= micro


def test_passes_of_packed_rows_fit_the_cache(tiny_policy: Path, tmp_path: Path) -> None:
    """Wide packed rows go through fewer at a time on a processor; the global batch stays; unpacked rows as asked."""
    assert (
        rows_a_pass(torch.device("cpu"), 640, 8, 8) == 1 and rows_a_pass(torch.device("cpu"), 256, 4, 8) == 8
    )
    assert rows_a_pass(torch.device("cuda"), 4096, 32, 8) == 8
    tokenizer = AutoTokenizer.from_pretrained(tiny_policy)
    rows = list(encode_all([c.messages for c in _chats(120)], tokenizer))
    settings = SETTINGS.model_copy(update={"max_length": 1024, "global_batch": 8, "micro_batch": 8})
    single = PackedRows(rows, Bins.single(np.arange(len(rows))), 1024)
    packed = PackedRows(rows, pack([len(r.ids) for r in rows], 1024), 1024)
    assert packed.packed and not single.packed
    found = {
        name: make_trainer(str(tiny_policy), tokenizer, data, None, tmp_path / name, settings, 0, quiet).args
        for name, data in (("single", single), ("packed", packed))
    }
    assert found["single"].per_device_train_batch_size == 8
    assert found["packed"].per_device_train_batch_size == 1
    assert found["packed"].gradient_accumulation_steps == 8
