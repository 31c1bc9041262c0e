"""The stages of the reward model: its problems, the candidates, their ranks, the groups, the training (paper, section 4)."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from math import isnan
from typing import TYPE_CHECKING, Any

from acemath.grade import classes, extract
from acemath.models.engine import released
from acemath.models.hub import model_identity
from acemath.recipe.schema import BASE_CHECK, VOTES
from acemath.recipe.sources import Source, column_value
from acemath.records import Dropped, Group, Problem, Response, by_problem, content_key
from acemath.run.context import Run
from acemath.run.engines import make_ranker
from acemath.run.responses import TOO_LONG, Responder, after_shots, copies_of, responses_of
from acemath.run.selection import chosen
from acemath.run.source_rows import files_key, local_path, worked_examples
from acemath.run.stage import (
    Copies,
    Everything,
    Facts,
    Making,
    MapStage,
    Part,
    Reduction,
    Stage,
    Training,
    whole,
)
from acemath.run.store import Rows
from acemath.run.synthesis import only_for
from acemath.train.reward.groups import (
    candidates_of,
    labelled,
    make_groups,
    same_problem,
    unlabelled_words,
    vote_shares,
)
from acemath.train.reward.looks import Looks

if TYPE_CHECKING:
    from acemath.models.score.score import RewardModel

PROBLEMS = "reward-problems"
# The rules of `extract` that find an answer where the text says which it is. The others take a short text as a whole,
# or the last number: "I do not know." must not become a reference.
STATED = ("answer-tag", "final-answer", "boxed", "boxes", "hashes", "json", "answer-is")


def problems(run: Run, prompts: str) -> list[Stage]:
    """The math problems that get candidates. If there is a labeller, its answers become their reference answers."""
    role = run.recipe.roles.labeller
    first = chosen(
        PROBLEMS, prompts, run.recipe.reward.problems, answered=role is None, math=True, without=only_for(run, "sft"),
        always=_own_sources(run),
    )  # fmt: skip
    if role is None:
        return [first]
    responder = Responder(run, "labels", role, role.answers)

    def asked(part: Part) -> list[Problem]:
        return [row for row in part.rows(PROBLEMS, Problem) if role.replaces or not row.answer]

    def work(part: Part) -> None:
        found = by_problem(part.rows("labels", Response))
        kept, dropped = [], []
        wanted = {row.id for row in asked(part)}
        for row in part.rows(PROBLEMS, Problem):
            mine = found.get(row.id, ())
            answer, agree = agreed_answer([stated_answer(r) for r in mine], role.answers, role.share)
            if row.id not in wanted:
                kept.append(row)
            elif answer is not None:
                kept.append(replace(row, answer=answer, meta={**row.meta, "reference": row.answer}))
            elif agree:
                why = f"{agree} of {role.answers} answers of the labeller agree"
                dropped.append(Dropped(row.id, "labels", "labels-split", row.prompt, row.source, why))
            else:
                why = "the labeller's response states no answer" if mine else "no response of the labeller"
                dropped.append(Dropped(row.id, "labels", "unlabelled", row.prompt, row.source, why))
        part.write(kept, Problem, dropped, {"rows": len(kept), "unlabelled": len(dropped)})

    def summary(facts: Facts) -> str:
        whose = "the labeller's answer" if role.replaces else "an answer"
        return f"{facts['rows']:,} problems have {whose}, {facts['unlabelled']:,} have none"

    settings = {"rules": STATED, **role.model_dump(include={"answers", "share", "replaces"})}
    return [
        first,
        responses_of(responder, (PROBLEMS,), asked),
        MapStage("labelled", settings, (PROBLEMS, "labels"), work=work, summary=summary),
    ]


def agreed_answer(stated: Sequence[str | None], of: int, share: float) -> tuple[str | None, int]:
    """The answer that at least a `share` of `of` responses state, else None, and how many state the most frequent one.

    A response that states none (None), or that is missing, agrees with no other.
    """
    groups = classes(list(stated))
    group, count = next(iter(Counter(g for g in groups if g >= 0).most_common(1)), (-1, 0))
    return (stated[groups.index(group)] if count and count >= share * of - 1e-9 else None), count


def _own_sources(run: Run, name: str | None = None) -> frozenset[str]:
    """The sources whose problems one candidate alone answers, or those of this candidate, by their `source` column."""
    seeds, policies = run.recipe.problems.seeds, run.recipe.reward.candidates.policies
    named = (source for key, policy in policies.items() if name in (None, key) for source in policy.sources)
    return frozenset(column_value(source, seeds[source]) for source in named)


def stated_answer(response: Response) -> str | None:
    """The answer in a box or after words such as "the answer is"; None without one, or if the response was cut."""
    found = extract(response.text)
    return found.answer if response.complete and found.rule in STATED else None


def problem_stage(run: Run) -> str:
    """The stage whose problems get candidates."""
    return PROBLEMS if run.recipe.roles.labeller is None else "labelled"


def candidates(run: Run) -> list[Stage]:
    """Responses of several policies to training problems, graded (section 4.1)."""
    given, found = problem_stage(run), dict[str, Stage]()
    for name, policy in run.recipe.reward.candidates.policies.items():
        source, mine, apart = given, _own_sources(run, name), _own_sources(run)
        if policy.problems is not None or apart:
            limit = [str(policy.problems)] if policy.problems is not None else []
            source = "-".join([given, *limit, *(policy.sources or (("others",) if apart else ()))])
            found[source] = chosen(
                source, given, policy.problems, answered=True, only=mine, without=() if mine else apart
            )
        shots = [f"shots-{name}"] if isinstance(policy.shots, Source) else []
        if isinstance(policy.shots, Source):
            found[shots[0]] = _worked(run, shots[0], policy.shots)
        responder = Responder(run, f"candidates-{name}", policy, policy.each, name)
        found[responder.stage] = responses_of(responder, (source,), _after(source, shots), grade=True, also=shots)
    return list(found.values())


def _worked(run: Run, stage: str, source: Source) -> Reduction:
    """Worked problems of a data set, which come before the problems of a candidate (paper, section 4.1: style)."""

    def work(all: Everything) -> None:
        found = worked_examples(stage, source)
        all.part(0).write(found, Problem, facts={"rows": len(found)})

    def summary(facts: Facts) -> str:
        return f"{facts['rows']} worked problems"

    path = local_path(source)
    settings = {"source": source.model_dump(mode="json"), "files": None if path is None else files_key(path)}
    return Reduction(stage, settings, (), work=work, summary=summary, space="one")


def _after(source: str, shots: Sequence[str]) -> Callable[[Part], list[Problem]]:
    """A reader of a stage's problems, each after the worked problems of the stage that `shots` names, if any."""

    def rows(part: Part) -> list[Problem]:
        worked = [(row.prompt, row.answer) for name in shots for row in part.store(name).all_rows(Problem)]
        return list(after_shots(part.rows(source, Problem), worked))

    return rows


