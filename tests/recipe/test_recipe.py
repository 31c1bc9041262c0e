"""Recipes: the built-in ones are the paper's, wrong ones end in one clear line, plans are made without a network."""

from __future__ import annotations

from pathlib import Path

import pytest

from acemath.errors import UserError
from acemath.models.engine import ChatFormat
from acemath.recipe.load import BUILT_IN, load_recipe
from acemath.recipe.plan import plan
from acemath.recipe.schema import Recipe
from acemath.run.context import Run
from acemath.run.display import Display
from acemath.run.training import sft_settings


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_recipes_are_valid_and_planned(name: str) -> None:
    """Every recipe that ships loads, and its plan has a row for each stage."""
    recipe = load_recipe(name)
    stages = {row["stage"] for row in plan(recipe)["stages"]}
    assert {f"sft-{s}" for s in recipe.sft.stages} | {
        "problems",
        "teacher-math",
        "checker-first",
        "reward",
    } <= stages


# Arxiv 2412.15084; each number is copied from the section that is named.
BASES = {  # 3.4
    "acemath-1.5b": "Qwen/Qwen2.5-Math-1.5B",
    "acemath-7b": "Qwen/Qwen2.5-Math-7B",
    "acemath-72b": "Qwen/Qwen2.5-Math-72B",
}
GLOBAL_BATCH = {"acemath-1.5b": 128, "acemath-7b": 128, "acemath-72b": 256}  # 3.3.4
REWARD_RATE = {"acemath-7b": 5e-6, "acemath-72b": 2e-6}  # 4.4.1; it names no reward model of 1.5B
BENCHMARKS = [
    1319,
    500,
    272,
    385,
    675,
    2818,
    3018,
]  # 4.3.1: GSM8K, MATH500, Minerva, GaoKao, Olympiad, College, MMLU-STEM
GPT = "gpt-4o-mini-2024-07-18"
METHODS = {  # 3.2.2: two ways to evolve, the third is left out
    "in-breadth",
    "in-depth",
}


@pytest.mark.parametrize("name", BASES)
def test_fine_tuning_is_the_papers(name: str) -> None:
    """What each stage really trains with, after its own settings are laid over the common ones (section 3.3)."""
    recipe = load_recipe(name)
    run = Run(recipe, Path("nowhere"), Display(quiet=True))
    stages = {stage: sft_settings(run, part) for stage, part in recipe.sft.stages.items()}
    assert recipe.sft.base == BASES[name]
    assert {stage: s.learning_rate for stage, s in stages.items()} == {
        "general-1": 5e-6, "general-2": 5e-6, "math": 3e-6,
    }  # fmt: skip
    assert {(s.epochs, s.max_length, s.global_batch) for s in stages.values()} == {
        (1, 4096, GLOBAL_BATCH[name])
    }
    blends = {stage: set(part.blend) for stage, part in recipe.sft.stages.items()}
    assert blends["general-1"] == {"code", "math"}  # 3.3.1
    assert blends["general-2"] == {
        "code",
        "math.checked",
        "general",
    }  # 3.3.1: math from the cross-checked set alone
    assert blends["math"] == {"math.seeds", "math.checked", "math"}  # 3.3.2


@pytest.mark.parametrize("name", BASES)
def test_data_are_the_papers(name: str) -> None:
    """Teachers, evolution, filters, decontamination, benchmarks (sections 3.2 and 4.3.1)."""
    recipe = load_recipe(name)
    roles = {name: (recipe.model(role.model).name, role) for name, role in recipe.roles.named().items()}
    assert {name: model for name, (model, _) in roles.items()} == {
        "teachers.math": "Qwen/Qwen2.5-Math-72B-Instruct",
        **dict.fromkeys(("teachers.code", "teachers.general", "checkers.first", "writer", "labeller"), GPT),
    }
    assert all(role.temperature == 0 for name, (_, role) in roles.items() if "teacher" in name)
    assert recipe.roles.checkers["first"].answers == 2
    told = {name for name, (_, role) in roles.items() if role.chat == recipe.sft.chat}
    assert (
        told == {"teachers.math", "checkers.first", "labeller"} and "\\boxed" in recipe.sft.chat.instruction
    )
    assert {role.chat for name, (_, role) in roles.items() if name not in told} == {ChatFormat()}
    assert set(recipe.curate.evolve.methods) == METHODS and recipe.curate.evolve.sources == ("numina",)
    filters, leaks = recipe.curate.filters, recipe.curate.decontaminate
    assert (filters.prompt_words, filters.response_words, leaks.ngram, leaks.lcs) == (300, 2500, 13, 0.6)
    assert [source.count for source in recipe.problems.benchmarks.values()] == BENCHMARKS


@pytest.mark.parametrize("name", BASES)
def test_reward_and_bench_are_the_papers(name: str) -> None:
    """Candidates, groups, training and k (sections 4.1 to 4.4.1)."""
    recipe = load_recipe(name)
    reward = recipe.reward
    policies = {n: p for n, p in reward.candidates.policies.items() if n not in ("own", "short-forms")}
    models = {recipe.model(p.model).name for p in policies.values()}
    each = {p.each for p in policies.values()}
    assert len(models) == 14 and each == {4} and reward.problems == 350_000
    ranker = recipe.roles.ranker
    assert ranker is not None and recipe.model(ranker.model).name == "Qwen/Qwen2.5-Math-RM-72B"
    assert (reward.groups.size, reward.groups.pool, reward.groups.by) == (6, 14, "rank")
    assert (reward.train.loss, reward.train.epochs, reward.train.batch_groups) == ("listwise", 2, 256)
    assert reward.train.learning_rate == REWARD_RATE.get(name, reward.train.learning_rate)
    assert reward.chat.system == "Please reason step by step, and check your final answer within \\boxed{}."
    assert recipe.bench.k == 8 and recipe.bench.policies["math"].each == 64


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
        ({"problems.seeds.worksheets.file": "x.jsonl"}, "exactly one of worksheets, file, hub"),
        ({"seed.x": 1}, "'seed' is not a group of settings"),
    ],
)
def test_wrong_settings_are_named(changes: dict, says: str) -> None:
    """One line with the key, the value, the rule."""
    with pytest.raises(UserError) as caught:
        load_recipe("laptop", changes)
    assert says in str(caught.value) and "\n" not in str(caught.value)
