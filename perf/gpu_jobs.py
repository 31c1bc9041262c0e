"""The jobs of the GPU benchmark: each runs in its own process and prints its figures as lines of JSON."""

from __future__ import annotations

import random
import tempfile
import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from acemath.models.score.layout import Row
from acemath.train.speed import matmul_rate, seen_alone, training_flops

DEVICE = "cuda"
ROOM = 4096  # tokens of a row
PASS = 8192  # tokens of a forward pass of reward training; 16,384 with the 1.5B shape may not fit into 80 GB
GROUPS = 64  # groups per step; the first step, which compiles, is not measured
PAIRS = 4  # TRL's pairs per pass: 8 rows, at most 9,216 tokens with padding
SHAPES = {  # Qwen2.5-1.5B and -7B: hidden, layers, heads, heads of keys, width of the MLP, tied embeddings
    "1.5B": (1536, 28, 12, 2, 8960, True),
    "7B": (3584, 28, 28, 4, 18944, False),
    "small": (512, 4, 8, 2, 1024, True),
}
TEMPLATE = "{% for message in messages %}{{ message['content'] }} <end> {% endfor %}"
Found = dict[str, Any]


def config_of(shape: str) -> Any:
    """Qwen2.5's configuration of this size, with one label for the reward model."""
    from transformers import Qwen2Config

    hidden, layers, heads, keys, mlp, tied = SHAPES[shape]
    return Qwen2Config(
        vocab_size=151_936, hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=heads,
        num_key_value_heads=keys, intermediate_size=mlp, max_position_embeddings=ROOM, rope_theta=1e6,
        tie_word_embeddings=tied, num_labels=1, pad_token_id=0, eos_token_id=1, bos_token_id=None,
    )  # fmt: skip


def reward_model(shape: str, dtype: torch.dtype) -> Any:
    """A reward model of random weights on the GPU."""
    from transformers import AutoModelForSequenceClassification

    torch.manual_seed(0)
    with torch.device(DEVICE):
        return AutoModelForSequenceClassification.from_config(config_of(shape), dtype=dtype)


def policy(folder: Path) -> str:
    """A folder with a policy of random weights of the 1.5B shape."""
    from transformers import Qwen2ForCausalLM

    with torch.device(DEVICE):
        Qwen2ForCausalLM(config_of("1.5B")).to(torch.bfloat16).save_pretrained(folder / "policy")
    tokenizer().save_pretrained(folder / "policy")
    torch.cuda.empty_cache()
    return str(folder / "policy")


