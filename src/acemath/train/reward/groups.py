"""Groups of six: score-sorted sampling of right and wrong responses (paper, section 4.1)."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from acemath.errors import UserError
from acemath.grade import classes
from acemath.models.engine import PAPER_CHAT, ChatFormat
from acemath.notices import say
from acemath.records import REFUSED, Group, Problem, Response, content_key
from acemath.train.reward.looks import Looks, looks_by_label
from acemath.train.reward.settings import GroupSettings

Sides = tuple[list[Response], list[Response]]  # right responses, wrong responses
Cut = Literal["drop", "wrong"]


@dataclass(frozen=True, slots=True)
class GroupCounts:
    """How many problems gave a group, why the others did not, and how right and wrong responses differ in looks.

    Length and style are confounders: a reward model learns them if they differ between right and wrong responses.
    `unlabelled` counts the responses without a usable label by reason (`labelled`). `offered` describes all distinct
    responses of mixed problems (those with right and wrong responses), `chosen` the responses in groups; both have the
    keys "right" and "wrong".
    """

    problems: int
    groups: int
    all_right: int
    all_wrong: int
    few: int  # mixed, but with fewer distinct responses than a group holds
    lopsided: int  # mixed, but with fewer than `least` right or wrong responses
    none: int  # without any labelled response
    unlabelled: dict[str, int]
    styles: dict[str, int]  # groups by style: "any", only "short" responses, only the policy's "own"
    offered: dict[str, Looks]
    chosen: dict[str, Looks]


@dataclass(frozen=True, slots=True)
class _Choice:
    """A group's responses with their style, or the reason why there is no group."""

    responses: list[Response]
    style: str = ""
    reason: str = ""


def labelled(responses: Sequence[Response], cut: Cut = "drop") -> tuple[list[Response], Counter[str]]:
    """One problem's responses that have a label (`correct`), and the number of others by reason.

    With `cut` "wrong", a response that was cut at the token limit is labelled wrong. The reasons are "refused", "cut",
    "incomplete" (any other finish reason than "stop"), "ungraded", the statuses "timeout" and "unparsable", "empty"
    (a reward model needs no problem to tell that it is wrong) and "contradictory" (the same text has both labels).
    """
    found: list[Response] = []
    left_out: Counter[str] = Counter()
    for response in responses:
        if cut == "wrong" and response.finish_reason == "length":
            response = replace(response, status="no_answer")
        elif response.label is None:
            left_out[_why_unlabelled(response)] += 1
            continue
        if response.text.strip():
            found.append(response)
        else:
            left_out["empty"] += 1
    sides = ({r.text.strip() for r in found if r.correct == side} for side in (True, False))
    both = set.intersection(*sides)
    kept = [r for r in found if r.text.strip() not in both]
    if both:
        left_out["contradictory"] = len(found) - len(kept)
    return kept, left_out


def _why_unlabelled(response: Response) -> str:
    if response.finish_reason == REFUSED:
        return "refused"
    if response.finish_reason == "length":
        return "cut"
    if response.finish_reason != "stop":
        return "incomplete"
    return response.status or "ungraded"


def unlabelled_words(counts: Mapping[str, int]) -> str:
    """The number of responses without a label and the reasons, for the end of a summary; empty if all have one."""
    if not counts:
        return ""
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in sorted(counts.items()))
    return f"; {sum(counts.values()):,} responses left out: {reasons}"


def vote_shares(responses: Sequence[Response]) -> list[float]:
    """For each of a problem's responses, the share of them that give the same answer; 0 without an answer.

    As a ranking it has a known quality: its best of k is the majority, so its rm@k is maj@k.
    """
    groups = classes([r.extracted for r in responses])
    counts = Counter(groups)
    return [counts[group] / len(groups) if group >= 0 else 0.0 for group in groups]


def choose(
    problem: Problem,
    responses: Sequence[Response],
    ranks: Mapping[str, float] | None,
    settings: GroupSettings,
    seed: int,
) -> Group | None:
    """One problem's group, or None if its labelled responses are all right, all wrong, or too few.

    Equal texts count once. `ranks` holds another reward model's score of each text: right responses are drawn from the
    `pool` best, wrong responses from the `pool` worst, which leaves out likely mistakes of the grader.
    """
    known, _ = labelled(responses, settings.cut)
    choice = _choice(problem, _distinct(known), ranks, settings, seed)
    return _group(problem, choice) if choice.responses else None


