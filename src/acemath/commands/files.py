"""The commands on files: each does one step of a recipe by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from acemath.commands.generation import Budget, KeyEnv, PriceIn, PriceOut, Set, Url, options
from acemath.commands.generation import app as generation_app
from acemath.commands.output import Json, SharePrefix, show
from acemath.commands.parity import parity
from acemath.engines.base import ChatFormat
from acemath.errors import UserError

app = typer.Typer()
rm_app = typer.Typer(no_args_is_help=True, help="The reward model: choose groups, train.")
app.add_typer(rm_app, name="rm")
app.command()(parity)
app.add_typer(generation_app)

Out = Annotated[Path, typer.Option("--out", help="Where the result goes (.parquet or .jsonl).")]
System = Annotated[str, typer.Option(help="System prompt of the conversation.")]
Instruction = Annotated[str, typer.Option(help="Text after each problem.")]


Prompts = Annotated[Path, typer.Argument(help="Prompts: JSONL, JSONL.gz or Parquet.")]
Against = Annotated[
    list[Path], typer.Option("--against", "--benchmark", help="A benchmark; give it again for more.")
]
Processes = Annotated[int | None, typer.Option(min=1, help="By default one, one a core for 50,000 prompts.")]


@app.command()
def curate(
    prompts: Prompts,
    against: Against,
    near: Annotated[
        float | None,
        typer.Option(min=0.5, max=1, help="Drop near-duplicates of this similarity too, say 0.9."),
    ] = None,
    drop: Annotated[
        list[str] | None,
        typer.Option(help="Drop near-copy hits too, or contained ones; both: give it twice."),
    ] = None,
    dropped: Annotated[
        Path | None, typer.Option(help="Write each dropped prompt to this JSONL file.")
    ] = None,
    processes: Processes = None,
    out: Out = Path("curated.jsonl"),
    as_json: Json = False,
) -> None:
    """Filter, deduplicate and decontaminate prompts.

    Example: acemath curate prompts.jsonl --against gsm8k_test.jsonl --out clean.jsonl
    """
    from acemath.commands import data

    settings = data.curation_settings(near, drop or ())
    show(data.curate(prompts, against, out, settings, dropped, processes), as_json)


@app.command()
def decontaminate(
    prompts: Prompts,
    against: Against,
    hits: Annotated[Path | None, typer.Option(help="Write every hit to this JSONL file.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write every hit to this HTML page.")] = None,
    self_test: Annotated[
        bool, typer.Option("--self-test", help="Plant changed benchmark problems, count what is found.")
    ] = False,
    each: Annotated[int, typer.Option(min=1, help="Copies of a kind that the self-test plants.")] = 500,
    seed: Annotated[int, typer.Option(help="Of the self-test.")] = 0,
    processes: Processes = None,
    as_json: Json = False,
) -> None:
    """Find prompts that leak a benchmark, or test how well that works.

    Example: acemath decontaminate prompts.jsonl --against gsm8k_test.jsonl --report hits.html
    """
    from acemath.commands import data

    if not self_test:
        show(data.decontaminate(prompts, against, hits, report, processes), as_json)
        return
    if hits is not None or report is not None:
        raise UserError("--self-test writes no hits; leave out --hits and --report, or --self-test")
    show(*data.run_self_test(prompts, against, each, seed, processes, as_json))


@app.command()
def sft(
    chats: Annotated[Path, typer.Argument(help="Conversations: rows with messages.")],
    base: Annotated[str, typer.Option(help="The model to start from.")] = "nano",
    learning_rate: float = 5e-6,
    global_batch: int = 128,
    epochs: float = 1.0,
    max_length: int = 4096,
    seed: int = 0,
    out: Annotated[Path, typer.Option(help="The model's folder.")] = Path("policy"),
    as_json: Json = False,
) -> None:
    """Fine-tune a model on conversations, loss on responses alone.

    Example: acemath sft chats.parquet --base nano --learning-rate 1e-3 --global-batch 4 --max-length 512
    """
    from acemath.pipeline.run import quiet_transformers
    from acemath.records import Chat
    from acemath.sft.settings import SftSettings
    from acemath.store import read_rows

    rows = read_rows(chats, Chat)
    quiet_transformers()
    from acemath.sft.train import train_sft

    settings = SftSettings(
        learning_rate=learning_rate, global_batch=global_batch, epochs=epochs, max_length=max_length
    )
    result = train_sft(base, rows, out, out.with_name(out.name + "-checkpoints"), settings, seed)
    show(
        {
            "out": str(out),
            "tokens": result.tokens,
            "validation_before": result.validation_before,
            "validation_after": result.validation_after,
            "seconds": result.seconds,
        },
        as_json,
    )


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


@rm_app.command("groups")
def rm_groups(
    responses: Annotated[Path, typer.Argument(help="Graded responses.")],
    problems: Annotated[Path, typer.Option(help="The problems they answer.")],
    size: int = 6,
    pool: int = 14,
    seed: int = 0,
    out: Out = Path("groups.parquet"),
    as_json: Json = False,
) -> None:
    """Choose groups of right and wrong responses to train a reward model on.

    Example: acemath rm groups samples.jsonl --problems problems.jsonl --out groups.parquet
    """
    from acemath.commands import training

    show(training.groups(responses, problems, size, pool, seed, out), as_json)


@rm_app.command("train")
def rm_train(
    groups: Annotated[Path, typer.Argument(help="Groups, as acemath rm groups writes them.")],
    base: Annotated[str, typer.Option(help="The policy to start from.")],
    learning_rate: float = 5e-6,
    batch_groups: int = 256,
    epochs: float = 2.0,
    system: System = "Please reason step by step, and check your final answer within \\boxed{}.",
    seed: int = 0,
    out: Annotated[Path, typer.Option(help="The reward model's folder.")] = Path("reward-model"),
    as_json: Json = False,
) -> None:
    """Train a reward model with the listwise Bradley-Terry loss.

    Example: acemath rm train groups.parquet --base policy --learning-rate 4e-4 --batch-groups 16
    """
    from acemath.commands import training

    show(training.train(groups, base, learning_rate, batch_groups, epochs, system, seed, out), as_json)


@app.command()
def score(
    responses: Annotated[Path, typer.Argument(help="Responses, as acemath sample writes them.")],
    problems: Annotated[Path, typer.Option(help="The problems they answer.")],
    model: Annotated[str, typer.Option(help="A reward model's folder or name.")],
    system: System = "Please reason step by step, and check your final answer within \\boxed{}.",
    share_prefix: SharePrefix = True,
    out: Out = Path("scored.jsonl"),
    as_json: Json = False,
) -> None:
    """Rewards for responses.

    Example: acemath score samples.jsonl --problems problems.jsonl --model reward-model
    """
    from acemath.commands import judging

    show(judging.score(responses, problems, model, ChatFormat(system=system), out, share_prefix), as_json)


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
    rows = [
        (r["selector"], r["benchmark"], r["value"], f"{r['low']:.2f} … {r['high']:.2f}", r["problems"])
        for r in result["rows"]
    ]
    show(result, as_json, (f"selector (k = {k})", "benchmark", "percent", "95 % interval", "problems"), rows)


@app.command("eval")
def evaluate(
    problems: Annotated[Path, typer.Argument(help="Problems with answers.")],
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
    rows = [
        (
            "greedy",
            "all",
            100 * result["greedy"]["value"],
            f"{100 * result['greedy']['low']:.2f} … {100 * result['greedy']['high']:.2f}",
        )
    ]
    rows += [
        (r["selector"], r["benchmark"], r["value"], f"{r['low']:.2f} … {r['high']:.2f}")
        for r in result.get("rows", [])
    ]
    show(result, as_json, ("selector", "benchmark", "percent", "95 % interval"), rows)


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
