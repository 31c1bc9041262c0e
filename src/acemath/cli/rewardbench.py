"""`acemath rewardbench`: AceMath-RewardBench for any judge, and the table of selectors on stored responses."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from acemath.benchmarks.compare import between_judges
from acemath.benchmarks.notes import alarms
from acemath.benchmarks.published import beside
from acemath.benchmarks.quality import truncated_note
from acemath.benchmarks.stored import stored_records
from acemath.benchmarks.tables import (
    AVERAGE,
    JUDGED,
    VERIFIED_AND_JUDGED,
    Record,
    measure,
    reward_bench,
)
from acemath.benchmarks.tables import MEASURES as MEASURED
from acemath.cli.details import By, Details, TakenBy, more_of, show_details
from acemath.cli.options import Columns, Json, Pick, Setting, folder, set_option
from acemath.cli.output import MEASURES, measure_rows, show
from acemath.errors import UserError
from acemath.files.lock import locked
from acemath.metrics import EXACT, Protocol, protocol_of
from acemath.notices import say
from acemath.run.display import Display

if TYPE_CHECKING:
    from acemath.run.bench_tables import Judged
    from acemath.run.rewardbench import Candidate

RM = "reward model"  # the selector of a judge
OF_JUDGE = (*JUDGED, *VERIFIED_AND_JUDGED)  # the selectors whose picks depend on a judge
PAPER = "paper"  # the column of the paper's numbers


class _TableFirst(TyperGroup):
    """Takes a file for the name of a subcommand as `table` with that file: `acemath rewardbench scored.jsonl`."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] not in self.commands and (Path(args[0]).exists() or args[0].startswith("-")):
            args = ["table", *args]
        return super().resolve_command(ctx, args)


app = typer.Typer(
    cls=_TableFirst, no_args_is_help=True, rich_markup_mode=None,
    help="AceMath-RewardBench: score it with judges, build it from policies, print its table.",
)  # fmt: skip


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
    protocol: TakenBy = EXACT.name,
    by: By = None,
    details: Details = False,
    columns: Columns = None,
    as_json: Json = False,
) -> None:
    """Measure rm@k on stored responses, with its controls: random, shortest, longest, majority, oracle.

    Example: acemath rewardbench table scored.jsonl -k 8 --by level
    """
    way = protocol_of(protocol)
    with Display().during("rewardbench"):
        found = rewardbench(files, k, columns, way, by, details)
    _print(found, as_json)
    if not as_json:
        show_details(found)


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
    changes: Annotated[
        list[Setting] | None, set_option("Another setting of the judges, for example engine=vllm or max_length=8192.")
    ] = None,
    cache: Annotated[
        Path, typer.Option(callback=folder, help="The folder that keeps every score, so that no response is judged twice.")
    ] = Path("rewards.cache"),
    columns: Columns = None,
    as_json: Json = False,
) -> None:
    """Score all candidates of AceMath-RewardBench with judges, and print the table beside the paper's numbers.

    Example: acemath rewardbench score nvidia/AceMath-7B-RM --bench AceMath-RewardBench
    """
    from acemath.run.bench_tables import judged

    chosen = _judges(judges, dict(changes or ()))
    scored(chosen, bench, out, k, cache, columns)
    records, notes = judged(out, [judge.name for judge in chosen])
    _print(_of_judges(records, notes, k), as_json)