def _distinct(responses: Sequence[Response]) -> list[Response]:
    """One response for each text, sorted by text."""
    first = {r.text: r for r in sorted(responses, key=lambda r: (r.model, r.sample), reverse=True)}
    return sorted(first.values(), key=lambda r: r.text)


def _choice(
    problem: Problem,
    distinct: Sequence[Response],
    ranks: Mapping[str, float] | None,
    settings: GroupSettings,
    seed: int,
) -> _Choice:
    rng = random.Random(f"{seed}:{problem.id}")
    right = [r for r in distinct if r.correct]
    wrong = [r for r in distinct if not r.correct]
    if not distinct:
        return _Choice([], reason="none")
    if not (right and wrong):
        return _Choice([], reason="all_right" if right else "all_wrong")
    if len(distinct) < settings.size:
        return _Choice([], reason="few")
    short = rng.random() < settings.style_share
    style, (right, wrong) = _own((right, wrong), settings, rng)
    if settings.by == "rank" and ranks is not None:
        # Hashes break ties: otherwise a ranker with equal scores would choose in alphabetical order.
        right.sort(key=lambda r: (-ranks[r.text], content_key(r.text)))
        wrong.sort(key=lambda r: (ranks[r.text], content_key(r.text)))
        right, wrong = right[: settings.pool], wrong[: settings.pool]
    if short and style == "any":
        style, (right, wrong) = _short((right, wrong), settings)
    takes = _takes(len(right), len(wrong), settings, rng)
    if takes is None:
        enough = len(right) + len(wrong) >= settings.size
        return _Choice([], reason="lopsided" if enough else "few")
    chosen = rng.sample(right, takes[0]) + rng.sample(wrong, takes[1])
    rng.shuffle(chosen)
    return _Choice(chosen, style)


