"""Training reward models on a tiny policy: it learns, resumes, keeps the best, and shares work among processes."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForSequenceClassification

from acemath.errors import UserError
from acemath.files.rows import write_rows
from acemath.models.engine import ChatFormat
from acemath.models.score.score import RewardModel
from acemath.records import Group
from acemath.train.checkpoints import last_checkpoint
from acemath.train.reward.settings import RewardSettings
from acemath.train.reward.state import RewardResult
from acemath.train.reward.train import rate, train_reward
from acemath.train.sharding import sharded_launch

sys.path.insert(0, str(Path(__file__).parents[1]))
import ranks  # noqa: E402

SETTINGS = RewardSettings(
    learning_rate=2e-3, batch_groups=4, epochs=4, bf16=False, save_every=3, evaluations=2, micro_tokens=512
)
PARTS = SETTINGS.model_copy(update={"micro_tokens": 64})  # every group is larger than a pass
TEXTS = ["1+1=2\nSo \\boxed{2}.", "1+1=4 wrong\nSo \\boxed{4}."]


def _groups(count: int) -> list[Group]:
    """Groups of three right and three wrong texts, each in an order of its own."""
    rows = [(f"{i}+1={i + 1}\nSo \\boxed{{{i + 1}}}.", 1) for i in range(3)]
    rows += [(f"{i}+1={i + 3} wrong\nSo \\boxed{{{i + 3}}}.", 0) for i in range(3)]
    groups = []
    for n in range(count):
        texts, labels = zip(*random.Random(n).sample(rows, 6), strict=True)
        groups.append(Group(f"g{n}", f"Question {n}?", texts, labels))
    return groups


def _train(
    policy: Path, folder: Path, name: str, settings: RewardSettings = SETTINGS, **more: object
) -> RewardResult:
    return train_reward(
        policy,
        _groups(18),
        _groups(3),
        folder / name,
        folder / f"{name}-work",
        settings,
        ChatFormat(),
        **more,
    )


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    return AutoModelForSequenceClassification.from_pretrained(
        folder, num_labels=1, dtype=torch.float32
    ).state_dict()


@pytest.fixture(scope="module")
def whole(tiny_policy: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RewardResult]:
    """An uninterrupted run: its folder and result."""
    folder = tmp_path_factory.mktemp("whole")
    return folder / "model", _train(tiny_policy, folder, "model")


def test_learns_what_can_be_seen(whole: tuple[Path, RewardResult]) -> None:
    """At the end all pairs are in order; the model was also measured before training; the saved model scores."""
    folder, result = whole
    judged = [row for row in result.curve if "pair_accuracy" in row]
    assert [row["step"] for row in judged] == [0, 10, 20] and result.best_accuracy == 1.0
    assert result.best_step > 0 and result.groups == 18 and result.cut == 0
    right, wrong = RewardModel(folder, ChatFormat(), bf16=False).score("Question 1?", TEXTS)
    assert right > wrong


@pytest.mark.parametrize("loss", ["pairwise", "cross-entropy", "mse"])
def test_other_losses_learn_too(loss: str, tiny_policy: Path, tmp_path: Path) -> None:
    """The paper's ablations (Table 8) run."""
    settings = RewardSettings.model_validate(
        {**SETTINGS.model_dump(), "loss": loss, "centring": 0.01, "epochs": 10}
    )
    assert _train(tiny_policy, tmp_path, loss, settings).best_accuracy == 1.0