def _candidates(run: Run, part: Part) -> dict[str, list[Response]]:
    names = run.recipe.reward.candidates.policies
    return by_problem(row for name in names for row in part.rows(f"candidates-{name}", Response))


def _ranked(run: Run) -> bool:
    reward = run.recipe.reward
    return reward.groups.by == "rank" and run.recipe.roles.ranker is not None


def ranks(run: Run) -> list[Stage]:
    """Rewards of the candidates by the ranker (section 4.1), for problems with both right and wrong ones."""
    recipe, ranker = run.recipe, run.recipe.roles.ranker
    if ranker is None or not _ranked(run):
        return []
    cut, own, votes = recipe.reward.groups.cut, ranker.model == BASE_CHECK, ranker.model == VOTES

    @contextmanager
    def tool() -> Iterator[RewardModel | None]:
        if votes:
            yield None
            return
        from acemath.models.score.score import RewardModel

        with released(
            RewardModel(run.folder / BASE_CHECK / "model", ranker.chat)
            if own
            else make_ranker(recipe.model(ranker.model), ranker.chat)
        ) as judge:
            yield judge

    def work(part: Part) -> None:
        responses = _candidates(run, part)
        known = {key: labelled(rows, cut)[0] for key, rows in responses.items()}
        mixed = [p for p in part.rows(problem_stage(run), Problem) if len({r.correct for r in known.get(p.id, ())}) == 2]
        items = [(p.prompt, [r.text for r in known[p.id]]) for p in mixed]
        scores = [vote_shares(known[p.id]) for p in mixed] if votes else part.tool.score_many(items, part.progress)
        lost = {problem.id for problem, values in zip(mixed, scores, strict=True) if any(map(isnan, values))}
        rows = [
            replace(response, reward=value)
            for problem, values in zip(mixed, scores, strict=True)
            for response, value in zip(known[problem.id], values, strict=True)
            if problem.id not in lost
        ]
        detail = "the prompt leaves no room for a response in the ranker's max_length"
        dropped = [Dropped(p.id, "ranks", TOO_LONG, p.prompt, p.source, detail) for p in mixed if p.id in lost]
        part.write(rows, Response, dropped, {"scores": len(rows), "problems": len(mixed) - len(lost), "too_long": len(lost)})

    def summary(facts: Facts) -> str:
        lost = f"; {facts['too_long']:,} problems dropped, too long for the ranker" if facts.get("too_long") else ""
        return f"{facts['scores']:,} responses to {facts['problems']:,} problems ranked{lost}"

    stages: list[Stage] = [_base_check(run)] if own else []
    inputs = (problem_stage(run), *_candidate_stages(run), *((whole(BASE_CHECK),) if own else ()))
    identity = recipe.base_of(recipe.sft.base) if own else {} if votes else model_identity(recipe.model(ranker.model))
    settings = {"ranker": ranker.model_dump(), "model": identity, "cut": cut}
    copies = Copies() if own or votes else copies_of(recipe.model(ranker.model))
    return [*stages, MapStage("ranks", settings, inputs, work=work, tool=tool, summary=summary, copies=copies)]


