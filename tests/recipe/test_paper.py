"""The recipes beside the paper: arXiv 2412.15084, and the cards of what its authors released.

Each number is copied from the section that is named; counts that the plan derives are in `test_recipe`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from acemath.benchmarks.registry import BENCHMARKS as REGISTRY
from acemath.curate.known_sources import KNOWN
from acemath.models.engine import ChatFormat
from acemath.recipe.load import load_recipe
from acemath.recipe.plan import plan
from acemath.recipe.roles import Policy
from acemath.recipe.schema import Recipe
from acemath.recipe.sources import Source, size_of

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
    stages = {stage: recipe.sft.settings_of(stage) for stage in recipe.sft.stages}
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
    assert blends["math"] == {"numina", "math.checked", "synthetic"}  # 3.3.2: all of NuminaMath, a subset of the synthetic
    assert (recipe.sft.pools["numina"].of, recipe.sft.pools["numina"].sources) == ("math.seeds", ("numina",))


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
    assert told == {"teachers.math", "checkers.first", "labeller"} and "\\boxed" in recipe.sft.chat.instruction
    assert {role.chat for name, (_, role) in roles.items() if name not in told} == {ChatFormat()}
    assert set(recipe.curate.evolve.methods) == METHODS and recipe.curate.evolve.sources == ("numina",)
    filters, leaks = recipe.curate.filters, recipe.curate.decontaminate
    assert (filters.prompt_words, filters.response_words, leaks.ngram, leaks.lcs) == (300, 2500, 13, 0.6)
    assert list(map(size_of, recipe.problems.benchmarks.values())) == BENCHMARKS


@pytest.mark.parametrize("name", BASES)
def test_reward_and_bench_are_the_papers(name: str) -> None:
    """Candidates, groups, training and k (sections 4.1 to 4.4.1)."""
    recipe = load_recipe(name)
    reward = recipe.reward
    policies = {n: p for n, p in reward.candidates.policies.items() if p.problems is None and not p.sources}
    models = {recipe.model(p.model).name for p in policies.values()}
    each = {p.each for p in policies.values()}
    assert len(models) == 14 and each == {4} and reward.problems == 350_000
    ranker = recipe.roles.ranker
    assert ranker is not None and recipe.model(ranker.model).name == "Qwen/Qwen2.5-Math-RM-72B"
    assert (reward.groups.size, reward.groups.pool, reward.groups.by) == (6, 14, "rank")
    assert (reward.train.loss, reward.train.epochs, reward.train.batch_groups) == ("listwise", 2, 256)
    assert reward.train.learning_rate == REWARD_RATE.get(name, reward.train.learning_rate)
    assert reward.chat.system == "Please reason step by step, and check your final answer within \\boxed{}."
    assert recipe.bench.k == 8 and recipe.bench.policies["math"].each == 128


SOLVER = "Please reason step by step, and put your final answer within \\boxed{}."  # 3.2.1
# 3.2.1 and 3.2.2; for Magicoder and WizardCoder there are two public sets and one. CodeSFT is not public.
SOURCES = {
    *("numinamath-cot", "orca-math", "mathinstruct", "metamathqa"),
    *("magicoder-evol", "magicoder-oss", "evol-code", "glaive-code"),
    *("sharegpt", "slim-orca", "evol-instruct", "gpteacher", "alpaca-gpt4", "ultra-interact"),
}
CANDIDATES = {  # 4.1
    *("meta-llama/Llama-2-7b-chat-hf", "meta-llama/Llama-3.1-8B-Instruct", "meta-llama/Llama-3.1-70B-Instruct"),
    *("deepseek-ai/deepseek-math-7b-instruct", "mistralai/Mistral-7B-Instruct-v0.3", "mistralai/Mathstral-7B-v0.1"),
    *("google/gemma-2-2b-it", "google/gemma-2-27b-it"),
    *(f"Qwen/{series}-{size}B-Instruct" for series in ("Qwen2", "Qwen2.5") for size in ("1.5", "7", "72")),
}
JUDGED = {  # 4.3.1: whose responses AceMath-RewardBench holds
    *(f"Qwen/{series}-Math-{size}B-Instruct" for series in ("Qwen2", "Qwen2.5") for size in ("7", "72")),
    *("meta-llama/Llama-3.1-8B-Instruct", "meta-llama/Llama-3.1-70B-Instruct"),
    *("mistralai/Mathstral-7B-v0.1", "deepseek-ai/deepseek-math-7b-instruct"),
}


def _candidates(recipe: Recipe, which: Callable[[str, Policy], bool] = lambda name, policy: True) -> dict[str, Policy]:
    return {name: policy for name, policy in recipe.reward.candidates.policies.items() if which(name, policy)}


def _own(recipe: Recipe) -> dict[str, Policy]:
    return _candidates(recipe, lambda name, policy: name in recipe.reward.groups.own)


def _short(recipe: Recipe) -> dict[str, Policy]:
    return _candidates(recipe, lambda name, policy: bool(policy.sources))


def _ids(recipe: Recipe, policies: dict[str, Policy]) -> set[str]:
    return {recipe.model(policy.model).name for policy in policies.values()}


def _sizes(recipe: Recipe) -> set[str]:
    names = [recipe.sft.base if name == "math" else name for name in _ids(recipe, _own(recipe))]
    return {part for name in names for part in name.split("-") if part.endswith("B")}


def _judged(recipe: Recipe) -> dict[str, Policy]:
    return {name: policy for name, policy in recipe.bench.policies.items() if recipe.stage_of(policy.model) is None}


def _shots(policy: Policy) -> tuple[str, int | None]:
    assert isinstance(policy.shots, Source)
    return policy.shots.split, policy.shots.count


# What is compared, the paper's section, its value, and the recipe's.
NUMBERS: list[tuple[str, str, Any, Callable[[Recipe], Any]]] = [
    ("data sets", "3.2", SOURCES, lambda r: {s.known for s in r.problems.seeds.values() if s.use != "reward"}),
    ("general prompts", "3.2.1", 700_000, lambda r: sum(size_of(s) for s in r.problems.seeds.values() if s.subject == "general")),
    ("a solver's instruction", "3.2.1", ChatFormat(instruction=SOLVER), lambda r: r.sft.chat),
    ("responses to a prompt", "3.2.1", {1}, lambda r: {role.each for role in r.roles.teachers.values()}),
    ("share of the checkers' answers", "3.2.2", 1.0, lambda r: r.curate.cross_check.share),
    ("what dedup and filters add", "3.2.2", (None, None, False), lambda r: (r.curate.near, r.curate.solvability, r.curate.filters.right)),
    ("synthetic prompts of math SFT", "3.3.2", ("math", "evolved"), lambda r: (r.sft.pools["synthetic"].of, r.sft.pools["synthetic"].born)),
    ("the labeller's answers", "4.1", (1, 0.0, True), lambda r: (r.roles.labeller.answers, r.roles.labeller.temperature, r.roles.labeller.replaces)),
    ("candidates", "4.1", CANDIDATES, lambda r: _ids(r, _candidates(r, lambda name, p: not p.sources and p.problems is None))),
    ("multiple choice", "4.1", (2000, "reward"), lambda r: (size_of(r.problems.seeds["choices"]), r.problems.seeds["choices"].use)),
    ("who answers choices alone", "4.1", {("choices",)}, lambda r: {p.sources for p in _short(r).values()}),
    ("no instruction to reason briefly", "4.1", {ChatFormat()}, lambda r: {p.chat for p in _short(r).values()}),
    ("examples, of MMLU's number", "4.1", {("validation", 5)}, lambda r: {_shots(p) for p in _short(r).values()}),
    ("the policy's own style", "4.1", {30_000}, lambda r: {p.problems for p in _own(r).values()}),
    ("the policy's three sizes", "4.1", {"1.5B", "7B", "72B"}, _sizes),
    ("k of score-sorted sampling", "4.1", (14, "even"), lambda r: (r.reward.groups.pool, r.reward.groups.balance)),
    ("whose responses are judged", "4.3.1", JUDGED, lambda r: _ids(r, _judged(r))),
    ("responses of each", "4.3.1", {8}, lambda r: {p.each for p in _judged(r).values()}),
    ("candidates in all", "4.3.1", 575_168, lambda r: sum(row["rows"] for row in plan(r)["stages"] if row["stage"] in {f"samples-{n}" for n in _judged(r)})),
    ("the ks of figure 4", "figure 4", [8, 16, 32, 64, 128], lambda r: [k for k in r.bench.ks("math") if k >= 8]),
    ("tokens of a response", "harness", {2048}, lambda r: {p.max_new_tokens for p in r.bench.policies.values()}),
    ("tokens of a teacher's", "card", {2048}, lambda r: {role.max_new_tokens for role in r.roles.teachers.values()}),
]  # fmt: skip


@pytest.mark.parametrize("recipe", BASES)
def test_the_papers_numbers(recipe: str) -> None:
    """Those that have a place in a recipe, beside the recipe's."""
    loaded = load_recipe(recipe)
    assert {(what, place): ours(loaded) for what, place, _, ours in NUMBERS} == {(what, place): value for what, place, value, _ in NUMBERS}


