"""Score-sorted sampling: which responses are chosen for a group, and which problems give no group."""

from __future__ import annotations

import pytest

from acemath.errors import UserError
from acemath.models.engine import PAPER_CHAT, ChatFormat
from acemath.records import Group, Problem, Response
from acemath.train.reward.groups import chat_of_groups, choose, make_groups
from acemath.train.reward.looks import looks_by_label
from acemath.train.reward.settings import GroupSettings


def _responses(right: int, wrong: int, problem: str = "p") -> list[Response]:
    return [
        Response(
            problem,
            i,
            f"{'right' if i < right else 'wrong'} {i}",
            f"m{i % 3}",
            status="correct" if i < right else "wrong",
        )
        for i in range(right + wrong)
    ]


@pytest.mark.parametrize(
    ("right", "wrong", "labels"),
    [(20, 20, 3), (5, 30, 3), (1, 30, 1), (2, 9, 2), (30, 1, 5), (30, 2, 4), (3, 3, 3), (1, 5, 1)],
)
def test_groups_are_six_and_balanced_where_they_can_be(right: int, wrong: int, labels: int) -> None:
    """k right and 6 - k wrong; k is 3 if there are enough responses, else 1 to 5."""
    group = choose(Problem("p", "?"), _responses(right, wrong), None, GroupSettings(), 0)
    assert group is not None and len(set(group.responses)) == 6 and sum(group.labels) == labels
    for text, label in zip(group.responses, group.labels, strict=True):
        assert text.startswith("right") == bool(label)


def test_ranked_groups_come_from_the_pools() -> None:
    """Right ones from the ranker's best, wrong ones from its worst; drawn from the whole pool over seeds."""
    responses = _responses(20, 20)
    ranks = {r.text: float(i) for i, r in enumerate(responses)}
    settings = GroupSettings(pool=4)
    seen: set[str] = set()
    for seed in range(60):
        group = choose(Problem("p", "?"), responses, ranks, settings, seed)
        assert group is not None
        seen |= set(group.responses)
    assert seen == {f"right {i}" for i in range(16, 20)} | {f"wrong {i}" for i in range(20, 24)}
    drawn: set[str] = set()
    for seed in range(60):
        group = choose(
            Problem("p", "?"), responses, ranks, settings.model_copy(update={"by": "random"}), seed
        )
        assert group is not None
        drawn |= set(group.responses)
    assert len(drawn) > 30


def test_same_seed_same_groups_whatever_the_order() -> None:
    """A group depends on the seed, the problem's id and the set of responses."""
    responses = _responses(8, 8)
    one, two = (
        choose(Problem("p", "?"), rows, None, GroupSettings(), 7) for rows in (responses, responses[::-1])
    )
    assert one == two
    assert one != choose(Problem("q", "?"), responses, None, GroupSettings(), 7)


def test_equal_texts_count_once() -> None:
    """Equal responses count as one candidate."""
    copies = [Response("p", i, "same", "m", status="correct") for i in range(9)]
    assert choose(Problem("p", "?"), [*copies, *_responses(0, 4)], None, GroupSettings(), 0) is None
    group = choose(Problem("p", "?"), [*copies, *_responses(0, 5)], None, GroupSettings(), 0)
    assert group is not None and sum(group.labels) == 1


def test_counts_say_what_was_left_out() -> None:
    """All right, all wrong and too few are counted separately; lengths are means by label."""
    sets = {"a": (9, 0), "b": (0, 9), "c": (2, 2), "d": (5, 5)}
    responses = {name: _responses(*counts, name) for name, counts in sets.items()}
    groups, counts = make_groups([Problem(n, "?") for n in sets], responses, {}, GroupSettings(), 0)
    assert [g.problem_id for g in groups] == ["d"]
    assert (counts.problems, counts.groups, counts.all_right, counts.all_wrong, counts.few) == (4, 1, 1, 1, 1)
    assert (counts.lopsided, counts.styles) == (0, {"any": 1})
    assert {name: (looks.responses, looks.words) for name, looks in counts.chosen.items()} == {
        "right": (3, 2.0), "wrong": (3, 2.0),
    }  # fmt: skip
    assert counts.offered["right"].responses == 2 + 5 and counts.offered["wrong"].models.keys() == {
        "m0",
        "m1",
        "m2",
    }
    assert groups[0].meta == {"source": "", "license": "", "style": "any"}


