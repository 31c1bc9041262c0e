"""The model card: the facts of a training, and rm@k once benchmarks were scored."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from acemath.cli.app import app
from acemath.errors import UserError
from acemath.models.engine import ChatFormat
from acemath.records import Group
from acemath.train.provenance import stated_licences
from acemath.train.reward.card import add_bench, write_card
from acemath.train.reward.settings import RewardSettings
from acemath.train.reward.state import RewardResult

CURVE = [{"step": 0, "pair_accuracy": 0.5, "held_out_loss": 0.7, "rm": 0.25}]
RESULT = RewardResult(
    CURVE, best_step=7, best_accuracy=0.875, best_loss=0.31, best_rm=0.5, held_out_groups=24, held_out_pairs=190, groups=2, cut=1
)  # fmt: skip


def _groups(*licences: str) -> list[Group]:
    return [
        Group(f"g{i}", "?", ("a", "b"), (1, 0), meta={"source": "numina", "license": name, "style": "any"})
        for i, name in enumerate(licences)
    ]


def _front(folder: Path) -> dict[str, object]:
    return dict(yaml.safe_load((folder / "README.md").read_text().split("---")[1]))


def test_card_names_data_licence_and_loss(tmp_path: Path) -> None:
    """One licence becomes the model's; several become "other", and those that forbid commercial use are named."""
    settings = RewardSettings(centring=0.01)
    write_card(
        tmp_path, "base", ["mit"], _groups("MIT", "MIT"), settings, ChatFormat(system="Check."), RESULT
    )
    text = (tmp_path / "README.md").read_text()
    assert _front(tmp_path)["license"] == "mit" and _front(tmp_path)["base_model"] == "base"
    for part in (
        "2 problems with 4 responses, 2 of them right",
        "numina 2",
        "listwise, centring 0.01",
        "At step 7, whose weights were kept, over 24 held-out groups (190 pairs): pair accuracy 0.8750",
    ):
        assert part in text
    assert '"content": "Check."' in text and "forbidden" not in text and "rm@8" not in text


def _licence(folder: Path, base: list[str], *data: str) -> tuple[object, object]:
    write_card(folder, "base", base, _groups(*data), RewardSettings(), ChatFormat(), RESULT)
    return _front(folder)["license"], _front(folder).get("license_name")


@pytest.mark.parametrize(
    ("base", "data", "expected"),
    [
        (["apache-2.0"], ["Apache-2.0"], ("apache-2.0", None)),
        (["apache-2.0"], ["MIT"], ("other", "apache-2.0-and-mit")),
        (["qwen-research", "apache-2.0"], ["MIT"], ("other", "apache-2.0-and-mit-and-qwen-research")),
        (["apache-2.0"], ["CC-BY-NC-4.0", "MIT"], ("cc-by-nc-4.0", None)),
        (["cc-by-nc-4.0"], ["MIT"], ("cc-by-nc-4.0", None)),
        (["cc-by-nc-4.0"], ["CC BY-NC-SA 4.0"], ("other", "cc-by-nc-4.0-and-cc-by-nc-sa-4.0")),
        (["not stated"], ["MIT"], ("unknown", None)),
        ([], ["MIT"], ("unknown", None)),
        (["mit"], ["MIT", ""], ("unknown", None)),
        (["mit"], ["unknown"], ("unknown", None)),
        (["not stated"], ["CC-BY-NC-4.0"], ("unknown", None)),
    ],
)
def test_the_licence_is_never_better_than_a_part_s(
    base: list[str], data: list[str], expected: tuple[str, str | None], tmp_path: Path
) -> None:
    """Licences of base and data; unknown ones and those that forbid commercial use are named."""
    assert _licence(tmp_path, base, *data) == expected
    text = (tmp_path / "README.md").read_text()
    unknown = {name for name in (*base, *data) if name in ("", "unknown", "not stated")} or not base
    assert ("No licence is claimed" in text) == bool(unknown)
    assert ("that of the base is not known" in text) == (base in ([], ["not stated"]))
    assert ("Commercial use is forbidden" in text) == any("NC" in name.upper() for name in (*base, *data))


def test_a_base_s_licence_is_what_it_says(tmp_path: Path) -> None:
    """From its card, from the base and data of its own training, or not stated."""
    assert stated_licences("nano") == ["apache-2.0"]
    for card, expected in (
        ("---\nlicense: MIT\n---\n# A model", ["MIT"]),
        ("---\nlicense: other\nlicense_name: qwen\n---\n", ["qwen"]),
        ("---\nlicense: other\n---\n", ["not stated"]),
        ("---\nlicense: [mit, gpl-3.0]\n---\n", ["mit", "gpl-3.0"]),
        ("---\nlicense: [\n---\n", ["not stated"]),
        ("# license: mit", ["not stated"]),
    ):
        (tmp_path / "README.md").write_text(card)
        assert stated_licences(tmp_path) == expected
    trained = tmp_path / "trained"
    trained.mkdir()
    assert stated_licences(trained) == ["not stated"]
    facts = {"base": str(tmp_path / "old"), "licences": {"CC-BY-NC-4.0": 3, "not stated": 1}}
    (trained / "training.json").write_text(json.dumps(facts))
    assert stated_licences(trained) == ["CC-BY-NC-4.0", "not stated"]
    facts = {"base": "nano", "licences": {"MIT": 3}}
    (trained / "training.json").write_text(json.dumps(facts))
    assert stated_licences(trained) == ["MIT", "apache-2.0"]


def test_a_doubtful_result_is_said_on_the_card(tmp_path: Path) -> None:
    """Training that did not help, and figures over too few groups; no figure without its number of groups."""
    same = replace(RESULT, best_step=0, best_accuracy=0.5, best_loss=0.7, best_rm=0.25)
    assert same.improved is False and RESULT.improved is True and RESULT.warnings == []
    write_card(tmp_path, "base", ["mit"], _groups("MIT"), RewardSettings(), ChatFormat(), same)
    assert "**Warning: training did not improve" in (tmp_path / "README.md").read_text()
    one = replace(RESULT, held_out_groups=1, held_out_pairs=9, best_accuracy=1.0)
    assert one.measured == "held-out pair accuracy 1.000 over 1 group (9 pairs)"
    assert "over only 1 group (9 pairs), too few" in one.warnings[0]
    none = replace(RESULT, curve=[], best_step=12, best_accuracy=0.0, best_loss=None, held_out_groups=0)
    assert none.improved is None and none.record()["pair_accuracy"] is None
    write_card(tmp_path, "base", ["mit"], _groups("MIT"), RewardSettings(), ChatFormat(), none)
    text = (tmp_path / "README.md").read_text()
    assert "no group was held out" in text and "pair accuracy 0" not in text


def test_command_adds_rm_at_k(tmp_path: Path) -> None:
    """From scored responses; a second call replaces the table; a folder without facts is refused."""
    write_card(tmp_path, "base", ["mit"], _groups("MIT"), RewardSettings(), ChatFormat(), RESULT)
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
    assert "## rm@3" in text and "## rm@2" not in text and "| rm@3 | gsm8k | " in text
    with pytest.raises(UserError, match="has no training.json"):
        add_bench(tmp_path / "nowhere", [], 8)