def tokenizer() -> Any:
    """A tokenizer for interfaces that require one; the rows are tokens already. Each word is the token <unk>."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.WordLevel({"<pad>": 0, "<end>": 1, "<unk>": 2}, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", eos_token="<end>", unk_token="<unk>", chat_template=TEMPLATE
    )


def groups(count: int, size: int = 6) -> list[Row]:
    """Groups, half of each right, with prompts of about 120 tokens and responses of about 450."""
    rng = random.Random(0)

    def ids(mean: float, spread: float) -> array[int]:
        length = min(1800, max(16, round(rng.lognormvariate(mean, spread))))
        return array("i", (rng.randrange(1000, 150_000) for _ in range(length)))

    labels = torch.tensor([1, 0, 1, 0, 0, 1] * (size // 6) + [1, 0] * (size % 6 // 2))
    return [Row(ids(4.7, 0.4), [ids(6.0, 0.5) for _ in range(size)], labels) for _ in range(count)]


def flops_of(model: Any, rows: Sequence[Row]) -> float:
    """FLOPs of the forward and backward passes over groups whose prompts are read once."""
    texts = [[len(row.prompt), *map(len, row.responses)] for row in rows]
    seen = sum(seen_alone(lengths) + lengths[0] * sum(lengths[1:]) for lengths in texts)
    return training_flops(model, sum(row.length for row in rows), seen)


def listwise(shape: str, count: int, **settings: Any) -> Found:
    """Two steps over groups; the second is measured, when kernels are ready."""
    from accelerate import Accelerator

    from acemath.models.score.model import body
    from acemath.train.kernels import add_liger, compile_layers
    from acemath.train.lora import add_lora
    from acemath.train.reward.passes import step
    from acemath.train.reward.settings import RewardSettings
    from acemath.train.reward.start import adamw, checkpoint_gradients

    options = RewardSettings(batch_groups=count, **settings)
    accelerator = Accelerator(mixed_precision="bf16")
    model = reward_model(shape, torch.float32)
    if options.lora is not None:
        add_lora(body(model), options.lora)
    if options.liger:
        add_liger(model)
    checkpoint_gradients(model, options)
    compile_layers(model, options, torch.device(DEVICE), False)
    optimizer = adamw(model, options)
    rows = groups(count)
    for _ in range(2):
        started = _now()
        step(model, optimizer, accelerator, rows, model.config.pad_token_id, options)
        seconds = _now() - started
    flops = flops_of(model, rows)
    if options.lora is not None:
        flops *= 2 / 3  # frozen weights need no gradients of their own
    return {
        "seconds": seconds,
        "units": count,
        "unit": "groups",
        "tokens": sum(r.length for r in rows),
        "flops": flops,
    }


def fine_tuning(rows_a_pass: int = 2, **settings: Any) -> Found:
    """The trainer on packed rows; the second half of its steps is measured, when kernels are compiled."""
    from acemath.train.packing import PackedRows, pack
    from acemath.train.sft.settings import SftSettings
    from acemath.train.sft.trainer import make_trainer

    rows = [conversation(r.prompt, x) for r in groups(90) for x in r.responses]
    packed = PackedRows(rows, pack([len(row.ids) for row in rows], ROOM), ROOM)
    options = SftSettings(global_batch=8, micro_batch=rows_a_pass, max_length=ROOM, validation=0, **settings)
    times: dict[int, float] = {}  # by the number of steps done
    with tempfile.TemporaryDirectory() as name:
        trainer = make_trainer(
            policy(Path(name)), tokenizer(), packed, None, Path(name) / "work", options, 0,
            lambda done, *_: times.setdefault(done, _now()),
        )  # fmt: skip
        trainer.args.save_strategy = "no"
        trainer.train()
    last = max(times) - 1  # the last step may have a smaller batch
    first = last // 2
    lengths = packed.lengths
    share = (last - first) * options.global_batch / len(packed)  # of all tokens
    tokens = sum(lengths) * share
    flops = training_flops(trainer.model, sum(lengths), seen_alone(lengths)) * share
    return {
        "seconds": times[last] - times[first],
        "units": tokens,
        "unit": "tokens",
        "tokens": tokens,
        "flops": flops,
    }


def conversation(prompt: Sequence[int], response: Sequence[int]) -> Any:
    """A conversation as tokens; the response is learned."""
    from acemath.models.encoding import Tokens

    ids = array("i", [*prompt, *response])
    return Tokens(ids, ((len(prompt), len(ids)),))


def trl() -> Found:
    """TRL on the nine pairs of each group; the second of two trainings is measured, when kernels are ready."""
    from datasets import Dataset
    from transformers import PrinterCallback
    from trl import RewardConfig, RewardTrainer

    rows = groups(GROUPS // 4)
    pairs = [
        {"chosen_ids": [*r.prompt, *x], "rejected_ids": [*r.prompt, *y]}
        for r in rows
        for x, one in zip(r.responses, r.key.tolist(), strict=True)
        if one
        for y, two in zip(r.responses, r.key.tolist(), strict=True)
        if not two
    ]
    model = reward_model("1.5B", torch.float32)
    with tempfile.TemporaryDirectory() as folder:
        config = RewardConfig(
            output_dir=folder, per_device_train_batch_size=PAIRS, gradient_accumulation_steps=36 // PAIRS, bf16=True,
            gradient_checkpointing=False, max_length=None, num_train_epochs=1, learning_rate=1e-6,
            report_to="none", save_strategy="no", disable_tqdm=True, logging_steps=10**6,
        )  # fmt: skip
        for data in (pairs, pairs):
            trainer = RewardTrainer(
                model=model, args=config, train_dataset=Dataset.from_list(data), processing_class=tokenizer()
            )
            trainer.remove_callback(PrinterCallback)
            started = _now()
            trainer.train()
            seconds = _now() - started
    texts = [len(ids) for pair in pairs for ids in pair.values()]
    flops = training_flops(trainer.model, sum(texts), seen_alone(texts))
    return {"seconds": seconds, "units": len(rows), "unit": "groups", "tokens": sum(texts), "flops": flops}


@torch.inference_mode()
def scoring() -> Iterator[Found]:
    """Score the same responses in bfloat16: prompts read once, and padded batches."""
    from acemath.models.hardware import pass_tokens
    from acemath.models.score.attention import varied_shapes
    from acemath.models.score.model import head_scores
    from acemath.models.score.packed import packed_states, passes

    model = reward_model("1.5B", torch.bfloat16).eval()
    rows = groups(8, 64)
    budget = pass_tokens(torch.device(DEVICE))

    def packed(some: Sequence[Row]) -> list[float]:
        found: dict[tuple[int, int], float] = {}
        for batch in passes((Row(r.prompt, r.responses, n) for n, r in enumerate(some)), budget):
            keys = [(part.key[0], which) for part in batch for which in part.key[1]]
            found.update(zip(keys, head_scores(model, packed_states(model, batch)).tolist(), strict=True))
        return [found[key] for key in sorted(found)]

    def by(size: int) -> Callable[[Sequence[Row]], list[float]]:
        return lambda some: padded_scores(model, some, size)

    ways = {"acemath": packed} | {f"transformers, {n} a padded batch": by(n) for n in (8, 32)}
    expected: list[float] = []
    flops = flops_of(model, rows) / 3
    for name, way in ways.items():
        model.set_attn_implementation("sdpa")
        with varied_shapes():
            way(rows[:2])
        torch.cuda.reset_peak_memory_stats()
        started = _now()
        with varied_shapes():  # also for transformers: otherwise cuDNN plans for each new width
            rewards = torch.tensor(way(rows))
        seconds = _now() - started
        expected = expected or rewards.tolist()
        apart = (rewards - torch.tensor(expected)).abs().max().item()
        note = f"scoring, 64 responses a problem, {name} (score's standard deviation {rewards.std():.3f}, at most {apart:.3f} from the first)"
        yield _measured({
            "seconds": seconds, "units": len(rewards), "unit": "responses", "flops": flops, "what": note,
            "tokens": sum(len(row.prompt) + len(x) for row in rows for x in row.responses),
        })  # fmt: skip


def padded_scores(model: Any, rows: Sequence[Row], size: int) -> list[float]:
    """Plain transformers: a problem's responses sorted by length, in padded batches."""
    found: list[float] = []
    for row in rows:
        texts = [[*row.prompt, *response] for response in row.responses]
        order = sorted(range(len(texts)), key=lambda at: len(texts[at]))
        mine = torch.zeros(len(texts))
        for at in range(0, len(order), size):
            some = order[at : at + size]
            width = max(len(texts[n]) for n in some)
            ids = torch.tensor([[*texts[n], *[0] * (width - len(texts[n]))] for n in some], device=DEVICE)
            logits = model(input_ids=ids, attention_mask=(ids != 0).long(), use_cache=False).logits
            mine[some] = logits[:, 0].float().cpu()
        found += mine.tolist()
    return found


