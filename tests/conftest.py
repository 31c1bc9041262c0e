"""Small real models for the tests, made once a session."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real development data beside the checkout; tests that need it skip where it is absent."""
    if not (SHARED / "data").is_dir():
        pytest.skip("the development data (../shared) is not on this machine")
    return SHARED


@pytest.fixture(scope="session")
def tiny_policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny Qwen2 of random weights and nano's tokenizer: real to load, quick to run."""
    from acemath.nano.pretrain import PretrainSettings, new_model, new_tokenizer

    settings = PretrainSettings(
        hidden=64, layers=2, heads=4, kv_heads=1, intermediate=96, tokenizer_pages=300
    )
    folder = tmp_path_factory.mktemp("tiny-policy")
    tokenizer = new_tokenizer(settings)
    new_model(settings, tokenizer).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def random_reward_model(tiny_policy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a reward model with a random head on the tiny policy."""
    from acemath.reward.model import new_reward_model, tokenizer_of

    folder = tmp_path_factory.mktemp("reward")
    tokenizer = tokenizer_of(tiny_policy)
    new_reward_model(tiny_policy, tokenizer, None, seed=3).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
