"""Training and scoring compared with TRL and plain transformers: same weights, texts and optimiser, a process per job.

    python perf/training.py            # about 45 million parameters
    python perf/training.py --small    # a model of 1 million
    python perf/training.py --base ../models/qwen2.5-coder-0.5b --only reward,score --groups 8 --problems 1
    python perf/training.py --only reward,score,sft

Needs the folder of development data beside the repository (`../shared`). Prints Markdown tables;
docs/performance.md holds a copy.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from training_data import DATA, SMALL, Shape, borrow_models, make_models

from acemath.models.hardware import has_bf16

SECTIONS: dict[str, tuple[str, str, list[tuple[str, str]]]] = {
    "reward": (
        "Reward model: one epoch over groups of 3 right and 3 wrong responses",
        "groups a minute",
        [
            ("reward_shared", "acemath, listwise, shared prefix"),
            ("reward_again", "the same with gradient_checkpointing"),
            ("reward_plain", "acemath, listwise, one padded row a response"),
            ("reward_trl", "TRL RewardTrainer, all nine pairs"),
        ],
    ),
    "score": (
        "Scoring the candidates of a problem",
        "candidates a minute",
        [
            ("score_acemath", "acemath, shared prefix"),
            ("score_8", "transformers, sorted by length, padded, 8 a batch"),
            ("score_16", "transformers, sorted by length, padded, 16 a batch"),
        ],
    ),
    "sft": (
        "Fine-tuning",
        "tokens with loss a second",
        [
            ("sft_packed", "acemath, packed"),
            ("sft_padded", "acemath without packing, 8 padded rows a pass"),
            ("sft_trl", "TRL SFTTrainer, 8 padded rows a pass"),
            ("sft_trl_1", "TRL SFTTrainer, one row a pass: no padding"),
        ],
    ),
}


def run(job: str, folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """The figures of one job, run in its own process, so that the peak memory is its own."""
    command = [sys.executable, str(Path(__file__).with_name("training_jobs.py")), job, str(folder)]
    for name in ("groups", "pairs", "problems", "conversations", "threads", "clock"):
        command += [f"--{name}", str(getattr(args, name))]
    environment = {**os.environ, "OMP_NUM_THREADS": str(args.threads), "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise SystemExit(f"{job} failed:\n{done.stderr[-3000:]}")
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


def table(section: str, folder: Path, args: argparse.Namespace) -> None:
    """The jobs of a section as a Markdown table; the others are compared with the first."""
    title, unit, jobs = SECTIONS[section]
    print(f"\n## {title}\n\n| | {unit} | acemath's is | seconds | peak memory, MB |\n|---|---|---|---|---|")
    found: list[dict[str, Any]] = []
    for job, name in jobs:
        found.append(run(job, folder, args))
        speed, first = (
            r["units"] / r["seconds"] * (1 if section == "sft" else 60) for r in (found[-1], found[0])
        )
        ratio = "" if len(found) == 1 else f"{first / speed:.2f} times as fast"
        print(
            f"| {name} | {speed:,.1f} | {ratio} | {found[-1]['seconds']:.1f} | {found[-1]['peak_mb']:,.0f} |",
            flush=True,
        )
    print(f"\n{_note(section, found)}")


def _note(section: str, found: list[dict[str, Any]]) -> str:
    if section == "reward":
        shared, _, plain, trl = (f"{r['tokens']:,}" for r in found)
        return (
            f"{found[0]['units']} groups. Tokens read, padding not counted: {shared} with a shared prefix, {plain} with "
            f"one row a response, {trl} in pairs."
        )
    if section == "score":
        ours, theirs = (torch.tensor(r["rewards"], dtype=torch.float64) for r in found[:2])
        return (
            f"{found[0]['units']} distinct responses in all. Largest difference of a score "
            f"{(ours - theirs).abs().max():.3g}, of scores with a spread (standard deviation) of {ours.std():.3g}."
        )
    return f"Loss on responses alone; {found[0]['units']:,} tokens in acemath, {found[-1]['units']:,} in TRL."


def main() -> None:
    """Run the chosen sections."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--small", action="store_true", help="a model of 1 million parameters")
    parser.add_argument("--base", type=Path, help="a pretrained model's folder in place of random weights")
    parser.add_argument("--only", default=",".join(SECTIONS))
    parser.add_argument("--groups", type=int, default=16, help="for reward training")
    parser.add_argument("--pairs", type=int, default=6, help="pairs a pass of TRL: 6 are 12 rows of about 300 tokens, the size of our own passes; fewer need less memory (default: %(default)s)")
    parser.add_argument("--problems", type=int, default=3, help="for scoring")
    parser.add_argument("--conversations", type=int, default=96, help="for fine-tuning")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--clock", choices=("wall", "processor"), default="wall",
        help="processor: seconds of processor time, which other work on the machine does not change much",
    )  # fmt: skip
    args = parser.parse_args()
    if not DATA.is_dir():
        raise SystemExit(
            f"the development data is not in {DATA}; put it there, it does not ship with acemath"
        )
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        if args.base:
            size, what = borrow_models(Path(name), args.base), f"{args.base.name},"
        else:
            size, what = (
                make_models(Path(name), SMALL if args.small else Shape()),
                "Qwen2 with random weights,",
            )
        print(
            f"{what} {size / 1e6:.1f} million parameters; {platform.machine()}, {args.threads} threads, "
            f"torch {torch.__version__}, {'bfloat16' if has_bf16() else 'float32'}, {args.clock} time; GSM8K test problems, real responses."
        )
        for section in args.only.split(","):
            if section not in SECTIONS:
                raise SystemExit(f"--only {section!r} is not known; choose from {', '.join(SECTIONS)}")
            table(section, Path(name), args)
    print(f"\nThe whole took {time.monotonic() - started:.0f} seconds.")


if __name__ == "__main__":
    main()
