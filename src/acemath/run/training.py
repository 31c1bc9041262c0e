"""The stages of training: the policies, their candidates, the groups, the reward model."""

from __future__ import annotations

import gc
import shutil
from dataclasses import asdict
from typing import Any

from acemath.models.score.score import RewardModel
from acemath.recipe.schema import BASE_CHECK, Recipe, SftStage
from acemath.records import Chat, Group, Problem, Response, by_problem, content_key
from acemath.run.context import Run
from acemath.run.engines import make_ranker
from acemath.run.sampling import sample
from acemath.run.shards import Stage
from acemath.train.provenance import origin, stated_licences
from acemath.train.reward.card import write_card
from acemath.train.reward.groups import candidates_of, labelled, make_groups, split_groups, unlabelled_words
from acemath.train.reward.start import base_checker
from acemath.train.reward.train import train_reward
from acemath.train.sft.settings import SftSettings
from acemath.train.sft.train import train_sft


def sft_settings(run: Run, stage: SftStage) -> SftSettings:
    """The common settings with this stage's own laid over them."""
    return SftSettings.model_validate({**run.recipe.sft.settings.model_dump(), **stage.settings})


def policies(run: Run) -> None:
    """Fine-tune each stage from the one before, or from what it names (paper, section 3.1)."""
    for name, base in _bases(run.recipe).items():
        _policy(run, name, run.recipe.sft.stages[name], base)


def _bases(recipe: Recipe) -> dict[str, str]:
    """What each stage of fine-tuning starts from: the model or the stage that it names, or the stage before."""
    found: dict[str, str] = {}
    before = recipe.sft.base
    for name, part in recipe.sft.stages.items():
        found[name] = part.base or before
        before = name
    return found


def _policy(run: Run, name: str, part: SftStage, base: str) -> None:
    settings = sft_settings(run, part)
    inputs = ["blends"] + ([f"sft-{base}"] if base in run.recipe.sft.stages else [])
    chats = run.peek("blends").shard(Chat, name)
    identity = {
        "sft": settings.model_dump(exclude={"save_every", "report_to"}),
        "base": run.recipe.base_of(base),
        "seed": run.recipe.seed,
    }
    # The blends of other stages may change without touching this one.
    identity["conversations"] = content_key(*(f"{c.problem_id}{c.messages}" for c in chats))
    identity["licences"] = sorted({c.license for c in chats})  # for the card
    with run.stage(f"sft-{name}", identity, [i for i in inputs if i != "blends"]) as opened:
        if opened is None:
            return
        stage, facts = opened
        work = stage.folder / "checkpoints"
        with stage.artifact("model") as out:
            result = train_sft(
                run.place(base), chats, out, work, settings, run.recipe.seed, run.display.progress
            )
        shutil.rmtree(work, ignore_errors=True)
        gc.collect()
        facts |= asdict(result)
        after = (
            f", validation loss {result.validation_before:.3f} → {result.validation_after:.3f}"
            if result.validation_before is not None and result.validation_after is not None
            else ""
        )
        facts["summary"] = f"{result.summary}{after}"


def candidates(run: Run) -> None:
    """Responses of several policies to training problems, graded (paper, section 4.1)."""
    reward = run.recipe.reward
    rows = [p for p in run.rows(run.prompts, Problem) if p.group == "math" and p.answer]
    rows.sort(key=lambda p: content_key(p.id))
    rows = rows[: reward.problems]
    for name, policy in reward.candidates.policies.items():
        sample(run, f"candidates-{name}", name, policy, rows[: policy.problems], [run.prompts])


def _candidate_responses(run: Run) -> dict[str, list[Response]]:
    names = run.recipe.reward.candidates.policies
    return by_problem(row for name in names for row in run.rows(f"candidates-{name}", Response))


