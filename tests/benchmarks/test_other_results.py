"""Results of EvalPlus and lm-eval as rows: their forms, the intervals, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from acemath.benchmarks.other_results import other_results
from acemath.errors import UserError


def write(path: Path, value: object) -> Path:
    """A file of JSON."""
    path.write_text(json.dumps(value))
    return path


def one(base: str | None, plus: str | None) -> dict[str, object]:
    return {"task_id": "t", "solution": "s", "base_status": base, "plus_status": plus, "base_fail_tests": [], "plus_fail_tests": []}


def numbers(rows: list[dict[str, Any]]) -> dict[tuple[str, str], float]:
    return {(row["benchmark"], row["measure"]): round(row["value"], 4) for row in rows}


def test_evalplus(tmp_path: Path) -> None:
    """Each response has a status of the base tests and of the extra ones, which count only beside the base tests."""
    passed, half, failed = one("pass", "pass"), one("pass", "fail"), one("timeout", "pass")
    path = write(tmp_path / "e.json", {"eval": {"HumanEval/0": [passed], "HumanEval/1": [half], "HumanEval/2": [failed]}})
    rows = other_results(path, "m")
    assert numbers(rows) == {("humaneval", "pass@1"): 66.6667, ("humaneval_plus", "pass@1"): 33.3333}
    assert all(row["low"] <= row["value"] <= row["high"] and (row["model"], row["problems"]) == ("m", 3) for row in rows)
    ten = write(tmp_path / "ten.json", {"eval": {"Mbpp/2": [one("pass", None)] * 4 + [one("fail", None)] * 6}})
    assert numbers(other_results(ten)) == {("mbpp", "pass@1"): 40.0, ("mbpp", "pass@10"): 100.0}
    old = {"HumanEval/0": {"nfiles": 2, "base": [["success", []], ["failed", []]], "plus": [["success", []], ["success", []]]}}
    assert numbers(other_results(write(tmp_path / "old.json", {"eval": old}))) == {
        ("humaneval", "pass@1"): 50.0, ("humaneval_plus", "pass@1"): 50.0,
    }  # fmt: skip


def test_lm_eval(tmp_path: Path, command: Callable[..., Any]) -> None:
    """The interval comes from the number of problems, else from the standard error; other tasks are left out."""
    found = {
        "results": {
            "humaneval": {"alias": "humaneval", "pass@1,create_test": 0.5, "pass@1_stderr,create_test": 0.039},
            "mbpp_instruct": {"pass_at_1,extract_code": 0.7441, "pass_at_1_stderr,extract_code": 0.02},
            "gsm8k": {"exact_match,strict-match": 0.3},
        },
        "n-samples": {"humaneval": {"original": 164, "effective": 164}},
        "model_name": "m",
    }  # fmt: skip
    path = write(tmp_path / "l.json", found)
    code, mbpp = other_results(path)
    assert (code["value"], code["problems"], code["model"]) == (50.0, 164, "m") and 40 < code["low"] < 46 < 54 < code["high"] < 60
    assert (round(mbpp["low"], 2), round(mbpp["high"], 2)) == (70.49, 78.33)
    done = command("benchmarks", "--results", path, "--json")
    assert [row["benchmark"] for row in json.loads(done.out)["rows"]] == ["humaneval", "mbpp_instruct"]
    del found["results"]["mbpp_instruct"]["pass_at_1_stderr,extract_code"]  # type: ignore[attr-defined]
    with pytest.raises(UserError, match="neither a number of problems .* nor a standard error"):
        other_results(write(path, found))


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({"a": 1}, "no result of EvalPlus or lm-eval"),
        ({"eval": {}}, "holds no pass@k"),
        ({"results": {"gsm8k": {"acc,none": 1.0}}}, "holds no pass@k"),
        ({"eval": {"gsm8k/1": [one("pass", None)]}}, "neither of HumanEval nor of MBPP"),
        ({"eval": {"Mbpp/1": []}}, "0 results of the base tests"),
        ({"eval": {"Mbpp/1": [one("passed", "passed")]}}, "status 'passed' is none of EvalPlus's"),
        ({"eval": {"Mbpp/1": [one(None, None), one("pass", None)]}}, "1 results of the base tests"),
        ({"results": {"mbpp": {"pass_at_1,none": 42.0}}}, "is 42; lm-eval gives a share from 0 to 1"),
        ({"eval": {"Mbpp/1": [one("pass", None)], "Mbpp/2": [one("pass", "pass")]}}, "only 1 tasks have results of the extra tests"),
    ],
)
def test_other_files_are_refused(value: object, says: str, tmp_path: Path) -> None:
    """One clear line."""
    with pytest.raises(UserError, match=says) as caught:
        other_results(write(tmp_path / "x.json", value))
    assert "\n" not in str(caught.value)
