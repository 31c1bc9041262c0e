"""Settings of where the jobs of a run are done."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from acemath.files.settings import Settings


class LaunchSettings(Settings):
    """How the jobs of stages that need no model are started."""

    by: Literal["processes", "ray", "slurm"] = "processes"
    """How jobs are started: in processes of this machine. Ray and Slurm are not supported yet."""
    processes: int = Field(1, ge=1)
    """The number of processes that make partitions at the same time."""
