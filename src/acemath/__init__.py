"""acemath: curate, fine-tune, judge and answer; the AceMath recipe as software."""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "grade": "acemath.grade", "equal": "acemath.grade", "extract": "acemath.grade", "grade_many": "acemath.grade",
    "pass_at_k": "acemath.metrics", "rm_at_k": "acemath.metrics", "maj_at_k": "acemath.metrics",
    "BestOfN": "acemath.reward.best_of_n", "RewardModel": "acemath.reward.score",
}  # fmt: skip
__all__ = sorted([*_HOMES, "__version__"])


def __getattr__(name: str) -> Any:
    """Load a public name's home on first use, so that `import acemath` stays quick."""
    if name not in _HOMES:
        raise AttributeError(f"module 'acemath' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