def _candidate_stages(run: Run) -> tuple[str, ...]:
    return tuple(f"candidates-{name}" for name in run.recipe.reward.candidates.policies)


def _base_check(run: Run) -> Training:
    """A reward model made from the base model's own judgement of right and wrong, for the ranker `base-check`."""
    base = run.recipe.sft.base

    def work(making: Making) -> Facts:
        from acemath.train.reward.start import base_checker

        base_checker(run.place(base), making.out)
        return {}

    return Training(BASE_CHECK, {"base": run.recipe.base_of(base)}, (), work=work, summary=lambda facts: f"{base} as a judge")


def groups(run: Run) -> MapStage:
    """Score-sorted groups of six (section 4.1)."""
    settings, seed = run.recipe.reward.groups, run.recipe.seed

    def work(part: Part) -> None:
        responses = _candidates(run, part)
        lost = {row.id for row in part.dropped("ranks")} if _ranked(run) else set()
        mine = [p for p in part.rows(problem_stage(run), Problem) if p.id in responses and p.id not in lost]
        scored = by_problem(part.rows("ranks", Response)) if _ranked(run) else {}
        ranks = {key: {r.text: float(r.reward or 0.0) for r in rows} for key, rows in scored.items()}
        made, counts = make_groups(mine, responses, ranks, settings, seed)
        facts = asdict(counts)
        for side in ("offered", "chosen"):
            facts[side] = {name: _totals(looks) for name, looks in getattr(counts, side).items()}
        part.write(made, Group, facts=facts)

    def summary(facts: Facts) -> str:
        return (
            f"{facts['groups']:,} groups; {facts['all_right']:,} problems all right, {facts['all_wrong']:,} all wrong, "
            f"{facts['few']:,} with too few different responses{unlabelled_words(facts['unlabelled'])}"
        )

    inputs = (problem_stage(run), *_candidate_stages(run), *(("ranks",) if _ranked(run) else ()))
    keyed = {"groups": settings.model_dump(exclude={"held_out", "held_out_most"}), "seed": seed}
    return MapStage("groups", keyed, inputs, work=work, summary=summary, spread=True)


