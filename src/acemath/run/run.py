"""Running a recipe: its stages in order, each done once."""

from __future__ import annotations

import resource
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from acemath.errors import UserError, require
from acemath.files.atomic import write_bytes
from acemath.files.lock import locked
from acemath.notices import quiet_transformers
from acemath.recipe.schema import Recipe, load_recipe
from acemath.records import Problem, fingerprint
from acemath.run import data
from acemath.run.context import Run
from acemath.run.display import Display
from acemath.run.shards import MANIFEST

RECIPE = "recipe.yaml"
TRAINING = ("torch", "transformers", "trl")  # packages that are asked for before the data is made
PARTS = ("data", "sft", "reward")  # after which a run may end
KEY = "recipe.key"  # beside the tables: the recipe that they were made by


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a run: the headline in percent, the report's path, time and memory."""

    headline: dict[str, float]
    report: Path
    seconds: float
    peak_mb: float
    ran: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """The object that `acemath run --json` prints."""
        return {
            "headline": self.headline,
            "report": str(self.report),
            "seconds": self.seconds,
            "peak_mb": self.peak_mb,
            "ran": list(self.ran),
        }


def run_recipe(recipe: Recipe, folder: Path, display: Display) -> Outcome:
    """Run every stage that is not done, in `folder`. A second call with the same recipe does nothing."""
    require("a run with training", *TRAINING)
    started = time.monotonic()
    run = Run(recipe, folder, display)
    with locked(folder), closing(run):
        _make_data(run, measured=True)
        if not _finished(run):
            _train(run)
            _judge(run)
        from acemath.run.reporting import make_report

        report = make_report(run)
    headline = dict(run.manifest("tables")["headline"])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Outcome(headline, report, round(time.monotonic() - started, 2), round(peak, 1), tuple(run.ran))


def run_until(recipe: Recipe, folder: Path, display: Display, last: str) -> dict[str, Any]:
    """Run the stages up to the training sets ("data"), the policies ("sft") or the reward model ("reward").

    Gives how many conversations each blend has, and the folders of the models. UserError for another name.
    """
    if last not in PARTS:
        raise UserError(
            f"a run ends with {', '.join(PARTS)} or report, not with {last!r}: choose one for --until"
        )
    if last != "data":
        require("a run with training", *TRAINING)
    run = Run(recipe, folder, display)
    with locked(folder), closing(run):
        _make_data(run)
        if last != "data":
            _train(run, last)
        models = [str(run.folder / stage / "model") for stage in _trained(recipe, last)]
    counts = run.manifest("blends")["counts"]
    return {
        "folder": str(folder),
        "conversations": {name: blend["conversations"] for name, blend in counts.items()},
        "models": models,
        "ran": list(run.ran),
    }


def _trained(recipe: Recipe, last: str) -> list[str]:
    """The stages up to a part that end in a model."""
    policies = [f"sft-{name}" for name in recipe.sft.stages]
    return {"data": [], "sft": policies, "reward": [*policies, "reward"]}[last]


def recipe_of(folder: Path) -> Recipe:
    """The recipe that a run's folder was made with. UserError for a folder that is not a run's."""
    kept = folder / RECIPE
    if not kept.exists():
        raise UserError(f"{str(folder)!r} is not a run's folder; run a recipe first: acemath run --out {folder}")
    return load_recipe(kept)


def check_models(recipe: Recipe) -> None:
    """UserError where a model that the recipe names cannot rank candidates, or be a reward model's base.

    Checked first: the run would otherwise fail only after all candidates have been sampled. A model of the hub is
    checked only if it is on this machine.
    """
    ranked = recipe.reward.rank_by not in ("none", "base-check")
    own = recipe.reward.base in recipe.sft.stages
    if own and not ranked:
        return
    from acemath.models.score.heads import check_base, check_head

    if ranked:
        check_head(recipe.reward.rank_by, fetch=False)
    if not own:
        check_base(recipe.reward.base, fetch=False)


def _check_answering(recipe: Recipe) -> None:
    """UserError where a policy's or candidate's model is neither a stage, nor a folder, nor a name of the hub.

    Otherwise it would be found when everything is trained. A name with an owner is believed: the network is not asked.
    """
    parts = {"bench.policies": recipe.bench.policies, "reward.candidates": recipe.reward.candidates}
    for part, policies in parts.items():
        for name, policy in policies.items():
            model = policy.model
            here = model in recipe.sft.stages or model == "nano" or "/" in model or Path(model).is_dir()
            if here or policy.engine not in ("transformers", "vllm"):
                continue
            from acemath.models.hub import model_file

            if model_file(model, "config.json", fetch=True) is None:  # a few hub names have no owner
                raise UserError(
                    f"{part}.{name}.model is {model!r}, which is neither a stage of this recipe "
                    f"({', '.join(recipe.sft.stages)}) nor a model's folder; correct it, or name a hub model as owner/name"
                )


def _make_data(run: Run, measured: bool = False) -> None:
    """The stages up to the training sets. With `measured`, check early that the benchmarks can be measured."""
    check_models(run.recipe)
    if measured:
        _check_answering(run.recipe)
    write_bytes(
        run.folder / RECIPE, yaml.safe_dump(run.recipe.model_dump(mode="json"), sort_keys=False).encode()
    )
    data.problems(run)
    if measured:
        check_benchmarks(run)
    data.evolution(run)
    data.curate(run)
    data.solvability(run)
    data.synthesize(run)
    data.blends(run)


def check_benchmarks(run: Run) -> None:
    """Warn of benchmark problems without a reference answer, which are not measured.

    UserError where a benchmark has no problem with one.
    """
    rows = run.rows("problems", Problem, "benchmarks")
    if not rows:
        raise UserError("problems.benchmarks holds no problem to measure policies on; name a benchmark")
    for name, source in run.recipe.problems.benchmarks.items():
        if source.worksheets is not None:
            continue  # each has an answer, under the names of its subjects
        mine = [p for p in rows if p.subject == name]
        lacking = sum(not p.answer for p in mine)
        if lacking == len(mine):
            raise UserError(
                f"benchmark {name!r} holds no problem with a reference answer (it has {len(mine):,} problems); correct its "
                f"file, or name the column in problems.benchmarks.{name}.columns.answer"
            )
        if lacking:
            run.display.warn(
                f"{lacking:,} of {len(mine):,} problems of {name} have no reference answer: policies are not measured on them"
            )


def _train(run: Run, last: str = "reward") -> None:
    """The stages of training, imported here because they need torch: a finished run is seen to be finished at once."""
    quiet_transformers()
    from acemath.run import training

    training.policies(run)
    if last == "reward":
        training.candidates(run)
        training.groups(run)
        training.reward_model(run)


def _judge(run: Run) -> None:
    from acemath.run import evaluation

    evaluation.samples(run)
    evaluation.scores(run)
    evaluation.tables(run)
    write_bytes(run.folder / "tables" / KEY, fingerprint(run.recipe.model_dump(mode="json")).encode())


def _finished(run: Run) -> bool:
    """Whether the tables were made with this very recipe, so that no stage after the data needs to be opened."""
    if run.ran or not (run.folder / "tables" / MANIFEST).exists():
        return False
    path = run.folder / "tables" / KEY
    return path.exists() and path.read_text() == fingerprint(run.recipe.model_dump(mode="json"))
