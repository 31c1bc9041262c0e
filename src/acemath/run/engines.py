"""From models and roles to engines that write, and to the reward model that ranks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from acemath.demo.teacher import WorksheetTeacher
from acemath.models.engine import ChatFormat, Engine
from acemath.models.hub import at_revision
from acemath.models.spec import EndpointModel, Model, VllmModel, WorksheetsModel

if TYPE_CHECKING:
    from acemath.models.generate.endpoint.account import Account
    from acemath.models.score.score import RewardModel


def make_engine(
    model: Model,
    chat: ChatFormat | None = None,
    name: str = "",
    account: Account | None = None,
    stage: str = "",
    slots: int = 512,
) -> Engine:
    """The engine that runs a model. `name` is what its responses' `model` column says, by default the model's own.

    An endpoint needs the `account` that keeps its replies and books its cost on this `stage`. `slots` is how many
    responses a transformers model has in the making at once.
    """
    if isinstance(model, WorksheetsModel):
        return WorksheetTeacher(model.name, model.skill)
    if isinstance(model, EndpointModel):
        from acemath.models.generate.endpoint.engine import EndpointEngine

        assert account is not None, "an endpoint is asked on an account"
        # The budget is the model's: what it is asked in all stages of a run counts together.
        return EndpointEngine(model, account, chat, name, payer=model.id, stage=stage)
    if isinstance(model, VllmModel):
        from acemath.models.generate.vllm import VllmEngine

        return VllmEngine(model, chat, name)
    from acemath.models.generate.transformers import TransformersEngine

    return TransformersEngine(model, chat, name, slots)


def make_ranker(model: Model, chat: ChatFormat | None) -> RewardModel:
    """The reward model that sorts candidates. The recipe has checked that the model's settings fit."""
    from acemath.models.score.score import RewardModel

    assert not isinstance(model, EndpointModel | WorksheetsModel)
    options: dict[str, Any] = {}
    if isinstance(model, VllmModel):
        options = {
            "tensor_parallel_size": model.tensor_parallel,
            "gpu_memory_utilization": model.memory_share,
        }
    return RewardModel(
        at_revision(model.id, model.revision),
        chat,
        max_length=model.max_length or 4096,
        bf16=model.dtype == "bfloat16",
        engine=model.engine,
        options=options,
    )
