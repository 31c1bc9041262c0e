"""Heads that acemath cannot score with are refused in one line, before anything else is done."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer
from typer.testing import CliRunner

from acemath.cli.app import app
from acemath.errors import UserError
from acemath.models.engine import ChatFormat
from acemath.models.generate.transformers import TransformersEngine
from acemath.models.score.best_of_n import BestOfN
from acemath.models.score.heads import check_head
from acemath.models.score.model import load_reward_model, tokenizer_of
from acemath.models.score.parity import check_parity
from acemath.models.score.score import RewardModel
from acemath.recipe.load import load_recipe
from acemath.records import Chat, Group
from acemath.run.display import Display
from acemath.run.preflight.check import preflight
from acemath.run.run import run_recipe
from acemath.train.reward.settings import RewardSettings
from acemath.train.reward.start import new_reward_model
from acemath.train.reward.train import train_reward
from acemath.train.sft.settings import SftSettings
from acemath.train.sft.train import train_sft

Heads = Callable[[str], Path]


@pytest.fixture(scope="module")
def head(random_reward_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Heads:
    """A copy of the random reward model with a head of this kind."""
    folder = tmp_path_factory.mktemp("heads")

    def make(kind: str) -> Path:
        out = folder / kind
        if out.exists():
            return out
        shutil.copytree(random_reward_model, out)
        if kind == "two outputs":
            AutoModelForSequenceClassification.from_pretrained(
                random_reward_model, num_labels=2, ignore_mismatched_sizes=True
            ).save_pretrained(out)
            return out
        weights = load_file(out / "model.safetensors")
        row = weights.pop("score.weight")
        if kind == "two layers":  # as Qwen2.5-Math-RM's: a linear layer, ReLU, a linear layer
            square = torch.eye(row.shape[1])
            weights |= {"score.0.weight": square, "score.0.bias": row[0].clone(), "score.2.weight": row}
        elif kind == "three layers":
            square = torch.eye(row.shape[1])
            weights |= {"score.0.weight": square, "score.2.weight": square.clone(), "score.4.weight": row}
        elif kind == "process":  # as Qwen2.5-Math-PRM's
            weights |= {"score.0.weight": torch.eye(row.shape[1]), "score.2.weight": torch.cat([row, -row])}
        elif kind == "another name":
            weights["v_head.weight"] = row
        elif kind == "sharded":
            save_file({"score.weight": torch.cat([row, row])}, out / "model-00002-of-00002.safetensors")
            save_file(weights, out / "model-00001-of-00002.safetensors")
            where = dict.fromkeys(weights, "model-00001-of-00002.safetensors")
            where["score.weight"] = "model-00002-of-00002.safetensors"
            index = {"metadata": {}, "weight_map": where}
            (out / "model.safetensors.index.json").write_text(json.dumps(index))
            (out / "model.safetensors").unlink()
            return out
        save_file(weights, out / "model.safetensors", {"format": "pt"})
        return out

    return make


KINDS = {
    "two outputs": "2 outputs",
    "sharded": "2 outputs",
    "three layers": "its head has 3 layers (score.0.weight, score.2.weight, score.4.weight)",
    "process": "is a process reward model (score.0.weight, score.2.weight, 2 outputs)",
    "another name": "its head has another name (v_head.weight)",
    "none": "its weights have no score head",
}


@pytest.mark.parametrize("kind", KINDS)
def test_other_heads_are_refused(kind: str, head: Heads, random_reward_model: Path) -> None:
    """One line says what the head is; for vLLM too, whether it is installed or not."""
    check_head(random_reward_model)
    for engine in ("transformers", "vllm"):
        with pytest.raises(UserError) as found:
            RewardModel(head(kind), engine=engine)
        assert KINDS[kind] in str(found.value) and "\n" not in str(found.value)


def test_the_head_is_checked_first(head: Heads, tmp_path: Path) -> None:
    """Before the missing policy is reported, and before a file is written."""
    reward, nowhere = head("two outputs"), str(tmp_path / "no-policy")
    with pytest.raises(UserError, match="2 outputs"):
        BestOfN(nowhere, reward)
    with pytest.raises(UserError, match="2 outputs"):
        check_parity(reward, [("1+1?", ["2"])])
    problems, responses = tmp_path / "problems.jsonl", tmp_path / "responses.jsonl"
    problems.write_text('{"id": "a", "prompt": "1+1?", "answer": "2"}\n')
    responses.write_text('{"problem_id": "a", "sample": 0, "text": "2", "model": "m"}\n')
    of, out = ["--problems", str(problems)], tmp_path / "scored.jsonl"
    for command in (
        ["score", str(responses), *of, "--model", str(reward), "--out", str(out)],
        ["parity", str(reward), str(responses), *of],
        ["eval", str(problems), "--model", nowhere, "-n", "2", "--reward", str(reward)],
        ["solve", "1+1?", "--policy", nowhere, "--reward", str(reward)],
    ):
        done = CliRunner().invoke(app, command)
        assert isinstance(done.exception, UserError) and "2 outputs" in str(done.exception), command
    assert not out.exists()


@pytest.mark.parametrize(
    ("key", "kind", "why"),
    [("roles.ranker", "process", "process reward model"), ("reward.base", "two layers", "2 layers")],
)
def test_a_run_checks_heads_before_any_stage(
    key: str, kind: str, why: str, head: Heads, tmp_path: Path
) -> None:
    """Candidates would be sampled for hours before the head is needed. A head of two layers ranks, but trains not."""
    ranked = load_recipe("laptop", {"roles.ranker": str(head("two layers"))})
    assert not preflight(ranked, tmp_path, network=False, here=False).findings.having("fault")
    recipe = load_recipe("laptop", {key: str(head(kind))})
    with pytest.raises(UserError, match=why):
        run_recipe(recipe, tmp_path / "run", Display(quiet=True))
    gone = load_recipe("laptop", {key: str(tmp_path / "nowhere")})
    with pytest.raises(UserError, match="no such folder"):
        run_recipe(gone, tmp_path / "run", Display(quiet=True))
    assert not list((tmp_path / "run").glob("*/"))


def test_training_does_not_start_from_such_a_head(head: Heads, tmp_path: Path) -> None:
    """The base's head could not be kept."""
    group = Group("g", "1+1?", ("2", "3"), (1, 0))
    with pytest.raises(UserError, match="2 outputs"):
        train_reward(
            head("two outputs"), [group], [], tmp_path / "o", tmp_path / "w", RewardSettings(), ChatFormat()
        )


