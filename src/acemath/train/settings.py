"""Settings that both kinds of training share."""

from __future__ import annotations

from typing import Any, ClassVar

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


class TrainingSettings(Settings):
    """Settings of a training. Those in `MEANS` say how passes are computed, saved and reported.

    The weights depend on them only by rounding, so a stopped training goes on when they change, with more memory or less.
    """

    MEANS: ClassVar[frozenset[str]] = frozenset(
        {"gradient_checkpointing", "liger", "compile", "save_every", "report_to"}
    )

    def of_weights(self) -> dict[str, Any]:
        """The settings that the weights depend on, as a JSON value."""
        return self.model_dump(mode="json", exclude=set(self.MEANS))
