"""The jobs of the training and scoring benchmark: each runs in one process and prints its figures as JSON on the last line."""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from training_data import MAX_LENGTH, candidates, conversations, groups

from acemath.models.engine import PAPER_CHAT
from acemath.models.hardware import has_bf16

LEARNING_RATE = 1e-5
BATCH_GROUPS = 8  # groups per step, nine pairs each; the paper's 256 would be one step here
SFT_ROOM = 640  # tokens of a row
CLOCKS: dict[str, Callable[[], float]] = {"wall": time.monotonic, "processor": time.process_time}
now = CLOCKS["wall"]  # main() sets the chosen one
Job = Callable[[argparse.Namespace, Any], dict[str, Any]]


def _rows(args: argparse.Namespace, tokenizer: Any) -> list[Any]:
    from acemath.models.score.layout import Row, encode_row

    rows = []
    for group in groups(args.groups, tokenizer):
        row, cut = encode_row(group.prompt, group.responses, tokenizer, PAPER_CHAT, MAX_LENGTH)
        assert not cut
        rows.append(Row(row.prompt, row.responses, torch.tensor(group.labels)))
    return rows


def _listwise(args: argparse.Namespace, tokenizer: Any, **options: Any) -> dict[str, Any]:
    from accelerate import Accelerator

    from acemath.train.reward.passes import step
    from acemath.train.reward.settings import RewardSettings
    from acemath.train.reward.start import adamw, checkpoint_gradients, new_reward_model

    rows = _rows(args, tokenizer)
    settings = RewardSettings(learning_rate=LEARNING_RATE, batch_groups=BATCH_GROUPS, **options)
    accelerator = Accelerator(mixed_precision="bf16" if has_bf16() else "no", cpu=True)
    model = new_reward_model(args.folder / "policy", tokenizer, None, 0).train()
    checkpoint_gradients(model, settings)
    optimizer = adamw(model, settings)
    started = now()
    for at in range(0, len(rows), BATCH_GROUPS):
        step(model, optimizer, accelerator, rows[at : at + BATCH_GROUPS], tokenizer.pad_token_id, settings)
    seconds = now() - started
    tokens = sum(r.length if settings.share_prefix else sum(len(r.prompt) + len(x) for x in r.responses) for r in rows)
    return {"seconds": seconds, "units": len(rows), "tokens": tokens}


def reward_shared(args: argparse.Namespace, tokenizer: Any) -> dict[str, Any]:
    """Listwise, one row per group."""
    return _listwise(args, tokenizer)


def reward_again(args: argparse.Namespace, tokenizer: Any) -> dict[str, Any]:
    """Listwise, one row per group, with gradient_checkpointing."""
    return _listwise(args, tokenizer, gradient_checkpointing=True)


def reward_plain(args: argparse.Namespace, tokenizer: Any) -> dict[str, Any]:
    """Listwise, one padded row per response."""
    return _listwise(args, tokenizer, share_prefix=False)


def reward_trl(args: argparse.Namespace, tokenizer: Any) -> dict[str, Any]:
    """TRL's reward trainer on the nine pairs of each group."""
    from datasets import Dataset
    from trl import RewardConfig, RewardTrainer

    from acemath.train.reward.start import new_reward_model

    pairs = [
        {"chosen_ids": [*row.prompt, *right], "rejected_ids": [*row.prompt, *wrong]}
        for row in _rows(args, tokenizer)
        for right, y in zip(row.responses, row.key, strict=True)
        if y
        for wrong, z in zip(row.responses, row.key, strict=True)
        if not z
    ]
    config = RewardConfig(
        output_dir=str(args.folder / "trl"),
        per_device_train_batch_size=args.pairs,
        gradient_accumulation_steps=9 * BATCH_GROUPS // args.pairs,
        learning_rate=LEARNING_RATE,
        num_train_epochs=1,
        gradient_checkpointing=False,
        max_length=None,
        **_trainer(),
    )
    trainer = RewardTrainer(
        model=new_reward_model(args.folder / "policy", tokenizer, None, 0),
        args=config,
        train_dataset=Dataset.from_list(pairs),
        processing_class=tokenizer,
    )
    seconds = _timed(trainer)
    tokens = sum(len(ids) for pair in pairs for ids in pair.values())
    return {"seconds": seconds, "units": args.groups, "tokens": tokens}


def _trainer() -> dict[str, Any]:
    """Arguments of both TRL trainers that turn off all but training."""
    return {
        "bf16": has_bf16(), "use_cpu": True, "report_to": "none", "save_strategy": "no", "disable_tqdm": True,
        "weight_decay": 0.0, "logging_steps": 1_000_000, "optim": "adamw_torch", "seed": 0,
    }  # fmt: skip


def _timed(trainer: Any) -> float:
    from transformers import PrinterCallback

    trainer.remove_callback(PrinterCallback)
    started = now()
    trainer.train()
    return now() - started


def score_acemath(args: argparse.Namespace, tokenizer: Any) -> dict[str, Any]:
    """acemath's scoring."""
    from acemath.models.score.score import RewardModel

    items = candidates(args.problems, 64, tokenizer)
    model = RewardModel(args.folder / "reward", max_length=MAX_LENGTH)
    model.score("What is 1+1?", ["2"])
    started = now()
    rewards = model.score_many(items)
    return _scored(now() - started, rewards)


def score_8(args: argparse.Namespace, tokenizer: Any) -> dict[str, Any]:
    """The usual loop, 8 candidates per batch."""
    return _loop(args, tokenizer, 8)


def score_16(args: argparse.Namespace, tokenizer: Any) -> dict[str, Any]:
    """The usual loop, 16 candidates per batch."""
    return _loop(args, tokenizer, 16)


