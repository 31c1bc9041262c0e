"""Mistakes in a recipe or a command line that only a run finds: one line, early, and exit code 2."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from acemath.errors import UserError
from acemath.recipe.load import load_recipe
from acemath.records import Problem
from acemath.run import data
from acemath.run.context import Run
from acemath.run.display import Display
from acemath.run.evaluation import benchmark_problems
from acemath.run.run import check_benchmarks, run_recipe


def _acemath(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "acemath", *arguments], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("run", "nowhere.yaml"), "neither a file nor one of the built-in recipes"),
        (("run", "laptop", "--set", "nonsense"), "is not a setting"),
        (("run", "laptop", "--set", "models.teacher.engine=magic"), "models.teacher: engine is 'magic'"),
        (("grade", "none.jsonl"), "does not exist"),
        (("grade",), "nothing to grade"),
        (("rewardbench", "none.jsonl"), "does not exist"),
        (("sample", "none.jsonl", "--model", "nano"), "does not exist"),
        (("report", "nowhere"), "no finished run"),
        (("solve", "1+1"), "does not exist"),
        (("curate",), "Missing argument"),
    ],
)
def test_a_mistake_is_one_line_and_code_2(
    arguments: tuple[str, ...], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command line, as a user meets it: no traceback, exit code 2."""
    monkeypatch.chdir(tmp_path)
    done = _acemath(*arguments)
    assert done.returncode == 2
    lines = [line for line in done.stderr.splitlines() if not line.endswith("s so far")]  # a slow machine's progress
    assert len(lines) == 1 and says in lines[0]


def test_a_missing_file_of_a_recipe_is_named(tmp_path: Path) -> None:
    """A source that is not there stops the run before anything else."""
    done = _acemath(
        "run",
        "laptop",
        "--out",
        str(tmp_path / "r"),
        "--set",
        "problems.seeds={mine: {file: /no/such.jsonl}}",
    )
    assert done.returncode == 2 and "'/no/such.jsonl' does not exist" in done.stderr


@pytest.mark.parametrize("rows", [[], [{"prompt": "1+1?"}], [{"prompt": "1+1?", "answer": None}]])
def test_a_benchmark_that_cannot_be_measured_stops_a_run(
    rows: list[dict[str, object]], tmp_path: Path
) -> None:
    """No problems, or none with a reference: one line before anything is trained or paid for."""
    path = tmp_path / "bench.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    changes = {"problems.benchmarks": {"mine": {"file": str(path)}}, "problems.seeds.worksheets.count": 20}
    with pytest.raises(UserError, match="no problem|0 problems") as caught:
        run_recipe(load_recipe("laptop", changes), tmp_path / "run", Display(quiet=True))
    assert "\n" not in str(caught.value) and not (tmp_path / "run" / "evolve").exists()


def test_benchmark_problems_without_a_reference_are_left_out_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """They are no problems that a policy got wrong; what must not leak from them stays."""
    path = tmp_path / "bench.jsonl"
    path.write_text('{"prompt": "1+1?", "answer": "2"}\n{"prompt": "2+2?", "answer": ""}\n')
    changes = {"problems.benchmarks": {"mine": {"file": str(path)}}, "problems.seeds.worksheets.count": 20}
    run = Run(load_recipe("laptop", changes), tmp_path / "run", Display())
    data.problems(run)
    check_benchmarks(run)
    assert "1 of 2 problems of mine have no reference answer" in capsys.readouterr().err
    assert [p.prompt for p in benchmark_problems(run, None)] == ["1+1?"]
    assert len(run.rows("problems", Problem, "benchmarks")) == 2


def test_models_that_cannot_serve_are_refused(
    tiny_policy: Path, random_reward_model: Path, tmp_path: Path
) -> None:
    """A base without a chat template, and a reward model that pads with its end token."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from acemath.models.score.score import RewardModel
    from acemath.records import Chat
    from acemath.train.sft.settings import SftSettings
    from acemath.train.sft.train import train_sft

    tokenizer = AutoTokenizer.from_pretrained(tiny_policy)
    model = AutoModelForCausalLM.from_pretrained(tiny_policy)
    tokenizer.pad_token = tokenizer.eos_token
    shutil.copytree(random_reward_model, tmp_path / "padded")
    tokenizer.save_pretrained(tmp_path / "padded")
    with pytest.raises(UserError, match="its end token"):
        RewardModel(tmp_path / "padded")
    tokenizer.chat_template = None
    model.save_pretrained(tmp_path / "plain")
    tokenizer.save_pretrained(tmp_path / "plain")
    (tmp_path / "plain" / "chat_template.jinja").unlink(missing_ok=True)
    chat = Chat("a", ({"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}))
    with pytest.raises(UserError, match="no chat template"):
        train_sft(tmp_path / "plain", [chat], tmp_path / "out", tmp_path / "work", SftSettings())


@pytest.mark.parametrize("key", ["bench.policies.math", "reward.candidates.policies.math"])
def test_a_policy_that_is_no_stage_stops_the_run_at_once(key: str, tmp_path: Path) -> None:
    """It was taken for a hub model, and failed after everything was trained."""
    with pytest.raises(UserError, match=f"{key}.model is 'mth', which is neither one of models nor a stage of this recipe .general-1"):
        run_recipe(load_recipe("laptop", {f"{key}.model": "mth"}), tmp_path, Display(quiet=True))
    assert not (tmp_path / "problems").exists()
