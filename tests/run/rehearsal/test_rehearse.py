"""A rehearsal of a recipe from its first stage to its report, killed three times on the way."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from acemath.files.atomic import read_json, write_json
from acemath.files.lock import LOCK, locked
from acemath.records import Dropped
from acemath.run.rehearsal import rehearse
from acemath.run.rehearsal.rehearse import KILLED, MARK, WHOLE
from acemath.run.store import StageStore

sys.path.insert(0, str(Path(__file__).parents[2] / "models"))
from vllm_place import in_vllm, need_vllm  # noqa: E402

RECIPE = """
extends: acemath-7b
name: small
models: {reward: {engine: vllm}}
problems:
  seeds: {orca-math: null, math-instruct: null, metamath: null, glaive-code: null, slim-orca: null, ultra-interact: null}
  benchmarks: [gsm8k, mmlu_stem]
sft: {stages: {general-1: null, general-2: null, math: {blend: [math.checked, code], counts: null}}}
reward: {candidates: {each: 6, policies: [llama-2-7b-chat, gemma-2-2b]}, groups: {own: [], own_share: 0}}
bench: {policies: [math: {each: 8}], curve: [1, 8]}
"""


def test_a_rehearsal_with_three_kills(command: Callable[..., Any], tmp_path: Path) -> None:
    """It ends well, with the rows and tables of an undisturbed run, and says what it could not see."""
    Path("small.yaml").write_text(RECIPE)
    done = command("run", "small.yaml", "--rehearse", "--out", "here", "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert found["same"] is True and len(found["kills"]) == 3
    assert [when.split()[1] for when in found["kills"]] == ["sft-math", "candidates-llama-2-7b-chat", "samples-math"]
    assert "amid sft-math" in found["kills"]
    assert min(found["endpoint"][name] for name in ("overloaded", "error", "broken")) > 0
    assert found["models"]["Qwen/Qwen2.5-Math-RM-72B"].endswith("two layers") and found["unknown"] == []
    parts = {row["part"] for row in found["table"]}
    assert parts == {"stages", "models", "vLLM", "data sets of the hub", "endpoints", "trainings", "stops"}
    plan = {row["part of the run"]: row for row in found["plan"]}
    assert plan["candidates (2 stages)"]["rows"] == 2 * 6 * 350_000 and plan["all"]["GPU hours"] > 900 and plan["all"]["US$"] > 1000
    assert "36.0 GB on each of 4 devices: the weights of Qwen/Qwen2.5-Math-72B-Instruct, Qwen/Qwen2.5-Math-RM-72B" in found["memory"]
    assert "14.0 GB on each of 8 devices: weights, gradients and optimiser state of Qwen/Qwen2.5-Math-7B, math" in found["memory"]
    home = tmp_path / "here"
    for run in (WHOLE, KILLED):
        assert (home / run / "report.html").exists()
        facts = {name: read_json(home / run / name / "manifest.json")["facts"] for name in ("groups", "scores-math", "sft-math")}
        assert facts["groups"]["groups"] > 8 and facts["scores-math"]["right"]["responses"] > 10
        leaked = [row for row in StageStore(home / run / "prompts", 2).dropped() if isinstance(row, Dropped)]
        assert leaked  # the benchmark questions among the seeds
    manifest = read_json(home / KILLED / "groups" / "manifest.json")
    write_json(home / KILLED / "groups" / "manifest.json", {**manifest, "output": "another"})
    assert rehearse._differing(home) == ["groups"]


def test_a_rehearsal_in_vllm(tmp_path: Path) -> None:
    """Where vLLM's build for CPUs is, it runs vLLM's models: a head of two layers, Gemma 2, the run's own reward model; three kills."""
    need_vllm()
    (tmp_path / "small.yaml").write_text(RECIPE)
    done = in_vllm("-m", "acemath", "run", str(tmp_path / "small.yaml"), "--rehearse", "--out", str(tmp_path / "here"), "--json")
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    assert found["same"] is True and len(found["kills"]) == 3 and found["vllm"]
    (words,) = (row["exercised here"] for row in found["table"] if row["part"] == "vLLM")
    assert words == f"6 models, run by vLLM {found['vllm']}, in its build for CPUs"


def test_a_folder_with_something_else_is_left_alone(command: Callable[..., Any], tmp_path: Path) -> None:
    """In one line, and nothing in it is removed; nor does a rehearsal go together with a plan."""
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "thesis.tex").write_text("mine")
    done = command("run", "acemath-7b", "--rehearse", "--out", "here")
    assert done.code == 2 and "holds something other than a rehearsal" in done.err
    assert [path.name for path in (tmp_path / "here").iterdir()] == ["thesis.tex"]
    done = command("run", "acemath-7b", "--rehearse", "--dry-run")
    assert done.code == 2 and "--rehearse runs the whole recipe" in done.err


def test_an_earlier_rehearsal_is_replaced_unless_it_still_runs(tmp_path: Path, command: Callable[..., Any]) -> None:
    """Its folder has a mark, and a lock while it runs."""
    home = tmp_path / "here"
    home.mkdir()
    rehearse._empty(home)
    (home / "old").mkdir()
    with locked(home):
        done = command("run", "acemath-7b", "--rehearse", "--out", str(home))
    assert done.code == 2 and "is in use by process" in done.err and (home / "old").is_dir()
    rehearse._check_own(home)
    rehearse._empty(home)
    assert sorted(path.name for path in home.iterdir()) == [LOCK, MARK]


def test_a_mistake_of_the_user_s_is_one_line(command: Callable[..., Any]) -> None:
    """What only running shows: a template that refuses the chat's system prompt and takes no text before the user's."""
    Path("bad.jinja").write_text("{{ messages[0]['content'] }}{{ messages[7]['content'] }}")
    Path("small.yaml").write_text(RECIPE)
    done = command("run", "small.yaml", "--rehearse", "--set", "models.qwen-math-72b.chat_template=bad.jinja")
    assert done.code == 2 and "Traceback" not in done.err.splitlines()[-1] and "template" in done.err.splitlines()[-1]
