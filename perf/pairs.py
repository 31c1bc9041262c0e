"""Held-out pair accuracy of nano as a reward model: listwise in acemath, and TRL's RewardTrainer on all pairs.

    python perf/pairs.py runs/laptop    # after make demo; some minutes

Both start from the run's policy with the same head and use the same groups, step size and learning rate for one
epoch; a quarter of the run's groups is held out from both. Prints a Markdown table; docs/performance.md holds a copy.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from acemath.files.rows import read_rows
from acemath.models.engine import ChatFormat
from acemath.models.hardware import has_bf16
from acemath.models.score.layout import encode_row
from acemath.models.score.model import tokenizer_of
from acemath.models.score.score import RewardModel
from acemath.records import Group
from acemath.run.run import recipe_of
from acemath.train.reward.settings import RewardSettings
from acemath.train.reward.start import CHECK_TEMPLATE, new_reward_model
from acemath.train.reward.train import train_reward

PAIRS_A_PASS = 12
HELD_OUT = 4  # one group in this many is held out


def pair_accuracy(path: Path, groups: Sequence[Group], chat: ChatFormat) -> float:
    """The share of right-wrong pairs in order, a mean over groups; ties count half."""
    rewards = RewardModel(path, chat).score_many([(g.prompt, g.responses) for g in groups])
    shares = []
    for group, values in zip(groups, rewards, strict=True):
        right, wrong = (
            [v for v, y in zip(values, group.labels, strict=True) if y == side] for side in (1, 0)
        )
        shares.append(sum((a > b) + 0.5 * (a == b) for a in right for b in wrong) / (len(right) * len(wrong)))
    return sum(shares) / len(shares)


def checker(policy: Path) -> Any:
    """The policy's tokenizer, writing nano's checking page."""
    tokenizer = tokenizer_of(policy)
    tokenizer.chat_template = CHECK_TEMPLATE
    return tokenizer


def by_trl(
    policy: Path, groups: Sequence[Group], out: Path, settings: RewardSettings, chat: ChatFormat, seed: int
) -> None:
    """TRL's trainer on all right-wrong pairs of the groups."""
    from datasets import Dataset
    from transformers import PrinterCallback
    from trl import RewardConfig, RewardTrainer

    tokenizer, pairs = checker(policy), []
    for group in groups:
        row, _ = encode_row(group.prompt, group.responses, tokenizer, chat, settings.max_length)
        sides = [[r for r, y in zip(row.responses, group.labels, strict=True) if y == s] for s in (1, 0)]
        pairs += [
            {"chosen_ids": [*row.prompt, *right], "rejected_ids": [*row.prompt, *wrong]}
            for right in sides[0]
            for wrong in sides[1]
        ]
    a_step = round(settings.batch_groups * len(pairs) / len(groups) / PAIRS_A_PASS)
    config = RewardConfig(
        output_dir=str(out / "work"), per_device_train_batch_size=PAIRS_A_PASS, gradient_accumulation_steps=a_step,
        learning_rate=settings.learning_rate, num_train_epochs=settings.epochs, lr_scheduler_type="cosine",
        warmup_steps=settings.warmup, max_grad_norm=settings.max_grad_norm, weight_decay=settings.weight_decay,
        gradient_checkpointing=False, max_length=None, bf16=has_bf16(), use_cpu=True, report_to="none",
        save_strategy="no", disable_tqdm=True, logging_steps=1_000_000, optim="adamw_torch", seed=seed,
    )  # fmt: skip
    model = new_reward_model(policy, tokenizer, settings.head_words, seed)
    trainer = RewardTrainer(
        model=model, args=config, train_dataset=Dataset.from_list(pairs), processing_class=tokenizer
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)


def main() -> None:
    """Train both ways and measure both on the same held-out groups."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="the folder of a finished run")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    reward = recipe_of(chosen.run).reward
    settings, chat = reward.train.model_copy(update={"evaluations": 1}), reward.chat
    policy = chosen.run / f"sft-{reward.base}" / "model"
    groups = read_rows(chosen.run / "groups", Group)
    random.Random(chosen.seed).shuffle(groups)
    held_out, train = groups[: len(groups) // HELD_OUT], groups[len(groups) // HELD_OUT :]
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        untrained = new_reward_model(policy, checker(policy), settings.head_words, chosen.seed)
        untrained.save_pretrained(work / "start")
        checker(policy).save_pretrained(work / "start")
        print(f"{len(train)} groups to train on, {len(held_out)} held out, seed {chosen.seed}\n")
        print("| | seconds | held-out pair accuracy |\n|---|---|---|")
        print(f"| before | | {pair_accuracy(work / 'start', held_out, chat):.4f} |", flush=True)
        started = time.monotonic()
        train_reward(policy, train, held_out, work / "ours", work / "state", settings, chat, chosen.seed)
        took = time.monotonic() - started
        print(
            f"| acemath, listwise | {took:.1f} | {pair_accuracy(work / 'ours', held_out, chat):.4f} |",
            flush=True,
        )
        started = time.monotonic()
        by_trl(policy, train, work / "trl", settings, chat, chosen.seed)
        took = time.monotonic() - started
        print(
            f"| TRL RewardTrainer, all pairs | {took:.1f} | {pair_accuracy(work / 'trl', held_out, chat):.4f} |"
        )


if __name__ == "__main__":
    main()
