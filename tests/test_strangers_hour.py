"""What a stranger types in the first hour: every example of README and of the help, in a fresh folder, with nano.

Each step must do what it says: files with the right rows, numbers that can be. The one change: less of everything.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from acemath.cli.app import command_tree
from acemath.models.builtin import WEIGHTS

pytestmark = pytest.mark.skipif(
    not (WEIGHTS / "model.safetensors").exists(), reason="nano's weights are not in the package"
)

README = (Path(__file__).resolve().parents[1] / "README.md").read_text()
# Examples that are not typed here, and why.
ELSEWHERE = {
    "acemath synthesize clean.jsonl --engine endpoint": "a server: tests/engines has real ones",
    "acemath sample problems.jsonl --engine endpoint": "a server: tests/engines has real ones",
    "acemath pretrain-nano nano --share 0.01": "minutes: tests/nano has a smaller one",
    "acemath run acemath-7b --dry-run": "typed in the second half of this hour, with --json",
    "acemath run acemath-0.5b+full": "models of the hub: tests/recipe/test_overlays.py plans it",
    "acemath eval --benchmarks gsm8k,math500": "models of the hub: tests/run/test_measuring.py has small ones",
    "acemath rewardbench build": "several policies: tests/run/test_building.py has small ones",
    "acemath rewardbench score": "a release: tests/run/test_rewardbench.py makes one",
    "acemath process-bench": "a process reward model: tests/run/test_other_benches.py makes one",
    "acemath reward-bench-2": "its data set: tests/run/test_other_benches.py makes one",
    "acemath score scored.jsonl": "a verifier on a server: tests/models/score/test_score_command.py",
    "acemath published results.json": "results of a released judge: tests/benchmarks/test_published.py",
    "acemath view": "a server: tests/serve has real ones",
}
SMALL_RUN = [
    "problems.seeds.worksheets.count=200",
    "problems.benchmarks.worksheets.count=28",
    "sft.stages={math: {blend: [math, general, code]}}",
    "sft.settings={learning_rate: 2.0e-3, global_batch: 8, micro_batch: 8, max_length: 256, validation: 8}",
    "reward.problems=40",
    "reward.candidates={policies: [math], each: 8, temperature: 1.3, max_new_tokens: 80}",
    "reward.train.batch_groups=8",
    "bench.policies={math: {model: math, each: 8, max_new_tokens: 80}}",
    "bench.curve=[1, 8]",
]  # fmt: skip
QUESTION = "Two numbers have sum 11 and product 24. What is the smaller one?"


def documented() -> set[str]:
    """Every example in README's table and in the help of a command."""
    found, waiting = set(re.findall(r"`(acemath [a-z]+ [^`]+)`", README)), [command_tree()]
    while waiting:
        one = waiting.pop()
        waiting += getattr(one, "commands", {}).values()
        found |= set(re.findall(r": (acemath .*)", one.help or ""))
    return {example for example in found if len(example.split()) > 1}


class Stranger:
    """Types commands, looks at their exit codes, and remembers what was typed."""

    def __init__(self, command: Callable[..., Any]) -> None:
        self.command = command
        self.typed: set[str] = set()

    def types(self, line: str, *more: str) -> str:
        """Standard output of a command as documented, with `more` behind it."""
        self.typed.add(line)
        done = self.command(*shlex.split(line)[1:], *more)
        assert done.code == 0, f"{line}: {done.err}"
        return str(done.out)

    def counts(self, line: str, *more: str) -> dict[str, Any]:
        """The one JSON object of a command."""
        return dict(json.loads(self.types(line, *more, "--json")))


