"""The commands on files: each does one step of a recipe by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from acemath.commands.generation import Budget, KeyEnv, PriceIn, PriceOut, Set, Url, options
from acemath.commands.generation import app as generation_app
from acemath.commands.output import Json, SharePrefix, show
from acemath.commands.parity import parity
from acemath.commands.rewards import rm_app
from acemath.commands.settings import Change
from acemath.engines.base import ChatFormat
from acemath.errors import UserError

app = typer.Typer()
app.add_typer(rm_app, name="rm")
app.command()(parity)
app.add_typer(generation_app)

Out = Annotated[Path, typer.Option("--out", help="Where the result goes (.parquet or .jsonl).")]
System = Annotated[str, typer.Option(help="System prompt of the conversation.")]
Instruction = Annotated[str, typer.Option(help="Text after each problem.")]


@app.command()
def sft(
    chats: Annotated[Path, typer.Argument(help="Conversations: rows with messages, or messages and answer.")],
    base: Annotated[str, typer.Option(help="The model to start from.")] = "nano",
    learning_rate: float = 5e-6,
    global_batch: int = 128,
    epochs: float = 1.0,
    max_length: int = 4096,
    seed: int = 0,
    change: Change = None,
    out: Annotated[Path, typer.Option(help="The model's folder.")] = Path("policy"),
    as_json: Json = False,
) -> None:
    """Fine-tune a model on conversations, loss on responses alone. Goes on where it was stopped.

    Example: acemath sft chats.parquet --base nano --learning-rate 1e-3 --global-batch 4 --max-length 512
    """
    from acemath.commands import training
    from acemath.sft.hardware import is_first_process

    given = {
        "learning_rate": learning_rate,
        "global_batch": global_batch,
        "epochs": epochs,
        "max_length": max_length,
    }
    found = training.fine_tune(chats, base, given, change or (), seed, out)
    if is_first_process():
        show(found, as_json)


@app.command()
def grade(
    file: Annotated[Path | None, typer.Argument(help="Responses with references, in any known form.")] = None,
    gold: Annotated[str | None, typer.Option(help="A reference answer, to grade one answer.")] = None,
    answer: Annotated[str | None, typer.Option(help="The answer to grade against --gold.")] = None,
    problems: Annotated[
        Path | None, typer.Option(help="The problems, where rows only name them (qid, idx).")
    ] = None,
    policy: Annotated[str, typer.Option(help="strict, lenient or qwen2.5-math.")] = "strict",
    as_json: Json = False,
) -> None:
    """Grade responses against references.

    Example: acemath grade --gold 1/2 --answer 0.5
    """
    from dataclasses import asdict

    from acemath.commands import judging
    from acemath.grade import grade as grade_one

    if file is not None:
        show(judging.grade_file(file, policy, problems), as_json)
    elif gold is not None and answer is not None:
        show(asdict(grade_one(answer, gold, policy)), as_json)
    else:
        raise UserError("nothing to grade; give a file, or both --gold and --answer")


@app.command()
def score(
    responses: Annotated[Path, typer.Argument(help="Responses, as acemath sample writes them.")],
    problems: Annotated[Path, typer.Option(help="The problems they answer.")],
    model: Annotated[str, typer.Option(help="A reward model's folder or name.")],
    system: System = "Please reason step by step, and check your final answer within \\boxed{}.",
    engine: Annotated[str, typer.Option(help="transformers or vllm.")] = "transformers",
    max_length: Annotated[int, typer.Option(min=16, help="Tokens of a problem with a response.")] = 4096,
    share_prefix: SharePrefix = True,
    out: Out = Path("scored.jsonl"),
    as_json: Json = False,
) -> None:
    """Rewards for responses.

    Example: acemath score samples.jsonl --problems problems.jsonl --model reward-model
    """
    from acemath.commands import judging

    chat = ChatFormat(system=system)
    show(judging.score(responses, problems, model, chat, out, share_prefix, engine, max_length), as_json)


@app.command()
def rewardbench(
    files: Annotated[
        list[Path],
        typer.Argument(help="Responses with labels, and rewards where there are any; a benchmark each."),
    ],
    k: Annotated[int, typer.Option("-k", min=1, help="Responses to pick from.")] = 8,
    as_json: Json = False,
) -> None:
    """rm@k beside its controls on stored responses: random, shortest, longest, majority, oracle.

    Example: acemath rewardbench scored.jsonl -k 8
    """
    from acemath.commands import judging

    result = judging.rewardbench(files, k)
    for note in result["notes"]:
        typer.echo(f"acemath: {note}", err=True)
    show(result, as_json, judging.COLUMNS, judging.table(result))


@app.command("eval")
def evaluate(
    problems: Annotated[list[Path], typer.Argument(help="Problems with answers; a file is a benchmark.")],
    model: Annotated[str, typer.Option(help="A policy's folder or name.")],
    n: Annotated[int, typer.Option("--n", "-n", min=1, help="Samples a problem; 1: greedy alone.")] = 1,
    k: Annotated[int, typer.Option("-k", min=1)] = 8,
    reward: Annotated[str | None, typer.Option(help="A reward model's folder or name.")] = None,
    system: System = "",
    instruction: Instruction = "",
    reward_system: str = "Please reason step by step, and check your final answer within \\boxed{}.",
    max_new_tokens: int = 2048,
    engine: Annotated[str, typer.Option(help="transformers, vllm or endpoint.")] = "transformers",
    url: Url = "",
    api_key_env: KeyEnv = None,
    price_in: PriceIn = None,
    price_out: PriceOut = None,
    budget: Budget = None,
    changes: Set = None,
    journal: Annotated[
        Path, typer.Option(help="The folder that keeps an endpoint's responses as they arrive.")
    ] = Path("eval.journal"),
    as_json: Json = False,
) -> None:
    """Greedy pass@1, and with samples maj@k, rm@k and pass@k.

    Example: acemath eval problems.jsonl --model runs/laptop/sft-math/model --max-new-tokens 120
    """
    from acemath.commands import engines, judging

    chat = ChatFormat(system=system, instruction=instruction)
    given = options(url, api_key_env, price_in, price_out, budget, changes)
    with engines.engine_of(engines.endpoint_of(engine, model, given), chat, journal) as made:
        result = judging.evaluate(
            problems, made, n, k, reward, ChatFormat(system=reward_system), max_new_tokens
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
    temperature: Annotated[float, typer.Option(min=0.0)] = 1.0,
    max_new_tokens: int = 256,
    instruction: Instruction = "",
    reward_system: str = "",
    seed: int = 0,
    as_json: Json = False,
) -> None:
    """Answer a question with policy and reward model together.

    Example: acemath solve "Two numbers have sum 12 and product 35. What is the smaller one?"
    """
    from dataclasses import asdict

    from acemath.pipeline.run import quiet_transformers

    for name, path in (("--policy", policy), ("--reward", reward)):
        if path.startswith("runs/") and not Path(path).exists():
            raise UserError(
                f"{name} {path!r} does not exist; run the recipe first (acemath run), or name a model"
            )
    quiet_transformers()
    from acemath.reward.best_of_n import BestOfN

    chosen = BestOfN(
        policy, reward, ChatFormat(instruction=instruction), ChatFormat(system=reward_system), max_new_tokens
    )
    solution = chosen.solve(question, n, temperature, seed)
    if as_json:
        show(asdict(solution), True)
        return
    typer.echo(solution.text)
    typer.echo(f"\nanswer: {solution.answer}   reward {solution.reward:.2f}")
    show({}, False, ("reward", "answer"), [(c.reward, c.answer) for c in solution.candidates])