@pytest.mark.parametrize("settings", [SETTINGS, PARTS], ids=["whole groups", "parts"])
def test_stopped_run_ends_with_the_same_weights(
    settings: RewardSettings, tiny_policy: Path, tmp_path: Path
) -> None:
    """Stopped in the middle of an epoch, after the last checkpoint; then the same call again."""
    unstopped = _train(tiny_policy, tmp_path, "whole", settings)

    class Stop(Exception):
        pass

    def stop(done: int, total: int, note: str) -> None:
        if done == 13:
            raise Stop

    with pytest.raises(Stop):
        _train(tiny_policy, tmp_path, "half", settings, progress=stop)
    resumed = _train(tiny_policy, tmp_path, "half", settings)
    first, second = _weights(tmp_path / "whole"), _weights(tmp_path / "half")
    assert resumed.curve == unstopped.curve and resumed.best_step == unstopped.best_step
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_stopped_run_goes_on_in_smaller_passes(tiny_policy: Path, tmp_path: Path, whole: tuple[Path, RewardResult]) -> None:
    """What an error recommends against a lack of memory keeps the steps that are done."""
    seen: list[int] = []

    class Stop(Exception):
        pass

    def stop(done: int, *_: Any) -> None:
        if done == 13:
            raise Stop

    with pytest.raises(Stop):
        _train(tiny_policy, tmp_path, "m", progress=stop)
    smaller = PARTS.model_copy(update={"gradient_checkpointing": True, "share_prefix": False})
    resumed = _train(tiny_policy, tmp_path, "m", smaller, progress=lambda done, *_: seen.append(done))
    assert seen[0] == 12
    measured = [[row["held_out_loss"] for row in found.curve if "held_out_loss" in row] for found in (resumed, whole[1])]
    assert measured[0] == pytest.approx(measured[1], abs=1e-3)


def _written(folder: Path) -> Path:
    """The folder with the groups of `_train` in it."""
    write_rows(folder / "groups.jsonl", [*_groups(18), *_groups(3)], Group)
    return folder


def test_killed_process_goes_on(tiny_policy: Path, tmp_path: Path, whole: tuple[Path, RewardResult]) -> None:
    """kill -9 twice, while steps and checkpoints are made; the third start ends like an unstopped training."""
    settings = SETTINGS.model_copy(update={"save_every": 1})
    for last in (4, 9, None):
        steps, told = ranks.FORKS.Pipe(duplex=False)
        process = ranks.start(ranks.reward, _written(tmp_path), tiny_policy, settings, told, said=tmp_path / "said.txt")
        told.close()
        begun = done = steps.recv()
        while last is not None and done < last:
            done = steps.recv()
        if last is not None:
            time.sleep(0.01)
            process.kill()
        process.join()
        assert process.exitcode == (0 if last is None else -signal.SIGKILL)
    assert begun >= 9
    first, second = _weights(whole[0]), _weights(tmp_path / "model")
    assert all(torch.allclose(first[name], second[name], atol=1e-6) for name in first)


def _launch(folder: Path, policy: Path, settings: RewardSettings, **environment: str) -> RewardResult:
    """A training in two processes over gloo; what the first of them returned."""
    well, said = ranks.in_two(ranks.reward, _written(folder), policy, settings, **environment)
    assert well, said
    assert all((folder / f"came-back-{rank}").read_text() == "True" for rank in range(2)), (
        "left before the end"
    )
    return RewardResult(**json.loads((folder / "result.json").read_text()))


def _same_curve(one: RewardResult, two: RewardResult) -> None:
    """Every figure of both curves within 1e-4, loss and held-out loss alike."""
    assert len(one.curve) == len(two.curve)
    for first, second in zip(one.curve, two.curve, strict=True):
        assert first == pytest.approx(second, abs=1e-4)


SHARDED = {
    "ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2", "FSDP_CPU_RAM_EFFICIENT_LOADING": "true",
}  # fmt: skip


def test_two_processes_do_the_work_of_one(
    tiny_policy: Path, tmp_path: Path, whole: tuple[Path, RewardResult]
) -> None:
    """Processes share passes and sum gradients: curve and weights of one process up to rounding, also in parts."""
    _same_curve(_launch(tmp_path, tiny_policy, PARTS), whole[1])
    first, second = _weights(whole[0]), _weights(tmp_path / "model")
    assert all(torch.allclose(first[name], second[name], atol=1e-3) for name in first)


