"""Experiment trackers (trackio, tensorboard, wandb …), checked before a model is loaded."""

from __future__ import annotations

import importlib.util

from acemath.errors import UserError

# The trainer's name of a tracker: its module, and the package to install.
PACKAGES = {
    "azure_ml": ("azureml", "azureml-mlflow"),
    "clearml": ("clearml", "clearml"),
    "codecarbon": ("codecarbon", "codecarbon"),
    "comet_ml": ("comet_ml", "comet-ml"),
    "dagshub": ("dagshub", "dagshub"),
    "dvclive": ("dvclive", "dvclive"),
    "flyte": ("flytekit", "flytekit"),
    "mlflow": ("mlflow", "mlflow"),
    "neptune": ("neptune", "neptune"),
    "swanlab": ("swanlab", "swanlab"),
    "tensorboard": ("tensorboard", "tensorboard"),
    "trackio": ("trackio", "trackio"),
    "wandb": ("wandb", "wandb"),
}


def check_tracker(name: str) -> None:
    """UserError if `report_to` names no tracker, or one whose package is not installed."""
    if name in ("none", "all"):
        return
    if name not in PACKAGES:
        raise UserError(f"report_to {name!r} is not a tracker; use none, {', '.join(PACKAGES)}")
    module, package = PACKAGES[name]
    if importlib.util.find_spec(module) is None:
        raise UserError(f"report_to: {name} needs the package {package!r}, which is not installed: pip install {package}, or set report_to: none")
