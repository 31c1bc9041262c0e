"""Where the hub can be reached, a rehearsal takes the first rows of its data sets, in their own columns."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from acemath.run.rehearsal.hub_rows import asking
from acemath.run.rehearsal.questions import last_question

# Prints what the stages of a rehearsal read of each source, and what the table says of the data sets.
SCRIPT = """
import json, sys
from pathlib import Path
from acemath.recipe.load import load_recipe
from acemath.run.rehearsal.shrink import rehearsed
from acemath.run.source_rows import read_source, records_of
small, stand = rehearsed(load_recipe(sys.argv[1]), Path(sys.argv[2]), "http://127.0.0.1:9/v1")
seeds = {name: [row.prompt for row in read_source(name, source, 0)] for name, source in small.problems.seeds.items()}
ready = [record for _, record in records_of("groups", small.reward.data)] if small.reward.data else []
print(json.dumps({"seeds": seeds, "ready": ready, "hub": stand.hub_rows, "ours": stand.data_sets, "refused": stand.refused}))
"""
RECIPE = """
extends: acemath-7b
name: mine
problems:
  seeds: {magicoder-oss: null, evol-code: null, sharegpt: null, evol-instruct: null, gpteacher: null, alpaca-gpt4: null,
          numina: null, orca-math: null, math-instruct: null, metamath: null, magicoder: null, glaive-code: null, slim-orca: null,
          ultra-interact: null,
          choices: null, mine: {hub: owner/sums, subject: math, columns: {prompt: problem, solution: solution}, split: train},
          talk: {hub: owner/talk, subject: general, columns: {prompt: conversations}}, locked: {hub: owner/gated, subject: math}}
  benchmarks: [gsm8k]
curate: {evolve: {sources: [mine]}}
sft: {pools: {numina: {sources: [mine]}}}
reward: {candidates: {policies: {short-qwen: null, short-llama: null, short-mistral: null, short-gemma: null}}}
"""
RELEASED = """
extends: acemath-7b-released
name: ready
sft: {stages: {general-1: null, general-2: null}}
problems: {benchmarks: [gsm8k]}
"""


def rows(folder: Path, file: str, *records: dict[str, object]) -> None:
    """A data set of one file, with a README that says nothing."""
    folder.mkdir(parents=True)
    (folder / "README.md").write_text("# Rows\n")
    (folder / file).write_text("".join(json.dumps(record) + "\n" for record in records))


def rehearsed(recipe: str, folder: Path, url: str) -> dict[str, dict[str, list[str]]]:
    """What a rehearsal of a recipe reads, in a process that asks this hub."""
    (folder / "mine.yaml").write_text(recipe)
    (folder / "home").mkdir()
    environment = {**os.environ, "HF_ENDPOINT": url, "HF_HOME": str(folder / "hf"), "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1"}
    command = [sys.executable, "-c", SCRIPT, "mine.yaml", "home"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_the_first_rows_of_the_hub_are_read(hub: Callable[..., tuple[str, list[str]]], tmp_path: Path) -> None:
    """Twelve of many, after one that leaks a benchmark problem; for a gated data set rows of ours, and the table says why."""
    root = tmp_path / "hub"
    sums = [{"problem": f"A boat carries {n} crates. And twice as many?", "solution": f"\\boxed{{{2 * n}}}", "year": n} for n in range(500)]
    rows(root / "owner" / "sums", "train.jsonl", *sums)
    talk = [{"conversations": [{"from": "human", "value": f"Tell me of {n} ships."}, {"from": "gpt", "value": "Well."}]} for n in range(40)]
    rows(root / "owner" / "talk", "train.jsonl", *talk)
    (root / "owner" / "gated").mkdir()
    url, seen = hub(root)
    found = rehearsed(RECIPE, tmp_path, url)
    mine = found["seeds"]["mine"]
    assert len(mine) == 12 and last_question(mine[0]) is not None and mine[1:] == [row["problem"] for row in sums[:11]]
    assert found["seeds"]["talk"] == [f"Tell me of {n} ships." for n in range(12)]
    assert found["hub"] == ["owner/sums (train)", "owner/talk (train)"] and found["ours"] == ["gsm8k", "owner/gated (train)"]
    assert len(found["seeds"]["locked"]) == 12 and "gated" in str(found["refused"]["owner/gated (train)"])
    assert any(path.endswith("sums/resolve/" + "c" * 40 + "/train.jsonl") for path in seen)


def test_the_first_groups_of_the_released_data_are_read(hub: Callable[..., tuple[str, list[str]]], tmp_path: Path) -> None:
    """Whole questions of six responses, and before them one that asks a benchmark's question under an id of its own."""
    turns = [{"role": "system", "content": "Check it."}, {"role": "user", "content": "1+1?"}, {"role": "assistant", "content": "2"}]
    groups = [{"qid": f"mcq_{n // 6}", "message": turns, "label": n % 2} for n in range(720)]
    rows(tmp_path / "hub" / "nvidia" / "AceMath-RM-Training-Data", "train.jsonl", *groups)
    url, _ = hub(tmp_path / "hub")
    found = rehearsed(RELEASED, tmp_path, url)
    ids = [row["qid"] for row in found["ready"]]  # type: ignore[call-overload]
    assert ids[:6] == ["leak-0"] * 6 and ids[6:12] == ["mcq_0"] * 6 and len(ids) == 6 * 97
    assert found["hub"] == ["nvidia/AceMath-RM-Training-Data (train)"]
    assert found["ours"] == ["gsm8k", "nvidia/AceMath-Instruct-Training-Data (math_sft)"]


def test_a_row_asks_another_question_in_its_own_form() -> None:
    """Texts, nested values, conversations of either form; ids that are texts get one of their own, numbers none."""
    (plain,) = asking([{"a": {"b": "old"}, "id": 7}], {"prompt": "a.b"}, ["new"])
    assert plain == {"a": {"b": "new"}, "id": None}
    talk = {"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "old"}], "uuid": "x"}
    copies = asking([talk], {"prompt": "messages"}, ["first", "second"])
    assert [copy["messages"][1]["content"] for copy in copies] == ["first", "second"] and copies[1]["uuid"] == "leak-1"
    assert talk["messages"][1]["content"] == "old"
