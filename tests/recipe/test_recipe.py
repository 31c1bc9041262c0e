"""Recipes: the built-in ones are valid, wrong ones end in one clear line, plans are made without a network."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from acemath.errors import UserError
from acemath.recipe.counts import CHECKED, Counts
from acemath.recipe.load import BUILT_IN, load_recipe
from acemath.recipe.plan import plan
from acemath.recipe.schema import Recipe
from acemath.records import Problem
from acemath.run.context import Run
from acemath.run.display import Display
from acemath.run.partitions import open_run
from acemath.run.problems import check_benchmarks, row_counts
from acemath.run.run import run_recipe
from acemath.run.runner import Runner
from acemath.run.stages import stages_until


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_recipes_are_valid_and_planned(name: str) -> None:
    """Every recipe that ships loads, and its plan names stages that its run has, in their order."""
    recipe = load_recipe(name)
    stages = [row["stage"] for row in plan(recipe)["stages"]]
    prompted = {"seeds", "prompts", "teacher-math"} if recipe.problems.seeds else set()
    ranked = {"ranks"} if recipe.roles.ranker else set()
    assert {f"sft-{s}" for s in recipe.sft.stages} | prompted | ranked | {"reward"} <= set(stages)
    assert ("checker-first" in stages) == bool(recipe.roles.checkers)
    made = [stage.name for stage in stages_until(Run(recipe, Path("run"), Display(quiet=True)), "tables")]
    assert sorted(stages) == sorted(name for name in made if name in stages)


def test_the_plan_counts_evolved_sources_and_pools() -> None:
    """Only the sources that evolve have new prompts, in each round; a pool of the recipe's own has at most its take."""
    changes = {
        "problems.seeds": {n: {"file": f"{n}.jsonl", "count": 1000, "subject": "math"} for n in ("a", "b")},
        "curate.evolve": {"methods": ["in-breadth", "in-depth"], "rounds": 2, "share": 0.5, "sources": ["b"]},
        "sft.pools": {"few": {"of": "math.seeds", "take": 300}},
        "sft.stages.math.blend": ["few"],
        "sft.stages.math.counts": {},
        "reward.candidates.policies": ["math"],
    }
    rows = {row["stage"]: row["rows"] for row in plan(load_recipe("acemath-7b", changes))["stages"]}
    assert (rows["seeds"], rows["evolve"], rows["teacher-math"], rows["sft-math"]) == (2000, 2000, 4000, 300)
    for key in ("curate.evolve.sources", "sft.pools.few.sources"):
        with pytest.raises(UserError, match=f"{key} names 'c'; the seeds are a, b"):
            load_recipe("acemath-7b", changes | {key: ["c"]})


def test_a_prompt_of_several_pools_is_counted_once() -> None:
    """Pools that overlap add what the pools before them left; a cap limits what a pool offers."""
    changes = {
        "problems.seeds": {"a": {"file": "a.jsonl", "count": 1000, "subject": "math"}},
        "curate.evolve": {"methods": ["in-depth"], "share": 1, "sources": ["a"]},
        "sft.pools": {"rest": {"of": "math", "unused_by": ["general-1"]}},
        "sft.stages": {
            "general-1": {"blend": ["math.seeds", "math.checked", "math"], "counts": {"math": 1000}},
            "general-2": {"blend": ["rest"]},
        },
        "reward.base": "general-1",
    }
    changes |= {"reward.candidates.policies": ["general-1"], "bench.headline": "general-1", "bench.policies": ["general-1"]}
    changes |= {"bench.each": 64}
    counts = Counts(load_recipe("acemath-7b", changes))
    added = counts.blend("general-1")
    assert added["math.seeds"] == 1000 and added["math.checked"] == pytest.approx(1000 * CHECKED)
    assert added["math"] == pytest.approx(0.5 * 1000 * (1 - CHECKED))  # half of 2,000, of which those are left
    assert counts.blend("general-2")["rest"] == pytest.approx(2000 - sum(added.values()))


# What the paper says of its sets (sections 3.2 and 3.3), in prompts or samples. Its 1.2 million code samples, most of which are
# in the first general stage, are to a large part of a set that is not public: they are not compared.
COUNTS = {
    "new prompts": 1.0e6, "math prompts": 2.3e6, "cross-checked": 0.8e6, "teacher-general": 0.7e6, "sft-general-2": 1.6e6,
    "sft-math": 1.6e6, "labels": 0.35e6, "benchmarks": 8987,
}  # fmt: skip
TOKENS = {"teacher-math": 1.83e9, "teacher-general": 0.55e9, "sft-math": 1.29e9}