def test_style_share_takes_short_forms() -> None:
    """With the share at 1 every group is made of the shorter half."""
    long = [
        Response("p", 100 + i, f"{word} {i} " + "and so on " * 9, "m", status=status)
        for word, status in (("right", "correct"), ("wrong", "wrong"))
        for i in range(8)
    ]
    group = choose(Problem("p", "?"), [*long, *_responses(8, 8)], None, GroupSettings(style_share=1.0), 0)
    assert group is not None and max(len(t.split()) for t in group.responses) == 2


def test_looks_tell_length_and_style_by_label() -> None:
    """Words, lines, boxes and models, for right and wrong responses separately."""
    rows = [
        Response("p", 0, "one two\nso \\boxed{3}", "a", status="correct"),
        Response("p", 1, "five", "a", status="wrong"),
        Response("p", 2, "six seven eight", "b", status="wrong"),
    ]
    found = looks_by_label(rows)
    assert (found["right"].words, found["right"].lines, found["right"].boxed) == (4.0, 2.0, 1.0)
    assert (found["wrong"].words, found["wrong"].boxed, found["wrong"].models) == (2.0, 0.0, {"a": 1, "b": 1})


def test_own_share_takes_the_policy_s_own_responses() -> None:
    """With a share of 1 every group holds only the policy's responses, if it has enough of them."""
    settings = GroupSettings(own_share=1.0, own=("m1",))
    problem, many = Problem("p", "?"), _responses(18, 18)
    groups, counts = make_groups([problem], {"p": many}, {}, settings, 0)
    assert set(groups[0].models) == {"m1"} and counts.styles == {"own": 1}
    groups, counts = make_groups([problem], {"p": _responses(4, 4)}, {}, settings, 0)
    assert set(groups[0].models) > {"m1"} and counts.styles == {"any": 1}
    with pytest.raises(ValueError, match="own_share needs own"):
        GroupSettings(own_share=0.1)


def test_balance_may_be_drawn_and_bounded() -> None:
    """k takes all values from `least` to 6 - least over seeds; fewer right or wrong responses give no group."""
    drawn = GroupSettings(balance="drawn", least=2)
    seen = set()
    for seed in range(40):
        group = choose(Problem("p", "?"), _responses(20, 20), None, drawn, seed)
        assert group is not None
        seen.add(sum(group.labels))
    assert seen == {2, 3, 4}
    groups, counts = make_groups([Problem("p", "?")], {"p": _responses(1, 30)}, {}, drawn, 0)
    assert groups == [] and counts.lopsided == 1
    with pytest.raises(ValueError, match="do not fit into a group of 6"):
        GroupSettings(least=4)


def test_the_chat_is_that_of_the_groups(caplog: pytest.LogCaptureFixture) -> None:
    """The groups' own system prompt, even an empty one; the paper's if they have none; another one only with `system`."""

    def group(**meta: str) -> Group:
        return Group("p", "1+1?", ("2", "3"), (1, 0), meta=meta)

    assert chat_of_groups([group(system="Judge."), group()], None) == ChatFormat(system="Judge.")
    assert chat_of_groups([group(system="")], None) == ChatFormat()
    assert chat_of_groups([group(source="x")], None) == PAPER_CHAT
    with pytest.raises(UserError, match="have 2 system prompts .* choose it with --system"):
        chat_of_groups([group(system="Judge."), group(system="Check.")], None)
    assert not caplog.records
    assert chat_of_groups([group(system="Judge.")], "Check.") == ChatFormat(system="Check.")
    assert "'Judge.'; training uses 'Check.' instead" in caplog.text
