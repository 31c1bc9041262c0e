"""Specifications of models: each setting belongs to an engine, and each engine uses all of its settings."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from transformers import AutoTokenizer

from acemath.errors import UserError
from acemath.models.engine import Sampling
from acemath.models.generate.transformers import TransformersEngine
from acemath.models.hub import at_revision
from acemath.models.spec import EndpointModel, Model, TransformersModel, VllmModel, WorksheetsModel
from acemath.records import REFUSED, Problem
from acemath.train.provenance import origin

MODEL: TypeAdapter[Model] = TypeAdapter(Model)
PROBLEM = Problem("p", "What is 3+4?")
TEMPLATE = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}<|im_end|>{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({"id": "x", "api_key_env": "KEY"}, "'api_key_env' is no key of engine transformers (it belongs to endpoint); its keys are id, revision"),
        ({"engine": "vllm", "id": "x", "price_in": 1}, "'price_in' is no key of engine vllm (it belongs to endpoint)"),
        ({"engine": "endpoint", "id": "x", "url": "http://h/v1", "tensor_parallel": 4}, "'tensor_parallel' is no key of engine endpoint (it belongs to vllm)"),
        ({"engine": "worksheets", "revision": "v1"}, "'revision' is no key of engine worksheets (it belongs to transformers, vllm)"),
        ({"id": "x", "tensorparallel": 4}, "'tensorparallel' is no key of engine transformers (no engine has it)"),
        ({"engine": "sglang", "id": "x"}, "engine is 'sglang'; the engines are transformers, vllm, endpoint, worksheets"),
    ],
)  # fmt: skip
def test_a_key_of_another_engine_is_an_error(data: dict[str, Any], says: str) -> None:
    """It names the key, the engine, and the engine that has the key."""
    with pytest.raises(ValidationError) as caught:
        MODEL.validate_python(data)
    assert says in caught.value.errors()[0]["msg"]


def test_identity_is_what_responses_depend_on(tmp_path: Path) -> None:
    """Not the settings of operation; the text of a chat template, not its path."""
    ends = [EndpointModel(id="m", url=f"http://{host}/v1", tries=3) for host in ("a", "b")]
    assert ends[0].identity() == ends[1].identity() != EndpointModel(id="n", url="http://a/v1").identity()
    wide = VllmModel(engine="vllm", id="m", tensor_parallel=8, memory_share=0.5, prefix_caching=False)
    assert wide.identity() == VllmModel(engine="vllm", id="m").identity()
    assert wide.identity() != VllmModel(engine="vllm", id="m", max_length=64).identity()
    files = [tmp_path / name for name in ("a.jinja", "b.jinja")]
    for file in files:
        file.write_text(TEMPLATE)
    models = [TransformersModel(id="m", chat_template=file) for file in files]
    assert models[0].identity() == models[1].identity()
    files[1].write_text("other")
    assert models[0].identity() != models[1].identity()
    files[1].unlink()
    with pytest.raises(UserError, match=r"chat_template '.*b.jinja' of model 'm' cannot be read"):
        models[1].identity()
    assert WorksheetsModel(engine="worksheets", skill=0.9).name == "worksheets-0.9"


def engine(folder: Path, **settings: Any) -> TransformersEngine:
    return TransformersEngine(TransformersModel(id=str(folder), **settings), slots=4)


def test_transformers_uses_each_setting(tiny_policy: Path, tmp_path: Path) -> None:
    """dtype, chat template, stop ids, and the length of a prompt with its response."""
    plain = engine(tiny_policy)
    (tmp_path / "t.jinja").write_text(TEMPLATE)
    assert plain.model.dtype == torch.bfloat16
    assert engine(tiny_policy, dtype="float32").model.dtype == torch.float32
    tokenizer = AutoTokenizer.from_pretrained(tiny_policy)
    told = engine(tiny_policy, chat_template=tmp_path / "t.jinja").prompt_ids(PROBLEM)
    assert (
        tokenizer.decode(told)
        == "user: What is 3+4?<|im_end|>assistant: "
        != tokenizer.decode(plain.prompt_ids(PROBLEM))
    )
    asked = len(plain.prompt_ids(PROBLEM))
    (free,) = plain.generate([PROBLEM], Sampling(max_new_tokens=6))
    (cut,) = engine(tiny_policy, max_length=asked + 2).generate([PROBLEM], Sampling(max_new_tokens=6))
    assert (free.tokens, cut.tokens, cut.finish_reason) == (6, 2, "length") and free.text.startswith(cut.text)
    refused = list(engine(tiny_policy, max_length=asked).generate([PROBLEM], Sampling(n=2)))
    assert [r.finish_reason for r in refused] == [REFUSED, REFUSED]
    assert refused[0].meta[REFUSED] == f"its prompt has {asked} tokens, and max_length is {asked}"
    (stopped,) = engine(tiny_policy, stop_ids=range(len(tokenizer))).generate(
        [PROBLEM], Sampling(max_new_tokens=6)
    )
    assert (stopped.tokens, stopped.finish_reason) == (1, "stop")


def test_code_of_a_repository_runs_only_if_it_is_trusted(
    tiny_policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model with a configuration class of its own: one line without trust, and its code with it."""
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    folder = tmp_path / "own"
    shutil.copytree(tiny_policy, folder)
    config = (folder / "config.json").read_text()
    own = config.replace(
        '"model_type": "qwen2"', '"model_type": "own", "auto_map": {"AutoConfig": "own.Own"}'
    )
    assert own != config
    (folder / "config.json").write_text(own)
    (folder / "own.py").write_text(
        "from transformers import Qwen2Config\nclass Own(Qwen2Config):\n    model_type = 'own'\n"
    )
    with pytest.raises(UserError, match="cannot load model"):
        engine(folder)
    with pytest.raises(UserError, match="Unrecognized configuration class.*Own"):  # its code ran
        engine(folder, trust_remote_code=True)


