"""The base class of a recipe's parts, and the short forms of its values."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class Part(BaseModel):
    """Settings that refuse unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def expanded(value: Any) -> Any:
    """The long form of a value: a model's name becomes a role with this model, a list of names becomes a group.

    A list may also hold `name: {settings}`.
    """
    if isinstance(value, str):
        return {"model": value}
    if isinstance(value, list | tuple) and all(isinstance(one, str | dict) for one in value):
        return {
            name: own for one in value for name, own in ({one: {}} if isinstance(one, str) else one).items()
        }
    return value
