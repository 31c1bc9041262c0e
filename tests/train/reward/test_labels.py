"""Labels: an unknown response never gets a label, in groups, candidates for rm@k or the command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from acemath.cli.app import app
from acemath.errors import UserError
from acemath.records import Group, Problem, Response
from acemath.train.reward.groups import (
    candidates_of,
    check_group,
    choose,
    held_out_of,
    labelled,
    make_groups,
    same_problem,
    vote_shares,
)
from acemath.train.reward.settings import GroupSettings

KNOWN = [("correct", "stop", True), ("wrong", "stop", False), ("no_answer", "stop", False)]
UNKNOWN = [
    ("timeout", "stop", "timeout"),
    ("unparsable", "stop", "unparsable"),
    (None, "stop", "ungraded"),
    ("wrong", "length", "cut"),
    ("correct", "length", "cut"),
    ("no_answer", "refused", "refused"),
    ("wrong", "abort", "incomplete"),
]


def _response(text: str, status: str | None = "wrong", finish: str = "stop", **more: Any) -> Response:
    return Response("p", sum(map(ord, text)), text, "m", finish, status=status, **more)


def _mixed() -> list[Response]:
    """Three right and three wrong responses, and one unknown response of each kind."""
    rows = [_response(f"It is {i}", "correct" if i < 3 else "wrong") for i in range(6)]
    return rows + [_response(f"Unknown {i}", s, f) for i, (s, f, _) in enumerate(UNKNOWN)]


@pytest.mark.parametrize(("status", "finish", "label"), KNOWN)
def test_a_verdict_on_a_complete_response_is_a_label(status: str, finish: str, label: bool) -> None:
    """Right is True; wrong and no answer are False."""
    assert _response("t", status, finish).label is label


@pytest.mark.parametrize(("status", "finish", "reason"), UNKNOWN)
def test_anything_else_is_not(status: str | None, finish: str, reason: str) -> None:
    """No label, and the reason is counted."""
    response = _response("t", status, finish)
    assert response.label is None and labelled([response]) == ([], {reason: 1})


def test_groups_hold_labelled_responses_alone() -> None:
    """A problem's unknown responses are in no group, however many draws; each is counted by its reason."""
    for seed in range(30):
        group = choose(Problem("p", "?"), _mixed(), None, GroupSettings(size=4), seed)
        assert group is not None and not any(text.startswith("Unknown") for text in group.responses)
    rows = [*_mixed(), _response(" \n", "wrong"), _response("Both", "correct"), _response("Both", "wrong")]
    made, counts = make_groups([Problem("p", "?")], {"p": rows}, {}, GroupSettings(), 0)
    assert sorted(made[0].responses) == [f"It is {i}" for i in range(6)]
    assert counts.unlabelled == {
        "timeout": 1, "unparsable": 1, "ungraded": 1, "cut": 2, "refused": 1, "incomplete": 1, "empty": 1,
        "contradictory": 2,
    }  # fmt: skip
    assert counts.offered["wrong"].responses == 3


def test_unknown_ones_do_not_make_a_problem_mixed() -> None:
    """Right responses and timeouts count as all right; only unknown responses count as none."""
    right = [_response(f"r{i}", "correct") for i in range(6)]
    lost = [_response(f"t{i}", "timeout") for i in range(6)]
    problems = [Problem("a", "?"), Problem("b", "?")]
    made, counts = make_groups(problems, {"a": right + lost, "b": lost}, {}, GroupSettings(), 0)
    assert made == [] and (counts.all_right, counts.none) == (1, 1)


def test_a_cut_response_is_wrong_if_the_recipe_says_so() -> None:
    """Whatever its verdict, unless it is empty; other unknown responses get no label."""
    rows = [_response("It is 1", "correct"), *_mixed()[6:], _response(" ", "no_answer", "length")]
    known, left_out = labelled(rows, "wrong")
    assert left_out["empty"] == 1
    assert [(r.text, r.correct) for r in known] == [
        ("It is 1", True),
        ("Unknown 3", False),
        ("Unknown 4", False),
    ]
    assert "cut" not in left_out and left_out["timeout"] == 1
    group = choose(Problem("p", "?"), rows, None, GroupSettings(size=3, cut="wrong"), 0)
    assert group is not None and sum(group.labels) == 1
    assert choose(Problem("p", "?"), rows, None, GroupSettings(size=3), 0) is None


