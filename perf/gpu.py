"""Training on one GPU: MFU of fine-tuning and of listwise reward training, beside TRL, and memory of the 7B shape.

    python perf/gpu.py            # all of it; a few minutes on an H100 or H200
    python perf/gpu.py --only sft,reward

Random weights of Qwen2.5's shapes and random tokens of realistic lengths: neither changes the speed. Needs no
data and no network. Prints Markdown; without a GPU it says so in one line and ends with exit code 2.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from array import array
from pathlib import Path
from typing import Any

import torch

from acemath.models.score.layout import Row
from acemath.train.speed import matmul_rate, seen_alone, training_flops

DEVICE = "cuda"
ROOM = 4096  # tokens of a row
GROUPS = 64  # a step and a measure: the first step, which compiles, is not counted
SHAPES = {  # Qwen2.5-1.5B and -7B: hidden, layers, heads, heads of keys, width of the MLP, tied embeddings
    "1.5B": (1536, 28, 12, 2, 8960, True),
    "7B": (3584, 28, 28, 4, 18944, False),
}
JOBS = {
    "sft": "SFT, packed rows of 4,096, attention as acemath chooses",
    "sft_flex": "SFT, packed rows of 4,096, FlexAttention",
    "reward": "listwise reward training, several groups a row, FlexAttention",
    "reward_packed": "listwise reward training, a dense mask a group",
    "trl": "TRL RewardTrainer, all nine pairs of each group",
    "memory_lora": "7B shape, listwise, LoRA of rank 16, gradient checkpointing",
    "memory_whole": "7B shape, listwise, all weights, gradient checkpointing",
}


def config_of(shape: str) -> Any:
    """Qwen2.5's configuration of this size, with one label for the reward model."""
    from transformers import Qwen2Config

    hidden, layers, heads, keys, mlp, tied = SHAPES[shape]
    return Qwen2Config(
        vocab_size=151_936, hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=heads,
        num_key_value_heads=keys, intermediate_size=mlp, max_position_embeddings=ROOM, rope_theta=1e6,
        tie_word_embeddings=tied, num_labels=1, pad_token_id=0, eos_token_id=1, bos_token_id=None,
    )  # fmt: skip


def groups(count: int) -> list[Row]:
    """Groups of 3 right and 3 wrong: prompts of about 120 tokens, responses of about 450 (paper's maths: 800 a pair)."""
    rng = random.Random(0)

    def ids(mean: float, spread: float) -> array[int]:
        length = min(1800, max(16, round(rng.lognormvariate(mean, spread))))
        return array("i", (rng.randrange(1000, 150_000) for _ in range(length)))

    labels = torch.tensor([1, 0, 1, 0, 0, 1])
    return [Row(ids(4.7, 0.4), [ids(6.0, 0.5) for _ in range(6)], labels) for _ in range(count)]


def listwise(shape: str, count: int, **settings: Any) -> dict[str, float]:
    """Two steps over groups, the second one measured."""
    from accelerate import Accelerator
    from transformers import AutoModelForSequenceClassification

    from acemath.models.score.model import body
    from acemath.train.lora import add_lora
    from acemath.train.reward.passes import step
    from acemath.train.reward.settings import RewardSettings
    from acemath.train.reward.start import checkpoint_gradients
    from acemath.train.sharding import parameter_groups

    told = RewardSettings(batch_groups=count, **settings)
    accelerator = Accelerator(mixed_precision="bf16")
    with torch.device(DEVICE):
        model = AutoModelForSequenceClassification.from_config(config_of(shape), dtype=torch.float32)
    if told.lora is not None:
        add_lora(body(model), told.lora)
    if told.gradient_checkpointing:
        checkpoint_gradients(model)
    optimizer = torch.optim.AdamW(parameter_groups(model), lr=1e-6, weight_decay=0.0)
    rows = groups(count)
    for _ in range(2):
        started = _now()
        step(model, optimizer, accelerator, rows, model.config.pad_token_id, told)
        seconds = _now() - started
    tokens = sum(row.length for row in rows)
    seen = sum(
        seen_alone([len(row.prompt), *map(len, row.responses)])
        + len(row.prompt) * sum(map(len, row.responses))
        for row in rows
    )
    return {
        "seconds": seconds,
        "units": count,
        "tokens": tokens,
        "flops": training_flops(model, tokens, seen),
    }


def fine_tuning(attention: str) -> dict[str, float]:
    """The trainer on packed rows; the time of its last half of steps, after kernels are made."""
    from transformers import Qwen2ForCausalLM

    from acemath.models.encoding import Tokens
    from acemath.train.packing import PackedRows, pack
    from acemath.train.sft.settings import SftSettings
    from acemath.train.sft.trainer import make_trainer

    rows = [Tokens(array("i", [*r.prompt, *x]), len(r.prompt)) for r in groups(90) for x in r.responses]
    packed = PackedRows(rows, pack([len(row.ids) for row in rows], ROOM), ROOM)
    told = SftSettings(global_batch=8, micro_batch=2, max_length=ROOM, validation=0, attention=attention)
    times: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        Qwen2ForCausalLM(config_of("1.5B")).to(torch.bfloat16).save_pretrained(folder / "policy")
        trainer = make_trainer(
            str(folder / "policy"), tokenizer(), packed, None, folder / "work", told, 0,
            lambda *_: times.append(_now()),
        )  # fmt: skip
        trainer.train()
    first, last = len(times) // 2, len(times) - 1
    lengths = packed.lengths
    share = (last - first) / len(times)  # of all tokens: steps are of equal size but for the last
    flops = training_flops(trainer.model, sum(lengths), seen_alone(lengths))
    return {
        "seconds": times[last] - times[first], "units": sum(lengths) * share, "tokens": sum(lengths) * share,
        "flops": flops * share,
    }  # fmt: skip