def _takes(right: int, wrong: int, settings: GroupSettings, rng: random.Random) -> tuple[int, int] | None:
    """The numbers of right and wrong responses in a group, None if no group is possible.

    "even": as close to half and half as the responses allow. "drawn": k right and size - k wrong responses, with k
    uniform over the possible values (the paper does not say that k is half).
    """
    size, least = settings.size, settings.least
    low, high = max(least, size - wrong), min(right, size - least)
    if low > high:
        return None
    k = rng.randint(low, high) if settings.balance == "drawn" else min(max(size // 2, low), high)
    return k, size - k


def _own(sides: Sides, settings: GroupSettings, rng: random.Random) -> tuple[str, Sides]:
    """For a share `own_share` of groups: only the policy's own responses, if they fill a group."""
    if settings.own_share and rng.random() < settings.own_share:
        right, wrong = ([r for r in side if r.model in settings.own] for side in sides)
        if _fills((right, wrong), settings.size):
            return "own", (right, wrong)
    return "any", sides


def _short(sides: Sides, settings: GroupSettings) -> tuple[str, Sides]:
    """Only short responses, if they fill a group."""
    short = _shorter_half(sides)
    return ("short", short) if _fills(short, settings.size) else ("any", sides)


def _shorter_half(sides: Sides) -> Sides:
    """The shorter half of right and wrong responses together, so that length says less about the label."""
    counts = sorted(len(r.text.split()) for side in sides for r in side)
    limit = counts[(len(counts) - 1) // 2]
    right, wrong = ([r for r in side if len(r.text.split()) <= limit] for side in sides)
    return right, wrong


def _fills(sides: Sides, size: int) -> bool:
    return all(sides) and len(sides[0]) + len(sides[1]) >= size


def _group(problem: Problem, choice: _Choice) -> Group:
    return Group(
        problem.id,
        problem.prompt,
        tuple(r.text for r in choice.responses),
        tuple(int(r.correct) for r in choice.responses),
        tuple(r.model for r in choice.responses),
        {"source": problem.source, "license": problem.license, "style": choice.style},
    )


def make_groups(
    problems: Sequence[Problem],
    responses: Mapping[str, Sequence[Response]],
    ranks: Mapping[str, Mapping[str, float]],
    settings: GroupSettings,
    seed: int,
) -> tuple[list[Group], GroupCounts]:
    """Groups for all problems that allow one, and the counts."""
    groups: list[Group] = []
    left_out: Counter[str] = Counter()
    styles: Counter[str] = Counter()
    unlabelled: Counter[str] = Counter()
    offered: list[Response] = []
    chosen: list[Response] = []
    for problem in problems:
        known, unknown = labelled(responses.get(problem.id, ()), settings.cut)
        unlabelled += unknown
        mine = _distinct(known)
        if len({r.correct for r in mine}) == 2:
            offered += mine
        choice = _choice(problem, mine, ranks.get(problem.id), settings, seed)
        if not choice.responses:
            left_out[choice.reason] += 1
            continue
        groups.append(_group(problem, choice))
        styles[choice.style] += 1
        chosen += choice.responses
    counts = GroupCounts(
        len(problems), len(groups), left_out["all_right"], left_out["all_wrong"], left_out["few"],
        left_out["lopsided"], left_out["none"], dict(sorted(unlabelled.items())), dict(sorted(styles.items())),
        looks_by_label(offered),
        looks_by_label(chosen),
    )  # fmt: skip
    return groups, counts


def candidates_of(problem_id: str, prompt: str, responses: Sequence[Response], cut: Cut = "drop") -> Group:
    """One problem with all its labelled responses as a group, for rm@k."""
    known, _ = labelled(responses, cut)
    return Group(problem_id, prompt, tuple(r.text for r in known), tuple(int(r.correct) for r in known))


def same_problem(prompt: str) -> str:
    """A key of a problem that ignores case and white space."""
    return " ".join(prompt.casefold().split())


def held_out_of(problems: Sequence[tuple[str, str]], count: int) -> set[int]:
    """The positions of at least `count` groups to measure on; groups of one problem stay together.

    `problems` are the id of each group's problem, and a key of its prompt. The choice depends on them alone, not on the
    order of the groups.
    """
    by_problem: dict[str, list[int]] = {}
    for at in sorted(range(len(problems)), key=lambda at: content_key(problems[at][0])):
        by_problem.setdefault(problems[at][1], []).append(at)
    found: set[int] = set()
    for same in by_problem.values():
        if len(found) < count:
            found.update(same)
    return found


def chat_of_groups(groups: Iterable[Group], system: str | None) -> ChatFormat:
    """The chat to train with. Its system prompt is `system`, else the groups' own (`meta.system`), else the paper's.

    A notice says if `system` replaces another one. UserError if the groups have several and none is chosen.
    """
    own = {str(group.meta["system"]) for group in groups if group.meta.get("system") is not None}
    if system is None and len(own) > 1:
        one, two = sorted(own)[:2]
        raise UserError(
            f"the groups have {len(own)} system prompts ({one[:40]!r}, {two[:40]!r}, …), but a reward model has one; "
            "choose it with --system"
        )
    if system is None:
        return ChatFormat(system=own.pop()) if own else PAPER_CHAT
    if others := sorted(own - {system}):
        say(
            f"the groups were made with the system prompt {others[0][:80]!r}; training uses {system[:80]!r} instead"
        )
    return ChatFormat(system=system)


def check_group(group: Group) -> None:
    """UserError for a group without right or without wrong responses, and for missing, invalid or contradictory labels."""
    named = f"the group of problem {group.problem_id!r}"
    if len(group.labels) != len(group.responses) or not set(group.labels) <= {0, 1}:
        raise UserError(
            f"{named} has {len(group.responses)} responses and the labels {list(group.labels)}; it needs one label for "
            "each response, 1 (right) or 0 (wrong)"
        )
    right, wrong = (
        {t.strip() for t, y in zip(group.responses, group.labels, strict=True) if y == side}
        for side in (1, 0)
    )
    if not (right and wrong):
        raise UserError(f"{named} has no {'wrong' if right else 'right'} response to compare; leave it out")
    if both := right & wrong:
        raise UserError(
            f"{named} has one text labelled both right and wrong ({min(both)[:40]!r}); correct its labels or leave it out"
        )
    if "" in right:
        raise UserError(f"{named} has an empty response labelled right; correct its labels or leave it out")
