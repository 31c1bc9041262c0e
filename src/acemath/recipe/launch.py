"""What a recipe says of where its jobs run."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from acemath.recipe.part import Part


class LaunchSettings(Part):
    """Where the stages that make partition by partition, and ask no model, are made."""

    by: Literal["processes", "ray", "slurm"] = "processes"
    """Who starts the jobs: processes of this machine. Ray and Slurm do not exist yet."""
    processes: int = Field(1, ge=1)
    """The number of processes that make partitions at the same time."""
