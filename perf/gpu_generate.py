"""Generation with the transformers engine on one GPU: tokens a second, and where the time of a step goes.

    python perf/gpu_generate.py                 # at most 90 seconds on an H100
    python perf/gpu_generate.py --seconds 300   # also the parts that the limit leaves out

Weights of Qwen2.5's shapes are random; the last norm is scaled, so that the likeliest tokens have nearly all of the
probability, as in a trained model. Prompts have 80 to 160 tokens, responses 16 to 400 and 250 on average. `forward` and
`draw` are medians; `rest` is Python, and reading prompts. Prints Markdown as it goes, and begins no part after the limit. Needs torch, transformers and acemath only; without a GPU
it prints one line and exits with code 2.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

SHAPES = {  # Qwen2.5: hidden, layers, heads, heads of keys, width of the MLP
    "0.5B": (896, 24, 14, 2, 4864),
    "1.5B": (1536, 28, 12, 2, 8960),
    "tiny": (64, 2, 4, 2, 128),  # for a try without a GPU
}
PARTS = [  # shape, slots (0: as the engine chooses), temperature, whether steps are CUDA graphs
    ("0.5B", 1024, 0.7, True), ("0.5B", 2048, 0.7, True), ("1.5B", 512, 0.7, True), ("0.5B", 1024, 0.7, False),
    ("0.5B", 512, 0.7, True), ("1.5B", 1024, 0.7, True), ("0.5B", 1024, 0.0, True), ("1.5B", 2048, 0.7, True),
]  # fmt: skip
WARM, PART = 2.5, 7.0  # seconds of a part: before it is measured, and in all
SCALE = 8.0  # of the last norm: the logits' standard deviation is then about 5
TEMPLATE = "{% for message in messages %}{{ message['content'] }} <end> {% endfor %}"


def engine_of(shape: str, folder: Path) -> Any:
    """The engine with random weights of this shape. No token ends a response: its limit does."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

    from acemath.models.generate.transformers import TransformersEngine

    hidden, layers, heads, keys, mlp = SHAPES[shape]
    config = Qwen2Config(
        vocab_size=151_936, hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=heads,
        num_key_value_heads=keys, intermediate_size=mlp, max_position_embeddings=4096, tie_word_embeddings=True,
        pad_token_id=0, eos_token_id=1, bos_token_id=None,
    )  # fmt: skip
    made = Tokenizer(models.WordLevel({"<pad>": 0, "<end>": 1, "<unk>": 2}, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    torch.manual_seed(0)
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        model = Qwen2ForCausalLM(config).to(torch.bfloat16)
    model.model.norm.weight.data.mul_(SCALE)
    model.save_pretrained(folder)
    PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", eos_token="<end>", unk_token="<unk>", chat_template=TEMPLATE
    ).save_pretrained(folder)
    del model
    engine = TransformersEngine(folder)
    engine.ends = engine.ends.new_tensor([151_935])
    return engine


def run_of(engine: Any, slots: int, temperature: float) -> Any:
    """A run of more responses than are written in the time of a part, eight to a prompt."""
    from acemath.models.engine import Sampling
    from acemath.models.generate.slots import BLOCK, SlotCache
    from acemath.models.generate.transformers import _Request, _Run

    rng = random.Random(0)
    prompts = [[rng.randrange(1000, 150_000) for _ in range(rng.randint(80, 160))] for _ in range(4000)]
    waiting = deque(
        _Request(n // 8, n % 8, n, min(400, max(16, round(rng.gauss(250, 80)))))
        for n in range(8 * len(prompts))
    )
    cache = SlotCache(slots, 561, engine.model.device, BLOCK if engine.fixed else 1)
    sampling = Sampling(temperature=temperature, top_p=0.95 if temperature else 1.0)
    return _Run(engine, sorted(prompts, key=len), waiting, sampling, cache)


class Clock:
    """Times parts of a run by CUDA events."""

    def __init__(self) -> None:
        self.events: dict[str, list[tuple[Any, Any]]] = {}
        self.short = self.rows = 0

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, which also notes when the GPU begins and ends its work."""

        def call(*args: Any, **kwargs: Any) -> Any:
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            found = function(*args, **kwargs)
            end.record()
            self.events.setdefault(name, []).append((begin, end))
            return found

        return call

    def count_short(self, inverse: Callable[..., Any]) -> Callable[..., Any]:
        """The function of candidates, which also counts the rows that are sorted whole."""

        def call(probs: Tensor, shares: Tensor, top_p: float, width: int) -> Any:
            whole = width >= probs.shape[1]
            self.short += len(probs) if whole and top_p < 1 else 0
            self.rows += 0 if whole else len(probs)
            return inverse(probs, shares, top_p, width)

        return call

    def milliseconds(self, name: str) -> float:
        """The median of a part's calls: the first ones record graphs."""
        torch.cuda.synchronize()
        return statistics.median(begin.elapsed_time(end) for begin, end in self.events[name])


def measure(engine: Any, slots: int, temperature: float) -> str:
    """A row of the table: the rate when all slots are at work, and the parts of a step."""
    from acemath.models.generate import draw as drawing
    from acemath.models.generate import transformers as steps
    from acemath.models.generate.slots import most_slots

    slots = slots or most_slots(engine.model, 561)
    run, clock = run_of(engine, slots, temperature), Clock()
    whole = drawing._inverse
    run._forward = clock.timed("forward", run._forward)
    run.graphs.logits = clock.timed("graph", run.graphs.logits)
    kept, steps.draw = steps.draw, clock.timed("draw", steps.draw)
    drawing._inverse = clock.count_short(whole)
    try:
        torch.cuda.reset_peak_memory_stats()
        tokens, seconds, count = steady(run, clock)
    finally:
        steps.draw, drawing._inverse = kept, whole
    forward, draw = clock.milliseconds("graph" if engine.graphs else "forward"), clock.milliseconds("draw")
    step = 1000 * seconds / count
    return (
        f"{slots:,} | {'graphs' if engine.graphs else 'plain'} | {temperature} | {tokens / seconds:,.0f} | {step:.1f} | "
        f"{forward:.1f} | {draw:.1f} | {step - forward - draw:.1f} | {clock.short / max(1, clock.rows):.2%} | "
        f"{torch.cuda.max_memory_allocated() / 1e9:.1f} |"
    )


@torch.inference_mode()
def steady(run: Any, clock: Clock) -> tuple[int, float, int]:
    """Tokens, seconds and steps between the first WARM seconds and the end of a part; reading prompts is in it."""

    def now() -> tuple[int, float, int]:
        torch.cuda.synchronize()
        return done + int(run.counts[run.busy].sum()), time.perf_counter(), len(clock.events["draw"])

    done, first, started = 0, None, time.perf_counter()
    for _, tokens, _ in run:
        done += len(tokens)
        passed = time.perf_counter() - started
        if first is None and passed > WARM:
            first = now()
        if passed > PART:
            break
    assert first is not None, "all responses were written before the measurement began"
    last = now()
    return last[0] - first[0], last[1] - first[1], last[2] - first[2]


def agreement(engine: Any) -> str:
    """Greedy tokens of 64 prompts: graphs against plain launches of the same kernels."""
    from acemath.models.engine import Sampling
    from acemath.records import Problem

    problems = [Problem(str(n), "word " * (20 + n)) for n in range(64)]
    rng = random.Random(1)
    asked = [(p, [rng.randrange(1000, 150_000) for _ in range(20 + n)]) for n, p in enumerate(problems)]
    engine.slots = 40
    found = []
    for graphs in (True, False):
        engine.graphs = graphs
        found.append({p.id: t for p, _, t, _ in engine.token_ids(asked, Sampling(max_new_tokens=96))})
    engine.graphs = True
    one, two = found
    same = sum(one[key] == two[key] for key in one)
    equal = np.mean([np.mean(np.array(one[key]) == np.array(two[key])) for key in one])
    return f"{same} of {len(one)} greedy responses of 96 tokens are the same with graphs as without; {equal:.2%} of the tokens"


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=75.0, help="begin no part after so many seconds")
    options = parser.parse_args()
    if not torch.cuda.is_available():
        print("gpu_generate.py measures a GPU, and there is none", file=sys.stderr)
        return 2
    started = time.monotonic()
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}\n")
    engines: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        for shape in ("0.5B", "1.5B"):
            engines[shape] = engine_of(shape, Path(name) / shape)
    print(f"loaded after {time.monotonic() - started:.0f} s; {agreement(engines['0.5B'])}\n", flush=True)
    print(
        "| shape | slots | steps | temperature | tokens/s | ms a step | forward | draw | rest | rows sorted | GB |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|", flush=True)
    for shape, slots, temperature, graphs in PARTS:
        if time.monotonic() - started > options.seconds:
            print(
                f"| {shape} | {slots or 'chosen'} | | {temperature} | not begun: the time is up |", flush=True
            )
            continue
        engines[shape].graphs = graphs
        print(f"| {shape} | {measure(engines[shape], slots, temperature)}", flush=True)
        torch.cuda.empty_cache()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
