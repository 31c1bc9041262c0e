"""acemath rm train: held-out groups, the chat of the model, messages, and that models are not replaced."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from acemath.cli.app import app
from acemath.errors import UserError
from acemath.models.score.score import RewardModel


def _groups(path: Path, count: int, right: str = "yes") -> Path:
    """Groups of two right and two wrong texts that differ in one word, two groups for each problem."""
    rows = []
    for n in range(count):
        texts = [(f"{word} {n}.{i}", word == right) for word in ("yes", "no") for i in range(2)]
        random.Random(n).shuffle(texts)
        rows.append(
            {
                "problem_id": f"p{n // 2}", "prompt": f"Is {n // 2} a number?", "responses": [t for t, _ in texts],
                "labels": [int(label) for _, label in texts], "meta": {"license": "MIT"},
            }
        )  # fmt: skip
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def _train(groups: Path, policy: Path, out: Path, *more: str) -> Any:
    settings = ["--learning-rate", "2e-3", "--batch-groups", "4", "--epochs", "1", "--set", "bf16=false"]
    return CliRunner().invoke(
        app,
        ["rm", "train", str(groups), "--base", str(policy), "--out", str(out), *settings, *more, "--json"],
    )


@pytest.fixture(scope="module")
def trained(tiny_policy: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, Any]]:
    """The groups, the model's folder, and what the command printed."""
    folder = tmp_path_factory.mktemp("trained")
    groups = _groups(folder / "groups.jsonl", 24)
    done = _train(groups, tiny_policy, folder / "model", "--system", "Answer in one word.")
    assert done.exit_code == 0, done.output
    return groups, folder / "model", json.loads(done.stdout)


def test_the_result_says_what_it_was_measured_over(trained: tuple[Path, Path, dict[str, Any]]) -> None:
    """Pair accuracy with its numbers of groups and pairs; a warning in the result and the card if they are too few."""
    _, out, found = trained
    assert (found["groups"], found["held_out_groups"], found["held_out_pairs"]) == (22, 2, 8)
    assert any("over only 2 groups (8 pairs), too few" in warning for warning in found["warnings"])
    card = (out / "README.md").read_text()
    assert "over only 2 groups (8 pairs), too few" in card and "over 2 held-out groups (8 pairs)" in card
    assert "license: unknown" in card and "that of the base is not known" in card
    assert not out.with_name("model-checkpoints").exists()


def test_it_remembers_its_chat(trained: tuple[Path, Path, dict[str, Any]]) -> None:
    """The saved model scores with the system prompt of its training."""
    assert RewardModel(trained[1]).chat.system == "Answer in one word."


def test_a_finished_model_is_not_replaced_unasked(
    trained: tuple[Path, Path, dict[str, Any]], tiny_policy: Path, tmp_path: Path
) -> None:
    """The same arguments do nothing; others are an error that names --overwrite, which trains a new model."""
    groups, out, found = trained
    same = ("--system", "Answer in one word.")
    before = (out / "model.safetensors").stat()
    again = _train(groups, tiny_policy, out, *same)
    assert again.exit_code == 0 and json.loads(again.stdout) == {**found, "seconds": 0.0}
    other = _train(_groups(tmp_path / "other.jsonl", 24, right="no"), tiny_policy, out, *same)
    assert isinstance(other.exception, UserError) and "--overwrite" in str(other.exception)
    assert (out / "model.safetensors").stat() == before
    (out / "left-over.txt").write_text("of the first model")
    replaced = _train(tmp_path / "other.jsonl", tiny_policy, out, *same, "--overwrite")
    assert replaced.exit_code == 0, replaced.output
    assert not (out / "left-over.txt").exists() and (out / "model.safetensors").stat() != before
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("mine")
    mine = _train(groups, tiny_policy, tmp_path / "notes", "--overwrite")
    assert isinstance(mine.exception, UserError) and (tmp_path / "notes" / "a.txt").exists()


def test_what_cannot_be_held_out_or_measured_is_an_error(tiny_policy: Path, tmp_path: Path) -> None:
    """Groups of one problem only; candidates without rm_k; a learning rate at which the loss is not finite."""
    one = _train(_groups(tmp_path / "one.jsonl", 2), tiny_policy, tmp_path / "m")
    assert isinstance(one.exception, UserError) and "of one problem only" in str(one.exception)
    groups = _groups(tmp_path / "groups.jsonl", 24)
    rows = [{"problem_id": "z", "sample": 0, "text": "1", "model": "m", "status": "correct"}]
    (tmp_path / "r.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "p.jsonl").write_text('{"id": "z", "prompt": "Is this new?", "answer": "1"}\n')
    asked = ["--candidates", str(tmp_path / "r.jsonl"), "--problems", str(tmp_path / "p.jsonl")]
    unused = _train(groups, tiny_policy, tmp_path / "m", *asked)
    assert isinstance(unused.exception, UserError) and "rm_k=8" in str(unused.exception)
    wild = _train(groups, tiny_policy, tmp_path / "m", "--learning-rate", "1e30")
    assert isinstance(wild.exception, UserError) and "the loss is nan" in str(wild.exception)
    assert not (tmp_path / "m").exists()


def test_training_that_did_not_help_is_said(
    tiny_policy: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """If training does not help, the first weights are kept, and the log, the result and the card say so."""
    groups = _groups(tmp_path / "groups.jsonl", 24)
    done = _train(groups, tiny_policy, tmp_path / "m", "--learning-rate", "1e-30")
    found = json.loads(done.stdout)
    assert found["improved"] is False and found["best_step"] == 0
    said = "training did not improve the model"
    assert (
        said in found["warnings"][0]
        and said in caplog.text
        and said in (tmp_path / "m" / "README.md").read_text()
    )
