"""Judges: everything that gives scores to responses, made from its settings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from acemath.errors import needing
from acemath.models.hub import at_revision
from acemath.models.score.judging import Item, Judge, Progress, silent
from acemath.models.score.settings import (
    ClassifySettings,
    GenerativeSettings,
    JudgeSettings,
    ProcessModelSettings,
    RewardModelSettings,
    is_file,
    read_settings,
    settings_from,
)
from acemath.notices import quiet_transformers

if TYPE_CHECKING:
    from acemath.models.score.score import RewardModel

__all__ = ["Item", "Judge", "JudgeSettings", "Progress", "judge_settings", "open_judge", "silent"]


JOURNAL = Path("judge.journal")  # the folder that keeps a server's replies, where the caller names none


def judge_settings(judge: str | Path, options: Mapping[str, Any] | None = None) -> JudgeSettings:
    """The settings of --judge: a YAML file, or the folder or hub name of a reward model or process reward model.

    `options` of the command line are laid over them; those that are None are left out. UserError for a key or value
    that does not fit the kind of judge.
    """
    data = read_settings(Path(judge)) if is_file(str(judge)) else {"model": str(judge)}
    given = {key: value for key, value in (options or {}).items() if value is not None}
    if not is_file(str(judge)) and "kind" not in given:
        from acemath.models.score.heads import head_kind

        with needing(f"judge {str(judge)!r}"):
            data["kind"] = "process" if head_kind(judge) in ("process", "value") else "reward"
    return settings_from({**data, **given}, str(judge))


def open_judge(settings: JudgeSettings, journal: Path | None = None) -> Judge:
    """The judge with these settings; its model is loaded.

    A judge on a server keeps its replies in the folder `journal`, which must be no other engine's, and asks for none of
    them again. UserError if the model cannot judge.
    """
    quiet_transformers()
    with needing(f"a judge of kind {settings.kind}"):
        if isinstance(settings, GenerativeSettings):
            from acemath.models.score.generative import GenerativeJudge

            return GenerativeJudge(settings, journal or JOURNAL)
        if isinstance(settings, ClassifySettings):
            from acemath.models.score.classify import ClassifyJudge

            return ClassifyJudge(settings, journal or JOURNAL)
        if isinstance(settings, ProcessModelSettings):
            from acemath.models.score.process import ProcessRewardModel

            return ProcessRewardModel(settings)
        return reward_model(settings)


def reward_model(settings: RewardModelSettings) -> RewardModel:
    """The reward model with these settings."""
    from acemath.models.score.score import RewardModel

    options = {}
    if settings.engine == "vllm":
        options = {
            "tensor_parallel_size": settings.tensor_parallel,
            "gpu_memory_utilization": settings.memory_share,
        }
    found = RewardModel(
        at_revision(settings.model, settings.revision),
        settings.chat,
        max_length=settings.max_length,
        bf16=settings.dtype == "bfloat16",
        share_prefix=settings.share_prefix,
        engine=settings.engine,
        options=options,
    )
    found.name = settings.model
    return found
