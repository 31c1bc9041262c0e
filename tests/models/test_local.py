"""The transformers engine against transformers' own generate, and how its samples depend on seeds and batches."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from acemath.errors import UserError
from acemath.models.engine import ChatFormat, Sampling
from acemath.models.generate import slots, transformers
from acemath.models.generate.blocked import BlockedLinear
from acemath.models.generate.slots import SlotCache
from acemath.models.generate.transformers import TransformersEngine
from acemath.models.hardware import has_bf16
from acemath.models.spec import TransformersModel
from acemath.records import REFUSED, Problem

PROBLEMS = [
    Problem(id=f"p{i}", prompt=text)
    for i, text in enumerate(
        ["What is 3+4?", "Tom has 12 apples and eats 5. How many are left?", "7*8", "1+1=?", "Find x."]
    )
]


def _exact(folder: Path) -> TransformersModel:
    return TransformersModel(id=str(folder), dtype="float32")


@pytest.fixture(scope="module")
def engine(tiny_policy: Path) -> TransformersEngine:
    """The engine in float32, for exact comparisons token by token."""
    return TransformersEngine(_exact(tiny_policy), ChatFormat(instruction="Box it."), slots=3)


def test_greedy_equals_generate(engine: TransformersEngine, tiny_policy: Path) -> None:
    """Slots of different lengths, refilled on the way, give the texts of plain calls for one prompt each."""
    plain = AutoModelForCausalLM.from_pretrained(tiny_policy, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(tiny_policy)
    ours = {r.problem_id: r.text for r in engine.generate(PROBLEMS, Sampling(max_new_tokens=24))}
    for problem in PROBLEMS:
        ids = torch.tensor([engine.prompt_ids(problem)])
        out = plain.generate(ids, max_new_tokens=24, do_sample=False, eos_token_id=engine.ends.tolist())
        text = (
            tokenizer.decode(out[0, ids.shape[1] :]).removesuffix("<|im_end|>").removesuffix("<|endoftext|>")
        )
        assert ours[problem.id] == text.strip()


def test_samples_do_not_depend_on_the_batch(tiny_policy: Path) -> None:
    """The same problem, sample number and seed give the same text alone and among others."""
    few, many = (TransformersEngine(_exact(tiny_policy), slots=n) for n in (2, 64))
    sampling = Sampling(n=4, temperature=1.0, max_new_tokens=16, seed=5)
    alone = {(r.problem_id, r.sample): r.text for r in few.generate(PROBLEMS[:2], sampling)}
    among = {(r.problem_id, r.sample): r.text for r in many.generate(PROBLEMS, sampling)}
    assert len(among) == 20 and all(among[key] == text for key, text in alone.items())
    other = {
        (r.problem_id, r.sample): r.text
        for r in many.generate(PROBLEMS, sampling.model_copy(update={"seed": 6}))
    }
    assert other != among


def test_memory_follows_the_texts_not_the_limit(
    engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cache that grows on the way gives the same texts, and is never wider than twice the longest text."""
    expected = {r.problem_id: r.text for r in engine.generate(PROBLEMS, Sampling(max_new_tokens=40))}
    widths: list[tuple[int, int]] = []
    reserve = SlotCache._reserve

    def watched(self: SlotCache, tokens: int) -> None:
        reserve(self, tokens)
        widths.append((tokens, self.layers[0].keys.shape[2]))

    monkeypatch.setattr(slots, "FIRST", 2)
    monkeypatch.setattr(SlotCache, "_reserve", watched)
    grown = {r.problem_id: r.text for r in engine.generate(PROBLEMS, Sampling(max_new_tokens=40))}
    assert grown == expected and len({width for _, width in widths}) > 2
    most = max(tokens for tokens, _ in widths)
    assert all(tokens <= width <= 2 * most for tokens, width in widths)


class _Tape(TorchDispatchMode):
    """A stand-in for a CUDA graph: records operations, and repeats them on the same tensors, whatever else changed."""

    made: ClassVar[list[_Tape]] = []

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, Any, Any, Any]] = []
        self.replays = 0
        self.made.append(self)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert "_local_scalar_dense" not in str(func), "a graph cannot look at values"
        found = func(*args, **(kwargs or {}))
        self.calls.append((func, args, kwargs or {}, found))
        return found

    def pool(self) -> None:
        """A graph's memory."""

    def replay(self) -> None:
        """Repeat all operations, with each result in its recorded place."""
        self.replays += 1
        for func, args, kwargs, found in self.calls:
            again = func(*args, **kwargs)
            for old, new in zip(tree_leaves(found), tree_leaves(again), strict=True):
                if isinstance(old, torch.Tensor) and old.data_ptr() != new.data_ptr():
                    old.copy_(new)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("graphs", [False, True])
