"""Overlays: parts of a recipe that a `+NAME` lays over it; and the plan's hours at measured rates."""

from __future__ import annotations

from pathlib import Path

import pytest

from acemath.errors import UserError
from acemath.recipe import rates
from acemath.recipe.load import load_recipe, overlays
from acemath.recipe.plan import plan

BASE = "acemath-0.5b"


@pytest.mark.parametrize("name", overlays())
def test_every_overlay_is_a_recipe_with_a_plan_of_its_own(name: str) -> None:
    """Each changes something, alone and over `full`, and has its name in that of the run's folder."""
    for below in (BASE, f"{BASE}+full"):
        if below.endswith(name):
            continue
        plain, laid = load_recipe(below), load_recipe(f"{below}+{name}")
        assert laid.name == f"{below}+{name}" and plan(laid)["stages"]
        assert laid.model_dump(exclude={"name"}) != plain.model_dump(exclude={"name"})


def test_the_tiers_have_the_sizes_that_they_state() -> None:
    """Small: 700, 400 and 150 problems, and 660 or more of the test; full: everything."""
    small, full = (plan(load_recipe(name)) for name in (BASE, f"{BASE}+full"))
    rows = [{row["stage"]: row["rows"] for row in one["stages"]} for one in (small, full)]
    assert [one["teacher-math"] for one in rows] == [2 * 702, 4 * 4110]
    assert [one["samples-math"] for one in rows] == [8 * (670 + 149), 8 * 1618]


def test_math_stands_beside_gsm8k() -> None:
    """Both train splits give problems to both models, in disjoint parts, and both tests are measured."""
    recipe = load_recipe(f"{BASE}+full+math")
    parts = {name: (seed.known, seed.part, seed.use) for name, seed in recipe.problems.seeds.items()}
    for known, names in (("gsm8k-train", ("sft", "reward")), ("math-train", ("sft-math", "reward-math"))):
        sft, reward = (parts[name] for name in names)
        assert (sft[0], sft[2], reward[0], reward[2]) == (known, "sft", known, "reward") and sft[1][1] <= reward[1][0]
    assert list(recipe.problems.benchmarks) == ["gsm8k", "validation", "math500"]


def test_an_overlay_may_be_a_file_and_a_wrong_name_is_one_line(tmp_path: Path) -> None:
    """A file's name without its ending is added to the recipe's."""
    mine = tmp_path / "mine.yaml"
    mine.write_text("reward: {train: {epochs: 3}}\n")
    found = load_recipe(f"{BASE}+{mine}")
    assert (found.reward.train.epochs, found.reward.train.loss, found.name) == (3, "listwise", f"{BASE}+mine")
    with pytest.raises(UserError, match="overlay 'pairs' is neither a file nor one of cross-entropy, full"):
        load_recipe(f"{BASE}+pairs")


def test_hours_come_from_measured_rates_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a rate of one model there is no total; rates of another machine do not count."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    recipe = load_recipe(BASE)
    teacher, base = "Qwen/Qwen2.5-Coder-1.5B-Instruct", "Qwen/Qwen2.5-Coder-0.5B-Instruct"
    assert rates.known_rates() == {} and set(rates.local_models(recipe)) == {teacher, base}
    mine = {"write": 100.0, "read": 1000.0, "train": 50.0}
    part = plan(recipe, {base: mine})
    rows = {row["stage"]: row["hours_here"] for row in part["stages"]}
    assert rows["teacher-math"] is None and part["total"]["hours_here"] is None
    assert rows["samples-math"] == round(8 * (670 + 149) * 300 / 100 / 3600, 2) and rows["sft-math"] == round(702 * 300 / 50 / 3600, 2)
    assert plan(recipe, {base: mine, teacher: mine})["total"]["hours_here"] > 5


def test_rates_are_measured_once_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The built-in model is really measured; the second time nothing is."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    recipe = load_recipe("laptop", {"engine_slots": 8})
    said: list[str] = []
    found = rates.measure_rates(recipe, said.append)
    assert set(found["nano"]) == {"write", "read", "train"} and min(found["nano"].values()) > 0
    assert len(said) == 2 and rates.measure_rates(recipe, said.append) == found and len(said) == 2
    assert plan(recipe, found)["total"]["hours_here"] is not None