def _totals(looks: Looks) -> dict[str, Any]:
    """Means as sums, which add up over partitions."""
    sums = {name: round(getattr(looks, name) * looks.responses) for name in ("words", "lines", "boxed")}
    return {"responses": looks.responses, **sums, "models": dict(looks.models)}


def held_out(run: Run) -> Reduction:
    """The groups kept aside for pair accuracy. Problems that differ only in spelling are kept aside together."""
    settings = run.recipe.reward.groups

    def work(all: Everything) -> None:
        rows = [
            (content_key(row["problem_id"]), row["problem_id"], content_key(same_problem(row["prompt"])))
            for batch in all.batches("groups", ("problem_id", "prompt"))
            for row in batch.to_pylist()
        ]
        together: dict[str, list[str]] = {}
        for _, name, problem in sorted(rows):
            together.setdefault(problem, []).append(name)
        aside: set[str] = set()
        for names in together.values():
            if len(aside) < min(round(settings.held_out * len(rows)), settings.held_out_most):
                aside.update(names)
        for part in all.parts():
            mine = [group for group in part.rows("groups", Group) if group.problem_id in aside]
            part.write(mine, Group, facts={"groups": len(mine)})

    def summary(facts: Facts) -> str:
        return f"{facts['groups']:,} groups kept aside"

    keyed = {"share": settings.held_out, "most": settings.held_out_most}
    return Reduction("held-out", keyed, ("groups",), work=work, summary=summary)


def reward_model(run: Run) -> Training:
    """The listwise reward model, from the policy that the recipe names (section 4.2)."""
    reward, seed = run.recipe.reward, run.recipe.seed

    def work(making: Making) -> Facts:
        from acemath.models.hardware import meet
        from acemath.notices import is_first_process
        from acemath.train.provenance import origin, stated_licences
        from acemath.train.reward.card import write_card
        from acemath.train.reward.train import train_reward

        aside = list(making.store("held-out").all_rows(Group))
        names = {group.problem_id for group in aside}
        train = Rows(making.store("groups"), Group, lambda group: group.problem_id not in names)
        measured = _all_candidates(run, making, aside) if reward.train.rm_k is not None else []
        base = run.place(reward.base)
        result = train_reward(
            base, train, aside, making.out, making.work, reward.train, reward.chat, seed, making.progress, measured
        )
        if is_first_process():
            licences = stated_licences(base)
            called = run.called(reward.base)
            write_card(making.out, called, licences, train, reward.train, reward.chat, result, first=origin(base))
        meet()
        gc.collect()
        return {**asdict(result), **result.record(), "measured": result.measured}

    def summary(facts: Facts) -> str:
        words = f"{facts['groups']:,} groups, {facts['measured']} at step {facts['best_step']}"
        return "; warning: ".join([words, *facts["warnings"]])

    settings = {
        "train": reward.train.of_weights(),
        "chat": reward.chat.model_dump(),
        "base": run.recipe.base_of(reward.base),
        "seed": seed,
    }
    candidates = _candidate_stages(run) if reward.train.rm_k is not None else ()
    inputs = ("groups", "held-out", *candidates, *run.made_by(reward.base))
    return Training("reward", settings, inputs, work=work, summary=summary)


def _all_candidates(run: Run, making: Making, aside: list[Group]) -> list[Group]:
    """All labelled candidates of the held-out groups' problems, for rm@k."""
    wanted = {group.problem_id for group in aside}
    rows = (
        row for name in _candidate_stages(run) for row in making.store(name).all_rows(Response) if row.problem_id in wanted
    )
    responses: Mapping[str, list[Response]] = by_problem(rows)
    cut = run.recipe.reward.groups.cut
    return [candidates_of(g.problem_id, g.prompt, responses[g.problem_id], cut) for g in aside]