def _loop(args: argparse.Namespace, tokenizer: Any, size: int) -> dict[str, Any]:
    """Plain transformers: a problem's candidates sorted by length, padded batches, the last token's logit."""
    from transformers import AutoModelForSequenceClassification

    items = candidates(args.problems, 64, tokenizer)
    dtype = torch.bfloat16 if has_bf16() else torch.float32
    model = AutoModelForSequenceClassification.from_pretrained(
        args.folder / "reward", num_labels=1, dtype=dtype
    ).eval()
    rewards = [[0.0] * len(texts) for _, texts in items]
    started = now()
    with torch.inference_mode():
        for mine, (question, texts) in zip(rewards, items, strict=True):
            whole = [
                tokenizer.apply_chat_template(PAPER_CHAT.messages(question, text), tokenize=False)
                for text in texts
            ]
            ids = tokenizer(whole, add_special_tokens=False)["input_ids"]
            order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
            for at in range(0, len(order), size):
                part = order[at : at + size]
                batch = tokenizer.pad({"input_ids": [ids[i] for i in part]}, return_tensors="pt")
                for i, value in zip(part, model(**batch).logits[:, 0].tolist(), strict=True):
                    mine[i] = value
    return _scored(now() - started, rewards)


def _scored(seconds: float, rewards: list[list[float]]) -> dict[str, Any]:
    return {
        "seconds": seconds,
        "units": sum(map(len, rewards)),
        "rewards": [r for row in rewards for r in row],
    }


def _sft(args: argparse.Namespace, tokenizer: Any, packing: bool) -> dict[str, Any]:
    from acemath.models.encoding import encode_all
    from acemath.models.engine import ChatFormat
    from acemath.train.packing import Bins, PackedRows, pack
    from acemath.train.sft.settings import SftSettings
    from acemath.train.sft.trainer import make_trainer, quiet

    pairs = conversations(args.conversations, SFT_ROOM, tokenizer)
    coded = list(encode_all([ChatFormat().messages(q, a) for q, a in pairs], tokenizer))
    bins = pack([len(c.ids) for c in coded], SFT_ROOM) if packing else Bins.single(np.arange(len(coded)))
    # Steps of similar size: 4 packed rows hold about as many conversations as 8 padded ones.
    settings = SftSettings(
        learning_rate=LEARNING_RATE, global_batch=4 if packing else 8, micro_batch=4 if packing else 8,
        max_length=SFT_ROOM, validation=0,
    )  # fmt: skip
    rows = PackedRows(coded, bins, SFT_ROOM)
    work = args.folder / ("packed" if packing else "padded")
    trainer = make_trainer(str(args.folder / "policy"), tokenizer, rows, None, work, settings, 0, quiet)
    return {"seconds": _timed(trainer), "units": sum(c.learned for c in coded)}


def sft_packed(args: argparse.Namespace, tokenizer: Any) -> dict[str, Any]:
    """acemath's fine-tuning."""
    return _sft(args, tokenizer, packing=True)


def sft_padded(args: argparse.Namespace, tokenizer: Any) -> dict[str, Any]:
    """acemath's fine-tuning without packing."""
    return _sft(args, tokenizer, packing=False)


def sft_trl(args: argparse.Namespace, tokenizer: Any) -> dict[str, Any]:
    """TRL's trainer, padded batches of 8."""
    return _sft_trl(args, tokenizer, 8)


def sft_trl_1(args: argparse.Namespace, tokenizer: Any) -> dict[str, Any]:
    """TRL's trainer, one conversation per pass and so no padding, 8 passes per step."""
    return _sft_trl(args, tokenizer, 1)


def _sft_trl(args: argparse.Namespace, tokenizer: Any, batch: int) -> dict[str, Any]:
    """TRL's trainer on prompts and completions, loss on completions, steps of 8 conversations."""
    from datasets import Dataset
    from transformers import AutoModelForCausalLM
    from trl import SFTConfig, SFTTrainer

    pairs = conversations(args.conversations, SFT_ROOM, tokenizer)
    rows = [
        {"prompt": [{"role": "user", "content": q}], "completion": [{"role": "assistant", "content": a}]}
        for q, a in pairs
    ]
    config = SFTConfig(
        output_dir=str(args.folder / "trl-sft"),
        per_device_train_batch_size=batch,
        gradient_accumulation_steps=8 // batch,
        learning_rate=LEARNING_RATE,
        num_train_epochs=1,
        gradient_checkpointing=False,
        max_length=SFT_ROOM,
        **_trainer(),
    )
    trainer = SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(args.folder / "policy", dtype=torch.float32),
        args=config,
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
    )
    learned = sum(label >= 0 for row in trainer.train_dataset for label in row["labels"])
    return {"seconds": _timed(trainer), "units": learned}


JOBS: dict[str, Job] = {
    job.__name__: job
    for job in (
        reward_shared, reward_again, reward_plain, reward_trl, score_acemath, score_8, score_16, sft_packed, sft_padded, sft_trl,
        sft_trl_1,
    )
}  # fmt: skip


def main() -> None:
    """Run one job."""
    from transformers import AutoTokenizer
    from transformers.utils import logging

    parser = argparse.ArgumentParser()
    parser.add_argument("job", choices=JOBS)
    parser.add_argument("folder", type=Path)
    for name in ("groups", "pairs", "problems", "conversations", "threads"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--clock", choices=CLOCKS, required=True)
    args = parser.parse_args()
    global now
    now = CLOCKS[args.clock]
    logging.set_verbosity_error()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    result = JOBS[args.job](args, AutoTokenizer.from_pretrained(args.folder / "policy"))
    result["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