def test_a_revision_is_a_snapshot_of_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_policy: Path
) -> None:
    """The files of that revision. A folder has no revision; an unknown revision is one line."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub._snapshot_download.constants.HF_HUB_OFFLINE", True)
    repository = tmp_path / "models--me--mine"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "v1").write_text("a" * 40)
    shutil.copytree(tiny_policy, repository / "snapshots" / ("a" * 40))
    assert Path(at_revision("me/mine", "v1")).name == "a" * 40
    assert origin(at_revision("me/mine", "v1")) == "me/mine"  # the base that a model card names
    assert TransformersEngine(TransformersModel(id="me/mine", revision="v1")).name == "me/mine"
    for model, revision, says in (
        ("me/mine", "v2", "revision 'v2' of model 'me/mine' cannot be loaded"),
        (str(tiny_policy), "v1", "is a folder, which has no revision 'v1'"),
    ):
        with pytest.raises(UserError, match=says):
            at_revision(model, revision)


def test_vllm_is_given_each_setting(
    tiny_policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for vLLM records its settings; on a CPU it also gets those that its build for CPUs needs."""
    made: dict[str, Any] = {}

    class LLM:
        def __init__(self, **options: Any) -> None:
            made.update(options)
            self.model_config = SimpleNamespace(max_model_len=16)

        def get_tokenizer(self) -> Any:
            return AutoTokenizer.from_pretrained(tiny_policy)

        def reset_prefix_cache(self) -> None:
            made["fresh"] = True

        def generate(self, prompts: list[Any], parameters: list[Any], use_tqdm: bool) -> list[Any]:
            made["parameters"], made["prompts"] = parameters, prompts
            out = SimpleNamespace(finish_reason="length", token_ids=[5])
            return [SimpleNamespace(outputs=[out]) for _ in prompts]

    library: Any = ModuleType("vllm")
    library.LLM, library.SamplingParams = LLM, SimpleNamespace
    monkeypatch.setitem(sys.modules, "vllm", library)
    from acemath.models.generate.vllm import VllmEngine

    (tmp_path / "t.jinja").write_text(TEMPLATE)
    spec = VllmModel(
        engine="vllm", id=str(tiny_policy), dtype="float16", max_length=16, stop_ids=(7,), chat_template=tmp_path / "t.jinja",
        tensor_parallel=4, memory_share=0.5, prefix_caching=False, trust_remote_code=True,
    )  # fmt: skip
    long = Problem("long", "What is " + " + ".join("1234") * 9)
    rows = list(VllmEngine(spec).generate([long, PROBLEM], Sampling(max_new_tokens=3)))
    assert [(r.problem_id, r.finish_reason) for r in rows] == [("long", REFUSED), ("p", "length")]
    assert 7 in made.pop("parameters")[0].stop_token_ids
    assert made.pop("fresh")
    (prompt,) = made.pop("prompts")
    assert LLM().get_tokenizer().decode(prompt["prompt_token_ids"]).startswith("user: What is 3+4?")
    assert made == {
        "model": str(tiny_policy), "dtype": "float16", "tensor_parallel_size": 4, "gpu_memory_utilization": 0.5,
        "max_model_len": 16, "enable_prefix_caching": False, "trust_remote_code": True,
    } | ({} if torch.cuda.is_available() else {"enforce_eager": True, "enable_chunked_prefill": False})  # fmt: skip
