"""Blends: counts, shares, each prompt once, and an order of rows that does not depend on the input's."""

from __future__ import annotations

from collections.abc import Container

import pytest

from acemath.curate.blend import Picker, blend_facts, conversation, make_blend, shortfalls
from acemath.curate.settings import PoolSettings
from acemath.errors import UserError
from acemath.models.engine import ChatFormat
from acemath.records import Chat, Problem, Response, by_id

PROBLEMS = [
    Problem(f"{subject}{i}", f"{subject} {i}", source=f"set-{i % 2}", license="MIT", subject=subject)
    for subject in ("code", "algebra")
    for i in range(20)
]
RESPONSES = [Response(p.id, n, f"So \\boxed{{{n}}}.", "t") for p in PROBLEMS for n in range(2)]


def blend(responses: list[Response] = RESPONSES, seed: int = 0, **caps: dict[str, float]) -> list[Chat]:
    """The blend of code and math with these counts."""
    counts = {pool: int(count) for pool, count in caps.get("counts", {}).items()}
    chat = ChatFormat(instruction="Box it.")
    picker = Picker(["code", "math"], counts, caps.get("shares", {}), {}, seed)
    return make_blend(picker, by_id(PROBLEMS), responses, (), chat)


def test_rows_are_conversations_and_do_not_depend_on_the_order_of_the_input() -> None:
    """Messages as TRL takes them; the same blend from shuffled rows, another order from another seed."""
    chats = blend()
    assert len(chats) == 40 and chats == blend(RESPONSES[::-1])
    assert chats[0].messages[0] == {
        "role": "user",
        "content": f"{by_id(PROBLEMS)[chats[0].problem_id].prompt}\nBox it.",
    }
    assert [m["role"] for m in chats[0].messages] == ["user", "assistant"]
    other = blend(seed=1)
    assert chats != other and sorted(c.problem_id for c in chats) == sorted(c.problem_id for c in other)


def test_a_prompt_is_taken_once_though_two_rows_have_it() -> None:
    """Prompts are identified by text, as in the paper, not by id."""
    twins = by_id(
        [Problem("a", "What is 1+1?", subject="algebra"), Problem("b", "WHAT is 1+1? ", subject="x")]
    )
    rows = [Response("a", 0, "2", "t"), Response("b", 0, "2", "t")]
    assert len(make_blend(Picker(["math"], {}, {}, {}, 0), twins, rows, (), ChatFormat())) == 1


def test_several_responses_of_a_prompt_are_taken_up_to_a_number() -> None:
    """Of three responses two, in an order that does not put them side by side, and never more than there are."""
    rows = [Response(p.id, n, f"{n}", "t") for p in PROBLEMS for n in range(3)]
    for each, taken in ((1, 20), (2, 40), (5, 60)):
        chats = make_blend(Picker(["math"], {}, {}, {}, 0, each), by_id(PROBLEMS), rows, (), ChatFormat())
        assert len(chats) == taken and len({(c.problem_id, c.messages[-1]["content"]) for c in chats}) == taken
    order = [c.problem_id for c in chats]
    assert sum(a == b for a, b in zip(order, order[1:], strict=False)) < 20


def test_a_checked_pool_has_only_checked_responses() -> None:
    """Of two responses to one problem, the one that passed the cross-check."""
    for checked in [r for r in RESPONSES if r.problem_id == "algebra3"]:
        chats = make_blend(
            Picker(["math.checked"], {}, {}, {}, 0), by_id(PROBLEMS), RESPONSES, [checked], ChatFormat()
        )
        assert [c.messages[-1]["content"] for c in chats] == [checked.text]


def test_shares_and_counts_cap_a_pool() -> None:
    """A share of a pool, a number of its responses; a limit on a pool that is not in the blend is an error."""
    single = [r for r in RESPONSES if r.sample == 0]
    facts = blend_facts(blend(single, shares={"code": 0.25}, counts={"math": 3}))
    assert facts["pools"] == {"code": 5, "math": 3} and facts["conversations"] == 8
    assert sum(facts["sources"].values()) == 8 and facts["licences"] == {"MIT": 8}
    with pytest.raises(UserError, match="does not name"):
        blend(counts={"general": 3})
    with pytest.raises(UserError, match="above 0"):
        blend(shares={"code": 1.5})


def test_declared_pools_narrow_and_add_an_exact_number() -> None:
    """By source, by what an earlier stage did not use, and by `take`; a pool that has too few is reported."""
    single = [r for r in RESPONSES if r.sample == 0]
    pools = {
        "half": PoolSettings(of="math", sources=("set-0",), take=6),
        "rest": PoolSettings(of="math", unused_by=("first",)),
        "more": PoolSettings(of="math", take=30),
        "born": PoolSettings(of="math", born="evolved"),
    }
    problems = by_id(PROBLEMS)

    def taken(names: list[str], first: Container[str] = ()) -> list[Chat]:
        picker = Picker(names, {}, {}, pools, 0)
        for row in single:
            picker.offer(problems[row.problem_id], "0", row.problem_id, False, ["first"] if row.problem_id in first else ())
        pairs = zip(single, picker.picked().tolist(), strict=True)
        return [conversation(problems[r.problem_id], r, ChatFormat(), names[at]) for r, at in pairs if at >= 0]

    half = taken(["half"])
    assert len(half) == 6 and {c.source for c in half} == {"set-0"}
    assert not shortfalls(blend_facts(half)["pools"], ["half"], pools)
    used = {c.problem_id for c in half}
    rest = taken(["rest"], used)
    assert len(rest) == 14 and not used & {c.problem_id for c in rest}
    counts = blend_facts(taken(["half", "more"]))["pools"]
    assert counts == {"half": 6, "more": 14} and shortfalls(counts, ["half", "more"], pools) == {"more": (30, 14)}
    assert not taken(["born"])