def test_steps_of_fixed_shape_give_the_same_texts(
    engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch, graphs: bool, temperature: float
) -> None:
    """As on a GPU: all slots, whole blocks of keys, recorded steps, while the cache grows and slots become fewer."""
    sampling = Sampling(n=3, temperature=temperature, top_p=0.9, max_new_tokens=40, seed=3)
    expected = sorted(map(repr, engine.generate(PROBLEMS, sampling)))
    monkeypatch.setattr(_Tape, "made", [])
    monkeypatch.setattr(torch.cuda, "CUDAGraph", _Tape)
    monkeypatch.setattr(torch.cuda, "graph", lambda tape, **_: tape)
    monkeypatch.setattr(transformers, "BLOCK", 16)
    monkeypatch.setattr(transformers, "FEW_SLOTS", 1)
    monkeypatch.setattr(slots, "FIRST", 16)
    monkeypatch.setattr(engine, "fixed", True)
    monkeypatch.setattr(engine, "graphs", graphs)
    monkeypatch.setattr(engine, "slots", 7)
    assert sorted(map(repr, engine.generate(PROBLEMS, sampling))) == expected
    replays = [tape.replays for tape in _Tape.made]
    assert len(replays) > 3 and sum(replays) > 4 * len(replays) if graphs else not replays


@pytest.mark.parametrize("rows", [1, 7, 200])
@pytest.mark.parametrize("bias", [False, True])
def test_rearranged_weights_multiply_as_before(rows: int, bias: bool) -> None:
    """For any number of rows; only the order of sums may differ."""
    if not has_bf16():
        pytest.skip("this processor does not multiply bfloat16 numbers")
    layer = torch.nn.Linear(96, 50, bias=bias, dtype=torch.bfloat16)
    texts = torch.randn(rows, 3, 96, dtype=torch.bfloat16)
    with torch.inference_mode():
        torch.testing.assert_close(BlockedLinear(layer)(texts), layer(texts))


def test_only_bfloat16_weights_are_rearranged(tiny_policy: Path) -> None:
    """Float32 is for comparisons to the bit."""
    exact, rounded = (TransformersEngine(one).model.modules() for one in (_exact(tiny_policy), tiny_policy))
    assert BlockedLinear not in map(type, exact)
    assert (BlockedLinear in map(type, rounded)) == has_bf16()