def generation() -> Found:
    """The transformers engine with its defaults: 64 problems, 8 responses each."""
    from acemath.models.engine import Sampling
    from acemath.models.generate.transformers import TransformersEngine
    from acemath.records import Problem

    problems = [Problem(str(n), "word " * (100 + n)) for n in range(64)]
    with tempfile.TemporaryDirectory() as name:
        engine = TransformersEngine(policy(Path(name)))
        for length in (4, 256):
            options = Sampling(n=8, temperature=0.7, top_p=0.95, max_new_tokens=length)
            torch.cuda.reset_peak_memory_stats()
            started = _now()
            tokens = sum(response.tokens for response in engine.generate(problems, options))
            seconds = _now() - started
    return {"seconds": seconds, "units": tokens, "unit": "tokens", "tokens": tokens}


def _now() -> float:
    torch.cuda.synchronize()
    return time.perf_counter()


def _measured(found: Found) -> Found:
    """The figures with the device's FLOPs per second and the peak memory so far."""
    peak = torch.cuda.max_memory_allocated() / 1e9
    return {**found, "peak": peak, "rate": matmul_rate(torch.device(DEVICE), torch.bfloat16)}


def job(name: str) -> Iterator[Found]:
    """The measurements of one job. Run it in its own process, so that the peak memory is its own."""
    from acemath.train.settings import LoraSettings

    seven = {"gradient_checkpointing": True, "micro_tokens": PASS}
    single: dict[str, Callable[[], Found]] = {
        "reward": lambda: listwise("1.5B", GROUPS, micro_tokens=PASS),
        "reward_eager": lambda: listwise("1.5B", GROUPS, micro_tokens=PASS, compile=False),
        "reward_liger": lambda: listwise("1.5B", GROUPS, micro_tokens=PASS, liger=True),
        "reward_default": lambda: listwise("1.5B", GROUPS),
        "trl": trl,
        "sft": fine_tuning,
        "sft_eager": lambda: fine_tuning(compile=False),
        "sft_liger": lambda: fine_tuning(liger=True),
        "sft_mask": lambda: fine_tuning(attention="sdpa", compile=False),
        "sft_four": lambda: fine_tuning(rows_a_pass=4),
        "generate": generation,
        "memory_lora": lambda: listwise("7B", 8, lora=LoraSettings(), **seven),
        "memory_whole": lambda: listwise("7B", 8, **seven),
    }
    if name == "score":
        yield from scoring()
    else:
        yield _measured(single[name]())
