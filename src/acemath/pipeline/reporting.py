"""From a run's folder to its report."""

from __future__ import annotations

from pathlib import Path

from acemath.pipeline.context import Run


def make_report(run: Run) -> Path:
    return run.folder / "report.html"
