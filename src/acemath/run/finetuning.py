"""The stages of fine-tuning: one policy after another (paper, section 3.1)."""

from __future__ import annotations

import gc
from dataclasses import asdict

from acemath.recipe.schema import Recipe, SftStage
from acemath.records import Chat
from acemath.run.context import Run
from acemath.run.stage import Facts, Making, Training
from acemath.train.sft.result import SftResult
from acemath.train.sft.settings import SftSettings


def policies(run: Run) -> list[Training]:
    """Fine-tune each stage from the one before, or from what it names."""
    return [_policy(run, name, base) for name, base in _bases(run.recipe).items()]


def sft_settings(recipe: Recipe, stage: SftStage) -> SftSettings:
    """The common settings with this stage's own laid over them."""
    return SftSettings.model_validate({**recipe.sft.settings.model_dump(), **stage.settings})


def _bases(recipe: Recipe) -> dict[str, str]:
    """What each stage of fine-tuning starts from: the model or the stage that it names, or the stage before."""
    found: dict[str, str] = {}
    before = recipe.sft.base
    for name, part in recipe.sft.stages.items():
        found[name] = part.base or before
        before = name
    return found


def _policy(run: Run, name: str, base: str) -> Training:
    told = sft_settings(run.recipe, run.recipe.sft.stages[name])

    def work(making: Making) -> Facts:
        from acemath.train.sft.train import train_sft

        chats = making.store(f"blend-{name}").stream(Chat)
        result = train_sft(
            run.place(base), chats, making.out, making.work, told, run.recipe.seed, making.progress
        )
        gc.collect()
        return {**asdict(result), "summary": _words(result)}

    settings = {
        "sft": told.model_dump(exclude={"save_every", "report_to"}),
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
