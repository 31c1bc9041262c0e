"""A reward model remembers the chat of its training, and every command and class scores with it."""

from __future__ import annotations

import json
import logging
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification
from typer.testing import CliRunner

from acemath.cli.app import app
from acemath.errors import UserError
from acemath.models.engine import PAPER_CHAT, ChatFormat
from acemath.models.score.best_of_n import BestOfN
from acemath.models.score.heads import config_with, remembered_chat
from acemath.models.score.model import tokenizer_of
from acemath.models.score.parity import check_parity
from acemath.models.score.score import RewardModel
from acemath.train.reward.start import base_checker, new_reward_model

OWN = ChatFormat(system="Mind the units.", instruction="Show each step.")
QUESTION, TEXTS = "How many minutes are 3 hours?", ["180", "It is 3 times 60, so \\boxed{180}."]


@pytest.fixture(scope="module")
def remembering(tiny_policy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reward model's folder that remembers a chat of its own."""
    folder = tmp_path_factory.mktemp("remembering")
    tokenizer = tokenizer_of(tiny_policy)
    model = new_reward_model(tiny_policy, tokenizer, None, seed=3)
    config_with(model.config, OWN)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def expected(remembering: Path) -> list[float]:
    """The rewards in its own chat, which differ from those in the paper's."""
    own, paper = (
        RewardModel(remembering, chat, bf16=False).score(QUESTION, TEXTS) for chat in (OWN, PAPER_CHAT)
    )
    assert own != pytest.approx(paper, abs=1e-3)
    return own


def _files(folder: Path) -> list[str]:
    (folder / "problems.jsonl").write_text(
        json.dumps({"id": "a", "prompt": QUESTION, "answer": "180"}) + "\n"
    )
    rows: list[dict[str, Any]] = [
        {"problem_id": "a", "sample": i, "text": text, "model": "m"} for i, text in enumerate(TEXTS)
    ]
    (folder / "responses.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return [str(folder / "responses.jsonl"), "--problems", str(folder / "problems.jsonl")]


def _scored(folder: Path, model: Path, *more: str) -> list[float]:
    out = folder / "scored.jsonl"
    done = CliRunner().invoke(
        app, ["score", *_files(folder), "--model", str(model), "--out", str(out), *more]
    )
    assert done.exit_code == 0, done.output
    return [json.loads(line)["reward"] for line in out.read_text().splitlines()]


def test_everything_scores_with_the_chat_of_the_training(
    remembering: Path,
    expected: list[float],
    tiny_policy: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Without a notice."""
    model = RewardModel(remembering, bf16=False)
    assert model.chat == OWN and model.score(QUESTION, TEXTS) == pytest.approx(expected, abs=1e-6)
    assert BestOfN(tiny_policy, remembering).reward.chat == OWN
    seen = "".join(check_parity(remembering, [(QUESTION, TEXTS)]).seen.tokens)
    assert OWN.system in seen and OWN.instruction in seen
    assert _scored(tmp_path, remembering) == pytest.approx(expected, abs=2e-2)  # bfloat16 where there is any
    assert "trained with" not in caplog.text


def test_solve_and_eval_use_it_too(
    remembering: Path, tiny_policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scorer gets the remembered chat, or the one of --reward-system."""
    seen: list[ChatFormat] = []
    encode = RewardModel.encode

    def watched(self: RewardModel, items: Any) -> Any:
        seen.append(self.chat)
        return encode(self, items)

    monkeypatch.setattr(RewardModel, "encode", watched)
    _files(tmp_path)
    models = ["--reward", str(remembering), "-n", "2", "--max-new-tokens", "4"]
    solve = ["solve", QUESTION, "--policy", str(tiny_policy), *models]
    evaluate = ["eval", str(tmp_path / "problems.jsonl"), "--model", str(tiny_policy), "-k", "2", *models]
    evaluate += ["--out", str(tmp_path / "out")]
    for command in (solve, evaluate):
        for more in ([], ["--reward-system", ""]):
            done = CliRunner().invoke(app, [*command, *more])
            assert done.exit_code == 0, done.output
    assert seen == [OWN, ChatFormat(), OWN, ChatFormat()]


def test_another_chat_is_used_only_when_asked_for(
    remembering: Path, expected: list[float], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One notice says so."""
    rewards = _scored(tmp_path, remembering, "--system", "Be brief.")
    assert rewards != pytest.approx(expected, abs=1e-3)
    notices = [r.message for r in caplog.records if "trained with" in r.message]
    assert len(notices) == 1 and "Mind the units." in notices[0] and "Be brief." in notices[0]


def test_the_paper_s_chat_is_used_with_a_notice_if_none_is_remembered(
    random_reward_model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As for AceMath's releases. A chat that the user names needs no notice."""
    RewardModel(random_reward_model, OWN)
    assert caplog.text == ""
    assert RewardModel(random_reward_model).chat == PAPER_CHAT
    assert caplog.text.count("does not say which chat") == 1 and "check your final answer" in caplog.text


def test_the_memory_outlives_saving_and_copying(remembering: Path, tiny_policy: Path, tmp_path: Path) -> None:
    """It is a part of config.json, which is saved with the model."""
    again = AutoModelForSequenceClassification.from_pretrained(
        remembering, num_labels=1, dtype=torch.bfloat16
    )
    again.save_pretrained(tmp_path / "again")
    assert remembered_chat(tmp_path / "again") == OWN
    assert remembered_chat(base_checker(tiny_policy, tmp_path / "base")) == ChatFormat()
    config = json.loads((remembering / "config.json").read_text()) | {"acemath_chat": {"prompt": 3}}
    (tmp_path / "again" / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="which is no chat"):
        remembered_chat(tmp_path / "again")


def test_nan_rewards_are_refused(
    remembering: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """They would win or lose every comparison. Empty responses are counted."""
    with caplog.at_level(logging.WARNING):
        RewardModel(remembering).score(QUESTION, ["", " \n", "180"])
    assert "2 responses are empty" in caplog.text
    shutil.copytree(remembering, tmp_path / "broken")
    weights = load_file(tmp_path / "broken" / "model.safetensors")
    weights["score.weight"][0, 0] = math.nan
    save_file(weights, tmp_path / "broken" / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match="gives nan or inf for a reward"):
        RewardModel(tmp_path / "broken")
    with pytest.raises(UserError, match="gives nan or inf for 2 of 2 responses"):
        RewardModel(tmp_path / "broken", share_prefix=False).score(QUESTION, TEXTS)
