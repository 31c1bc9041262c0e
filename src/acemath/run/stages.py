"""All stages of a recipe, in order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from acemath.recipe.load import load_recipe
from acemath.recipe.schema import Recipe
from acemath.run.blending import blends
from acemath.run.context import Run
from acemath.run.curation import decontaminated, evolution, filtered, instructions, vote
from acemath.run.deduplication import deduplicated, without_near_copies
from acemath.run.display import Display
from acemath.run.evaluation import reward_start, samples, scores, tables
from acemath.run.finetuning import policies
from acemath.run.problems import benchmarks, seeds
from acemath.run.ready_data import ready_groups
from acemath.run.reward import candidates, groups, held_out, problems, ranks, reward_model
from acemath.run.stage import Stage
from acemath.run.synthesis import checkers, cross_check, responses, teachers

RECIPE = "recipe.yaml"  # the recipe in a run's folder


def data_stages(run: Run) -> list[Stage]:
    """The stages up to the training sets. Without seeds there are no prompts to answer."""
    if not run.recipe.problems.seeds:
        return [benchmarks(run), *blends(run, "")]
    prompts = prompt_stage(run.recipe)
    return [
        seeds(run), benchmarks(run), evolution(run), filtered(run), deduplicated(run), *without_near_copies(run),
        instructions(run), decontaminated(run), *vote(run), *teachers(run, prompts), responses(run, prompts), *checkers(run, prompts),
        *cross_check(run, prompts), *blends(run, prompts),
    ]  # fmt: skip


def reward_stages(run: Run) -> list[Stage]:
    """The stages from the candidates, or from groups that exist already, to the reward model."""
    if (data := run.recipe.reward.data) is not None:
        return [*ready_groups(run, data), held_out(run), reward_model(run)]
    prompts = prompt_stage(run.recipe)
    return [
        *problems(run, prompts), *candidates(run), *ranks(run), groups(run), held_out(run), reward_model(run),
    ]  # fmt: skip


def measuring_stages(run: Run) -> list[Stage]:
    """The stages from the responses on the benchmarks to the tables."""
    return [*samples(run), *reward_start(run), *scores(run), tables(run)]


def stages_until(run: Run, last: str) -> list[Stage]:
    """The stages up to the training sets ("data"), the policies ("sft"), the reward model ("reward") or all ("tables")."""
    parts: dict[str, Callable[[Run], Sequence[Stage]]] = {"data": data_stages, "sft": policies, "reward": reward_stages, "tables": measuring_stages}
    found: list[Stage] = []
    for name, make in parts.items():
        found += make(run)
        if name == last:
            break
    return found


def prompt_stage(recipe: Recipe) -> str:
    """The stage whose prompts are answered: after the vote on solvability, if there is one."""
    return "prompts" if recipe.curate.solvability is None else "solvable"


def stages_of(folder: Path) -> Sequence[Stage]:
    """The stages of a run's folder, for a job in a process of its own."""
    return stages_until(Run(load_recipe(folder / RECIPE), folder, Display(quiet=True)), "tables")
