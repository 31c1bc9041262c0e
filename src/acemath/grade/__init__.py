"""Grading: from a response to its final answer, and from two answers to a verdict.

    from acemath.grade import grade, equal, extract
    grade(r"… so the answer is $\\boxed{\\frac{1}{2}}$.", "0.5").status      # "correct"

Importing this package loads no sympy and starts no process; a worker process starts only for a pair of
answers that exact, numeric and structural comparison cannot decide.
"""

from __future__ import annotations

import sys
from importlib import import_module
from inspect import signature
from types import ModuleType
from typing import Any

from acemath.grade.batch import classes, grade_many
from acemath.grade.cache import CACHE
from acemath.grade.conventions import LENIENT, PRESETS, QWEN, STRICT, Conventions
from acemath.grade.core import equal, grade, grade_answer
from acemath.grade.extract.responses import extract
from acemath.grade.extract.sentences import Extraction
from acemath.records import Verdict

__all__ = [
    "CACHE", "LENIENT", "PRESETS", "QWEN", "STRICT", "Conventions", "Extraction", "Verdict",
    "classes", "equal", "extract", "grade", "grade_answer", "grade_many",
]  # fmt: skip


class _CallablePackage(ModuleType):
    """This package as a module that can be called: `acemath.grade(…)` is `acemath.grade.grade(…)`.

    `acemath.grade` is both the public function and this package. Python binds the name to the package as soon as any
    part of it is imported, so the package itself has to answer the call.
    """

    __call__ = staticmethod(grade)
    __signature__ = signature(grade)  # else inspect, and editors with it, leave out the first argument

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        """Pickle by name, as a function is pickled: `pool.starmap(acemath.grade, rows)` works."""
        return import_module, (__name__,)


sys.modules[__name__].__class__ = _CallablePackage
