"""Makes the engine that runs a model, and the reward model that ranks candidates."""

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
    slots: int | None = None,
) -> Engine:
    """The engine that runs a model. `name` goes into the responses' `model` column, by default the model's own name.

    An endpoint needs the `account`, which keeps its responses and records its cost under `stage`. `slots` is the most
    responses that a transformers model generates at the same time, by default as many as suit the device.
    """
    if isinstance(model, WorksheetsModel):
        return WorksheetTeacher(model.name, model.skill)
    if isinstance(model, EndpointModel):
        from acemath.models.generate.endpoint.engine import EndpointEngine

        assert account is not None, "an endpoint needs an account"
        # The payer is the model, so that its budget covers all stages of a run together.
        return EndpointEngine(model, account, chat, name, payer=model.id, stage=stage)
    if isinstance(model, VllmModel):
        from acemath.models.generate.vllm import VllmEngine

        return VllmEngine(model, chat, name)
    from acemath.models.generate.transformers import TransformersEngine

    return TransformersEngine(model, chat, name, slots)


def make_ranker(model: Model, chat: ChatFormat | None) -> RewardModel:
    """The reward model that ranks candidates. The recipe has checked that the model's settings apply to it."""
    from acemath.models.score.score import RewardModel

    assert not isinstance(model, EndpointModel | WorksheetsModel)
    options: dict[str, Any] = {}
    if isinstance(model, VllmModel):
        options = {
            "tensor_parallel_size": model.tensor_parallel,
            "gpu_memory_utilization": model.memory_share,
            "enable_prefix_caching": model.prefix_caching,
        }
    return RewardModel(
        at_revision(model.id, model.revision),
        chat,
        max_length=model.max_length or 4096,
        bf16=model.dtype == "bfloat16",
        engine=model.engine,
        options=options,
    )
