"""Judges: everything that gives scores to responses, made from its settings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from acemath.errors import UserError, needing
from acemath.models.hub import at_revision, content_of
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

__all__ = ["Item", "Judge", "JudgeSettings", "Progress", "judge_identity", "judge_settings", "open_judge", "silent"]


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


def judge_identity(settings: JudgeSettings) -> dict[str, Any]:
    """All that a judge's scores depend on, as JSON, without loading it: its settings, the content of its files, and whether
    the hardware has its number format.

    UserError if there is no such model, or if a reward model has no head to judge with.
    """
    found = settings.identity()
    revision = getattr(settings, "revision", None)
    with needing(f"a judge of kind {settings.kind}"):
        if isinstance(settings, RewardModelSettings):
            from acemath.models.score.heads import check_head

            check_head(at_revision(settings.model, revision))
        for key in ("model", "tokenizer"):
            if (place := getattr(settings, key, None)) is not None:
                found[f"{key} files"] = content = content_of(at_revision(place, revision))
                if not content:
                    raise UserError(
                        f"judge {place!r} is no folder, and no model that the hub gives; check its name and the network"
                    )
        if getattr(settings, "dtype", None) == "bfloat16":
            from acemath.models.hardware import has_bf16

            found["half"] = has_bf16()
    return found


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

    found = RewardModel(
        at_revision(settings.model, settings.revision),
        settings.chat,
        max_length=settings.max_length,
        bf16=settings.dtype == "bfloat16",
        share_prefix=settings.share_prefix,
        engine=settings.engine,
        options=settings.vllm_options(),
    )
    found.name = settings.model
    return found
