"""`acemath rewardbench`: AceMath-RewardBench for any judge, and the table of selectors on stored responses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from acemath.benchmarks.breakdown import WAYS
from acemath.benchmarks.release import is_release
from acemath.benchmarks.stored import stored_records
from acemath.cli.options import REWARDS, Cache, Columns, Json, Pick, Setting, folder, set_option
from acemath.cli.rewardbench_build import build
from acemath.cli.rewardbench_table import Asked, printed, tables
from acemath.errors import UserError
from acemath.files.atomic import write_json
from acemath.files.lock import locked
from acemath.metrics.protocols import EXACT, PROTOCOLS, Protocol, protocol_of
from acemath.run.display import Display

if TYPE_CHECKING:
    from acemath.run.rewardbench import Candidate

ProtocolName = Annotated[
    str,
    typer.Option(
        "--protocol",
        help=f"How k of a problem's responses are taken: {', '.join(PROTOCOLS)} (the paper: draws; the Qwen2.5-Math harness: "
        "first-k).",
    ),
]
By = Annotated[str, typer.Option(help=f"Break the table down by {', '.join(WAYS)}.")]
Details = Annotated[
    bool,
    typer.Option(
        "--details",
        help="Also who beats whom, the rewards' AUC, calibration and errors at thresholds, and the spread over blocks of k responses.",
    ),
]


class _TableFirst(TyperGroup):
    """Takes a file for the name of a subcommand as `table` with that file: `acemath rewardbench scored.jsonl`."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] not in self.commands and (Path(args[0]).exists() or "." in args[0]):
            args = ["table", *args]
        return super().resolve_command(ctx, args)


app = typer.Typer(
    cls=_TableFirst, no_args_is_help=True, rich_markup_mode=None,
    help="AceMath-RewardBench: score it with judges, build it from policies, print its table.",
)  # fmt: skip


app.command("build")(build)


@app.command("table")
def table(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="Responses with labels, and with rewards if there are any: files, releases of AceMath-RewardBench, folders of "
            "acemath rewardbench score, or a run's."
        ),
    ],
    k: Pick = 8,
    protocol: ProtocolName = EXACT.name,
    by: By = "",
    details: Details = False,
    columns: Columns = None,
    as_json: Json = False,
) -> None:
    """Measure rm@k on stored responses, with its controls: random, shortest, longest, majority, oracle.

    Example: acemath rewardbench table scored.jsonl -k 8
    """
    with Display().during("rewardbench"):
        found = rewardbench(files, k, columns, protocol_of(protocol), by, details)
    printed(found, as_json)


@app.command("score")
def score(
    judges: Annotated[
        list[str],
        typer.Argument(
            metavar="JUDGE…",
            help="Judges: a reward model's folder or hub name, or a YAML file with the settings of any judge; NAME=JUDGE names it.",
        ),
    ],
    bench: Annotated[
        Path, typer.Option(help="The release: a folder with a folder for each set, as `save_to_disk` writes it.")
    ],
    out: Annotated[
        Path, typer.Option(callback=folder, help="The folder that gets the scores; a stopped call continues there.")
    ] = Path("rewardbench"),
    k: Pick = 8,
    protocol: ProtocolName = EXACT.name,
    by: By = "",
    changes: Annotated[
        list[Setting] | None, set_option("Another setting of the judges, for example engine=vllm or max_length=8192.")
    ] = None,
    cache: Cache = REWARDS,
    columns: Columns = None,
    as_json: Json = False,
) -> None:
    """Score all candidates of AceMath-RewardBench with judges, and print the table beside the paper's numbers.

    Example: acemath rewardbench score nvidia/AceMath-7B-RM --bench AceMath-RewardBench
    """
    asked = Asked(k, protocol_of(protocol), by)
    chosen = _judges(judges, dict(changes or ()))
    scored(chosen, bench, out, k, cache, columns)
    found = _of_folder(out, asked, [judge.name for judge in chosen])
    write_json(out / "results.json", found)
    printed(found, as_json)


def _judges(judges: Sequence[str], changes: Mapping[str, Any]) -> list[Candidate]:
    from acemath.models.score.judge import judge_settings
    from acemath.run.rewardbench import judges_named

    named = [judge.partition("=")[::2] if "=" in judge and not Path(judge).exists() else ("", judge) for judge in judges]
    return judges_named([(name, judge_settings(place, changes)) for name, place in named])


def scored(
    judges: Sequence[Candidate], bench: Path, out: Path, k: int, cache: Path, columns: Mapping[str, str] | None = None
) -> None:
    """Score a release with judges into the folder `out`; what is there already is not done again.

    UserError, before anything is scored, if no problem of a set has k responses.
    """
    from acemath.run.bench_tables import check_k
    from acemath.run.rewardbench import CANDIDATES, Bench, bench_stages
    from acemath.run.runner import Runner

    release = Bench(bench, columns or {})
    with locked(out):
        release.open(out)
        stages = bench_stages(release, out, judges, cache)
        runner = Runner(out, stages, Display())
        for stage in stages:
            runner.make(stage.name)
            if stage.name == CANDIDATES:
                check_k(runner.stores[CANDIDATES].manifest["facts"], k)


def rewardbench(
    files: Sequence[Path],
    k: int,
    columns: Mapping[str, str] | None = None,
    protocol: Protocol = EXACT,
    by: str = "",
    details: bool = False,
) -> dict[str, Any]:
    """The table of selectors on the responses of some files or of one folder, with notes on what was left out.

    The paper's numbers stand beside those of a release. UserError if no problem of a benchmark has k responses.
    """
    asked = Asked(k, protocol, by, details)
    folders = [path for path in files if (path / "run.json").is_file()]
    if not folders:
        records, notes = stored_records(files, columns)
        return tables({"": ("", records)}, asked, notes, paper=any(map(is_release, files)))
    if len(files) > 1:
        raise UserError(f"{folders[0]} is a folder with rewards of its own; give it alone")
    return _of_folder(folders[0], asked)


def _of_folder(place: Path, asked: Asked, names: Sequence[str] | None = None) -> dict[str, Any]:
    from acemath.run.bench_tables import is_scored, judged

    judges, notes = judged(place, names)
    return tables({j.name: (j.model, j.records) for j in judges}, asked, notes, paper=is_scored(place))
