"""The numbers: pass@k, rm@k and maj@k, their controls, their intervals, and what a judge's scores are worth.

`exact` has one problem at a time, in few lines; `pickers` and `majority` give the same numbers for many problems at once.
`protocols` names the ways to take a number at k from n responses. Needs numpy alone.
"""

from acemath.metrics.exact import (
    maj_at_k,
    mean_accuracy,
    pass_at_k,
    rm_at_k,
    rm_at_k_draws,
    weighted_at_k,
    weighted_is_exact,
)
from acemath.metrics.intervals import (
    Comparison,
    Estimate,
    average,
    estimate,
    estimates,
    paired,
    who_beats_whom,
)
from acemath.metrics.protocols import DRAWS, EXACT, FIRST, PROTOCOLS, Protocol, picked, protocol_of

__all__ = [
    "DRAWS", "EXACT", "FIRST", "PROTOCOLS", "Comparison", "Estimate", "Protocol", "average", "estimate", "estimates",
    "maj_at_k", "mean_accuracy", "paired", "pass_at_k", "picked", "protocol_of", "rm_at_k", "rm_at_k_draws",
    "weighted_at_k", "weighted_is_exact", "who_beats_whom",
]  # fmt: skip
