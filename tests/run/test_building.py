"""AceMath-RewardBench built from policies: a release that can be scored, and that grows with each policy."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from acemath.benchmarks.release import Unread, entries, sets_of
from acemath.demo.worksheets.sheets import draw_problems
from acemath.files.rows import write_rows
from acemath.records import Problem


def test_built_scored_and_built_further(
    tmp_path: Path, tiny_policy: Path, random_reward_model: Path, command: Callable[..., Any]
) -> None:
    """Two benchmarks, a policy under two names, then nano: candidates with writers, verdicts and reasons."""
    for name, seed in (("easy", 0), ("hard", 1)):
        write_rows(tmp_path / f"{name}.jsonl", draw_problems("test", 5, seed, ("arithmetic",), (1,)), Problem)
    common = ("--benchmarks", "easy.jsonl,hard.jsonl", "-n", 2, "--out", "built", "--json")
    policies = (f"--model=a={tiny_policy}", f"--model=b={tiny_policy}")
    done = command("rewardbench", "build", *policies, *common, "--max-new-tokens", 8)
    assert done.code == 0, done.err
    made = json.loads(done.out)
    assert (made["problems"], made["responses"]) == ({"easy": 5, "hard": 5}, 40)
    again = json.loads(command("rewardbench", "build", "--model", "nano", *common, "--max-new-tokens", 60).out)
    assert again["responses"] == 60 and again["right"] > made["right"]
    unread = Unread()
    found = [e for n, records in sets_of(Path(again["out"])).items() for e in entries(n, records(), unread)]
    assert {tuple(e.models) for e in found} == {("a", "a", "b", "b", "nano", "nano")}
    assert unread.ignored == {"report": 10} and not unread.dropped
    assert all(e.problem.answer and e.problem.prompt for e in found) and any(any(e.correct) for e in found)
    scored = command(
        "rewardbench", "score", f"tiny={random_reward_model}", "--bench", again["out"], "-k", 3, "--by", "generator", "--out", "s", "--json"
    )
    assert scored.code == 0, scored.err
    assert {row["part"] for row in json.loads(scored.out)["parts"]} == {"a", "b", "nano"}
    table = json.loads(command("rewardbench", "table", "built", "-k", 3, "--json").out)["rows"]
    same = json.loads(command("rewardbench", "table", again["out"], "-k", 3, "--json").out)["rows"]
    assert [(r["measure"], r["benchmark"], r["value"]) for r in table] == [(r["measure"], r["benchmark"], r["value"]) for r in same]
    wrong = command("rewardbench", "build", *common)
    assert wrong.code == 2 and "no policy is named" in wrong.err
