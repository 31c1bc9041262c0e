"""The in-process engine against transformers' own generate, and its promises about seeds and batches."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from acemath.engines.base import ChatFormat, Sampling
from acemath.engines.local import TransformersEngine, draw, uniform
from acemath.errors import UserError
from acemath.records import Problem

PROBLEMS = [
    Problem(id=f"p{i}", prompt=text)
    for i, text in enumerate(
        ["What is 3+4?", "Tom has 12 apples and eats 5. How many are left?", "7*8", "1+1=?", "Find x."]
    )
]


@pytest.fixture(scope="module")
def engine(tiny_policy: Path) -> TransformersEngine:
    """The engine in float32, so that two ways of computing can be compared token by token."""
    made = TransformersEngine(tiny_policy, ChatFormat(instruction="Box it."), slots=3)
    made.model.float()
    return made


def test_greedy_equals_generate(engine: TransformersEngine, tiny_policy: Path) -> None:
    """Slots at different lengths, refilled on the way, write what one plain call at a time writes."""
    plain = AutoModelForCausalLM.from_pretrained(tiny_policy, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(tiny_policy)
    ours = {r.problem_id: r.text for r in engine.generate(PROBLEMS, Sampling(max_new_tokens=24))}
    for problem in PROBLEMS:
        ids = torch.tensor([engine.prompt_ids(problem)])
        out = plain.generate(ids, max_new_tokens=24, do_sample=False, eos_token_id=engine.ends.tolist())
        text = (
            tokenizer.decode(out[0, ids.shape[1] :]).removesuffix("<|im_end|>").removesuffix("<|endoftext|>")
        )
        assert ours[problem.id] == text.strip()


def test_samples_do_not_depend_on_the_batch(tiny_policy: Path) -> None:
    """The same problem, sample and seed give the same text alone and among others."""
    few, many = (TransformersEngine(tiny_policy, slots=n) for n in (2, 64))
    few.model.float()
    many.model.float()
    sampling = Sampling(n=4, temperature=1.0, max_new_tokens=16, seed=5)
    alone = {(r.problem_id, r.sample): r.text for r in few.generate(PROBLEMS[:2], sampling)}
    among = {(r.problem_id, r.sample): r.text for r in many.generate(PROBLEMS, sampling)}
    assert len(among) == 20 and all(among[key] == text for key, text in alone.items())
    other = {
        (r.problem_id, r.sample): r.text
        for r in many.generate(PROBLEMS, sampling.model_copy(update={"seed": 6}))
    }
    assert other != among


def test_length_limit_is_a_finish_reason(engine: TransformersEngine) -> None:
    """A response cut at the limit says so and counts its tokens."""
    for response in engine.generate(PROBLEMS, Sampling(n=2, temperature=1.0, max_new_tokens=3)):
        assert response.tokens <= 3 and (response.finish_reason == "stop" or response.tokens == 3)


def test_draws_follow_the_distribution() -> None:
    """Inverse transform: frequencies match the softmax, and top_p cuts the tail."""
    logits = torch.tensor([[2.0, 1.0, 0.0, -1.0]]).repeat(20_000, 1)
    seeds, steps = list(range(20_000)), [0] * 20_000
    shares = torch.bincount(draw(logits, Sampling(temperature=1.0), seeds, steps), minlength=4) / 20_000
    assert torch.allclose(shares, torch.softmax(logits[0], -1), atol=0.015)
    cut = draw(logits, Sampling(temperature=1.0, top_p=0.6), seeds, steps)
    assert set(cut.tolist()) == {0}
    numbers = uniform(range(10_000), [3] * 10_000)
    assert numbers.min() >= 0 and numbers.max() < 1 and abs(numbers.mean() - 0.5) < 0.02


def test_model_without_template_is_refused(tiny_policy: Path, tmp_path: Path) -> None:
    """A policy is asked through its chat template; without one the user hears so."""
    tokenizer = AutoTokenizer.from_pretrained(tiny_policy)
    tokenizer.chat_template = None
    tokenizer.save_pretrained(tmp_path)
    AutoModelForCausalLM.from_pretrained(tiny_policy).save_pretrained(tmp_path)
    (tmp_path / "chat_template.jinja").unlink(missing_ok=True)
    with pytest.raises(UserError, match="no chat template"):
        TransformersEngine(tmp_path)


def test_a_model_that_cannot_be_loaded_is_one_line(tmp_path: Path) -> None:
    """A folder that is none, one without weights: the model's name, the reason, the fix."""
    with pytest.raises(UserError, match="cannot load model '/nowhere/at-all'"):
        TransformersEngine("/nowhere/at-all")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match="cannot load model"):
        TransformersEngine(tmp_path)
