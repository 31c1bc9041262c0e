"""Judges: everything that gives scores to responses, made from its settings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from acemath.errors import UserError
from acemath.models.hub import at_revision
from acemath.models.score.judging import Item, Judge, Progress, silent
from acemath.models.score.settings import (
    JudgeSettings,
    RewardModelSettings,
    is_file,
    read_settings,
    settings_from,
)
from acemath.notices import quiet_transformers

__all__ = ["Item", "Judge", "JudgeSettings", "Progress", "judge_settings", "open_judge", "silent"]


def judge_settings(judge: str | Path, options: Mapping[str, Any] | None = None) -> JudgeSettings:
    """The settings of --judge: a YAML file, or the folder or hub name of a reward model.

    `options` of the command line are laid over them; those that are None are left out. UserError for a key or value
    that does not fit the kind of judge.
    """
    data = read_settings(Path(judge)) if is_file(str(judge)) else {"model": str(judge)}
    given = {key: value for key, value in (options or {}).items() if value is not None}
    return settings_from({**data, **given}, str(judge))


def open_judge(settings: JudgeSettings, journal: Path | None = None) -> Judge:
    """The judge with these settings; its model is loaded. A judge on a server keeps its replies in the folder `journal`.

    UserError if the model cannot judge.
    """
    quiet_transformers()
    if isinstance(settings, RewardModelSettings):
        from acemath.models.score.score import RewardModel

        options = {}
        if settings.engine == "vllm":
            options = {"tensor_parallel_size": settings.tensor_parallel, "gpu_memory_utilization": settings.memory_share}
        return RewardModel(
            at_revision(settings.model, settings.revision),
            settings.chat,
            max_length=settings.max_length,
            bf16=settings.dtype == "bfloat16",
            share_prefix=settings.share_prefix,
            engine=settings.engine,
            options=options,
        )
    raise UserError(f"judges of kind {settings.kind} cannot be opened yet")
