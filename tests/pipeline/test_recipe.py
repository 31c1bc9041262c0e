"""Recipes: the built-in ones are valid, wrong ones end in one clear line, plans are made without a network."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from acemath.errors import UserError
from acemath.pipeline.plan import plan
from acemath.recipe import BUILT_IN, load_recipe


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_recipes_are_valid_and_planned(name: str) -> None:
    """Every recipe that ships loads, and its plan has a row for each stage."""
    recipe = load_recipe(name)
    stages = {row["stage"] for row in plan(recipe)["stages"]}
    assert {f"sft-{s}" for s in recipe.sft.stages} | {"problems", "teacher-main", "reward"} <= stages


def test_the_papers_values() -> None:
    """What the paper states is what the 72B recipe holds."""
    recipe = load_recipe("acemath-72b")
    assert (
        recipe.sft.settings.learning_rate,
        recipe.sft.settings.global_batch,
        recipe.sft.settings.max_length,
    ) == (5e-6, 256, 4096)
    assert recipe.sft.stages["math"].settings["learning_rate"] == 3e-6
    groups, train = recipe.reward.groups, recipe.reward.train
    assert (groups.size, groups.pool, train.epochs, train.learning_rate, train.batch_groups) == (
        6,
        14,
        2,
        2e-6,
        256,
    )
    paper = [p for n, p in recipe.reward.candidates.items() if n not in ("own", "short-forms")]
    assert len(paper) == 14 and all(p.each == 4 for p in paper)
    assert load_recipe("acemath-7b").reward.train.learning_rate == 5e-6
    assert "add-constraints" not in recipe.curate.evolve.methods


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"sft.lerning": 1}, "unknown key 'sft.lerning'"),
        ({"reward.groups.size": 1}, "reward.groups.size: Input should be greater than or equal to 2"),
        ({"bench.headline": "nobody"}, "bench.headline is 'nobody'"),
        ({"problems.seeds.worksheets.file": "x.jsonl"}, "exactly one of worksheets, file, hub"),
        ({"seed.x": 1}, "'seed' is not a group of settings"),
    ],
)
def test_wrong_settings_are_named(changes: dict, says: str) -> None:
    """One line with the key, the value, the rule."""
    with pytest.raises(UserError) as caught:
        load_recipe("laptop", changes)
    assert says in str(caught.value) and "\n" not in str(caught.value)


def _acemath(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "acemath.cli", *arguments], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("run", "nowhere.yaml"), "neither a file nor one of the built-in recipes"),
        (("run", "laptop", "--set", "nonsense"), "is not a setting"),
        (("run", "laptop", "--set", "teachers.main.engine=magic"), "teachers.main.engine"),
        (("grade", "none.jsonl"), "does not exist"),
        (("grade",), "nothing to grade"),
        (("rewardbench", "none.jsonl"), "does not exist"),
        (("sample", "none.jsonl", "--model", "nano"), "does not exist"),
        (("report", "nowhere"), "no finished run"),
        (("solve", "1+1"), "does not exist"),
        (("curate",), "Missing argument"),
    ],
)
def test_a_mistake_is_one_line_and_code_2(
    arguments: tuple[str, ...], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command line, as a user meets it: no traceback, exit code 2."""
    monkeypatch.chdir(tmp_path)
    done = _acemath(*arguments)
    assert done.returncode == 2
    assert (
        says in done.stderr and "Traceback" not in done.stderr and len(done.stderr.strip().splitlines()) == 1
    )


def test_a_missing_file_of_a_recipe_is_named(tmp_path: Path) -> None:
    """A source that is not there stops the run before anything else."""
    done = _acemath(
        "run",
        "laptop",
        "--out",
        str(tmp_path / "r"),
        "--set",
        "problems.seeds={mine: {file: /no/such.jsonl}}",
    )
    assert done.returncode == 2 and "'/no/such.jsonl' does not exist" in done.stderr


def test_models_that_cannot_serve_are_refused(
    tiny_policy: Path, random_reward_model: Path, tmp_path: Path
) -> None:
    """A base without a chat template, and a reward model that pads with its end token."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from acemath.records import Chat
    from acemath.reward.score import RewardModel
    from acemath.sft.settings import SftSettings
    from acemath.sft.train import train_sft

    tokenizer = AutoTokenizer.from_pretrained(tiny_policy)
    model = AutoModelForCausalLM.from_pretrained(tiny_policy)
    tokenizer.pad_token = tokenizer.eos_token
    shutil.copytree(random_reward_model, tmp_path / "padded")
    tokenizer.save_pretrained(tmp_path / "padded")
    with pytest.raises(UserError, match="its end token"):
        RewardModel(tmp_path / "padded")
    tokenizer.chat_template = None
    model.save_pretrained(tmp_path / "plain")
    tokenizer.save_pretrained(tmp_path / "plain")
    (tmp_path / "plain" / "chat_template.jinja").unlink(missing_ok=True)
    chat = Chat("a", ({"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}))
    with pytest.raises(UserError, match="no chat template"):
        train_sft(tmp_path / "plain", [chat], tmp_path / "out", tmp_path / "work", SftSettings())
