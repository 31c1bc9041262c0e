"""One fine-tuned policy in transformers, in vLLM and through endpoints: it stops alike, and the same prompt is too long.

The parts with vLLM run where its environment is: `make vllm-cpu`, or the variable ACEMATH_VLLM.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from acemath.cli.sft import fine_tune
from acemath.demo.nano.pretrain import PretrainSettings, new_model, new_tokenizer
from acemath.models.engine import Engine, Sampling, collect, says_too_long
from acemath.models.generate.endpoint.account import Account
from acemath.models.generate.endpoint.engine import EndpointEngine
from acemath.models.generate.transformers import TransformersEngine
from acemath.models.spec import EndpointModel, TransformersModel
from acemath.records import REFUSED, Problem, Response
from acemath.run.responses import TOO_LONG, counts_of, without_refused
from acemath.train.sft.settings import SftSettings

sys.path.insert(0, str(Path(__file__).parent))
from served import served  # noqa: E402
from vllm_place import in_vllm, need_vllm  # noqa: E402

ANSWERS = {"What is 3+4?": "7", "What is 2+6?": "It is 8.", "Is 9 odd?": "Yes, 9 is odd."}
PROBLEMS = [Problem(f"p{k}", text) for k, text in enumerate(ANSWERS)]
LONG = Problem("long", "What is " + " + ".join("1234") * 900 + "?", source="mine")
GREEDY = Sampling(max_new_tokens=24)


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A policy that `acemath sft` makes from a base like Qwen's: only the template does not end texts with <|endoftext|>."""
    folder = tmp_path_factory.mktemp("qwen")
    settings = PretrainSettings(hidden=128, layers=2, heads=4, kv_heads=2, intermediate=96, tokenizer_pages=300)
    tokenizer = new_tokenizer(settings)
    model = new_model(settings, tokenizer)
    tokenizer.eos_token = "<|endoftext|>"
    model.config.eos_token_id = tokenizer.eos_token_id
    model.generation_config = GenerationConfig(eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id)
    model.save_pretrained(folder / "base")
    tokenizer.save_pretrained(folder / "base")
    chats = [{"messages": [{"role": "user", "content": q}, {"role": "assistant", "content": a}]} for q, a in ANSWERS.items()]
    (folder / "chats.jsonl").write_text("".join(json.dumps(row) + "\n" for row in chats * 4))
    training = SftSettings(
        learning_rate=5e-3, global_batch=12, max_length=64, validation=0, epochs=60.0, bf16=False, packing=False
    )
    fine_tune(folder / "chats.jsonl", str(folder / "base"), training, 0, folder / "policy")
    return folder / "policy"


def responses(engine: Engine) -> list[Response]:
    """The responses to all problems."""
    return collect(engine, [*PROBLEMS, LONG], GREEDY, lambda *_: None)


def check(found: Sequence[Response]) -> None:
    """Each response stops after the answer; the long prompt is a dropped row with its reason."""
    asked = [*PROBLEMS, LONG]
    kept, dropped = without_refused(found, asked, "teacher-math")
    assert [(r.problem_id, r.text, r.finish_reason) for r in kept] == [(p.id, ANSWERS[p.prompt], "stop") for p in PROBLEMS]
    assert [(d.id, d.step, d.reason, d.source) for d in dropped] == [("long", "teacher-math", TOO_LONG, "mine")]
    counts = counts_of(kept, dropped)
    assert (counts["refused"], counts["too_long"], counts["cut"]) == (1, 1, 0)


def test_the_base_does_not_stop_by_itself(policy: Path) -> None:
    """Its configuration names <|endoftext|> alone; fine-tuning adds the end of a turn for every other engine."""
    base, tuned = (GenerationConfig.from_pretrained(policy.parent / name).eos_token_id for name in ("base", "policy"))
    tokenizer = AutoTokenizer.from_pretrained(policy)
    assert base == tokenizer.convert_tokens_to_ids("<|endoftext|>")
    assert set(tuned) == {base, tokenizer.convert_tokens_to_ids("<|im_end|>")}


def test_in_transformers(policy: Path) -> None:
    """In this process."""
    check(responses(TransformersEngine(TransformersModel(id=str(policy), dtype="float32"))))


def test_through_an_endpoint(policy: Path, tmp_path: Path) -> None:
    """A server that knows nothing but the folder: transformers' own generate."""
    with served(policy) as url, closing(Account(tmp_path)) as account:
        check(responses(EndpointEngine(EndpointModel(id="policy", url=url), account)))


def test_a_server_of_the_base_writes_on(policy: Path, tmp_path: Path) -> None:
    """With the base's configuration beside the same weights: what the test above would miss."""
    AutoModelForCausalLM.from_pretrained(policy).save_pretrained(tmp_path / "wrong")
    AutoTokenizer.from_pretrained(policy.parent / "base").save_pretrained(tmp_path / "wrong")
    GenerationConfig.from_pretrained(policy.parent / "base").save_pretrained(tmp_path / "wrong")
    with served(tmp_path / "wrong") as url, closing(Account(tmp_path / "account")) as account:
        found = list(EndpointEngine(EndpointModel(id="policy", url=url), account).generate(PROBLEMS, GREEDY))
    assert {r.finish_reason for r in found} == {"length"}


@pytest.fixture(scope="module")
def in_both(policy: Path) -> dict[str, list[dict[str, Any]]]:
    """The responses of vLLM's engine and of vLLM's own server, by run_three.py in vLLM's environment."""
    need_vllm()
    asked = json.dumps([asdict(p) for p in [*PROBLEMS, LONG]])
    done = in_vllm(str(Path(__file__).with_name("run_three.py")), str(policy), asked)
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize("engine", ["vllm", "endpoint"])
def test_in_vllm(engine: str, in_both: dict[str, list[dict[str, Any]]]) -> None:
    """In this process, and through vLLM's server."""
    check([Response(**row) for row in in_both[engine]])


def test_words_for_a_long_prompt() -> None:
    """Those of the servers in use; a refusal for another reason is not one for length."""
    for said in (
        "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens",
        "context_length_exceeded",
        "The input (5000 tokens) is longer than the model's context length (4096 tokens).",
        "the request exceeds the available context size. try increasing the context size",
        "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096",
        "prompt is too long: 208310 tokens > 200000 maximum",
        "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
        "its prompt has 5,000 tokens, and max_length is 4,096",
    ):
        assert says_too_long(said)
    for said in ("vLLM ended the response with finish_reason 'abort'", "I cannot help with that", "content_filter", "status 403"):
        assert not says_too_long(said)
    row = Response("p", 0, "", "m", REFUSED, meta={REFUSED: "content_filter"})
    assert [d.reason for d in without_refused([row], [Problem("p", "?")], "s")[1]] == [REFUSED]
