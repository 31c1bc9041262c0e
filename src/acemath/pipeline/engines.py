"""From a recipe's words to engines: teachers and policies."""

from __future__ import annotations

from pathlib import Path

from acemath.engines.base import Engine
from acemath.engines.worksheets import WorksheetTeacher
from acemath.errors import UserError
from acemath.nano.home import resolve
from acemath.recipe import Policy, Recipe, Teacher


def teacher_engine(teacher: Teacher, recipe: Recipe) -> Engine:
    """The engine behind a teacher."""
    if teacher.engine == "worksheets":
        return WorksheetTeacher(f"worksheets-{teacher.skill}", teacher.skill)
    return _engine(teacher.engine, teacher.model, teacher.url, teacher.api_key_env, recipe, teacher.model)


def policy_engine(policy: Policy, model: str | Path, name: str, recipe: Recipe) -> Engine:
    """The engine behind a policy: `model` is the folder of a stage of the run, or what the recipe says."""
    return _engine(policy.engine, str(model), policy.url, "OPENAI_API_KEY", recipe, name)


def _engine(kind: str, model: str, url: str, key: str, recipe: Recipe, name: str) -> Engine:
    if kind == "transformers":
        from acemath.engines.local import TransformersEngine

        return TransformersEngine(resolve(model), recipe.sft.chat, name, recipe.engine_slots)
    if kind == "vllm":
        from acemath.engines.vllm import VllmEngine

        return VllmEngine(resolve(model), recipe.sft.chat, name)
    if kind == "endpoint":
        from acemath.engines.endpoint import EndpointEngine

        return EndpointEngine(url, model, recipe.sft.chat, key_env=key, name=name)
    raise UserError(f"engine {kind!r} does not exist; use worksheets, transformers, vllm or endpoint")
