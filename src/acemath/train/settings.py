"""Settings that both kinds of training share."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class LoraSettings(BaseModel):
    """The paper trains whole models; all values here are our choice. There is no dropout: runs resume exactly."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rank: int = Field(16, ge=1)
    """The rank of the added matrices."""
    alpha: float = Field(32.0, gt=0)
    """Updates are scaled by alpha / rank."""
    targets: tuple[str, ...] = ()
    """The linear layers that get one, such as `q_proj`; by default all of the body."""