def test_training_keeps_the_head_of_a_reward_model(random_reward_model: Path, tiny_policy: Path) -> None:
    """A policy gets a fresh head."""
    tokenizer = tokenizer_of(random_reward_model)
    head = load_reward_model(random_reward_model, torch.float32).score.weight
    for seed in (1, 2):
        assert torch.equal(new_reward_model(random_reward_model, tokenizer, None, seed).score.weight, head)
    fresh = [new_reward_model(tiny_policy, tokenizer, None, seed).score.weight for seed in (1, 2)]
    assert not torch.equal(*fresh)


def test_missing_weights_are_not_made_up(
    random_reward_model: Path, tiny_policy: Path, tmp_path: Path
) -> None:
    """A reward model used or fine-tuned as a policy; a base that lacks a weight; a head of another width."""
    untied = tmp_path / "untied"
    model = AutoModelForSequenceClassification.from_pretrained(random_reward_model)
    model.config.tie_word_embeddings = False
    model.save_pretrained(untied)
    AutoTokenizer.from_pretrained(tiny_policy).save_pretrained(untied)
    turns = ({"role": "user", "content": "1+1?"}, {"role": "assistant", "content": "2"})
    with pytest.raises(UserError, match=r"lacks 1 of the weights that are needed \(lm_head.weight\)"):
        TransformersEngine(untied)
    with pytest.raises(UserError, match=r"lacks 1 of the weights"):
        train_sft(untied, [Chat("p", turns)], tmp_path / "o", tmp_path / "w", SftSettings())
    torn = tmp_path / "torn"
    shutil.copytree(tiny_policy, torn)
    weights = load_file(torn / "model.safetensors")
    del weights["model.norm.weight"]
    save_file(weights, torn / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match="norm.weight"):
        new_reward_model(torn, tokenizer_of(tiny_policy), None, 0)
    wide = tmp_path / "wide"
    shutil.copytree(random_reward_model, wide)
    weights = load_file(wide / "model.safetensors")
    weights["score.weight"] = torch.ones(1, 7)
    save_file(weights, wide / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match="cannot load model") as found:
        RewardModel(wide)
    assert "\n" not in str(found.value)


def test_damaged_files_are_named(random_reward_model: Path, tmp_path: Path) -> None:
    """An unfinished download, or a config that is no JSON, in one line."""
    shutil.copytree(random_reward_model, tmp_path / "m")
    (tmp_path / "m" / "model.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{broken}")
    with pytest.raises(UserError, match="cannot be read"):
        check_head(tmp_path / "m")
