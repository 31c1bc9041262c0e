"""Too little memory: smaller batches with the same results, one notice, and an error that names the settings."""

from __future__ import annotations

import gc
import logging
import sys
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from acemath.errors import UserError
from acemath.models.engine import ChatFormat, Sampling, close
from acemath.models.generate.transformers import TransformersEngine
from acemath.models.hardware import lacks_memory
from acemath.models.score.process import ProcessRewardModel
from acemath.models.score.score import RewardModel
from acemath.models.score.settings import settings_from
from acemath.models.spec import TransformersModel
from acemath.records import Problem

sys.path.insert(0, str(Path(__file__).parent / "score"))
from shapes import valued  # noqa: E402

PROBLEMS = [Problem(f"p{k}", f"What is {k}+4, and why? " * (1 + k % 3)) for k in range(9)]
SAMPLING = Sampling(n=4, temperature=1.0, max_new_tokens=12, seed=2)
ITEMS = [(p.prompt, [f"It is {k}.\n\nSo \\boxed{{{k}}}." * (1 + k) for k in range(4)]) for p in PROBLEMS]


@contextmanager
def capped(model: Any, tokens: int) -> Iterator[list[int]]:
    """A device on which a forward pass of more than so many tokens fails; the sizes of all passes that were tried."""
    tried: list[int] = []

    def hook(_module: Any, _given: Any, options: dict[str, Any]) -> None:
        tried.append(options["input_ids"].numel())
        if tried[-1] > tokens:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    handle = model.base_model.register_forward_pre_hook(hook, with_kwargs=True)
    try:
        yield tried
    finally:
        handle.remove()


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """The notices about memory so far."""
    caplog.set_level(logging.WARNING)
    return lambda: [record.getMessage() for record in caplog.records if "memory" in record.getMessage()]


def test_the_error_of_each_device_is_known() -> None:
    """PyTorch's class for GPUs, and what it really raises on a CPU; no other error."""
    assert lacks_memory(torch.OutOfMemoryError("x")) and not lacks_memory(RuntimeError("shape mismatch"))
    with pytest.raises(RuntimeError) as found:
        torch.empty(1 << 55, dtype=torch.int8)
    assert lacks_memory(found.value)


def texts_of(engine: TransformersEngine) -> dict[tuple[str, int], str]:
    """The text of each response."""
    found = list(engine.generate(PROBLEMS, SAMPLING))
    texts = {(r.problem_id, r.sample): r.text for r in found}
    assert len(found) == len(texts)  # none twice
    return texts


def test_fewer_responses_at_a_time_give_the_same_texts(tiny_policy: Path, said: Callable[[], list[str]]) -> None:
    """A later call begins with the smaller number."""
    engine = TransformersEngine(TransformersModel(id=str(tiny_policy), dtype="float32"))
    expected = texts_of(engine)
    longest = max(len(engine.prompt_ids(p)) for p in PROBLEMS)
    small = TransformersEngine(TransformersModel(id=str(tiny_policy), dtype="float32"))
    with capped(small.model, longest) as tried:
        assert texts_of(small) == expected
        before = len(tried)
        assert texts_of(small) == expected
    assert max(tried[:before]) > longest >= max(tried[before:])
    assert len(said()) == 1 and "engine_slots" in said()[0] and "36 responses" in said()[0]


def test_a_step_that_does_not_fit_is_taken_again(tiny_policy: Path, said: Callable[[], list[str]]) -> None:
    """Each response's random numbers are its own, so those that were begun are written again, and those that ended are not."""
    engine = TransformersEngine(TransformersModel(id=str(tiny_policy), dtype="float32"))
    engine.max_length = max(len(engine.prompt_ids(p)) for p in PROBLEMS) + 4  # responses to the longest prompts end early
    expected = texts_of(engine)
    steps: list[int] = []

    def hook(_module: Any, _given: Any, options: dict[str, Any]) -> None:
        rows, width = options["input_ids"].shape
        steps.append(rows)
        if width == 1 and rows > 5 and len(steps) > 6:
            raise torch.OutOfMemoryError("CUDA out of memory.")

    engine.model.base_model.register_forward_pre_hook(hook, with_kwargs=True)
    assert texts_of(engine) == expected
    assert engine.slots is not None and engine.slots <= 5 and len(said()) == 1


def test_one_response_that_does_not_fit_is_an_error(tiny_policy: Path) -> None:
    """It names the settings. So does a model that does not fit at all."""
    engine = TransformersEngine(TransformersModel(id=str(tiny_policy), dtype="float32"))
    with capped(engine.model, 3), pytest.raises(UserError, match=r"one response of up to \d+ tokens; a shorter max_length .* tensor_parallel"):
        list(engine.generate(PROBLEMS, SAMPLING))


def test_a_model_that_does_not_fit_is_an_error(tiny_policy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where its weights move to the device."""
    monkeypatch.setattr(torch.nn.Module, "to", lambda *_: torch.empty(1 << 55, dtype=torch.int8))
    with pytest.raises(UserError, match=r"^the memory of cpu is too small for model '.*'; a shorter max_length"):
        TransformersEngine(tiny_policy)


@pytest.mark.parametrize("share", [True, False])
def test_smaller_passes_give_the_same_rewards(share: bool, random_reward_model: Path, said: Callable[[], list[str]]) -> None:
    """A pass is halved until it fits; later ones begin small. One response that does not fit is an error."""
    model = RewardModel(random_reward_model, ChatFormat(), bf16=False, share_prefix=share)
    expected = model.score_many(ITEMS)
    with capped(model.model, 300) as tried:
        found = model.score_many(ITEMS)
        first = sum(size > 300 for size in tried)
        model.score_many(ITEMS)
    assert 0 < first < 5 and sum(size > 300 for size in tried) <= first + 1
    assert [v for row in found for v in row] == pytest.approx([v for row in expected for v in row], abs=1e-5)
    assert len(said()) == 1 and "smaller passes" in said()[0]
    with capped(model.model, 20), pytest.raises(UserError, match=r"with one response of \d+ tokens; a shorter max_length"):
        model.score_many(ITEMS)


def test_smaller_passes_give_the_same_steps(tiny_policy: Path, tmp_path: Path, said: Callable[[], list[str]]) -> None:
    """Of a process reward model."""
    judge = ProcessRewardModel(settings_from({"kind": "process", "model": str(valued(tiny_policy, tmp_path / "m")), "dtype": "float32"}))
    expected = judge.step_scores(ITEMS)
    with capped(judge.model, 200):
        found = judge.step_scores(ITEMS)
    assert flat(found) == pytest.approx(flat(expected), abs=1e-5) and len(said()) == 1


def flat(steps: Sequence[Sequence[Sequence[float]]]) -> list[float]:
    """The numbers of all steps."""
    return [value for problem in steps for response in problem for value in response]


def test_a_closed_engine_holds_no_model(tiny_policy: Path, random_reward_model: Path) -> None:
    """Also while something refers to the engine, as a stage does until it ends."""
    for engine in (TransformersEngine(tiny_policy), RewardModel(random_reward_model, ChatFormat())):
        model = weakref.ref(engine.model)
        close(engine)
        close(engine)
        gc.collect()
        assert model() is None
