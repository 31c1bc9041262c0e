"""Settings that both kinds of training share."""

from __future__ import annotations

from pydantic import Field

from acemath.files.settings import Settings


class LoraSettings(Settings):
    """LoRA. The paper trains all weights, so these values are our choice. There is no dropout: training resumes exactly."""


    rank: int = Field(16, ge=1)
    """The rank of the added matrices."""
    alpha: float = Field(32.0, gt=0)
    """Updates are scaled by alpha / rank."""
    targets: tuple[str, ...] = ()
    """Names of the linear layers that get LoRA matrices, such as `q_proj`; by default all of the body."""
