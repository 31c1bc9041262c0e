"""`acemath sft` on files: counts, errors, and what is left on disk."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from acemath.cli.options import settings_of
from acemath.cli.sft import fine_tune
from acemath.errors import UserError
from acemath.files.lock import locked
from acemath.train import checkpoints
from acemath.train.checkpoints import checkpoint, claim, last_checkpoint, put
from acemath.train.sft import train as training_loop
from acemath.train.sft.settings import SftSettings
from acemath.train.sft.trainer import training_arguments
from acemath.train.trackers import PACKAGES, check_tracker

GIVEN = {
    "learning_rate": 1e-3, "global_batch": 2, "max_length": 64, "bf16": False, "validation": 0, "packing": False,
}  # fmt: skip


def _rows(path: Path, prompts: list[str]) -> Path:
    rows = [
        {"prompt": text, "completion": f"It is {at}.", "license": "MIT"} for at, text in enumerate(prompts)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def _tune(file: Path, base: Path, out: Path, given: Any = None, **more: Any) -> dict[str, Any]:
    return fine_tune(file, str(base), settings_of(SftSettings, GIVEN, given or {}), 0, out, **more)


def test_nothing_to_learn_is_an_error(tiny_policy: Path, tmp_path: Path) -> None:
    """All prompts fill max_length: how many, the limit, the fix, and nothing is left on the disk."""
    file = _rows(tmp_path / "long.jsonl", ["one " * 80] * 5)
    with pytest.raises(
        UserError, match=r"no response has room: 5 of 5 .* max_length 64 .*; raise max_length"
    ):
        _tune(file, tiny_policy, tmp_path / "policy")
    assert [path.name for path in tmp_path.iterdir()] == ["long.jsonl"]


def test_some_without_room_are_left_out_and_counted(
    tiny_policy: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Conversations with too long prompts are left out, a long response is cut; the others are learned."""
    file = _rows(tmp_path / "c.jsonl", ["one " * 80, "1?", "2?", "one " * 80, "3?", "two " * 14])
    with caplog.at_level(logging.WARNING):
        found = _tune(file, tiny_policy, tmp_path / "policy", given={"max_length": 40})
    assert (found["conversations"], found["unlearned"]) == (6, 2) and found["cut"] >= 2
    assert 0 < found["learned_tokens"] < found["tokens"] <= 4 * 40
    assert any("2 of 6 conversations are longer than max_length 40" in r.getMessage() for r in caplog.records)


