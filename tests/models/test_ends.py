"""Responses end at the template's end of turn, in both engines, and in what fine-tuning saves."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from acemath.models.engine import ChatFormat, Sampling
from acemath.models.generate.transformers import TransformersEngine
from acemath.models.generate.vllm import VllmEngine
from acemath.models.spec import VllmModel
from acemath.records import REFUSED, Chat, Problem
from acemath.train.sft.settings import SftSettings
from acemath.train.sft.train import train_sft

PROBLEM = Problem(id="p", prompt="What is 3+4?")


@pytest.fixture(scope="module")
def qwen_base(tiny_policy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base like Qwen's: only its template does not end texts with <|endoftext|>."""
    folder = tmp_path_factory.mktemp("qwen-base")
    tokenizer = AutoTokenizer.from_pretrained(tiny_policy)
    tokenizer.eos_token = "<|endoftext|>"
    tokenizer.save_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(tiny_policy)
    model.config.eos_token_id = 0
    # A temperature without sampling, as Llama 2 has it: transformers loads that and refuses to save it.
    model.generation_config = GenerationConfig(eos_token_id=0, pad_token_id=3)
    model.save_pretrained(folder)
    path = folder / "generation_config.json"
    path.write_text(path.read_text().replace("{", '{"temperature": 0.6,', 1))
    return folder


class _Always(torch.nn.Module):
    """A head that writes the tokens of a list in turn."""

    def __init__(self, tokens: list[int], size: int) -> None:
        super().__init__()
        self.tokens, self.size = iter(tokens), size

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        logits = torch.zeros(*hidden.shape[:-1], self.size)
        logits[..., next(self.tokens)] = 1.0
        return logits


def test_our_engine_stops_where_the_template_ends_a_turn(qwen_base: Path) -> None:
    """<|im_end|> ends the response and is not in its text; other special tokens are."""
    engine = TransformersEngine(qwen_base)
    seven = engine.tokenizer("7", add_special_tokens=False)["input_ids"]
    engine.model.lm_head = _Always([*seven, 1, *seven, 2, 5, 5], engine.model.config.vocab_size)
    (response,) = engine.generate([PROBLEM], Sampling(max_new_tokens=9))
    assert (response.text, response.finish_reason) == ("7<|im_start|>7", "stop")
    assert response.tokens == 2 * len(seven) + 2


def test_a_policy_fine_tuned_from_such_a_base_stops(qwen_base: Path, tmp_path: Path) -> None:
    """It learns the end of turn, saves both ends for other engines, and writes only the answer."""
    chats = [Chat(f"c{i}", tuple(ChatFormat().messages(PROBLEM.prompt, "7"))) for i in range(8)]
    settings = SftSettings(
        learning_rate=1e-2,
        global_batch=8,
        max_length=64,
        validation=0,
        epochs=20.0,
        bf16=False,
        packing=False,
    )
    result = train_sft(qwen_base, chats, tmp_path / "policy", tmp_path / "work", settings)
    saved = GenerationConfig.from_pretrained(tmp_path / "policy")
    assert saved.eos_token_id == result.stop_ids == [0, 2] and saved.temperature == 0.6
    (response,) = TransformersEngine(tmp_path / "policy").generate([PROBLEM], Sampling(max_new_tokens=9))
    assert (response.text, response.finish_reason) == ("7", "stop")


def test_vllm_gets_the_ends_and_its_faults_are_refused(
    qwen_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for vLLM: the end tokens that it gets, and what becomes of each finish reason."""
    tokenizer = AutoTokenizer.from_pretrained(qwen_base)
    ids = tokenizer("x=7", add_special_tokens=False)["input_ids"]
    asked: list[Any] = []

    class LLM:
        def __init__(self, model: str, **_: Any) -> None:
            self.model, self.model_config = model, SimpleNamespace(max_model_len=1024)

        def reset_prefix_cache(self) -> None:
            pass

        def get_tokenizer(self) -> Any:
            return tokenizer

        def generate(self, prompts: Any, parameters: Any, use_tqdm: bool) -> list[Any]:
            asked.extend(parameters)
            ends = (("stop", [*ids, 2]), ("length", ids), ("abort", ids), ("error", []), (None, ids))
            outs = [
                SimpleNamespace(finish_reason=reason, token_ids=tokens, text="") for reason, tokens in ends
            ]
            return [SimpleNamespace(outputs=outs) for _ in prompts]

    module = ModuleType("vllm")
    module.LLM, module.SamplingParams = LLM, lambda **options: options  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "vllm", module)
    engine = VllmEngine(VllmModel(engine="vllm", id=str(qwen_base)))
    found = list(engine.generate([PROBLEM], Sampling(n=5, temperature=1.0)))
    assert asked[0]["stop_token_ids"] == [0, 2]
    assert [(r.finish_reason, r.text) for r in found] == [
        ("stop", "x=7"), ("length", "x=7"), (REFUSED, ""), (REFUSED, ""), (REFUSED, ""),
    ]  # fmt: skip
    assert "abort" in found[2].meta[REFUSED] and REFUSED not in found[0].meta
