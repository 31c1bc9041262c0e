"""How a run's own reward model is run on benchmarks, and whose responses its AceMath-RewardBench holds."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from acemath.errors import UserError
from acemath.models.spec import Model, VllmModel
from acemath.recipe.load import load_recipe
from acemath.records import BENCHMARK, Problem, Response
from acemath.run import evaluation
from acemath.run.context import Run
from acemath.run.display import Display
from acemath.run.stage import MapStage

VLLM = {"engine": "vllm", "tensor_parallel": 4}


@pytest.mark.parametrize(("name", "engine", "split"), [("acemath-7b", "transformers", 1), ("acemath-72b", "vllm", 4)])
def test_a_reward_model_may_be_split_over_gpus(
    name: str, engine: str, split: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder that the run made, in the engine of `models.reward`; 72B fits no single GPU."""
    asked: list[Model] = []
    monkeypatch.setattr(evaluation, "make_ranker", lambda spec, chat: asked.append(spec) or SimpleNamespace(close=lambda: None))
    (stage, *_) = evaluation.scores(Run(load_recipe(name), tmp_path, Display(quiet=True)))
    assert stage.tool is not None
    with stage.tool():
        pass
    assert [(spec.engine, spec.devices) for spec in asked] == [(engine, split)]  # type: ignore[union-attr]
    assert asked[0].name == str(tmp_path / "reward" / "model") and isinstance(asked[0], VllmModel) == (engine == "vllm")


def test_rewards_depend_on_the_model_s_settings(tmp_path: Path) -> None:
    """Another number format, length or engine makes them anew; another number of GPUs does not, and copies share the partitions."""

    def stage(**spec: Any) -> MapStage:
        changes = {"models.reward": {"engine": "transformers", **spec}}
        return evaluation.scores(Run(load_recipe("acemath-7b", changes), tmp_path, Display(quiet=True)))[0]

    plain, vllm = stage(), stage(engine="vllm")
    assert plain.settings == evaluation.scores(Run(load_recipe("acemath-7b"), tmp_path, Display(quiet=True)))[0].settings
    found = [plain, vllm, stage(dtype="float32"), stage(max_length=512)]
    assert all(a.settings != b.settings for a, b in combinations(found, 2))
    split = stage(engine="vllm", tensor_parallel=4, replicas=2)
    assert split.settings == vllm.settings and (split.copies.replicas, split.copies.devices) == (2, 4)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"models.reward": VLLM | {"revision": "main"}}, "models.reward is the reward model that this run trains, and has revision"),
        ({"models.reward": VLLM, "bench.before_training": True}, "does not go with bench.before_training"),
        ({"models.reward": VLLM | {"dtype": "float16"}}, "'dtype: float16' of this model would do nothing there"),
        ({"models.qwen-rm-72b.dtype": "float16"}, "roles.ranker is 'qwen-rm-72b', and 'dtype: float16' of this model would do nothing"),
        ({"models.reward": VLLM | {"stop_ids": [2]}}, "'stop_ids' of this model would do nothing there"),
        ({"bench.policies": {"math": {"each": 8, "pooled": False}}}, "the pooled policies give 0 responses a problem in all, and k is 8"),
        ({"reward.candidates.policies": {"llama-2-7b-chat": {"pooled": False}}}, "pooled: false, which is for bench"),
    ],
)
def test_what_does_not_fit_is_one_line(changes: dict[str, Any], says: str) -> None:
    """When the recipe is loaded."""
    with pytest.raises(UserError, match=says):
        load_recipe("acemath-7b", changes)


def test_the_table_holds_the_pooled_policies_alone(tmp_path: Path) -> None:
    """The samples of the headline are no candidates of AceMath-RewardBench where the recipe says so."""
    policies = {"math": {"each": 4, "pooled": False}, "one": {"each": 2}, "two": {"each": 2}}
    changes = {"bench.policies": policies, "bench.k": 2, "problems.benchmarks": ["gsm8k"]}
    run = Run(load_recipe("acemath-7b", changes), tmp_path, Display(quiet=True))
    problem = Problem("p", "1+1?", "2", meta={BENCHMARK: "gsm8k"})

    def rows(name: str) -> list[Response]:
        right = name != "math"
        return [
            Response("p", n, f"{name} {n}", name, status="correct" if right else "wrong", reward=float(n), extracted="2")
            for n in range(run.recipe.bench.policies[name].each)
        ]

    stores = {f"scores-{name}": SimpleNamespace(rows=lambda kind, part, name=name: rows(name)) for name in policies}
    stores["benchmarks"] = SimpleNamespace(count=1, rows=lambda kind, part: [problem])
    found = evaluation._reward_bench(run, SimpleNamespace(store=stores.__getitem__))  # type: ignore[arg-type]
    assert found["policies"] == ["one", "two"]
    assert [row["value"] for row in found["rows"]] == pytest.approx([100.0] * len(found["rows"])) and found["rows"]
