"""The commands of acemath rm: choose groups, train a reward model, add its measures to its card."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from acemath.cli.output import Json, Out, folder, show
from acemath.cli.settings import Change, Columns, Epochs, LearningRate, Seed, columns_of
from acemath.notices import is_first_process
from acemath.run.display import Display

rm_app = typer.Typer(no_args_is_help=True, help="The reward model: choose groups, train, write its card.")


@rm_app.command("groups")
def groups(
    responses: Annotated[Path, typer.Argument(help="Graded responses.")],
    problems: Annotated[Path, typer.Option(help="The problems they answer.")],
    size: Annotated[int, typer.Option(help="Responses of a group.")] = 6,
    pool: Annotated[int, typer.Option(help="Responses of a problem that a group is chosen from.")] = 14,
    seed: Seed = 0,
    change: Change = None,
    out: Out = Path("groups.parquet"),
    columns: Columns = None,
    as_json: Json = False,
) -> None:
    """Choose groups of right and wrong responses to train a reward model on.

    Responses of which nothing is known (cut, refused, ungraded, timed out) are left out and counted. Shows how right and wrong responses look before and after the choice: length and style confound.

    Example: acemath rm groups samples.jsonl --problems problems.jsonl --out groups.parquet --set balance=drawn
    """
    with Display().during("rm groups"):
        from acemath.cli import training

        given = {"size": size, "pool": pool}
        found = training.groups(responses, problems, given, change or (), seed, out, columns_of(columns))
    show(found, as_json)


@rm_app.command("train")
def train(
    groups: Annotated[Path, typer.Argument(help="Groups, as acemath rm groups writes them.")],
    base: Annotated[str, typer.Option(help="The policy to start from.")],
    learning_rate: LearningRate = 5e-6,
    batch_groups: Annotated[int, typer.Option(help="Groups of a step, over all devices.")] = 256,
    epochs: Epochs = 2.0,
    system: Annotated[
        str | None,
        typer.Option(
            help="System prompt of the conversation.",
            show_default="the groups' own, or else the paper's: Please reason step by step, and check your final answer "
            "within \\boxed{}.",
        ),
    ] = None,
    candidates: Annotated[
        Path | None, typer.Option(help="Graded responses to held-out problems, for rm@k (--set rm_k=8).")
    ] = None,
    problems: Annotated[Path | None, typer.Option(help="The problems that --candidates answer.")] = None,
    seed: Seed = 0,
    change: Change = None,
    out: Annotated[Path, typer.Option(callback=folder, help="The reward model's folder.")] = Path(
        "reward-model"
    ),
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the model that --out holds.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Train a reward model with the listwise Bradley-Terry loss. If it is stopped, the same command goes on.

    The model remembers the system prompt and is scored with it later. Of the groups a twentieth is kept aside for pair
    accuracy.

    Example: acemath rm train groups.parquet --base policy --learning-rate 4e-4 --batch-groups 16 --set lora.rank=16
    """
    given = {"learning_rate": learning_rate, "batch_groups": batch_groups, "epochs": epochs}
    with Display().during("rm train"):
        from acemath.cli import training

        asked = training.candidates(candidates, problems)
        found = training.train(groups, base, given, change or (), system, asked, seed, out, overwrite)
    if is_first_process():
        show(found, as_json)


@rm_app.command("card")
def card(
    model: Annotated[Path, typer.Argument(help="A reward model's folder, as acemath rm train writes it.")],
    scored: Annotated[
        list[Path], typer.Argument(help="Responses with labels and its rewards; a benchmark each.")
    ],
    k: Annotated[int, typer.Option("-k", min=1, help="Responses to pick from.")] = 8,
    as_json: Json = False,
) -> None:
    """Put the table of rm@k on benchmarks into a reward model's card.

    Example: acemath rm card reward-model gsm8k-scored.jsonl math500-scored.jsonl
    """
    from acemath.cli import judging
    from acemath.train.reward.card import add_bench

    add_bench(model, judging.rewardbench(scored, k)["rows"], k)
    show({"card": str(model / "README.md")}, as_json)
