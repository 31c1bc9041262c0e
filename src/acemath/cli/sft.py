"""`acemath sft`: a policy from conversations."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from acemath.cli.options import Changes, ChatColumns, Json, Seed, settings_of
from acemath.cli.output import show
from acemath.cli.training import (
    Epochs,
    LearningRate,
    ModelOut,
    Overwrite,
    checkpoints_of,
    facts_of_made,
)
from acemath.files.conversations import ChatFile
from acemath.notices import is_first_process, quiet_transformers
from acemath.run.display import Display
from acemath.train.checkpoints import put
from acemath.train.sft.settings import SftSettings

SHOWN = (
    "conversations", "cut", "unlearned", "tokens", "learned_tokens", "validation_before", "validation_after", "stop_ids",
)  # fmt: skip


def command(
    chats: Annotated[
        Path, typer.Argument(help="Conversations: messages, ShareGPT, Alpaca, prompt and completion.")
    ],
    base: Annotated[str, typer.Option(help="The model to start from.")] = "nano",
    learning_rate: LearningRate = 5e-6,
    global_batch: Annotated[int, typer.Option(help="Rows per training step, over all devices.")] = 128,
    epochs: Epochs = 1.0,
    max_length: Annotated[
        int, typer.Option(help="The most tokens of a row; longer conversations are cut.")
    ] = 4096,
    seed: Seed = 0,
    changes: Changes = None,
    out: ModelOut = Path("policy"),
    overwrite: Overwrite = False,
    columns: ChatColumns = None,
    as_json: Json = False,
) -> None:
    """Fine-tune a model on conversations, with the loss on responses alone.

    If it is stopped, the same command continues.

    Example: acemath sft chats.parquet --base nano --learning-rate 1e-3 --global-batch 4 --max-length 512
    """
    given = {
        "learning_rate": learning_rate,
        "global_batch": global_batch,
        "epochs": epochs,
        "max_length": max_length,
    }
    with Display().during("sft"):
        settings = settings_of(SftSettings, given, dict(changes or ()))
        found = fine_tune(chats, base, settings, seed, out, overwrite, columns)
    if is_first_process():
        show(found, as_json)


def fine_tune(
    chats: Path,
    base: str,
    settings: SftSettings,
    seed: int,
    out: Path,
    overwrite: bool = False,
    columns: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """A policy from the conversations of a file. Several processes (torchrun, accelerate launch) share the work.

    Checkpoints are kept in a folder beside `out` until the model is finished. A model with the same arguments is not
    trained again; another one is replaced only with `overwrite`.
    """
    with Display().during(f"fine-tuning {base}", f"on the conversations of {chats}") as display:
        display.progress(0, 0, f"reading {chats}")
        rows = ChatFile(chats, columns or {})
        quiet_transformers()
        from acemath.train.sft.train import identity_of, train_sft

        identity = identity_of(base, rows, settings, seed)
        facts = facts_of_made(out, identity, overwrite)
        if facts is not None:
            return {"out": str(out), **{name: facts[name] for name in SHOWN}, "seconds": 0.0}
        with checkpoints_of(out, identity, overwrite) as work:
            result = train_sft(base, rows, work / "model", work, settings, seed, display.progress)
            if is_first_process():
                put(work / "model", out, work)
    return {"out": str(out), **{name: getattr(result, name) for name in SHOWN}, "seconds": result.seconds}