def test_prompts_are_read_in_passes_of_bounded_size(
    engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each problem in a pass of its own gives what one pass gives, and fills all slots."""
    monkeypatch.setattr(engine, "slots", 8)
    sampling = Sampling(n=2, temperature=1.0, max_new_tokens=12)
    expected = sorted(map(repr, engine.generate(PROBLEMS, sampling)))
    passes: list[int] = []
    admit = SlotCache.admit

    def watched(self: SlotCache, prefilled: Any, sources: Any, into: Any) -> None:
        passes.append(len(sources))
        admit(self, prefilled, sources, into)

    monkeypatch.setattr(SlotCache, "admit", watched)
    monkeypatch.setattr(transformers, "CPU_PASS_TOKENS", 1)
    assert sorted(map(repr, engine.generate(PROBLEMS, sampling))) == expected
    assert sum(passes) == 10 and max(passes) == 2


def test_length_limit_is_a_finish_reason(engine: TransformersEngine) -> None:
    """A response that was cut at the limit has the finish reason "length" and counts its tokens."""
    for response in engine.generate(PROBLEMS, Sampling(n=2, temperature=1.0, max_new_tokens=3)):
        assert response.tokens <= 3 and (response.finish_reason == "stop" or response.tokens == 3)


def test_the_positions_of_the_model_limit_its_texts(tiny_policy: Path, tmp_path: Path) -> None:
    """A response is cut at the last position, a longer prompt is refused; a setting comes first."""
    tokens = len(TransformersEngine(tiny_policy).prompt_ids(PROBLEMS[0]))
    model = AutoModelForCausalLM.from_pretrained(tiny_policy)
    model.config.max_position_embeddings = tokens + 2
    model.save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(tiny_policy).save_pretrained(tmp_path)
    engine = TransformersEngine(tmp_path)
    short, long = engine.generate(PROBLEMS[:2], Sampling(max_new_tokens=6))
    assert (short.finish_reason, long.finish_reason) == (REFUSED, "length") and long.tokens == 2
    assert TransformersEngine(TransformersModel(id=str(tmp_path), max_length=99)).max_length == 99


def test_model_without_template_is_refused(tiny_policy: Path, tmp_path: Path) -> None:
    """A policy needs a chat template."""
    tokenizer = AutoTokenizer.from_pretrained(tiny_policy)
    tokenizer.chat_template = None
    tokenizer.save_pretrained(tmp_path)
    AutoModelForCausalLM.from_pretrained(tiny_policy).save_pretrained(tmp_path)
    (tmp_path / "chat_template.jinja").unlink(missing_ok=True)
    with pytest.raises(UserError, match="no chat template"):
        TransformersEngine(tmp_path)


def test_a_model_that_cannot_be_loaded_is_one_line(tmp_path: Path) -> None:
    """A missing folder, and one without weights: the model, the reason, the fix."""
    with pytest.raises(UserError, match="cannot load model '/nowhere/at-all'"):
        TransformersEngine("/nowhere/at-all")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match="cannot load model"):
        TransformersEngine(tmp_path)


def _policy(tiny_policy: Path, folder: Path, name: str, **more: object) -> Path:
    """Another architecture with nano's tokenizer, and random weights so large that tokens influence one another."""
    torch.manual_seed(1)
    tokenizer = AutoTokenizer.from_pretrained(tiny_policy)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4}
    ends = {"bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 3}
    config = AutoConfig.for_model(
        name, **sizes, **ends, vocab_size=len(tokenizer), initializer_range=0.3, **more
    )
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


SHARED = {"num_key_value_heads": 2, "head_dim": 8}


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("mistral", {**SHARED, "sliding_window": 8}),
        ("gemma2", {**SHARED, "sliding_window": 8, "final_logit_softcapping": 2.0, "attn_logit_softcapping": 1.0}),
        ("gemma2", {"num_key_value_heads": 4, "head_dim": 8, "final_logit_softcapping": None, "attn_logit_softcapping": 1.0}),
        ("gemma3_text", {**SHARED, "sliding_window": 8, "layer_types": ["sliding_attention", "full_attention", "sliding_attention"]}),
        ("granite", {"num_key_value_heads": 2, "logits_scaling": 8.0}),
        ("cohere", {"num_key_value_heads": 2, "logit_scale": 0.1}),
        ("gpt2", {}),
    ],
)  # fmt: skip
def test_other_architectures_give_what_transformers_gives(
    tiny_policy: Path, tmp_path: Path, name: str, more: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sliding windows, logits and scores that are scaled or bounded, another name for the base model.

    Of transformers' attentions only the eager one bounds scores.
    """
    monkeypatch.setattr(slots, "SCORES", 5000)  # so that a pass over prompts is cut
    engine = TransformersEngine(_exact(_policy(tiny_policy, tmp_path, name, **more)), slots=2)
    plain = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32, attn_implementation="eager")
    ours = {r.problem_id: r for r in engine.generate(PROBLEMS[:3], Sampling(max_new_tokens=16))}
    for problem in PROBLEMS[:3]:
        ids = torch.tensor([engine.prompt_ids(problem)])
        out = plain.generate(
            ids, max_new_tokens=16, do_sample=False, eos_token_id=engine.ends.tolist(), pad_token_id=3
        )[0, ids.shape[1] :]
        ended = bool(torch.isin(out[-1], engine.ends))
        assert ours[problem.id].tokens == len(out)
        assert ours[problem.id].text == engine.tokenizer.decode(out[: len(out) - ended]).strip()
        asked = engine.logits(torch.tensor([0]), torch.tensor([ids.shape[1] - 1]), input_ids=ids)
        torch.testing.assert_close(asked[0], plain(input_ids=ids).logits[0, -1], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("name", "more", "why"),
    [
        ("opt", {"ffn_dim": 48, "word_embed_proj_dim": 32}, "kind OPTForCausalLM"),
        ("lfm2", {"num_key_value_heads": 2, "layer_types": ["conv", "full_attention", "conv"]}, "kind conv"),
    ],
)
def test_an_architecture_that_does_not_run_is_one_line(
    tiny_policy: Path, tmp_path: Path, name: str, more: dict[str, object], why: str
) -> None:
    """Neither a traceback nor wrong tokens."""
    folder = _policy(tiny_policy, tmp_path, name, **more)
    with pytest.raises(UserError, match=why) as found:
        list(TransformersEngine(folder).generate(PROBLEMS[:1], Sampling(max_new_tokens=2)))
    assert "use vLLM" in str(found.value) and "\n" not in str(found.value)