def groups(run: Run) -> None:
    """Score-sorted groups of six, some kept aside for pair accuracy."""
    recipe = run.recipe
    inputs = [run.prompts, *(f"candidates-{name}" for name in recipe.reward.candidates.policies)]
    settings = {
        "groups": recipe.reward.groups.model_dump(),
        "ranker": _ranker_identity(recipe),
        "seed": recipe.seed,
    }
    with run.stage("groups", settings, inputs) as opened:
        if opened is None:
            return
        stage, facts = opened
        responses = _candidate_responses(run)
        problems = [p for p in run.rows(run.prompts, Problem) if p.id in responses]
        ranks = _ranks(run, stage, problems, responses)
        made, counts = make_groups(problems, responses, ranks, recipe.reward.groups, recipe.seed)
        train, held_out = split_groups(made, round(len(made) * recipe.reward.groups.held_out))
        stage.write("held-out", held_out, Group)
        stage.write("train", train, Group)
        facts["counts"] = asdict(counts)
        facts["ranked_by"] = recipe.roles.ranker.model if recipe.roles.ranker and ranks else "nothing"
        facts["summary"] = (
            f"{counts.groups:,} groups; {counts.all_right:,} problems all right, {counts.all_wrong:,} all wrong, "
            f"{counts.few:,} with too few different responses{unlabelled_words(counts.unlabelled)}"
        )


def _ranker_identity(recipe: Recipe) -> dict[str, Any] | None:
    """What the order of candidates depends on; None where nothing ranks them."""
    ranker = recipe.roles.ranker
    if ranker is None:
        return None
    own = (
        recipe.base_of(recipe.sft.base)
        if ranker.model == BASE_CHECK
        else recipe.model(ranker.model).identity()
    )
    return {**ranker.model_dump(), "of": own}


def _ranks(
    run: Run, stage: Stage, problems: list[Problem], responses: dict[str, list[Response]]
) -> dict[str, dict[str, float]]:
    """Scores by the ranking reward model, {problem id: {text: score}}, for problems with right and wrong responses."""
    reward, ranker = run.recipe.reward, run.recipe.roles.ranker
    if reward.groups.by != "rank" or ranker is None:
        return {}
    if ranker.model == BASE_CHECK:
        model = RewardModel(
            base_checker(run.place(run.recipe.sft.base), stage.folder / BASE_CHECK), ranker.chat
        )
    else:
        model = make_ranker(run.recipe.model(ranker.model), ranker.chat)
    known = {p.id: labelled(responses[p.id], reward.groups.cut)[0] for p in problems}
    mixed = [p for p in problems if len({r.correct for r in known[p.id]}) == 2]
    items = [(p.prompt, [r.text for r in known[p.id]]) for p in mixed]
    scores = model.score_many(items, run.display.progress)
    return {
        p.id: dict(zip(texts, values, strict=True))
        for p, (_, texts), values in zip(mixed, items, scores, strict=True)
    }


def _all_candidates(run: Run, held_out: list[Group]) -> list[Group]:
    """The held-out groups' problems with all their labelled candidates: what rm@k is measured over."""
    responses = _candidate_responses(run)
    cut = run.recipe.reward.groups.cut
    return [candidates_of(g.problem_id, g.prompt, responses[g.problem_id], cut) for g in held_out]


def reward_model(run: Run) -> None:
    """The listwise reward model, from the policy that the recipe names."""
    reward = run.recipe.reward
    inputs = ["groups"] + ([f"sft-{reward.base}"] if reward.base in run.recipe.sft.stages else [])
    settings = {
        "train": reward.train.model_dump(exclude={"save_every", "report_to"}),
        "chat": reward.chat.model_dump(),
        "base": run.recipe.base_of(reward.base),
        "seed": run.recipe.seed,
    }
    with run.stage("reward", settings, inputs) as opened:
        if opened is None:
            return
        stage, facts = opened
        train, held_out = run.rows("groups", Group, "train"), run.rows("groups", Group, "held-out")
        asked = _all_candidates(run, held_out) if reward.train.rm_k is not None else []
        work = stage.folder / "checkpoints"
        with stage.artifact("model") as out:
            base = run.place(reward.base)
            result = train_reward(
                base,
                train,
                held_out,
                out,
                work,
                reward.train,
                reward.chat,
                run.recipe.seed,
                run.display.progress,
                asked,
            )
            licences = stated_licences(base)
            write_card(
                out, reward.base, licences, train, reward.train, reward.chat, result, first=origin(base)
            )
        shutil.rmtree(work, ignore_errors=True)
        gc.collect()
        facts |= asdict(result) | result.record()
        facts["summary"] = "; warning: ".join(
            [f"{result.groups:,} groups, {result.measured} at step {result.best_step}", *result.warnings]
        )