def test_processes_and_demonstrations_are_the_papers() -> None:
    """Section 4.4.1: 8 GPUs for 7B, 256 for 72B; section 3.4: five demonstrations of MMLU STEM, none of the others."""
    from acemath.run.preflight.resources import _processes

    assert [_processes(load_recipe(name).reward.launch)[0] for name in ("acemath-7b", "acemath-72b")] == [8, 256]
    shots = {name: REGISTRY[name].shots for name in load_recipe("acemath-7b").problems.benchmarks}
    assert shots == {**dict.fromkeys(shots, 0), "mmlu_stem": 5}


def test_the_released_recipe_has_the_released_data() -> None:
    """The data sets' cards: rows of each stage; section 3.3.4: rates; section 4.4.1: the reward model; six rows a group."""
    recipe = load_recipe("acemath-7b-released")
    stages = {name: recipe.sft.settings_of(name) for name in recipe.sft.stages}
    rows = {name: size_of(part.data) for name, part in recipe.sft.stages.items() if part.data is not None}
    assert rows == {"general-1": 2_261_687, "general-2": 1_634_573, "math": 1_661_094} and sum(rows.values()) == 5_557_354
    assert {name: s.learning_rate for name, s in stages.items()} == {"general-1": 5e-6, "general-2": 5e-6, "math": 3e-6}
    assert {(s.epochs, s.max_length, s.global_batch) for s in stages.values()} == {(1, 4096, 128)}
    assert recipe.sft.base == BASES["acemath-7b"] and recipe.sft.chat == ChatFormat()
    assert KNOWN["acemath-rm"].rows == 2_136_348 == 6 * 356_058
    train = recipe.reward.train
    assert (train.loss, train.learning_rate, train.epochs, train.batch_groups) == ("listwise", 5e-6, 2, 256)
    assert list(map(size_of, recipe.problems.benchmarks.values())) == BENCHMARKS and recipe.bench.k == 8
    assert recipe.reward.chat == load_recipe("acemath-7b").reward.chat