def test_candidates_for_rm_at_k_are_labelled() -> None:
    """All labelled responses with their labels, and no others."""
    group = candidates_of("p", "?", _mixed())
    assert group.responses == tuple(f"It is {i}" for i in range(6)) and group.labels == (1, 1, 1, 0, 0, 0)


def test_what_is_held_out_shares_no_problem_with_training() -> None:
    """Groups of one problem stay together, even if its spaces and capitals differ."""
    prompts = [(f"a:{i}", f"What  is {i}+{i}?") for i in range(20)] + [(f"b:{i}", f"what is {i}+{i}?") for i in range(20)]
    problems = [(name, same_problem(prompt)) for name, prompt in prompts]
    held_out = held_out_of(problems, 5)
    assert len(held_out) == 6 and {at % 20 for at in held_out} == {at for at in held_out if at < 20}
    assert held_out_of(problems[::-1], 5) == {39 - at for at in held_out}


@pytest.mark.parametrize(
    ("responses", "labels", "says"),
    [
        (("a", "b", "a"), (1, 0, 0), "both right and wrong"),
        (("a", "b"), (1, 1), "no wrong response"),
        (("a", "b"), (0, 0), "no right response"),
        (("a", "b"), (1,), "one label for each"),
        (("a", "b"), (1, -1), "one label for each"),
        (("  ", "b"), (1, 0), "empty response labelled right"),
    ],
)
def test_faulty_groups_are_refused(
    responses: tuple[str, ...], labels: tuple[int, ...], says: str, tiny_policy: Path, tmp_path: Path
) -> None:
    """Before training begins, among training groups and held-out groups."""
    from acemath.models.engine import ChatFormat
    from acemath.train.reward.settings import RewardSettings
    from acemath.train.reward.train import train_reward

    good, bad = Group("g", "1+1?", ("2", "3"), (1, 0)), Group("q7", "2+2?", responses, labels)
    with pytest.raises(UserError, match=says):
        check_group(bad)
    for train, held_out in (([good, bad], [good]), ([good], [bad])):
        with pytest.raises(UserError, match="'q7'"):
            train_reward(
                tiny_policy, train, held_out, tmp_path / "o", tmp_path / "w", RewardSettings(), ChatFormat()
            )
    assert not (tmp_path / "w").exists()


def _files(folder: Path, rows: list[dict[str, Any]]) -> list[str]:
    """The command on files with these responses to two problems."""
    problems = [{"id": f"p{i}", "prompt": f"{i}+{i}?", "answer": str(2 * i)} for i in range(2)]
    for name, records in (("responses.jsonl", rows), ("problems.jsonl", problems)):
        (folder / name).write_text("".join(json.dumps(record) + "\n" for record in records))
    files = [str(folder / "responses.jsonl"), "--problems", str(folder / "problems.jsonl")]
    return ["rm", "groups", *files, "--size", "4", "--out", str(folder / "groups.jsonl"), "--json"]


def _row(number: int, status: str | None, **more: Any) -> dict[str, Any]:
    return {
        "problem_id": f"p{number % 2}", "sample": number, "text": f"So {number}", "model": "m", "status": status, **more,
    }  # fmt: skip


