"""The trainings of fine-tuning, one for each stage of the recipe (paper, section 3.1)."""

from __future__ import annotations

import gc
from dataclasses import asdict

from acemath.recipe.schema import Recipe
from acemath.records import Chat
from acemath.run.context import Run
from acemath.run.stage import Facts, Making, Training
from acemath.train.sft.result import SftResult


def policies(run: Run) -> list[Training]:
    """One training for each stage: from the stage before, or from the base that it names."""
    return [_policy(run, name, base) for name, base in bases_of(run.recipe).items()]


def bases_of(recipe: Recipe) -> dict[str, str]:
    """The base of each stage: the model or stage that it names, or else the stage before."""
    found: dict[str, str] = {}
    before = recipe.sft.base
    for name, part in recipe.sft.stages.items():
        found[name] = part.base or before
        before = name
    return found


def _policy(run: Run, name: str, base: str) -> Training:
    own = run.recipe.sft.settings_of(name)

    def work(making: Making) -> Facts:
        from acemath.train.sft.train import train_sft

        chats = making.store(f"blend-{name}").stream(Chat)
        result = train_sft(
            run.place(base), chats, making.out, making.work, own, run.recipe.seed, making.progress, run.called(base)
        )
        gc.collect()
        return {**asdict(result), "summary": _words(result)}

    settings = {
        "sft": own.of_weights(),
        "base": run.recipe.base_of(base),
        "seed": run.recipe.seed,
    }
    inputs = (f"blend-{name}", *run.made_by(base))
    return Training(f"sft-{name}", settings, inputs, work=work, summary=lambda facts: str(facts["summary"]))


def _words(result: SftResult) -> str:
    before, after = result.validation_before, result.validation_after
    if before is None or after is None:
        return result.summary
    return f"{result.summary}, validation loss {before:.3f} → {after:.3f}"
