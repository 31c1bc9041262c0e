"""acemath: curate, fine-tune, judge and answer; the AceMath recipe as software."""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False  # importing typing takes time, and Ctrl-C before `__main__.main` prints a traceback
if TYPE_CHECKING:
    from typing import Any

    from acemath.grade import equal, extract, grade, grade_many
    from acemath.metrics import maj_at_k, pass_at_k, rm_at_k
    from acemath.models.score.best_of_n import BestOfN
    from acemath.models.score.score import RewardModel
    from acemath.run.measuring.api import evaluate

__version__ = "0.1.0"
__all__ = [
    "BestOfN", "RewardModel", "__version__", "equal", "evaluate", "extract", "grade", "grade_many", "maj_at_k", "pass_at_k", "rm_at_k",
]  # fmt: skip

_HOMES = {
    "equal": "acemath.grade", "extract": "acemath.grade", "grade_many": "acemath.grade",
    "pass_at_k": "acemath.metrics", "rm_at_k": "acemath.metrics", "maj_at_k": "acemath.metrics",
    "BestOfN": "acemath.models.score.best_of_n", "RewardModel": "acemath.models.score.score",
    "evaluate": "acemath.run.measuring.api",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import a public name on first use, so that `import acemath` stays quick."""
    if name == "grade":  # the package itself, which can be called: see acemath/grade/__init__.py
        return import_module("acemath.grade")
    if name not in _HOMES:
        raise AttributeError(f"module 'acemath' has no attribute {name!r}")
    from acemath.errors import needing

    with needing(f"acemath.{name}"):
        return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """The public names, also those that are not imported yet."""
    return sorted({*globals(), *__all__})
