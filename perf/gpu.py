"""Training, scoring and generation on one GPU: speed, MFU and peak memory, compared with TRL and transformers.

    python perf/gpu.py                        # all jobs
    python perf/gpu.py --only exact,sft,reward --out results.jsonl

Weights of Qwen2.5's shapes and tokens of realistic lengths are random, which does not change the speed. Needs no
data and no network. Prints Markdown; without a GPU it prints one line and exits with code 2. Each job has its own
process and time limit. `memory_whole` runs only if `--only` names it: its weights, gradients and AdamW's state in
float32 take 113 GB, more than a GPU of 80 GB has.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from gpu_exact import exactness, packing
from gpu_jobs import Found, job

JOBS = {  # what a job measures, and its time limit in seconds
    "exact": ("scores and gradients of each layout against separate calls in float32", 180),
    "packing": (
        "log-probabilities and gradients of packed conversations against conversations alone in float32",
        90,
    ),
    "reward": ("listwise reward training, 8,192 tokens a pass, layers compiled", 180),
    "reward_eager": ("the same, layers not compiled", 120),
    "reward_liger": ("the same, with Liger's kernels", 120),
    "reward_default": ("listwise reward training, 16,384 tokens a pass, as is the default", 180),
    "trl": ("TRL RewardTrainer, all nine pairs of each group", 240),
    "sft": ("SFT, 2 packed rows of 4,096 a pass, layers compiled", 180),
    "sft_eager": ("the same, layers not compiled", 120),
    "sft_liger": ("the same, with Liger's kernels", 120),
    "sft_mask": ("the same with a mask (attention: sdpa), layers not compiled", 120),
    "sft_four": ("SFT, 4 packed rows of 4,096 a pass, layers compiled", 180),
    "score": ("scoring, 64 responses a problem", 180),
    "generate": ("responses of 256 tokens, 512 at a time", 240),
    "memory_lora": ("7B shape, listwise, LoRA of rank 16, gradient checkpointing", 240),
    "memory_whole": ("7B shape, listwise, all weights, gradient checkpointing", 300),
}


def report(names: list[str], out: Path | None) -> None:
    """Print a row for each measurement, or for the failure of a job (such as out of memory); append them to `out` as JSON."""
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}\n")
    print("| | a second | tokens a second | MFU | peak memory, GB |\n|---|---|---|---|---|")
    rates: dict[str, float] = {}
    for name in names:
        for found in run_job(name):
            if out is not None:
                with out.open("a", encoding="utf-8") as file:
                    print(json.dumps({"job": name, **found}), file=file)
            print(line(found), flush=True)
            if "seconds" in found:
                rates[name] = found["units"] / found["seconds"]
    if "reward" in rates and "trl" in rates:
        print(
            f"\nReward training: {rates['reward'] / rates['trl']:.2f} times as fast as TRL's RewardTrainer."
        )


def run_job(name: str) -> list[Found]:
    """The results of a job, one JSON object a line, and a row with the error if it failed."""
    what, limit = JOBS[name]
    with tempfile.TemporaryFile("w+") as found, tempfile.TemporaryFile("w+") as errors:
        try:
            command = [sys.executable, __file__, "--job", name]
            done = (
                subprocess.run(command, stdout=found, stderr=errors, check=False, timeout=limit).returncode
                == 0
            )
            why = "failed"
        except subprocess.TimeoutExpired:
            done, why = False, f"stopped after {limit} seconds"
        found.seek(0)
        errors.seek(0)
        rows = [json.loads(text) for text in found if text.startswith('{"')]
        if not done:
            said = errors.read().strip()
            rows.append(
                {
                    "what": what,
                    "failed": f"{why}: {said.splitlines()[-1][:200] if said else ''}",
                    "log": said[-3000:],
                }
            )
    return [{"what": what, **row} for row in rows]


def line(found: Found) -> str:
    """A measurement as a row of the table."""
    if "failed" in found:
        return f"| {found['what']} | {found['failed']} | | | |"
    if "scores" in found:
        return (
            f"| {found['what']} | scores {found['scores']:.1e} apart (standard deviation {found['spread']:.2f}), "
            f"gradients {found['gradients']:.1e} | | | |"
        )
    share = f"{found['flops'] / found['seconds'] / found['rate']:.1%}" if "flops" in found else ""
    return (
        f"| {found['what']} | {found['units'] / found['seconds']:,.1f} {found['unit']} "
        f"| {found['tokens'] / found['seconds']:,.0f} | {share} | {found['peak']:.1f} |"
    )


def main() -> None:
    """Run the chosen jobs, or with --job one of them in this process."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default=",".join(name for name in JOBS if name != "memory_whole"))
    parser.add_argument("--out", type=Path, help="a file to append each measurement to, as a line of JSON")
    parser.add_argument("--job", choices=JOBS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if not torch.cuda.is_available():
        print("perf/gpu.py measures a GPU, and torch sees none on this machine", file=sys.stderr)
        sys.exit(2)
    if args.job:
        for found in {"exact": exactness, "packing": packing}.get(args.job, lambda: job(args.job))():
            print(json.dumps(found), flush=True)
        return
    names = args.only.split(",")
    unknown = [name for name in names if name not in JOBS]
    if unknown:
        raise SystemExit(f"--only {unknown[0]!r} is not known; choose from {', '.join(JOBS)}")
    report(names, args.out)


if __name__ == "__main__":
    main()