def test_the_plan_of_the_7b_recipe_has_the_papers_counts() -> None:
    """Within a tenth of the paper's numbers, and the price of its prompts."""
    recipe = load_recipe("acemath-7b")
    found = plan(recipe)
    rows = {row["stage"]: row["rows"] for row in found["stages"]}
    tokens = {row["stage"]: row["tokens_millions"] * 1e6 for row in found["stages"]}
    checked = sum(count for cell, count in Counts(recipe).cells().items() if cell.checked)
    named = {"new prompts": rows["evolve"], "math prompts": rows["teacher-math"], "cross-checked": checked}
    assert {name: (rows | named)[name] for name in COUNTS} == pytest.approx(COUNTS, rel=0.1)
    assert {name: tokens[name] for name in TOKENS} == pytest.approx(TOKENS, rel=0.1)
    assert rows["teacher-math"] - rows["evolve"] == pytest.approx(1.3e6, rel=0.1)
    assert 3000 < found["total"]["usd"] < 3500


def test_k_that_is_not_given_fits_the_headline_policy() -> None:
    """8, or what the policy gives where that is less; then the recipe as a run keeps it reads the same."""
    policies = {"few": {"model": "math", "each": 3}, "many": {"model": "math", "each": 20}}
    for headline, k in (("few", 3), ("many", 8)):
        recipe = load_recipe("laptop", {"bench": {"headline": headline, "policies": policies}})
        assert recipe.bench.k == k and recipe.bench.ks("few") == [1, 2] and recipe.bench.ks("many")[-1] == 16
        assert Recipe.model_validate(recipe.model_dump(mode="json")) == recipe


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"sft.lerning": 1}, "unknown key 'sft.lerning'"),
        ({"reward.groups.size": 1}, "reward.groups.size: Input should be greater than or equal to 2"),
        ({"bench.headline": "nobody"}, "bench: headline is 'nobody'"),
        ({"bench.k": 17}, "k is 17, but the headline policy 'math' gives 16 responses"),
        ({"bench.curve": [1, 32]}, "curve names 32, but no policy gives more than 16"),
        ({"bench.curve": [0, 1]}, "bench.curve.0"),
        (
            {"problems.seeds.worksheets.worksheets": "test"},
            "seeds.worksheets draws from worksheets' test split",
        ),
        (
            {"problems.benchmarks.worksheets.worksheets": "train"},
            "benchmarks.worksheets draws from worksheets' train",
        ),
        (
            {"problems.benchmarks.worksheets.worksheets": "dev"},
            "'train', 'validation' or 'test' (it is 'dev')",
        ),
        ({"problems.seeds.worksheets.file": "x.jsonl"}, "exactly one of benchmark, worksheets, file, hub"),
        ({"seed.x": 1}, "'seed' is not a group of settings"),
        ({"seed": -1}, "seed: Input should be greater than or equal to 0"),
        ({"bench.temperature": "1e400"}, "temperature: Input should be a finite number"),
        ({"budget_usd": float("inf")}, "budget_usd: Input should be a finite number"),
        ({"sft.stages.math.shares": {"math": float("nan")}}, "stages.math.shares.math: Input should be"),
        ({"sft.stages.math.settings": {"learning_rate": -1}}, "stages.math.settings.learning_rate: Input should be greater than 0"),
        ({"sft.stages.math.settings": {"lerning": 1}}, "stages.math.settings.lerning: unknown key"),
        ({"models.again": {"id": "math"}, "sft.stages.math.base": "again"}, "another name of the stage 'math'; name the stage itself"),
        ({"bench.policies": ["math", "skip-general", "math"]}, "names 'math' twice"),
        ({"name": "../laptop"}, "would name a folder"),
        ({"bench.policies": {"a/b": {"model": "math"}}, "bench.headline": "a/b"}, "'a/b' would name a folder"),
        ({"models.far": {"engine": "endpoint", "url": "http://host:99999/v1"}}, "no address (Port out of range"),
        ({"models.far": {"engine": "endpoint", "url": "http://a b/v1"}}, "no address"),
        ({"models.far": {"engine": "endpoint", "url": "http://ä..b/v1"}}, "no address"),
    ],
)
def test_wrong_settings_are_named(changes: dict, says: str) -> None:
    """One line with the key, the value, the rule."""
    with pytest.raises(UserError) as caught:
        load_recipe("laptop", changes)
    assert says in str(caught.value) and "\n" not in str(caught.value)


