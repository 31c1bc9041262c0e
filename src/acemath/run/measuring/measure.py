"""Measures policies: makes the stages that are not up to date, then the numbers of everything in the folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from acemath.benchmarks.published import beside
from acemath.errors import UserError
from acemath.files.atomic import read_json, write_json
from acemath.files.lock import locked
from acemath.files.versions import versions
from acemath.models.score.judge import judge_identity
from acemath.models.spec import EndpointModel
from acemath.records import REFUSED, Response
from acemath.run.display import Display
from acemath.run.launch import replicas
from acemath.run.measuring.models import Measuring, shots_of
from acemath.run.measuring.problems import PROBLEMS, Asked, problem_stage, read
from acemath.run.measuring.results import results_of
from acemath.run.measuring.settings import Plan, check_plan
from acemath.run.measuring.stages import Named, check_names, response_stages, score_stages
from acemath.run.partitions import ROWS, open_run
from acemath.run.runner import Job, Runner, run_job
from acemath.run.stage import Copies, MapStage, Stage
from acemath.run.store import StageStore

RESULTS, MANIFEST = "results.json", "manifest.json"
PLAN = "plan.json"  # what the call in work asks for, for the processes of a model's copies
DECLARED = f"{__name__}:stages_of"
EACH = 256  # problems of a partition, roughly: what a stop costs a model in this process


def measure(plan: Plan, folder: Path, display: Display) -> dict[str, Any]:
    """Measure the policies of a plan in `folder`, and return the content of its `results.json`.

    Several calls may share a folder: policies that earlier ones measured on the same problems stay in the results.
    UserError for a plan that cannot be measured, before anything is asked of a model.
    """
    benchmarks, measuring, stages = prepared(plan, folder)
    with locked(folder), closing(measuring):
        before = read_json(folder / MANIFEST) if (folder / MANIFEST).exists() else {}
        _check_kept(folder, before, benchmarks)
        _check_judges(folder, before, plan)
        rows = [row for one in benchmarks for row in one.problems]
        facts = {name: measuring.facts(name, rows) for name in plan.policies}
        runner = _runner(plan, measuring, benchmarks, stages, display)
        runner.make_all()
        earlier, gone = _earlier(before, plan, runner)
        found = results_of([*earlier, *stages], _stores(runner, earlier), plan.k)
        policies = {name: before["policies"][name] for name in dict.fromkeys(one.model for one in earlier)}
        policies |= {name: {**mine, "versions": versions()} for name, mine in facts.items()}
        limits = {name: policy["settings"]["max_new_tokens"] for name, policy in policies.items()}
        found["notes"] = [*_notes(benchmarks, limits, found), *found["notes"], *gone]
        found["paper"] = [compared.record() for compared in beside(found["rows"])]
        _check_answered(found, runner)
        judges = {name: judge_identity(settings) for name, settings in plan.judges.items()}
        manifest = {
            "benchmarks": {one.name: one.facts for one in benchmarks},
            "limit": plan.limit,
            "k": plan.k,
            "policies": policies,
            "judges": {**before.get("judges", {}), **judges},
            "stages": [one.as_json() for one in (*earlier, *stages)],
        }
        write_json(folder / MANIFEST, manifest)
        write_json(folder / RESULTS, found)
    return found


def prepared(plan: Plan, folder: Path) -> tuple[list[Asked], Measuring, list[Named]]:
    """The benchmarks of a plan, its models, and its stages in order. Nothing is written, and nothing asked of a model."""
    check_plan(plan, plan.judges)
    benchmarks = read(plan.benchmarks, plan.columns, plan.limit, plan.data)
    places = {one.name: str(one.facts["place"]) for one in benchmarks}
    measuring = Measuring(folder, plan.policies, shots_of(plan.policies, places, plan.data))
    stages = [one for name in plan.policies for one in response_stages(measuring, name)]
    stages += score_stages(measuring, plan.judges, stages, plan.cache)
    check_names(stages)
    return benchmarks, measuring, stages


def stages_of(folder: Path) -> list[Stage]:
    """The stages of the call that works in a folder, for a process that runs a copy of a model."""
    benchmarks, _, stages = prepared(Plan.model_validate(read_json(folder / PLAN)), folder)
    return _works(benchmarks, stages)


def _check_kept(folder: Path, before: Mapping[str, Any], benchmarks: Sequence[Asked]) -> None:
    """UserError if a benchmark of the folder is left out: its responses would be removed."""
    gone = [name for name in before.get("benchmarks", ()) if name not in {one.name for one in benchmarks}]
    if gone:
        raise UserError(
            f"{folder} holds responses to {', '.join(gone)}, which this call does not measure and would remove; name "
            f"{'it' if len(gone) == 1 else 'them'} too, or use another --out"
        )


def _check_judges(folder: Path, before: Mapping[str, Any], plan: Plan) -> None:
    """UserError if a judge has the name of another one that scored an earlier policy: the two would be compared as one."""
    used = {one["judge"] for one in before.get("stages", ()) if one["model"] not in plan.policies}
    for name, settings in plan.judges.items():
        if name in used and before["judges"][name] != judge_identity(settings):
            raise UserError(
                f"{folder} holds scores of another judge called {name!r}; name this one: --reward OTHER=…, or use another --out"
            )


def _works(benchmarks: Sequence[Asked], stages: Sequence[Named]) -> list[Stage]:
    return [problem_stage(benchmarks), *(one.work for one in stages if one.work is not None)]


def _runner(
    plan: Plan, measuring: Measuring, benchmarks: Sequence[Asked], stages: Sequence[Named], display: Display
) -> Runner:
    """The runner of a call's stages. The folder's first call decides the number of partitions.

    An endpoint loses no response when it stops, and waits for the last response of each partition, so it gets few. Copies of
    a model share the partitions of a stage, so each gets four or more.
    """
    folder, size = measuring.folder, sum(one.size for one in benchmarks)
    models = [policy.model for policy in plan.policies.values()]
    copies = max(getattr(model, "replicas", 1) for model in models)
    each = EACH if any(not isinstance(model, EndpointModel) for model in models) else ROWS
    open_run(folder, lambda: {"benchmarks": size}, each=each if copies == 1 else max(1, min(each, size // (4 * copies))))
    runner = Runner(folder, _works(benchmarks, stages), display)
    if copies == 1:
        return runner
    write_json(folder / PLAN, plan.model_dump(mode="json"))

    def copies_of(stage: Stage) -> Copies:
        return stage.copies if isinstance(stage, MapStage) else Copies()

    def launch(jobs: Sequence[Job]) -> None:
        if len(jobs) == 1:
            run_job(runner, jobs[0])
            return
        measuring.release()
        replicas(copies_of(runner.by_name[jobs[0].stage]).devices, display.progress, DECLARED)(jobs)

    runner.launch, runner.width = launch, lambda stage: copies_of(stage).replicas
    return runner


def _earlier(before: Mapping[str, Any], plan: Plan, runner: Runner) -> tuple[list[Named], list[str]]:
    """The stages of policies that only earlier calls measured, and a note for each policy whose problems have changed."""
    stages = [Named(**one) for one in before.get("stages", ()) if one["model"] not in plan.policies]
    stores = _stores(runner, stages)
    outputs = {PROBLEMS: runner.output(PROBLEMS)}
    outputs |= {one.stage: stores[one.stage].manifest["output"] for one in stages if stores[one.stage].finished}
    stale = {
        one.model
        for one in stages
        if one.stage not in outputs
        or any(outputs.get(name) != made for name, made in stores[one.stage].manifest["inputs"].items())
    }
    notes = [f"{name} was measured on other problems and is left out; name it again to measure it anew" for name in sorted(stale)]
    return [one for one in stages if one.model not in stale], notes


def _stores(runner: Runner, more: Sequence[Named]) -> dict[str, StageStore]:
    count = runner.stores[PROBLEMS].count
    return runner.stores | {one.stage: StageStore(runner.folder / one.stage, count) for one in more}


def _check_answered(found: Mapping[str, Any], runner: Runner) -> None:
    """UserError if a policy gave no response that can be used: 0 % would say something about the model."""
    for one in found["responses"]:
        if one["refused"] == one["responses"]:
            first = next(runner.stores[one["stage"]].all_rows(Response))
            raise UserError(
                f"{one['model']} gave no response that can be used: all {one['responses']:,} were refused (the first: "
                f"{first.meta.get(REFUSED)}); check the model and the prompts, and remove {runner.folder / one['stage']}"
            )


def _notes(benchmarks: Sequence[Asked], limits: Mapping[str, int], found: Mapping[str, Any]) -> list[str]:
    """What a reader of the numbers must know: problems left out, responses without an end; `limits` of tokens by policy."""
    notes = []
    for one in benchmarks:
        if lacking := one.facts["no_reference"]:
            notes.append(f"{one.name}: {lacking:,} of {one.size:,} problems have no reference answer and are left out")
        if len(one.problems) + one.facts["no_reference"] < one.size:
            notes.append(f"{one.name}: {len(one.problems):,} of {one.size:,} problems, chosen by a hash of their ids (--limit)")
    for row in found["responses"]:
        open_ends = row["cut"] + row["refused"]
        if open_ends:
            notes.append(
                f"{row['model']}: {open_ends:,} of {row['responses']:,} {_kind(row)} responses have no end ({row['cut']:,} cut at "
                f"--max-new-tokens {limits[row['model']]}, {row['cut_percent']:.1f} %; {row['refused']:,} refused); they count as wrong"
            )
        if row["unknown"]:
            notes.append(
                f"{row['model']}: the grader gave no verdict on {row['unknown']:,} of {row['responses']:,} {_kind(row)} responses "
                "(too long, too deep or too slow); they count as wrong"
            )
    return notes


def _kind(row: Mapping[str, Any]) -> str:
    return "greedy" if row["kind"] == "greedy" else f"sampled (seed {row['seed']})"