def test_a_finished_model_is_neither_made_again_nor_replaced(
    tiny_policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same arguments are done already; others need --overwrite; a folder of other things is never touched."""
    file, out = _rows(tmp_path / "c.jsonl", ["1?", "2?", "3?"]), tmp_path / "policy"
    first = _tune(file, tiny_policy, out)
    facts = json.loads((out / "training.json").read_text())
    assert any("loss" in row for row in facts["curve"]) and facts["settings"]["global_batch"] == 2
    assert facts["licences"] == {"MIT": 3} and facts["stop_ids"] == [0, 2] and facts["seed"] == 0
    card = (out / "README.md").read_text()
    assert "MIT 3" in card and "license: unknown" in card
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.jsonl", "policy"]

    with monkeypatch.context() as patched:
        patched.setattr(training_loop, "train_sft", lambda *_: pytest.fail("trained again"))
        again = _tune(file, tiny_policy, out)
        assert {**again, "seconds": 0} == {**first, "seconds": 0}
        with pytest.raises(UserError, match=r"trained with other arguments or data.*--overwrite"):
            _tune(file, tiny_policy, out, given={"learning_rate": 2e-3})
        stricter = tmp_path / "stricter.jsonl"
        stricter.write_text(file.read_text().replace("MIT", "CC-BY-NC-4.0"))
        with pytest.raises(UserError, match="trained with other arguments or data"):  # its card would say another licence
            _tune(stricter, tiny_policy, out)
        stricter.unlink()
        other = tmp_path / "mine"
        other.mkdir()
        (other / "notes.txt").write_text("keep")
        for overwrite in (False, True):
            with pytest.raises(UserError, match="not the folder of a model"):
                _tune(file, tiny_policy, other, overwrite=overwrite)
    _tune(file, tiny_policy, out, given={"learning_rate": 2e-3}, overwrite=True)
    assert json.loads((out / "training.json").read_text())["settings"]["learning_rate"] == 2e-3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.jsonl", "mine", "policy"]


def test_one_command_at_a_time_makes_a_model(tiny_policy: Path, tmp_path: Path) -> None:
    """A second one with the same --out would write into the same checkpoints; a wrong base leaves nothing behind."""
    file, out = _rows(tmp_path / "c.jsonl", ["1?"]), tmp_path / "policy"
    with locked(tmp_path / "policy-checkpoints"), pytest.raises(UserError, match="policy-checkpoints is in use by process"):
        _tune(file, tiny_policy, out)
    with pytest.raises(UserError, match="there is no such folder|cannot load model"):
        _tune(file, tmp_path / "nowhere", out)
    assert [path.name for path in tmp_path.iterdir()] == ["c.jsonl"]


def test_a_stop_while_checkpoints_are_removed_leaves_none_to_go_on_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of one would be loaded by the same command with --overwrite."""
    work, made = tmp_path / "work", tmp_path / "made"
    claim(work, {"seed": 1})
    checkpoint(work, 10).mkdir()
    made.mkdir()
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(checkpoints.shutil, "rmtree", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
        put(made, tmp_path / "out", work)
    claim(work, {"seed": 1})
    assert last_checkpoint(work) is None


class Stop(Exception):
    """A training was stopped."""


@pytest.fixture
def stopped(tiny_policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path, Path]:
    """The conversations, the model's folder and the checkpoints of a training that was stopped after its first checkpoint."""
    file, out = _rows(tmp_path / "c.jsonl", [f"{n}?" for n in range(8)]), tmp_path / "p"
    work = tmp_path / "p-checkpoints"

    def stop(*_: Any) -> None:
        if last_checkpoint(work) is not None:
            raise Stop

    with monkeypatch.context() as patched, pytest.raises(Stop):
        patched.setattr("acemath.run.display.Display.progress", stop)
        _tune(file, tiny_policy, out, given={"save_every": 1})
    return file, out, work


def test_going_on_is_said_only_when_it_is_so(
    tiny_policy: Path, stopped: tuple[Path, Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    """After a stop, not at the first start; the checkpoints are removed at the end."""
    file, out, work = stopped
    assert "resuming" not in caplog.text and not out.exists()
    _tune(file, tiny_policy, out)
    assert "resuming from " in caplog.text
    assert out.is_dir() and not work.exists()


def test_a_stopped_training_goes_on_with_less_memory(
    tiny_policy: Path, stopped: tuple[Path, Path, Path], caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """What an error recommends against a lack of memory keeps the steps that are done, and leads to the same losses."""
    file, out, _ = stopped
    found = _tune(file, tiny_policy, out, given={"micro_batch": 1, "gradient_checkpointing": True, "save_every": 3})
    assert "resuming from " in caplog.text
    _tune(file, tiny_policy, tmp_path / "whole")
    losses = [
        [row["loss"] for row in json.loads((folder / "training.json").read_text())["curve"] if "loss" in row]
        for folder in (out, tmp_path / "whole")
    ]
    assert losses[0] == pytest.approx(losses[1], abs=1e-4) and len(losses[0]) == 4
    assert _tune(file, tiny_policy, out, given={"micro_batch": 2}) == {**found, "seconds": 0.0}  # the same model


def test_checkpoints_of_another_training_are_removed_only_on_demand(
    tiny_policy: Path, stopped: tuple[Path, Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    """Other settings, data or seed: one line names what differs, and nothing is lost. --overwrite removes them and says so."""
    file, out, work = stopped
    kept = sorted(path.name for path in work.iterdir())
    other = _rows(file.with_name("other.jsonl"), ["1?", "2?"])
    for rows, given, name in ((file, {"learning_rate": 2e-3}, "settings.learning_rate"), (other, {}, "conversations")):
        with pytest.raises(UserError, match=rf"p-checkpoints/checkpoint-1 .*differs in {name}\).*--overwrite"):
            _tune(rows, tiny_policy, out, given=given)
        assert sorted(path.name for path in work.iterdir()) == kept
    _tune(other, tiny_policy, out, overwrite=True)
    assert "checkpoint-1 belongs to a training with other arguments or data, and is removed" in caplog.text
    assert "resuming" not in caplog.text and out.is_dir() and not work.exists()


def test_phases_are_reported(tiny_policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Progress names reading, tokenising, loading, each pass of a step, and saving."""
    notes: list[str] = []
    monkeypatch.setattr(
        "acemath.run.display.Display.progress", lambda _, done, total, note: notes.append(note)
    )
    _tune(_rows(tmp_path / "c.jsonl", ["1?", "2?"]), tiny_policy, tmp_path / "p", given={"micro_batch": 1})
    order = ["reading", "tokenised", "loading", "pass 1 of 2", "tokens/s", "saving"]
    places = [next(at for at, note in enumerate(notes) if word in note) for word in order]
    assert places == sorted(places)


def test_trackers_are_checked_first(
    tiny_policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is not installed, one that does not exist: before a model is loaded."""
    monkeypatch.setitem(PACKAGES, "wandb", ("no_such_module", "wandb"))
    monkeypatch.setattr(training_loop, "make_trainer", lambda *_: pytest.fail("loaded"))
    file = _rows(tmp_path / "c.jsonl", ["1?"])
    with pytest.raises(UserError, match="report_to: wandb needs .*: pip install wandb"):
        _tune(file, tiny_policy, tmp_path / "p", given={"report_to": "wandb"})
    with pytest.raises(UserError, match="report_to 'wand' is not a tracker"):
        _tune(file, tiny_policy, tmp_path / "p", given={"report_to": "wand"})
    check_tracker("none")
    check_tracker("tensorboard")


def test_a_diverging_loss_is_an_error(tiny_policy: Path, tmp_path: Path) -> None:
    """A far too high learning rate: an error, and no model is saved."""
    file = _rows(tmp_path / "c.jsonl", [f"{n}?" for n in range(8)])
    with pytest.raises(UserError, match="training diverged; lower learning_rate"):
        _tune(
            file, tiny_policy, tmp_path / "p", {"learning_rate": 1e30, "max_grad_norm": 1e30, "epochs": 3}
        )
    assert not (tmp_path / "p").exists()


def test_a_single_step_learns(tmp_path: Path) -> None:
    """The warmup's first step has the rate 0: a training of few steps has no warmup."""
    made = [
        training_arguments(rows, tmp_path, SftSettings(global_batch=4), 0).warmup_steps
        for rows in (3, 8, 400)
    ]
    assert made == [0, 0, 3]
    asked = SftSettings(global_batch=4, warmup=0.9)
    assert [training_arguments(rows, tmp_path, asked, 0).warmup_steps for rows in (3, 8)] == [0, 1]