def test_shards_do_the_work_of_one(
    tiny_policy: Path, tmp_path: Path, whole: tuple[Path, RewardResult]
) -> None:
    """FSDP 2 over two processes, in parts, stopped between checkpoints and started again: curve and weights of one process."""
    with pytest.raises(AssertionError, match="stopped by the test"):
        _launch(tmp_path, tiny_policy, PARTS, **SHARDED, STOP_AT="8")
    assert last_checkpoint(tmp_path / "work") == tmp_path / "work" / "checkpoint-6"
    assert len(list((tmp_path / "work" / "checkpoint-6").glob("__*.distcp"))) == 2  # each process its own part
    assert not (tmp_path / "model").exists()
    result = _launch(tmp_path, tiny_policy, PARTS, **SHARDED)
    assert (tmp_path / "sharded").read_text() == "True"
    _same_curve(result, whole[1])
    first, second = _weights(whole[0]), _weights(tmp_path / "model")
    assert first.keys() == second.keys()
    assert all(torch.allclose(first[name], second[name], atol=1e-3) for name in first)


def test_other_strategies_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names what to set. FSDP is hidden from accelerate if acemath shards the model."""
    monkeypatch.setenv("ACEMATH_USE_FSDP", "false")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert not sharded_launch()
    for name, value in SHARDED.items():
        monkeypatch.setenv(name, value)
    assert sharded_launch() and sharded_launch() and os.environ["ACCELERATE_USE_FSDP"] == "false"
    for name, value, line in (
        ("FSDP_ACTIVATION_CHECKPOINTING", "true", "gradient_checkpointing: true"),
        ("FSDP_OFFLOAD_PARAMS", "true", "fsdp_offload_params: false"),
        ("FSDP_VERSION", "1", "FSDP 2, not with FSDP 1"),
        ("ACCELERATE_USE_DEEPSPEED", "true", "not with DeepSpeed"),
    ):
        monkeypatch.setenv(name, value)
        with pytest.raises(UserError, match=line):
            sharded_launch()


def test_other_arguments_start_anew(tiny_policy: Path, tmp_path: Path) -> None:
    """A checkpoint of other settings is not resumed."""
    for rate_ in (1e-3, 2e-3):
        seen: list[int] = []
        settings = SETTINGS.model_copy(update={"learning_rate": rate_, "epochs": 1.0})
        _train(tiny_policy, tmp_path, "m", settings, progress=lambda done, *_, seen=seen: seen.append(done))
        assert seen[0] == 0


def test_training_that_does_not_help_is_not_kept(tiny_policy: Path, tmp_path: Path) -> None:
    """If no evaluation is better than the model before training, step 0 stays the best."""
    wrong = [Group(g.problem_id, g.prompt, g.responses, tuple(1 - y for y in g.labels)) for g in _groups(18)]
    trained = _train(tiny_policy, tmp_path, "good")
    result = train_reward(
        tmp_path / "good",
        wrong,
        _groups(3),
        tmp_path / "bad",
        tmp_path / "work",
        SETTINGS,
        ChatFormat(),
        seed=1,
    )
    judged = [row["pair_accuracy"] for row in result.curve if "pair_accuracy" in row]
    assert trained.best_accuracy == 1.0 and judged[-1] == 0.0
    assert result.best_accuracy == max(judged)


def test_rate_warms_up_and_falls() -> None:
    """Linear warm-up, then a cosine down to 0."""
    rates = [rate(i, 100, 0.1) for i in range(100)]
    assert rates[0] == pytest.approx(0.1) and max(rates) == rates[9] == 1.0 and rates[-1] < 0.001


def test_held_out_problems_that_are_trained_on_are_said(
    tiny_policy: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A notice counts held-out groups whose problem is also trained on."""
    aside = [*_groups(2), Group("new", "Is this new?", tuple(TEXTS), (1, 0))]
    settings = SETTINGS.model_copy(update={"epochs": 0.1})
    train_reward(tiny_policy, _groups(18), aside, tmp_path / "m", tmp_path / "w", settings, ChatFormat())
    assert "2 of 3 held-out groups have problems that are also trained on" in caplog.text


def test_no_groups_is_a_mistake(tiny_policy: Path, tmp_path: Path) -> None:
    """One line, with the fix."""
    with pytest.raises(UserError, match="no group with right and wrong"):
        train_reward(tiny_policy, [], [], tmp_path / "o", tmp_path / "w", SETTINGS, ChatFormat())