def test_a_key_that_stands_twice_is_named(tmp_path: Path) -> None:
    """YAML itself would keep the second of two stages of one name."""
    file = tmp_path / "mine.yaml"
    file.write_text("extends: laptop\nname: mine\nsft:\n  stages:\n    last: {blend: [math]}\n    last: {blend: [code]}\n")
    with pytest.raises(UserError, match="the key 'last' stands twice in one group.*line 6") as caught:
        load_recipe(file)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("run", "nowhere.yaml"), "neither a file nor one of the built-in recipes"),
        (("run", "laptop", "--set", "nonsense"), "is not a setting"),
        (("run", "laptop", "--set", "models.teacher.engine=magic"), "models.teacher: engine is 'magic'"),
        (("grade", "none.jsonl"), "does not exist"),
        (("grade",), "nothing to grade"),
        (("rewardbench", "none.jsonl"), "does not exist"),
        (("sample", "none.jsonl", "--model", "nano"), "does not exist"),
        (("report", "nowhere"), "is not a run's folder"),
        (("solve", "1+1"), "does not exist"),
        (("curate",), "Missing argument"),
    ],
)
def test_a_mistake_is_one_line_and_code_2(
    arguments: tuple[str, ...], says: str, command: Callable[..., Any]
) -> None:
    """The command line, as a user meets it: no traceback, exit code 2."""
    done = command(*arguments)
    assert done.code == 2
    lines = [line for line in done.err.splitlines() if not line.endswith("s so far")]  # a slow machine's progress
    assert len(lines) == 1 and says in lines[0]


def test_a_missing_file_of_a_recipe_is_named(command: Callable[..., Any]) -> None:
    """A source that is not there stops the run before anything else."""
    done = command("run", "laptop", "--out", "r", "--set", "problems.seeds={mine: {file: /no/such.jsonl}}")
    assert done.code == 2 and "'/no/such.jsonl' does not exist" in done.err


@pytest.mark.parametrize("rows", [[], [{"prompt": "1+1?"}], [{"prompt": "1+1?", "answer": None}]])
def test_a_benchmark_that_cannot_be_measured_stops_a_run(
    rows: list[dict[str, object]], tmp_path: Path
) -> None:
    """No problems, or none with a reference: one line before anything is trained or paid for."""
    path = tmp_path / "bench.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    changes = {"problems.benchmarks": {"mine": {"file": str(path)}}, "problems.seeds.worksheets.count": 20}
    with pytest.raises(UserError, match="no problem|0 problems") as caught:
        run_recipe(load_recipe("laptop", changes), tmp_path / "run", Display(quiet=True))
    assert "\n" not in str(caught.value) and not (tmp_path / "run" / "evolve").exists()


def test_benchmark_problems_without_a_reference_are_left_out_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """They are no problems that a policy got wrong; what must not leak from them stays."""
    path = tmp_path / "bench.jsonl"
    path.write_text('{"prompt": "1+1?", "answer": "2"}\n{"prompt": "2+2?", "answer": ""}\n')
    changes = {"problems.benchmarks": {"mine": {"file": str(path)}}, "problems.seeds.worksheets.count": 20}
    run = Run(load_recipe("laptop", changes), tmp_path / "run", Display())
    open_run(run.folder, lambda: row_counts(run))
    runner = Runner(run.folder, stages_until(run, "tables"))
    for stage in ("benchmarks", "bench-problems"):
        runner.make(stage)
    check_benchmarks(run, runner.stores["benchmarks"].manifest["facts"])
    assert "1 of 2 problems of mine have no reference answer" in capsys.readouterr().err
    assert [p.prompt for p in runner.stores["bench-problems"].all_rows(Problem)] == ["1+1?"]
    assert len(list(runner.stores["benchmarks"].all_rows(Problem))) == 2


def test_models_that_cannot_serve_are_refused(
    tiny_policy: Path, random_reward_model: Path, tmp_path: Path
) -> None:
    """A base without a chat template, and a reward model that pads with its end token."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from acemath.models.score.score import RewardModel
    from acemath.records import Chat
    from acemath.train.sft.settings import SftSettings
    from acemath.train.sft.train import train_sft

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


@pytest.mark.parametrize("key", ["bench.policies.math", "reward.candidates.policies.math"])
def test_a_policy_that_is_no_stage_stops_the_run_at_once(key: str, tmp_path: Path) -> None:
    """It was taken for a hub model, and failed after everything was trained."""
    with pytest.raises(UserError, match=f"{key}.model is 'mth', which is neither one of models nor a stage of this recipe .general-1"):
        run_recipe(load_recipe("laptop", {f"{key}.model": "mth"}), tmp_path, Display(quiet=True))
    assert not list(tmp_path.glob("*/"))
