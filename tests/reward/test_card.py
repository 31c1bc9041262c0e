"""The model card: the facts of a training, and rm@k once benchmarks were scored."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from acemath.cli import app
from acemath.engines.base import ChatFormat
from acemath.errors import UserError
from acemath.records import Group
from acemath.reward.card import add_bench, write_card
from acemath.reward.settings import RewardSettings
from acemath.reward.state import RewardResult

RESULT = RewardResult(best_step=7, best_accuracy=0.875, best_loss=0.31, best_rm=0.5, groups=2, cut=1)


def _groups(*licences: str) -> list[Group]:
    return [
        Group(f"g{i}", "?", ("a", "b"), (1, 0), meta={"source": "numina", "license": name, "style": "any"})
        for i, name in enumerate(licences)
    ]


def _front(folder: Path) -> dict[str, object]:
    return dict(yaml.safe_load((folder / "README.md").read_text().split("---")[1]))


def test_card_names_data_licence_and_loss(tmp_path: Path) -> None:
    """One licence is the model's; several are other, and those that forbid commerce are named."""
    settings = RewardSettings(centring=0.01)
    write_card(tmp_path, "base", _groups("MIT", "MIT"), settings, ChatFormat(system="Check."), RESULT)
    text = (tmp_path / "README.md").read_text()
    assert _front(tmp_path)["license"] == "mit" and _front(tmp_path)["base_model"] == "base"
    for part in (
        "2 problems with 4 responses, 2 of them right",
        "numina 2",
        "listwise, centring 0.01",
        "0.8750",
    ):
        assert part in text
    assert '"content": "Check."' in text and "forbidden" not in text and "rm@8" not in text
    write_card(tmp_path, "base", _groups("MIT", "CC-BY-NC-4.0", ""), settings, ChatFormat(), RESULT)
    text = (tmp_path / "README.md").read_text()
    assert _front(tmp_path)["license"] == "other" and "not stated 1" in text
    assert "forbidden by CC-BY-NC-4.0" in text


def test_command_adds_rm_at_k(tmp_path: Path) -> None:
    """From scored responses; a second call replaces the table; a folder without facts is refused."""
    write_card(tmp_path, "base", _groups("MIT"), RewardSettings(), ChatFormat(), RESULT)
    scored = tmp_path / "gsm8k.jsonl"
    rows = [
        {"problem_id": str(p), "label": i % 2, "reward": float(i), "text": "x" * i, "extracted": str(i)}
        for p in range(3)
        for i in range(4)
    ]
    scored.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for k in (2, 3):
        done = CliRunner().invoke(app, ["rm", "card", str(tmp_path), str(scored), "-k", str(k), "--json"])
        assert json.loads(done.stdout) == {"card": str(tmp_path / "README.md")}
    text = (tmp_path / "README.md").read_text()
    assert "## rm@3" in text and "## rm@2" not in text and "| reward model | gsm8k | " in text
    with pytest.raises(UserError, match="has no training.json"):
        add_bench(tmp_path / "nowhere", [], 8)
