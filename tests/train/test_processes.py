"""Fine-tuning in two processes and in small accumulation steps: the losses of one process, weighted by tokens."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from acemath.files.rows import write_rows
from acemath.records import Chat
from acemath.train import shards
from acemath.train.checkpoints import last_checkpoint
from acemath.train.settings import LoraSettings
from acemath.train.sft.settings import SftSettings
from acemath.train.sft.train import train_sft

sys.path.insert(0, str(Path(__file__).parent))
import ranks  # noqa: E402
from ranks import in_two  # noqa: E402

SETTINGS = SftSettings(
    learning_rate=3e-3, global_batch=4, micro_batch=4, max_length=128, validation=0, bf16=False, packing=False,
    epochs=2.0, save_every=100,
)  # fmt: skip


def _chats() -> list[Chat]:
    """Responses of very different lengths, so that a mean of batch means would differ from the mean over tokens."""
    return [
        Chat(
            f"c{i}",
            (
                {"role": "user", "content": f"What is {i}+1?"},
                {"role": "assistant", "content": f"{i}+1={i + 1} " + "so it is " * (10 * (i % 2) * (i % 3))},
            ),
        )
        for i in range(15)  # the last step has fewer rows, which no process may learn twice
    ]


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).state_dict()


@pytest.fixture(scope="module")
def whole(tiny_policy: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, float]]]:
    """One process, a whole batch a pass: its folder and curve."""
    folder = tmp_path_factory.mktemp("one")
    return folder / "model", train_sft(
        tiny_policy, _chats(), folder / "model", folder / "work", SETTINGS
    ).curve


def _same(one: list[dict[str, float]], two: list[dict[str, float]]) -> None:
    assert len(one) == len(two) >= 8
    for first, second in zip(one, two, strict=True):
        assert first["loss"] == pytest.approx(second["loss"], abs=1e-4)


def _launch(policy: Path, folder: Path, settings: SftSettings, **environment: str) -> tuple[bool, str]:
    """A training in two processes: whether it ended well, and what they wrote on standard error."""
    write_rows(folder / "chats.jsonl", _chats(), Chat)
    return in_two(ranks.sft, folder, policy, settings, **environment)


def _check(folder: Path, whole: tuple[Path, list[dict[str, float]]]) -> None:
    """The curve of one process within 1e-4, its weights within rounding of Adam's first steps."""
    _same(json.loads((folder / "curve.json").read_text()), whole[1])
    first, second = _weights(whole[0]), _weights(folder / "model")
    assert first.keys() == second.keys()
    assert all(torch.allclose(first[name], second[name], atol=1e-3) for name in first)


def test_two_processes_give_the_losses_of_one(
    tiny_policy: Path, tmp_path: Path, whole: tuple[Path, list[dict[str, float]]]
) -> None:
    """A whole copy of the model in each, two rows a process."""
    well, said = _launch(tiny_policy, tmp_path, SETTINGS)
    assert well, said
    _check(tmp_path, whole)


def test_shards_give_the_losses_of_one(
    tiny_policy: Path, tmp_path: Path, whole: tuple[Path, list[dict[str, float]]]
) -> None:
    """FSDP 2, stopped between checkpoints and started again: each process wrote its own part of the checkpoint."""
    settings = SETTINGS.model_copy(update={"save_every": 3})
    asked = {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2"}
    well, said = _launch(tiny_policy, tmp_path, settings, **asked, STOP_AT="5")
    assert not well and "stopped by the test" in said
    last = last_checkpoint(tmp_path / "work")
    assert last is not None and last.name == "checkpoint-3" and len(list(last.glob("__*.distcp"))) == 2
    well, said = _launch(tiny_policy, tmp_path, settings, **asked)
    assert well, said
    _check(tmp_path, whole)


def test_accumulation_gives_the_losses_of_whole_batches(
    tiny_policy: Path, tmp_path: Path, whole: tuple[Path, list[dict[str, float]]]
) -> None:
    """Four passes of one row give the same as one pass of four."""
    settings = SETTINGS.model_copy(update={"micro_batch": 1})
    _same(train_sft(tiny_policy, _chats(), tmp_path / "m", tmp_path / "w", settings).curve, whole[1])


def test_lora_is_merged_when_saved(tiny_policy: Path, tmp_path: Path) -> None:
    """What is saved loads in plain transformers, has no adapters, and differs from the base in its layers alone."""
    pytest.importorskip("peft", reason="peft is not installed: pip install 'acemath[lora]'")
    settings = SETTINGS.model_copy(
        update={"lora": LoraSettings(rank=4), "gradient_checkpointing": True, "save_every": 3}
    )

    class Stop(Exception):
        pass

    def stop(done: int, total: int, note: str) -> None:
        if done == 5:
            raise Stop

    whole = train_sft(tiny_policy, _chats(), tmp_path / "m", tmp_path / "w", settings)
    assert whole.curve[-1]["loss"] < whole.curve[0]["loss"]
    base, found = _weights(tiny_policy), _weights(tmp_path / "m")
    assert found.keys() == base.keys() and not any("lora" in name for name in found)
    changed = {name for name in base if not torch.equal(base[name], found[name])}
    assert changed and all("proj" in name for name in changed)
    with pytest.raises(Stop):
        train_sft(tiny_policy, _chats(), tmp_path / "h", tmp_path / "v", settings, progress=stop)
    resumed = train_sft(tiny_policy, _chats(), tmp_path / "h", tmp_path / "v", settings)
    assert resumed.curve == whole.curve
    again = _weights(tmp_path / "h")
    assert all(torch.equal(found[name], again[name]) for name in found)


def test_a_large_model_is_written_in_pieces(
    tiny_policy: Path, tmp_path: Path, whole: tuple[Path, list[dict[str, float]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pieces and files of 100 KB: the same weights, in several files with an index."""
    monkeypatch.setattr(shards, "PIECE", 100_000)
    train_sft(tiny_policy, _chats(), tmp_path / "model", tmp_path / "work", SETTINGS)
    assert len(list((tmp_path / "model").glob("model-*-of-*.safetensors"))) > 2
    assert not list((tmp_path / "work").glob("*.pieces"))
    first, second = _weights(whole[0]), _weights(tmp_path / "model")
    assert first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)
