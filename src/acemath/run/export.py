"""Exports the blends of a run as a data set for the hub: Parquet with `messages`, a card, and facts."""

from __future__ import annotations

import shutil
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from acemath.curate.card import CardFacts, card
from acemath.curate.decontaminate.index import KINDS
from acemath.curate.decontaminate.scan import Decontaminator, scan
from acemath.errors import UserError
from acemath.files.atomic import explained, write_bytes, write_json, write_table
from acemath.files.versions import versions
from acemath.records import Chat, Problem, benchmark_of
from acemath.run.context import Run
from acemath.run.curation import INSTRUCTIONS, wrappers_in
from acemath.run.display import Display
from acemath.run.problems import BENCHMARKS
from acemath.run.reporting import STEPS
from acemath.run.run import opened
from acemath.run.runner import Runner
from acemath.run.stages import prompt_stage
from acemath.run.steps import funnel
from acemath.run.store import StageStore

FACTS = "acemath.json"
ROWS = 200_000  # rows of a Parquet file
SCHEMA = pa.schema(
    [
        Chat.SCHEMA.field("messages"),
        ("problem_id", pa.string()),
        ("source", pa.string()),
        ("license", pa.string()),
        ("pool", pa.string()),
    ]
)


def export(folder: Path, out: Path, processes: int | None = None) -> dict[str, Any]:
    """Write the blends of a run's folder into `out`, whole or not at all, after another scan for benchmark problems.

    `out` is new, empty, or an earlier export, which is replaced. UserError for any other folder, and for a run whose
    blends are missing or were made by other settings than its recipe's.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir()) and not (out / FACTS).exists()):
        raise UserError(f"{str(out)!r} is not empty and no earlier export; name a new folder")
    run, runner = opened(folder, Display(quiet=True))
    if taken := [name for name, stage in run.recipe.sft.stages.items() if stage.data is not None]:
        raise UserError(
            f"stage {taken[0]} trains on data that exist already; export writes only training sets that a run made"
        )
    runner.check_current([f"blend-{name}" for name in run.recipe.sft.stages])
    counts = {
        name: runner.stores[f"blend-{name}"].manifest["facts"] for name in run.recipe.sft.stages
    }
    facts = _facts(run, runner, counts, processes)
    temporary = out.with_name(f".{out.name}.tmp")
    with explained(temporary):
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
    try:
        for name in counts:
            _write(temporary / name, runner.stores[f"blend-{name}"], counts[name]["conversations"])
        write_bytes(temporary / "README.md", card(facts).encode("utf-8", "replace"))
        record = {
            "blends": counts,
            "benchmarks": dict(facts.benchmarks),
            "hits": dict(facts.hits),
            "dropped": dict(facts.dropped),
            "decontaminate": dict(facts.rule),
            "teachers": dict(facts.teachers),
            "seed": run.recipe.seed,
            "versions": versions(),
        }
        write_json(temporary / FACTS, record)
        with explained(out):
            shutil.rmtree(out, ignore_errors=True)
            temporary.rename(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return record


def _facts(run: Run, runner: Runner, counts: dict[str, Any], processes: int | None) -> CardFacts:
    recipe, stores = run.recipe, runner.stores
    benchmarks = list(stores[BENCHMARKS].all_rows(Problem))
    rule = recipe.curate.decontaminate
    index, found = Decontaminator(benchmarks, rule), Counter[str]()
    prompts, wrappers = stores[prompt_stage(recipe)], wrappers_in(stores[INSTRUCTIONS])
    for number in range(prompts.count):
        taken = {
            key
            for name in counts
            for batch in stores[f"blend-{name}"].batches(("problem_id",), (number,))
            for key in batch.column(0).to_pylist()
        }
        rows = [row for row in prompts.rows(Problem, number) if row.id in taken]
        hits = scan(rows, index, processes, wrappers)
        found.update(hit.kind for hit in hits if hit is not None)
    steps = funnel(stores[name] for name in STEPS if name in stores)
    dropped: dict[str, int] = next((step["drops"] for step in steps if step["name"] == "decontaminate"), {})
    writers = recipe.roles.named()
    return CardFacts(
        name=recipe.name,
        blends=counts,
        benchmarks=dict(sorted(Counter(map(benchmark_of, benchmarks)).items())),
        hits={kind: found[kind] for kind in KINDS},
        dropped=dropped,
        rule=rule.model_dump(),
        teachers={name: recipe.model(role.model).name for name, role in writers.items()},
        funnel=steps,
    )


def _write(folder: Path, blend: StageStore, conversations: int) -> None:
    """Write one blend as Parquet files of at most `ROWS` rows, with names of the hub's form."""
    with explained(folder):
        folder.mkdir()
    files = max(1, -(-conversations // ROWS))
    rows = blend.all_rows(Chat)
    for number in range(files):
        part = list(islice(rows, ROWS))
        columns = {
            "messages": [list(chat.messages) for chat in part],
            "problem_id": [chat.problem_id for chat in part],
            "source": [chat.source for chat in part],
            "license": [chat.license for chat in part],
            "pool": [str(chat.meta.get("pool", "")) for chat in part],
        }
        write_table(folder / f"train-{number:05}-of-{files:05}.parquet", pa.table(columns, schema=SCHEMA))


def push(folder: Path, repository: str, private: bool = True) -> str:
    """Upload an exported folder to a data set of the hub, which is created if needed; returns its address.

    The token is that of `hf auth login` or HF_TOKEN. UserError if the hub refuses or cannot be reached.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

    api = HfApi()
    try:
        url = api.create_repo(repository, repo_type="dataset", private=private, exist_ok=True)
        api.upload_folder(
            folder_path=folder,
            repo_id=repository,
            repo_type="dataset",
            commit_message="Data set exported by acemath",
            delete_patterns=["*.parquet"],
        )
    except OfflineModeIsEnabled as error:
        raise UserError(
            "the hub cannot be reached in offline mode; unset HF_HUB_OFFLINE and push again"
        ) from error
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        raise UserError(
            f"data set {repository!r} cannot be pushed ({str(error).splitlines()[0]}); "
            "check its name (owner/name), your token (hf auth login) and the network"
        ) from error
    return str(url)