def test_the_command_leaves_unknown_ones_out_and_counts_them(tmp_path: Path) -> None:
    """Some rows without a verdict are no error; a file without any verdict is one."""
    rows = [_row(i, "correct" if i < 6 else "wrong") for i in range(12)]
    rows += [_row(20, None), _row(21, "timeout"), _row(22, "wrong", finish_reason="length")]
    done = CliRunner().invoke(app, _files(tmp_path, rows))
    found = json.loads(done.stdout)
    assert found["groups"] == 2 and found["unlabelled"] == {"cut": 1, "timeout": 1, "ungraded": 1}
    kept = [json.loads(line) for line in (tmp_path / "groups.jsonl").read_text().splitlines()]
    assert not {"So 20", "So 21", "So 22"} & {text for group in kept for text in group["responses"]}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"status": None}, "none of its 12 responses has a status"),
        ({"status": "correct"}, "makes no group of 4 (2 problems, 2 all right)"),
        (
            {"status": "timeout"},
            "makes no group of 4 (2 problems, 2 none; 12 responses left out: 12 timeout)",
        ),
        ({"first": {"problem_id": "p9"}}, "answers problem 'p9'"),
        ({"first": {"reward": 0.5}}, "11 of 12 responses have no reward"),
        ({"reward": float("nan")}, "12 of 12 responses have no reward, or nan"),
    ],
)
def test_the_command_writes_no_groups_that_are_none(
    change: dict[str, Any], says: str, tmp_path: Path
) -> None:
    """One line, exit code 2, nothing written."""
    rows = [_row(i, "correct" if i < 6 else "wrong") for i in range(12)]
    first = change.get("first", {})
    rows = [row | {k: v for k, v in change.items() if k != "first"} for row in rows]
    rows[0] |= first
    done = CliRunner().invoke(app, _files(tmp_path, rows))
    assert isinstance(done.exception, UserError) and says in str(done.exception), done.exception
    assert not (tmp_path / "groups.jsonl").exists()


def test_a_ranking_by_votes_is_the_share_of_equal_answers() -> None:
    """Equal by the grader; a response without an answer has no vote."""
    rows = [Response("p", n, "", "m", extracted=a) for n, a in enumerate(["0.5", "1/2", "7", None])]
    assert vote_shares(rows) == [0.5, 0.5, 0.25, 0.0]


def test_the_command_ranks_the_responses_of_several_files_by_votes(tmp_path: Path) -> None:
    """A group holds the wrong answers with the fewest votes of both files; the same responses do not vote twice."""
    said = {"cool": ["2", "2", "3", "3", "3", "4"], "warm": ["2", "3", "5", "5", "6", "2"]}
    for name, answers in said.items():
        rows = [
            _row(2 * n, "correct" if a == "2" else "wrong", extracted=a) | {"text": f"{name} {n}: {a}", "reward": float(n)}
            for n, a in enumerate(answers)
        ]
        _files(tmp_path, rows)
        (tmp_path / "responses.jsonl").rename(tmp_path / f"{name}.jsonl")
    cool, warm = (str(tmp_path / f"{name}.jsonl") for name in said)
    options = ["--problems", str(tmp_path / "problems.jsonl"), "--size", "4", "--pool", "2", "--json"]

    def groups(*more: str) -> list[str]:
        done = CliRunner().invoke(app, ["rm", "groups", *more, *options, "--out", str(tmp_path / "groups.jsonl")])
        if done.exception:
            raise done.exception
        (group,) = map(json.loads, (tmp_path / "groups.jsonl").read_text().splitlines())
        return sorted(t[-1] for t, label in zip(group["responses"], group["labels"], strict=True) if not label)

    assert groups(cool, warm, "--votes") == ["4", "6"] and groups(cool, "--votes") == ["3", "4"]
    assert groups(cool, warm) == ["3", "3"]  # by rewards: the third of cool, the second of warm
    (tmp_path / "bare.jsonl").write_text(Path(cool).read_text().replace('"extracted": "2"', '"extracted": null'))
    with pytest.raises(UserError, match="bare.jsonl: 2 right responses have no extracted answer"):
        groups(str(tmp_path / "bare.jsonl"), "--votes")
    (tmp_path / "part.jsonl").write_text("".join(Path(cool).read_text().splitlines(keepends=True)[:4]))
    for same in (cool, str(tmp_path / "part.jsonl")):
        with pytest.raises(UserError, match="one holds all responses of the other; give one of them"):
            groups(cool, same, "--votes")
    with pytest.raises(UserError, match="--votes ranks responses and by=random does not"):
        groups(cool, "--votes", "--set", "by=random")
