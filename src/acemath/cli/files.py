"""The commands on files: each does one step of a recipe by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from acemath.cli.generation import (
    Budget,
    Engine,
    Instruction,
    KeyEnv,
    MaxNewTokens,
    PriceIn,
    PriceOut,
    Set,
    System,
    Temperature,
    Url,
    options,
)
from acemath.cli.generation import app as generation_app
from acemath.cli.output import Json, Out, SharePrefix, folder, json_lines, show
from acemath.cli.parity import parity
from acemath.cli.rewards import rm_app
from acemath.cli.settings import Change, Columns, Epochs, LearningRate, Seed, columns_of
from acemath.errors import UserError
from acemath.models.engine import ChatFormat
from acemath.notices import is_first_process, say
from acemath.run.display import Display

app = typer.Typer()
app.add_typer(rm_app, name="rm")
app.command()(parity)
app.add_typer(generation_app)

RewardSystem = Annotated[
    str | None,
    typer.Option(
        help="System prompt that the reward model reads; by default the one that it was trained with, or the paper's."
    ),
]


@app.command()
def sft(
    chats: Annotated[
        Path, typer.Argument(help="Conversations: messages, ShareGPT, Alpaca, prompt and completion.")
    ],
    base: Annotated[str, typer.Option(help="The model to start from.")] = "nano",
    learning_rate: LearningRate = 5e-6,
    global_batch: Annotated[int, typer.Option(help="Rows of a step, over all devices.")] = 128,
    epochs: Epochs = 1.0,
    max_length: Annotated[int, typer.Option(help="Tokens of a row; longer conversations are cut.")] = 4096,
    seed: Seed = 0,
    change: Change = None,
    out: Annotated[Path, typer.Option(callback=folder, help="The model's folder.")] = Path("policy"),
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the model that --out holds.")
    ] = False,
    columns: Columns = None,
    as_json: Json = False,
) -> None:
    """Fine-tune a model on conversations, loss on responses alone. If it is stopped, the same command goes on.

    Example: acemath sft chats.parquet --base nano --learning-rate 1e-3 --global-batch 4 --max-length 512
    """
    given = {
        "learning_rate": learning_rate,
        "global_batch": global_batch,
        "epochs": epochs,
        "max_length": max_length,
    }
    with Display().during("sft"):
        from acemath.cli import training

        found = training.fine_tune(chats, base, given, change or (), seed, out, overwrite, columns)
    if is_first_process():
        show(found, as_json)


@app.command()
def grade(
    file: Annotated[Path | None, typer.Argument(help="Responses with references, in any known form.")] = None,
    gold: Annotated[str | None, typer.Option(help="A reference answer, to grade one answer.")] = None,
    answer: Annotated[str | None, typer.Option(help="The answer to grade against --gold.")] = None,
    problems: Annotated[
        Path | None,
        typer.Option(help="The problems, where the rows only name them (problem_id, qid or idx)."),
    ] = None,
    policy: Annotated[
        Literal["strict", "lenient", "qwen2.5-math"],
        typer.Option(help="The grader's conventions (docs/grading.md)."),
    ] = "strict",
    out: Annotated[
        Path | None,
        typer.Option(
            callback=json_lines,
            help="Write each response with its status, extracted answer, reason, tier and rule to this JSONL file.",
        ),
    ] = None,
    columns: Columns = None,
    as_json: Json = False,
) -> None:
    """Grade responses against references.

    Example: acemath grade --gold 1/2 --answer 0.5

    A whole file: acemath grade samples.jsonl --problems problems.jsonl --out verdicts.jsonl
    """
    from dataclasses import asdict

    if file is not None and (gold is not None or answer is not None):
        raise UserError("a file and --gold or --answer are given; grade the file, or the one pair")
    if file is not None:
        with Display().during("grade"):
            from acemath.cli import judging

            found = judging.grade_file(file, policy, problems, out, columns_of(columns))
        show(found, as_json)
    elif gold is not None and answer is not None:
        from acemath.grade import grade as grade_one

        if out is not None or problems is not None:
            raise UserError("--out and --problems belong to a file; leave them out for one pair")
        if not gold.strip():
            raise UserError("--gold is empty; give the reference answer")
        show(asdict(grade_one(answer, gold, policy)), as_json)
    else:
        raise UserError("nothing to grade; give a file, or both --gold and --answer")


@app.command()
def score(
    responses: Annotated[Path, typer.Argument(help="Responses, as acemath sample writes them.")],
    problems: Annotated[Path, typer.Option(help="The problems they answer.")],
    model: Annotated[str, typer.Option(help="A reward model's folder or name.")],
    system: RewardSystem = None,
    engine: Annotated[
        Literal["transformers", "vllm"], typer.Option(help="What runs the reward model.")
    ] = "transformers",
    max_length: Annotated[int, typer.Option(min=16, help="Tokens of a problem with a response.")] = 4096,
    share_prefix: SharePrefix = True,
    out: Out = Path("scored.jsonl"),
    columns: Columns = None,
    as_json: Json = False,
) -> None:
    """Write the rewards of a reward model beside responses.

    Example: acemath score samples.jsonl --problems problems.jsonl --model reward-model
    """
    with Display().during("score"):
        from acemath.cli import judging

        chat = None if system is None else ChatFormat(system=system)
        found = judging.score(
            responses, problems, model, chat, out, share_prefix, engine, max_length, columns_of(columns)
        )
    show(found, as_json)


@app.command()
def rewardbench(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="Responses with labels, and with rewards where there are any; one file a benchmark."
        ),
    ],
    k: Annotated[int, typer.Option("-k", min=1, help="Responses to pick from.")] = 8,
    columns: Columns = None,
    as_json: Json = False,
) -> None:
    """Show rm@k on stored responses beside its controls: random, shortest, longest, majority, oracle.

    Example: acemath rewardbench scored.jsonl -k 8
    """
    with Display().during("rewardbench"):
        from acemath.cli import judging

        result = judging.rewardbench(files, k, columns_of(columns))
    for note in result["notes"]:
        say(note)
    show(result, as_json, judging.COLUMNS, judging.table(result))


@app.command("eval")
def evaluate(
    problems: Annotated[list[Path], typer.Argument(help="Problems with answers; a file is a benchmark.")],
    model: Annotated[str, typer.Option(help="A policy's folder or name.")],
    n: Annotated[
        int, typer.Option("--n", "-n", min=1, help="Samples of each problem; 1 is the greedy response alone.")
    ] = 1,
    k: Annotated[
        int | None,
        typer.Option("-k", min=1, help="Responses to pick from. [default: 8, or -n if that is less]"),
    ] = None,
    reward: Annotated[str | None, typer.Option(help="A reward model's folder or name.")] = None,
    system: System = "",
    instruction: Instruction = "",
    reward_system: RewardSystem = None,
    max_new_tokens: MaxNewTokens = 2048,
    engine: Engine = "transformers",
    url: Url = "",
    api_key_env: KeyEnv = None,
    price_in: PriceIn = None,
    price_out: PriceOut = None,
    budget: Budget = None,
    changes: Set = None,
    journal: Annotated[
        Path, typer.Option(help="The folder that keeps an endpoint's responses as they arrive.")
    ] = Path("eval.journal"),
    columns: Columns = None,
    as_json: Json = False,
) -> None:
    """Measure a policy: greedy pass@1, and with samples maj@k, rm@k and pass@k.

    Example: acemath eval problems.jsonl --model policy -n 8 --reward reward-model --max-new-tokens 120
    """
    with Display().during("eval"):
        from acemath.cli import engines, judging

        reward_chat = None if reward_system is None else ChatFormat(system=reward_system)
        k = min(8, n) if k is None else k
        judging.check_numbers(n, k, reward)
        if reward is not None:
            from acemath.models.score.heads import check_head

            check_head(reward)  # before the policy is loaded
        chat = ChatFormat(system=system, instruction=instruction)
        given = options(url, api_key_env, price_in, price_out, budget, changes)
        with engines.engine_of(engines.model_of(engine, model, given), chat, journal) as made:
            result = judging.evaluate(
                problems, made, n, k, reward, reward_chat, max_new_tokens, columns_of(columns)
            )
    show(result, as_json, judging.COLUMNS, judging.table(result))


@app.command()
def solve(
    question: Annotated[str, typer.Argument(help="The problem.")],
    policy: Annotated[str, typer.Option(help="A policy's folder or name.")] = "runs/laptop/sft-math/model",
    reward: Annotated[
        str, typer.Option(help="A reward model's folder or name.")
    ] = "runs/laptop/reward/model",
    n: Annotated[int, typer.Option("--n", "-n", min=1, help="Responses to choose from.")] = 8,
    temperature: Temperature = 1.0,
    max_new_tokens: MaxNewTokens = 256,
    instruction: Instruction = "",
    reward_system: RewardSystem = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Answer a question with policy and reward model together.

    Example: acemath solve "Two numbers have sum 11 and product 24. What is the smaller one?"
    """
    from dataclasses import asdict

    from acemath.run.run import quiet_transformers

    for name, path in (("--policy", policy), ("--reward", reward)):
        if path.startswith("runs/") and not Path(path).exists():
            raise UserError(
                f"{name} {path!r} does not exist; run the recipe first (acemath run), or name a model"
            )
    with Display().during("solve"):
        quiet_transformers()
        from acemath.models.score.best_of_n import BestOfN

        reward_chat = None if reward_system is None else ChatFormat(system=reward_system)
        chosen = BestOfN(policy, reward, ChatFormat(instruction=instruction), reward_chat, max_new_tokens)
        solution = chosen.solve(question, n, temperature, seed)
    if as_json:
        show(asdict(solution), True)
        return
    typer.echo(solution.text)
    if not solution.candidates[0].complete:
        typer.echo("every response was cut at --max-new-tokens: there is no answer; raise it", err=True)
    typer.echo(f"\nanswer: {solution.answer}   reward {solution.reward:.2f}")
    show({}, False, ("reward", "answer"), [(c.reward, c.answer) for c in solution.candidates])
