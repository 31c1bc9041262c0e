"""From a recipe's words to engines: teachers and policies."""

from __future__ import annotations

from pathlib import Path

from acemath.demo.teacher import WorksheetTeacher
from acemath.models.builtin import resolve
from acemath.models.engine import Engine
from acemath.models.generate.endpoint.settings import Endpoint
from acemath.recipe.schema import Policy, Teacher
from acemath.run.context import Run


def teacher_engine(teacher: Teacher, run: Run, stage: str) -> Engine:
    """The engine behind a teacher, for this stage."""
    if teacher.engine == "worksheets":
        return WorksheetTeacher(f"worksheets-{teacher.skill}", teacher.skill)
    return _engine(teacher, teacher.model, teacher.model, run, stage)


def policy_engine(policy: Policy, model: str | Path, name: str, run: Run, stage: str) -> Engine:
    """The engine behind a policy: `model` is the folder of a stage of the run, or what the recipe says."""
    return _engine(policy, str(model), name, run, stage)


def _engine(settings: Endpoint, model: str, name: str, run: Run, stage: str) -> Engine:
    chat = run.recipe.sft.chat
    if settings.engine == "endpoint":
        from acemath.models.generate.endpoint.engine import EndpointEngine

        asked = settings.model_copy(update={"model": model})
        # The budget is the model's: what it is asked in all stages of the run counts together.
        return EndpointEngine(asked, run.account, chat, name, payer=model, stage=stage)
    if settings.engine == "vllm":
        from acemath.models.generate.vllm import VllmEngine

        return VllmEngine(resolve(model), chat, name)
    from acemath.models.generate.transformers import TransformersEngine

    return TransformersEngine(resolve(model), chat, name, run.recipe.engine_slots)
