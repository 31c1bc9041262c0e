"""How fast this machine writes, reads and trains with a model: measured once, kept in the user's cache, used by plans."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from acemath.files.atomic import read_json, write_json
from acemath.models.spec import TransformersModel, VllmModel
from acemath.recipe.schema import Recipe

Kind = Literal["write", "read", "train"]
Rates = dict[str, dict[str, float]]  # tokens a second of each kind, by a model's hub name or folder
TOKENS = 24  # of each response that is written to measure
ROWS, WIDTH = 4, 512  # of the passes that are timed, in tokens


def rates_file() -> Path:
    """Where rates are kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "acemath" / "rates.json"


def machine() -> str:
    """What a rate depends on beside the model: the device, the number of threads, the version of torch."""
    import torch

    if torch.cuda.is_available():
        return f"{torch.cuda.get_device_name()}, torch {torch.__version__}"
    found = Path("/proc/cpuinfo")
    lines = found.read_text().splitlines() if found.exists() else []
    name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor())
    return f"{name}, {torch.get_num_threads()} threads, torch {torch.__version__}"


def known_rates() -> Rates:
    """The rates that were measured on this machine; empty if there are none."""
    if not rates_file().exists():
        return {}
    found: Rates = read_json(rates_file()).get(machine(), {})
    return found


def local_models(recipe: Recipe) -> list[str]:
    """The models that a recipe runs in transformers on this machine, by hub name or folder."""
    refs = [recipe.sft.base, recipe.reward.base, *(role.model for role in recipe.roles.named().values())]
    refs += [p.model for part in (recipe.reward.candidates, recipe.bench) for p in part.policies.values()]
    specs = [recipe.model(ref) for ref in refs if recipe.stage_of(ref) is None]
    return list(dict.fromkeys(spec.id for spec in specs if isinstance(spec, TransformersModel)))


def measure_rates(recipe: Recipe, say: Callable[[str], None]) -> Rates:
    """Measure every model of a recipe that has no rates yet, and keep them. UserError for a model that cannot be loaded."""
    for model in local_models(recipe):
        if model in known_rates():
            continue
        say(f"measuring {model} …")
        found = {"write": _write(model, recipe.engine_slots), **_passes(model)}
        say(f"{model}: " + ", ".join(f"{kind} {rate:,.0f} tokens/s" for kind, rate in found.items()))
        kept: dict[str, Any] = read_json(rates_file()) if rates_file().exists() else {}
        kept.setdefault(machine(), {})[model] = found
        rates_file().parent.mkdir(parents=True, exist_ok=True)
        write_json(rates_file(), kept)
    return known_rates()


def _write(model: str, slots: int | None) -> float:
    """Tokens a second of drawn responses, with as many at once as the recipe allows, or 512."""
    from acemath.demo.worksheets.registry import MATH_SUBJECTS
    from acemath.demo.worksheets.sheets import draw_problems
    from acemath.models.engine import Sampling
    from acemath.models.generate.transformers import TransformersEngine

    engine = TransformersEngine(TransformersModel(id=model), slots=slots)
    problems = draw_problems("train", max(1, (slots or 512) // 8), 0, MATH_SUBJECTS)
    started = time.monotonic()
    written = sum(r.tokens for r in engine.generate(problems, Sampling(n=8, temperature=1.0, max_new_tokens=TOKENS)))
    return written / (time.monotonic() - started)


def _passes(model: str) -> dict[str, float]:
    """Tokens a second of a forward pass, and of a step of training with AdamW, in rows of random tokens without packing."""
    import torch
    from transformers import AutoModelForCausalLM

    from acemath.models.builtin import resolve
    from acemath.models.hardware import device, has_bf16
    from acemath.models.loading import loading

    with loading(model):
        loaded = AutoModelForCausalLM.from_pretrained(resolve(model), dtype=torch.float32, use_safetensors=True)
    loaded.to(device()).train()
    optimizer = torch.optim.AdamW(loaded.parameters(), lr=0.0)
    ids = torch.randint(10, 1000, (ROWS, WIDTH), device=device())

    def step(train: bool) -> None:
        with torch.autocast(device().type, torch.bfloat16, enabled=has_bf16()), torch.set_grad_enabled(train):
            loss = loaded(input_ids=ids, labels=ids).loss if train else loaded.base_model(input_ids=ids)
        if train:
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()

    def timed(train: bool) -> float:
        step(train)  # the first pass allocates
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        started = time.monotonic()
        step(train)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return ROWS * WIDTH / (time.monotonic() - started)

    return {"read": timed(False), "train": timed(True)}


def model_of(recipe: Recipe, ref: str) -> str:
    """The hub name or folder whose rates count for a model: those of the base for a stage of fine-tuning."""
    spec = recipe.model(recipe.origin(ref))
    return spec.id if isinstance(spec, TransformersModel | VllmModel) else ""
