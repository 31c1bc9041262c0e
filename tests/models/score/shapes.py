"""Judges with random weights in the shapes of released ones, made from the tiny policy."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from tokenizers import AddedToken
from transformers import AutoModelForCausalLM, AutoTokenizer

QUESTION = "What is 3 + 4?"
TEXTS = ("3 + 4 = 7.\n\nThe answer is 7.", "3 + 4 = 8.\n\nSo it is 8.\n \nThe answer is 8.", "7")


def policy_with(tiny_policy: Path, out: Path, *tokens: str) -> Path:
    """A copy of the tiny policy whose tokenizer knows more tokens, with noise in its weights."""
    tokenizer = AutoTokenizer.from_pretrained(tiny_policy)
    tokenizer.add_tokens([AddedToken(token, special=True, normalized=False) for token in tokens])
    model = AutoModelForCausalLM.from_pretrained(tiny_policy, dtype=torch.float32)
    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.1 * torch.randn(weight.shape, generator=generator)
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    return out


def add_head(folder: Path, tensors: dict[str, torch.Tensor], **config: Any) -> Path:
    """The folder of a policy with a head in its weights, and other entries in its config.json."""
    weights = load_file(folder / "model.safetensors")
    weights = {name: value for name, value in weights.items() if name != "lm_head.weight"}
    save_file(weights | tensors, folder / "model.safetensors", {"format": "pt"})
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | config))
    return folder


def layered(tiny_policy: Path, out: Path, outputs: int) -> Path:
    """The shape of Qwen2.5-Math-RM (one output) or Qwen2.5-Math-PRM (two), whose classes are code in their repository."""
    folder = policy_with(tiny_policy, out, "<extra_0>")
    generator = torch.Generator().manual_seed(2)
    size = json.loads((folder / "config.json").read_text())["hidden_size"]
    shapes = {
        "score.0.weight": (size, size),
        "score.0.bias": (size,),
        "score.2.weight": (outputs, size),
        "score.2.bias": (outputs,),
    }
    name = "Qwen2ForRewardModel" if outputs == 1 else "Qwen2ForProcessRewardModel"
    return add_head(
        folder,
        {key: 0.3 * torch.randn(shape, generator=generator) for key, shape in shapes.items()},
        architectures=[name],
        auto_map={
            "AutoConfig": "configuration_qwen2_rm.Qwen2RMConfig",
            "AutoModel": f"modeling_qwen2_rm.{name}",
        },
    )


def valued(tiny_policy: Path, out: Path) -> Path:
    """The shape of Skywork-o1-Open-PRM: a language model with TRL's value head."""
    folder = policy_with(tiny_policy, out)
    size = json.loads((folder / "config.json").read_text())["hidden_size"]
    generator = torch.Generator().manual_seed(3)
    head = {
        "v_head.summary.weight": torch.randn((1, size), generator=generator),
        "v_head.summary.bias": torch.tensor([0.2]),
    }
    return add_head(folder, head)


def states(folder: Path, ids: list[int]) -> torch.Tensor:
    """The last hidden states [T, H] of a model's body, by transformers alone."""
    scratch = folder.parent / f"{folder.name}-body"
    if not scratch.exists():
        shutil.copytree(folder, scratch)
        weights = load_file(scratch / "model.safetensors")
        body = {k: v for k, v in weights.items() if not k.startswith(("score.", "v_head."))}
        save_file(body, scratch / "model.safetensors", {"format": "pt"})
        config = json.loads((scratch / "config.json").read_text())
        config |= {"architectures": ["Qwen2Model"], "auto_map": {}}
        (scratch / "config.json").write_text(json.dumps(config))
    from transformers import AutoModel

    with torch.no_grad():
        model = AutoModel.from_pretrained(scratch, dtype=torch.float32).eval()
        return model(torch.tensor([ids])).last_hidden_state[0]


def two_layers(folder: Path, hidden: torch.Tensor) -> torch.Tensor:
    """The outputs of the head of two layers, written out."""
    w = load_file(folder / "model.safetensors")
    middle = torch.relu(hidden @ w["score.0.weight"].T + w["score.0.bias"])
    return middle @ w["score.2.weight"].T + w["score.2.bias"]
