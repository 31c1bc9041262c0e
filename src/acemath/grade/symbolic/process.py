"""What a worker process does: see whether the difference of two answers vanishes in sympy."""

from __future__ import annotations

import json
import signal
import sys
from typing import Any

from acemath.grade.base.guards import TooHard
from acemath.grade.base.nodes import Node
from acemath.grade.compare.names import head_and_value
from acemath.grade.read.reader import read
from acemath.grade.symbolic.sympy_trees import Builder
from acemath.grade.values.evaluate import Undefined

_GIVEN_UP = (
    Undefined, TooHard, MemoryError, RecursionError, ArithmeticError, AttributeError, NotImplementedError, TypeError, ValueError,
)  # fmt: skip


def compare(left: str, right: str, sympy: Any) -> str:
    """equal, different, or unknown, for two cleaned answers. Raises one of `_GIVEN_UP` where sympy cannot tell."""
    builder = Builder(sympy)
    a, b = (builder.value(_value(read(text))) for text in (left, right))
    difference = a - b
    if difference == 0:
        return "equal"
    if difference.has(sympy.nan, sympy.zoo):
        return "unknown"
    simple = sympy.simplify(difference)
    if simple == 0:
        return "equal"
    return "different" if simple.is_number else "unknown"


def _value(node: Node) -> Node:
    named = head_and_value(node)
    if named is not None:
        return named[1]
    return node.args[0] if node.kind == "quantity" else node


def main() -> None:
    """Answer lines of JSON until standard input ends."""
    _limit_memory(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
    import sympy

    print("ready", flush=True)
    for line in sys.stdin:
        left, right, seconds = json.loads(line)
        _limit_time(seconds)
        try:
            outcome = compare(left, right, sympy)
        except _GIVEN_UP:
            outcome = "unknown"  # of these two; the process is sound and goes on
        _limit_time(0)
        print(outcome, flush=True)


def _limit_memory(megabytes: int) -> None:
    if megabytes <= 0 or sys.platform == "win32":
        return
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20, megabytes << 20))


def _limit_time(seconds: float) -> None:
    """Let the system end this process after so much time of its own on a processor; 0 takes the limit away.

    What other processes take does not count, so that a verdict does not depend on the load of the machine.
    """
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_PROF, seconds)  # no handler: the signal ends the process


if __name__ == "__main__":
    main()