def rows(path: str) -> list[dict[str, Any]]:
    """The records of a file."""
    if path.endswith(".parquet"):
        return list(pq.read_table(path).to_pylist())
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def from_problems_to_chats(me: Stranger) -> None:
    """Data: fetched, curated, answered, filtered, cross-checked, blended."""
    assert "numinamath-cot" in me.types("acemath sources")
    assert (
        me.counts("acemath fetch worksheets --count 200 --set levels=[1] --out problems.jsonl")["rows"] == 200
    )
    assert me.counts("acemath fetch worksheets --count 200 --out prompts.jsonl")["rows"] == 200
    Path("gsm8k_test.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows("prompts.jsonl")[:5]))
    leaks = me.counts("acemath decontaminate prompts.jsonl --against gsm8k_test.jsonl --report hits.html")
    assert leaks["hits"] >= 5 and "<html" in Path("hits.html").read_text().lower()
    clean = me.counts("acemath curate prompts.jsonl --against gsm8k_test.jsonl --out clean.jsonl")
    assert clean["kept"] == len(rows("clean.jsonl")) <= 195
    written = me.counts("acemath synthesize clean.jsonl --out responses.jsonl")
    assert written["n"] == clean["kept"]
    good = me.counts(
        "acemath filter responses.jsonl --problems clean.jsonl --out kept.jsonl --dropped dropped.jsonl"
    )
    assert good["kept"] + len(rows("dropped.jsonl")) == written["n"] and 0 < good["kept"] < written["n"]
    assert me.counts("acemath filter responses.jsonl --problems clean.jsonl")["kept"] == good["kept"]
    me.types("acemath sample clean.jsonl --engine worksheets -n 2 --seed 1 --out check.jsonl")
    sure = me.counts(
        "acemath cross-check kept.jsonl --check check.jsonl --problems clean.jsonl --out checked.jsonl"
    )
    me.types("acemath cross-check kept.jsonl --check check.jsonl --problems clean.jsonl")
    assert 0.5 * sure["n"] < sure["kept"] < sure["n"] < good["kept"]
    answers = {row["id"]: row["answer"] for row in rows("clean.jsonl")}
    assert all(answers[row["problem_id"]] for row in rows("checked.jsonl"))
    me.types(
        "acemath blend kept.jsonl --problems clean.jsonl --checked checked.jsonl --pool math.checked --pool math"
    )
    chats = me.counts("acemath blend kept.jsonl --problems clean.jsonl")
    assert chats["conversations"] == len(rows("chats.parquet")) == good["kept"]
    assert {m["role"] for row in rows("chats.parquet") for m in row["messages"]} == {"user", "assistant"}


def from_chats_to_samples(me: Stranger) -> None:
    """Fine-tuning, sampling, grading and the vote."""
    me.types("acemath sft chats.parquet --base nano", "--set", "validation=0", "--out", "by-defaults")
    assert Path("by-defaults/model.safetensors").exists()
    learned = me.counts(
        "acemath sft chats.parquet --base nano --learning-rate 1e-3 --global-batch 4 --max-length 512"
    )
    assert learned["validation_after"] < learned["validation_before"]
    Path("problems.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows("problems.jsonl")[:36]))
    found = me.counts("acemath sample problems.jsonl --model policy", "--max-new-tokens", "60", "-n", "2")
    assert found["n"] == 72
    found = me.counts("acemath sample problems.jsonl --model policy -n 8 --max-new-tokens 120")
    right = sum(row["status"] == "correct" for row in rows("samples.jsonl"))
    assert found["n"] == len(rows("samples.jsonl")) == 8 * 36
    assert found["accuracy"] == pytest.approx(100 * right / found["n"], abs=0.01) and found["accuracy"] > 40
    again = me.counts("acemath grade samples.jsonl --problems problems.jsonl --out verdicts.jsonl")
    assert again["correct"] == right and [r["status"] for r in rows("verdicts.jsonl")] == [
        r["status"] for r in rows("samples.jsonl")
    ]
    assert "status: correct" in me.types("acemath grade --gold 1/2 --answer 0.5")
    me.types("acemath sample clean.jsonl --engine worksheets -n 8 --seed 2 --out votes.jsonl")
    Path("samples.jsonl").rename("mine.jsonl")
    Path("votes.jsonl").rename("samples.jsonl")
    vote = me.counts("acemath vote clean.jsonl --responses samples.jsonl --at-least 0.5 --out solvable.jsonl")
    assert 0.5 * vote["n"] < vote["kept"] == len(rows("solvable.jsonl")) <= vote["n"]
    Path("mine.jsonl").rename("samples.jsonl")


def from_samples_to_a_judge(me: Stranger) -> None:
    """The reward model, its scores, its table, and evaluation with it."""
    me.types("acemath rm groups samples.jsonl --problems problems.jsonl")
    made = me.counts(
        "acemath rm groups samples.jsonl --problems problems.jsonl --out groups.parquet --set balance=drawn"
    )
    assert made["groups"] == len(rows("groups.parquet")) > 0
    assert all(0 < sum(row["labels"]) < len(row["labels"]) for row in rows("groups.parquet"))
    for name, mine in (("cool", range(4)), ("warm", range(4, 8))):
        drawn = [row for row in rows("samples.jsonl") if row["sample"] in mine]
        Path(f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in drawn))
    ranked = me.counts("acemath rm groups cool.jsonl warm.jsonl --problems problems.jsonl --votes", "--out", "ranked.parquet")
    assert ranked["by"] == "votes" and ranked["groups"] == made["groups"]
    me.types("acemath rm train groups.parquet --base policy", "--out", "by-defaults-rm", "--epochs", "1")
    trained = me.counts(
        "acemath rm train groups.parquet --base policy --learning-rate 4e-4 --batch-groups 16 --set lora.rank=16"
    )
    assert trained["groups"] == made["groups"] - 1 and 0 <= trained["pair_accuracy"] <= 1
    scored = me.counts("acemath score samples.jsonl --problems problems.jsonl --model reward-model")
    assert scored["n"] == 288 and scored["low"] < scored["mean"] < scored["high"]
    me.types("acemath rewardbench table scored.jsonl")
    table = me.counts("acemath rewardbench table scored.jsonl -k 8")
    value = {row["selector"]: row["value"] for row in table["rows"] if row["benchmark"] != "average"}
    right = sum(row["status"] == "correct" for row in rows("scored.jsonl"))
    assert value["random"] == pytest.approx(100 * right / 288)
    assert value["random"] <= value["oracle"] and value["reward model"] <= value["oracle"]
    for name in ("gsm8k", "math500"):
        Path(f"{name}-scored.jsonl").write_bytes(Path("scored.jsonl").read_bytes())
    assert "gsm8k" in me.types("acemath benchmarks")
    assert "86.72" in me.types("acemath published --table 6 --benchmark math500")
    me.types("acemath rm card reward-model gsm8k-scored.jsonl math500-scored.jsonl")
    assert "math500-scored" in Path("reward-model/README.md").read_text()
    same = me.counts("acemath parity reward-model samples.jsonl --problems problems.jsonl", "--limit", "4")
    assert 4 <= same["n"] <= 32 and same["max_abs_diff"] < 1e-3
    Path("problems.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows("problems.jsonl")[:18]))
    me.types(
        "acemath eval problems.jsonl --model policy -n 8 --reward reward-model", "--max-new-tokens", "60"
    )
    told = me.counts(
        "acemath eval problems.jsonl --model policy -n 8 --reward reward-model --max-new-tokens 120"
    )
    values = {row["measure"]: row for row in told["rows"] if row["benchmark"] == "average"}
    assert {"greedy", "avg@8", "maj@8", "rm@8", "pass@8"} <= set(values)
    assert all(row["problems"] == 18 and row["low"] <= row["value"] <= row["high"] for row in values.values())


def a_whole_run(me: Stranger) -> None:
    """A recipe, its report, its data set, and a question to its models."""
    changes = [part for change in SMALL_RUN for part in ("--set", change)]
    done = me.counts("acemath run laptop --set seed=1 --out runs/second", *changes)
    head = done["headline"]
    assert 0 < head["pass@1"] < head["pass@8"] <= 100
    assert max(head["maj@8"], head["rm@8"]) <= head["pass@8"]
    Path("runs/laptop").symlink_to("second")
    assert me.counts("acemath run laptop", *changes, "--set", "seed=1")["ran"] == []
    report = Path(me.counts("acemath report runs/laptop")["report"])
    assert "rm@8" in report.read_text()
    blends = me.counts("acemath export runs/laptop --out my-data")["conversations"]
    assert blends["math"] > 50 and Path("my-data/README.md").exists()
    me.types("acemath export runs/laptop --to inspect --out logs")
    assert list(Path("logs").rglob("*.eval"))
    me.types("acemath export runs/laptop --to table-6 --out table.html")
    me.types("acemath export runs/laptop --to policy --out my-policy")
    assert "reward model" in Path("table.html").read_text()
    said = me.counts(f'acemath solve "{QUESTION}"')
    assert len(said["candidates"]) == 8
    assert said["reward"] == max(candidate["reward"] for candidate in said["candidates"])
    assert f"answer: {said['answer']}" in me.types(f'acemath solve "{QUESTION}"')
    assert me.counts("acemath recipe show acemath-1.5b --set seed=1")["sft"]["base"].endswith("1.5B")
    assert len(me.counts("acemath recipe keys")["sections"]) > 20
    plan = me.counts("acemath run acemath-7b --dry-run")
    assert len(plan["stages"]) > 5 and not Path("runs/acemath-7b").exists()
    assert me.counts("acemath doctor")["acemath"] == "0.1.0"


def test_a_strangers_hour(command: Callable[..., Any]) -> None:
    """All of it, in one folder; and no example is left out."""
    me = Stranger(command)
    from_problems_to_chats(me)
    from_chats_to_samples(me)
    from_samples_to_a_judge(me)
    a_whole_run(me)
    left = {example for example in documented() - me.typed if not example.startswith(tuple(ELSEWHERE))}
    assert left == set()