def tokenizer() -> Any:
    """A tokenizer for trainers that want one, though all rows are laid out already."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.WordLevel({"<pad>": 0, "<end>": 1, "<unk>": 2}, unk_token="<unk>"))
    return PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", eos_token="<end>", unk_token="<unk>"
    )


def trl() -> dict[str, float]:
    """TRL on the nine pairs of each of some groups, 6 pairs a pass; its first epoch makes kernels ready."""
    from datasets import Dataset
    from transformers import AutoModelForSequenceClassification, PrinterCallback
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
    with torch.device(DEVICE):
        model = AutoModelForSequenceClassification.from_config(config_of("1.5B"), dtype=torch.float32)
    with tempfile.TemporaryDirectory() as folder:
        config = RewardConfig(
            output_dir=folder, per_device_train_batch_size=6, gradient_accumulation_steps=6, bf16=True,
            gradient_checkpointing=False, max_length=None, num_train_epochs=1, learning_rate=1e-6,
            report_to="none", save_strategy="no", disable_tqdm=True, logging_steps=10**6,
        )  # fmt: skip
        for data in (pairs[:36], pairs):
            trainer = RewardTrainer(
                model=model, args=config, train_dataset=Dataset.from_list(data), processing_class=tokenizer()
            )
            trainer.remove_callback(PrinterCallback)
            started = _now()
            trainer.train()
            seconds = _now() - started
    texts = [len(ids) for pair in pairs for ids in pair.values()]
    flops = training_flops(trainer.model, sum(texts), seen_alone(texts))
    return {"seconds": seconds, "units": len(rows), "tokens": sum(texts), "flops": flops}


def _now() -> float:
    torch.cuda.synchronize()
    return time.perf_counter()


def job(name: str) -> dict[str, float]:
    """One measure, in a process of its own: its peak memory is its alone."""
    from acemath.train.settings import LoraSettings

    if name.startswith("sft"):
        found = fine_tuning("flex_attention" if name == "sft_flex" else "auto")
    elif name == "trl":
        found = trl()
    elif name == "reward":
        found = listwise("1.5B", GROUPS)
    elif name == "reward_packed":
        found = listwise("1.5B", GROUPS, layout="packed", micro_tokens=ROOM)
    else:
        lora = LoraSettings() if name == "memory_lora" else None
        found = listwise("7B", 8, gradient_checkpointing=True, lora=lora, micro_tokens=8192)
    found["rate"] = matmul_rate(torch.device(DEVICE), torch.bfloat16)
    found["peak"] = torch.cuda.max_memory_allocated() / 1e9
    return found


def report(names: list[str]) -> None:
    """Each measure as a row; a job that fails (out of memory, say) is a row that says so."""
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}\n")
    print(
        "| | groups or tokens a second | bf16 matrix rate, TFLOP/s | MFU | peak memory, GB |\n|---|---|---|---|---|"
    )
    rates: dict[str, float] = {}
    for name in names:
        command = [sys.executable, __file__, "--job", name]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            print(
                f"| {JOBS[name]} | failed: {done.stderr.strip().splitlines()[-1][:160]} | | | |", flush=True
            )
            continue
        found = json.loads(done.stdout.strip().splitlines()[-1])
        rates[name] = found["units"] / found["seconds"]
        mfu = found["flops"] / found["seconds"] / found["rate"]
        print(
            f"| {JOBS[name]} | {rates[name]:,.1f} | {found['rate'] / 1e12:,.0f} | {mfu:.1%} | {found['peak']:.1f} |",
            flush=True,
        )
    if "reward" in rates and "trl" in rates:
        print(
            f"\nReward training: {rates['reward'] / rates['trl']:.2f} times as fast as TRL's RewardTrainer."
        )


def main() -> None:
    """Run the measures asked for, or one of them for the process that asks."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default=",".join(JOBS))
    parser.add_argument("--job", choices=JOBS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if not torch.cuda.is_available():
        print("perf/gpu.py measures a GPU, and torch sees none on this machine", file=sys.stderr)
        sys.exit(2)
    if args.job:
        print(json.dumps(job(args.job)))
        return
    names = args.only.split(",")
    unknown = [name for name in names if name not in JOBS]
    if unknown:
        raise SystemExit(f"--only {unknown[0]!r} is not known; choose from {', '.join(JOBS)}")
    report(names)


if __name__ == "__main__":
    main()
