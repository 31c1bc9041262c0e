"""Results of other programs, read as rows: EvalPlus and lm-eval measure HumanEval and MBPP, since acemath runs no code.

A row has the fields of `results.json`: model, selector, measure, k, benchmark, value, low, high (percent), problems, undefined.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from acemath.errors import UserError
from acemath.files.rows import read_records
from acemath.metrics import Estimate, estimate, pass_at_k

FORMS = "EvalPlus writes eval (task: results), lm-eval writes results (task: metrics)"
NORMAL = 1.96  # standard errors on each side of a 95 % interval
_METRIC = re.compile(r"pass(?:@|_at_)(\d+)(?:,([\w-]+))?")
_PASSED, _FAILED = ("pass", "success"), ("fail", "timeout", "failed", "timed out")  # EvalPlus's words; older files have the last
_CODE = re.compile(r"humaneval|mbpp", re.IGNORECASE)


def other_results(path: Path, model: str = "") -> list[dict[str, Any]]:
    """The rows of a result file of EvalPlus or lm-eval: pass@k of its code benchmarks, in percent with an interval.

    EvalPlus's tests alone are the benchmark "humaneval" or "mbpp", with its extra tests "humaneval_plus" or "mbpp_plus"; the
    interval is over problems. lm-eval's value stands as it is; its interval is over problems where each has one response,
    else from its standard error. UserError for a file of another form, and for a value whose interval cannot be known.
    """
    found = next(read_records(path), {})
    if isinstance(found.get("eval"), Mapping):
        rows = list(_evalplus(found["eval"], path, model))
    elif isinstance(found.get("results"), Mapping):
        rows = list(_lm_eval(found, path, model or str(found.get("model_name") or "")))
    else:
        raise UserError(f"{path} is no result of EvalPlus or lm-eval; {FORMS}")
    if not rows:
        raise UserError(f"{path} holds no pass@k of HumanEval or MBPP; give another file")
    return rows


def _evalplus(tasks: Mapping[str, Any], path: Path, model: str) -> Iterator[dict[str, Any]]:
    by_set: dict[str, list[list[bool]]] = {}
    for task, results in tasks.items():
        name = task.partition("/")[0].lower()
        if _CODE.fullmatch(name) is None:
            raise UserError(f"{path}: task {task!r} is neither of HumanEval nor of MBPP; give a result of EvalPlus")
        base, plus = _verdicts(results, f"{path}, task {task}")
        by_set.setdefault(name, []).append(base)
        if plus:
            by_set.setdefault(f"{name}_plus", []).append([one and both for one, both in zip(base, plus, strict=True)])
    for name, verdicts in by_set.items():
        if name.endswith("_plus") and len(verdicts) != len(by_set[name.removesuffix("_plus")]):
            raise UserError(f"{path}: only {len(verdicts)} tasks have results of the extra tests; run EvalPlus again")
        for k in (1, 10, 100):
            if k <= min(map(len, verdicts)):
                yield _row(model, name, k, estimate([pass_at_k(one, k) for one in verdicts]))


def _verdicts(results: Any, place: str) -> tuple[list[bool], list[bool]]:
    """Whether each response passes EvalPlus's base tests and, if they were run, its extra tests."""
    if isinstance(results, Mapping):  # files of before 2024: base and plus are lists of (status, details)
        statuses = [[one[0] for one in results.get(kind) or ()] for kind in ("base", "plus")]
    else:
        statuses = [[one.get(f"{kind}_status") for one in results] for kind in ("base", "plus")]
    base, plus = ([status for status in found if status is not None] for found in statuses)
    if (unknown := next((status for status in (*base, *plus) if status not in (*_PASSED, *_FAILED)), None)) is not None:
        raise UserError(f"{place}: status {unknown!r} is none of EvalPlus's ({', '.join((*_PASSED, *_FAILED))}); correct it")
    if not base or len(base) != len(statuses[0]) or len(plus) not in (0, len(base)):
        raise UserError(f"{place}: {len(base)} results of the base tests and {len(plus)} of the extra ones; run EvalPlus again")
    return [status in _PASSED for status in base], [status in _PASSED for status in plus]


def _lm_eval(found: Mapping[str, Any], path: Path, model: str) -> Iterator[dict[str, Any]]:
    for task, metrics in found["results"].items():
        if _CODE.search(task) is None:
            continue
        for name, value in metrics.items():
            metric = _METRIC.fullmatch(name)
            if metric is None or isinstance(value, bool) or not isinstance(value, int | float):
                continue
            count = (found.get("n-samples") or {}).get(task, {}).get("effective")
            error = metrics.get(name.replace(",", "_stderr,", 1) if "," in name else f"{name}_stderr")
            yield _row(model, task, int(metric[1]), _interval(float(value), count, error, f"{path}, {task}, {name}"))


def _interval(value: float, count: Any, error: Any, place: str) -> Estimate:
    """The interval of a share: over problems where it is a count of them, else by its standard error."""
    if not 0 <= value <= 1:
        raise UserError(f"{place} is {value:g}; lm-eval gives a share from 0 to 1")
    problems = int(count) if isinstance(count, int) else 0
    right = value * problems
    if problems and abs(right - round(right)) < 1e-6 * problems:
        return estimate([1.0] * round(right) + [0.0] * (problems - round(right)))
    if not isinstance(error, int | float):
        raise UserError(f"{place}: there is neither a number of problems (n-samples) nor a standard error to give an interval by")
    return Estimate(value, max(0.0, value - NORMAL * error), min(1.0, value + NORMAL * error), problems)


def _row(model: str, benchmark: str, k: int, found: Estimate) -> dict[str, Any]:
    percent = {name: 100 * getattr(found, name) for name in ("value", "low", "high")}
    return {
        "model": model, "selector": "random" if k == 1 else "oracle", "measure": f"pass@{k}", "k": k, "benchmark": benchmark, **percent,
        "problems": found.problems, "undefined": found.undefined,
    }  # fmt: skip