def _judges(judges: Sequence[str], changes: Mapping[str, Any]) -> list[Candidate]:
    from acemath.models.score.judge import judge_settings
    from acemath.run.rewardbench import judges_named

    named = [judge.rpartition("=") if not Path(judge).exists() else ("", "", judge) for judge in judges]
    return judges_named([(name, judge_settings(place, changes)) for name, _, place in named])


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
    by: str | None = None,
    details: bool = False,
) -> dict[str, Any]:
    """The table of selectors on the responses of some files or of one folder, with notes on what was left out.

    `by` adds a breakdown, `details` who beats whom, the quality of the rewards and the spread over seeds. UserError if no
    problem of a benchmark has k responses.
    """
    from acemath.run.bench_tables import Judged, judged

    folders = [path for path in files if (path / "run.json").is_file()]
    if folders:
        if len(files) > 1:
            raise UserError(f"{folders[0]} is a folder with rewards of its own; give it alone")
        judges, notes = judged(folders[0])
        found = _of_judges(judges, notes, k, protocol)
    else:
        records, notes = stored_records(files, columns)
        judges = [Judged("", "", records)]
        found = {"k": k, "rows": (rows := _rows(records, k, protocol)), "notes": [*notes, *alarms("", records)], PAPER: _paper(rows)}
    found["notes"] += truncated_note(judges[0].records)
    return found | more_of({judge.name: judge.records for judge in judges}, k, protocol, by, details)


def _of_judges(judges: Sequence[Judged], notes: Sequence[str], k: int, protocol: Protocol = EXACT) -> dict[str, Any]:
    """The tables of some judges of the same candidates: the controls once, each judge's rows, and the judges' differences."""
    rows: list[dict[str, Any]] = []
    paper, told = [], list(notes)
    for judge in judges:
        mine = _rows(judge.records, k, protocol, OF_JUDGE if rows else MEASURED)
        paper += _paper(mine, judge.model)
        rows += [row | ({"judge": judge.name} if row["selector"] in OF_JUDGE else {}) for row in mine]
        told += alarms(judge.name, judge.records)
    return {"k": k, "rows": rows, "comparisons": _differences(judges, k, protocol), "notes": told, PAPER: paper}


def _rows(
    records: Sequence[Record], k: int, protocol: Protocol = EXACT, only: Collection[str] = MEASURED
) -> list[dict[str, Any]]:
    return [asdict(row) for row in reward_bench(records, k, protocol, only)]


def _paper(rows: Sequence[Mapping[str, Any]], judge: str = "") -> list[dict[str, Any]]:
    return [found.record() for found in beside(rows, judge=judge)]


def _differences(judges: Sequence[Judged], k: int, protocol: Protocol) -> list[dict[str, Any]]:
    """Each judge's rm@k minus each later one's, paired over problems, in percent; `winner` where the interval excludes 0."""
    found = {judge.name: judge.records for judge in judges if judge.records[0].rewards}
    duels = between_judges(found, RM, k, protocol)[0] if len(found) > 1 else []
    return [
        {
            "judge": d.a, "minus": d.b, "measure": measure(RM, k), "benchmark": d.benchmark, "value": d.difference,
            "low": d.low, "high": d.high, "problems": d.problems, "winner": d.winner,
        }
        for d in duels if d.benchmark == AVERAGE
    ]  # fmt: skip


def _print(found: Mapping[str, Any], as_json: bool) -> None:
    """Print the notes, then the table with the paper's numbers beside it."""
    for note in found["notes"]:
        say(note)
    paper = {(c["measure"], c["benchmark"], c["value"]): c for c in found[PAPER]}
    lines = []
    for row, cells in zip(found["rows"], measure_rows(found["rows"]), strict=True):
        c = paper.get((row["measure"], row["benchmark"], row["value"]))
        beside = "" if c is None else f"{c['paper']:.2f}" + (" (OUTSIDE the interval)" if c["outside"] else "")
        lines.append((f"{cells[0]} {row['judge']}" if row.get("judge") else cells[0], *cells[1:], beside))
    for c in found.get("comparisons", ()):
        words = f"{c['measure']} {c['judge']} − {c['minus']}"
        lines.append((words, c["benchmark"], c["value"], f"{c['low']:.2f} … {c['high']:.2f}", str(c["problems"]), ""))
    show(found, as_json, (*MEASURES, PAPER) if paper else MEASURES, lines if paper else [line[:-1] for line in lines])
