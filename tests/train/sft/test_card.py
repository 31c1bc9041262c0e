"""The card of a policy and of a reward model trained from it: the first base, and the licences."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
import yaml

from acemath.models.builtin import WEIGHTS
from acemath.models.engine import ChatFormat
from acemath.records import Group
from acemath.train.provenance import origin, public, stated_licences
from acemath.train.reward.card import write_card as write_reward_card
from acemath.train.reward.settings import RewardSettings
from acemath.train.reward.state import RewardResult
from acemath.train.sft.card import write_card
from acemath.train.sft.result import SftResult
from acemath.train.sft.settings import SftSettings

RESULT = SftResult([], None, None, 2, 0, 0, 9, 4, 0.0, [2], 1.0, 9.0, 0.1)


def _policy(folder: Path, base: str, *licences: str) -> Path:
    folder.mkdir()
    write_card(folder, base, {"worksheet": len(licences)}, Counter(licences), SftSettings(), 0, {}, RESULT)
    return folder


def _front(folder: Path) -> dict[str, object]:
    return dict(yaml.safe_load((folder / "README.md").read_text().split("---")[1]))


@pytest.mark.parametrize(
    ("base", "data", "expected"),
    [
        ("apache-2.0", ["Apache-2.0"], "apache-2.0"),
        ("apache-2.0", ["mit", "cc-by-nc-4.0"], "cc-by-nc-4.0"),
        ("cc-by-nc-4.0", ["mit"], "cc-by-nc-4.0"),
        ("apache-2.0", ["mit"], "other"),
        ("apache-2.0", ["mit", ""], "unknown"),
        (None, ["mit"], "unknown"),
    ],
)
def test_the_licence_is_never_better_than_a_part_s(
    tmp_path: Path, base: str | None, data: list[str], expected: str
) -> None:
    """Licences of the base and all data; a second stage and its reward model inherit them."""
    start = tmp_path / "start"
    start.mkdir()
    if base:
        (start / "README.md").write_text(f"---\nlicense: {base}\n---\n")
    first = _policy(tmp_path / "first", str(start), *data)
    assert _front(first)["license"] == expected
    text = (first / "README.md").read_text()
    assert ("No licence is claimed" in text) == (expected == "unknown")
    assert ("Commercial use is forbidden" in text) == (expected == "cc-by-nc-4.0")
    second = _policy(tmp_path / "second", str(first), *data)
    assert _front(second)["license"] == expected


def test_a_chain_names_what_it_began_with(tmp_path: Path) -> None:
    """Stage by stage, also where the folders of the stages are gone; the base of a reward model in a run is a stage."""
    general = _policy(tmp_path / "general", "nano", "MIT")
    math = _policy(tmp_path / "math", str(general), "MIT")
    assert origin("nano") == "nano" and origin(math) == "nano"
    (general / "training.json").rename(tmp_path / "elsewhere.json")
    assert origin(math) == "nano" and stated_licences(math) == ["MIT", "apache-2.0"]
    assert _front(math)["base_model"] == "nano"
    assert "`./general`, which was made from `nano`" in (math / "README.md").read_text()
    out = tmp_path / "reward"
    out.mkdir()
    groups = [Group("p", "1+1?", ("2", "3"), (1, 0), meta={"license": "MIT"})]
    write_reward_card(
        out, "math", stated_licences(math), groups, RewardSettings(), ChatFormat(), RewardResult(), first=origin(math)
    )  # fmt: skip
    assert _front(out)["base_model"] == "nano"
    assert "from `math`, which was made from `nano`" in (out / "README.md").read_text()
    facts = json.loads((out / "training.json").read_text())
    assert (facts["base"], facts["origin"]) == ("math", "nano")


def test_no_path_of_this_machine_stands_in_a_card(tmp_path: Path) -> None:
    """A folder is called by its last part, and is no base_model for the hub; a snapshot and nano have their names everywhere."""
    start = tmp_path / "my-base"
    start.mkdir()
    first = _policy(tmp_path / "first", str(start), "MIT")
    second = _policy(tmp_path / "second", str(first), "MIT")
    for folder in (first, second):
        written = (folder / "README.md").read_text() + (folder / "training.json").read_text()
        assert str(tmp_path) not in written and "./my-base" in written and "base_model" not in _front(folder)
    assert origin(second) == "./my-base"
    made = _policy(tmp_path / "made", str(WEIGHTS), "MIT")
    assert _front(made)["base_model"] == "nano" and str(WEIGHTS.parent) not in (made / "README.md").read_text()
    cache = "/home/me/.cache/huggingface/hub/models--Qwen--Qwen2.5-Math-7B/snapshots/" + "a" * 40
    names = {cache: "Qwen/Qwen2.5-Math-7B", "Qwen/Qwen2.5-Math-7B": "Qwen/Qwen2.5-Math-7B", "gpt2": "gpt2", "/home/me/base": "./base"}
    names |= {"~/base/": "./base", "../base": "./base", "runs/mine/sft-math/model": "./model", str(WEIGHTS): "nano"}
    assert {name: public(name) for name in names} == names
