"""Curation: filters, dedup, decontamination, evolution, the offline teacher, the cross-check, blends."""

from __future__ import annotations

import random

import pytest

from acemath.curate.blend import Picker, make_blend
from acemath.curate.crosscheck import agree, cross_checked
from acemath.curate.decontaminate.index import BenchmarkIndex, Hit
from acemath.curate.decontaminate.scan import Decontaminator, scan, sorted_out
from acemath.curate.dedup import dedup
from acemath.curate.evolve import evolution_prompt, evolve, evolve_one
from acemath.curate.filters import filter_problems, filter_responses, has_loop, no_box
from acemath.curate.settings import DecontaminateSettings, EvolveSettings, FilterSettings
from acemath.curate.words import common_length
from acemath.demo.teacher import WorksheetTeacher
from acemath.demo.worksheets.registry import MATH_SUBJECTS, family_named
from acemath.demo.worksheets.sheets import draw_problems, question_of, split_of
from acemath.errors import UserError
from acemath.models.engine import ChatFormat, Sampling
from acemath.records import Dropped, Problem, Response, by_id
from acemath.run.asking import graded

LONG = "A farmer has 17 sheep and all but 9 of them die in the winter while the other farmers lose none. How many are left?"


def decontaminate(rows: list[Problem], tests: list[Problem], settings: DecontaminateSettings) -> tuple[list[Problem], list[Dropped]]:
    """The prompts that stay and those dropped."""
    return sorted_out(rows, scan(rows, Decontaminator(tests, settings)), settings)


def leak(index: BenchmarkIndex, problem: Problem, math: bool) -> Hit | None:
    """The hit of a prompt by the paper's rule alone."""
    hit = index.find(problem, math)
    return hit if hit is not None and hit.kind == "leak" else None


def test_filters_name_their_reasons() -> None:
    """Each kind of bad row is dropped with its own reason; good rows stay."""
    evolved = {"root": "seed"}
    prompts = [
        Problem("a", "x " * 300, meta=evolved),
        Problem("b", "x " * 301, meta=evolved),
        Problem("c", "  "),
    ]
    kept, dropped = filter_problems(prompts, FilterSettings())
    assert [p.id for p in kept] == ["a"] and [d.reason for d in dropped] == ["too-long", "empty"]
    rows = [
        Response("1", 0, "So \\boxed{7}.", "m"),
        Response("2", 0, "So 7.", "m"),
        Response("3", 0, "again and again and\n" * 9 + "\\boxed{1}", "m"),
        Response("4", 0, "So \\boxed{7", "m", "length"),
        Response("5", 0, "w " * 2501 + "\\boxed{1}", "m"),
    ]
    good, bad = filter_responses(rows, FilterSettings())
    assert [r.problem_id for r in good] == ["1"] and [d.reason for d in bad] == [
        "no-box",
        "loop",
        "cut-off",
        "too-long",
    ]
    assert has_loop("1+1=2\n2+1=3\n3+1=4\n4+1=5\n5+1=6\n6+1=7") is None
    assert has_loop("3/440=0.006" + "81" * 110) == "loop" and has_loop("-" * 400) is None
    assert no_box("So \\boxed{ }.") == "no-box" and no_box("So \\boxed {7}.") is None


def test_dedup_is_exact_after_lower_casing() -> None:
    """Case does not count, numbers do."""
    kept, dropped = dedup(
        [Problem("a", "What is 1+1?"), Problem("b", "WHAT IS 1+1?"), Problem("c", "What is 1+2?")]
    )
    assert [p.id for p in kept] == ["a", "c"] and dropped[0].detail == "same as a"


def test_longest_common_subsequence_against_the_plain_way() -> None:
    """The bit-parallel length equals the textbook table on random words."""
    rng = random.Random(2)
    for _ in range(100):
        a, b = ([rng.choice("abcd") for _ in range(rng.randint(0, 14))] for _ in range(2))
        table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
        for i, x in enumerate(a):
            for j, y in enumerate(b):
                table[i + 1][j + 1] = table[i][j] + 1 if x == y else max(table[i][j + 1], table[i + 1][j])
        assert common_length(a, b) == table[-1][-1]


def test_decontamination_follows_the_papers_rule() -> None:
    """13 words in a row and 60 % in common for math; the 13 words alone otherwise; spacing and case fold."""
    index = BenchmarkIndex([Problem("t", LONG)], DecontaminateSettings())
    shouted = LONG.upper().replace(" ", "   ").replace("?", " ?!")
    assert leak(index, Problem("a", shouted), math=True) is not None
    changed = LONG.replace("sheep", "goats").replace("winter", "spring").replace("other", "rich")
    assert leak(index, Problem("b", changed), math=True) is None
    buried = "word " * 60 + LONG
    assert leak(index, Problem("c", buried), math=True) is None
    assert leak(index, Problem("d", buried), math=False) is not None
    short = BenchmarkIndex([Problem("s", "What is $7 \\cdot 8$?")], DecontaminateSettings())
    assert leak(short, Problem("e", "what is  7\\cdot 8"), math=True) is not None
    assert leak(short, Problem("f", "what is 7 \\cdot 9"), math=True) is None


def test_worksheet_splits_survive_decontamination() -> None:
    """Templates share words, but few training prompts are taken for copies of test problems."""
    tests, train = draw_problems("test", 700, 0, MATH_SUBJECTS), draw_problems("train", 1500, 1)
    kept, dropped = decontaminate(train, tests, DecontaminateSettings())
    assert len(kept) + len(dropped) == 1500 and len(dropped) < 0.06 * 1500
    planted, hits = decontaminate(tests[:100], tests, DecontaminateSettings())
    assert len(hits) == 100 and not planted, "real copies are always found"


def test_evolution_makes_new_training_problems() -> None:
    """In breadth stays near the level, in depth is harder; both keep to the training split and name parents."""
    seeds = draw_problems("train", 120, 3, MATH_SUBJECTS)
    born, dropped = evolve(seeds, EvolveSettings(), seed=1)
    assert len(born) == 240 and (born, dropped) == evolve(seeds, EvolveSettings(), seed=1)
    parents = by_id(seeds)
    for child in born:
        parent = parents[child.meta["parent"]]
        assert split_of(child.meta["family"], question_of(child).key) == "train"
        if child.meta["method"] == "in-depth":
            assert child.level == min(5, parent.level + 1) and child.meta["family"] == parent.meta["family"]
        else:
            assert child.subject == parent.subject
    assert LONG in evolution_prompt(LONG, "in-depth")


def test_evolution_never_uses_held_out_families_or_other_sources() -> None:
    """A held-out family gives no child in depth and receives none; other sources need a model."""
    held = draw_problems("test", 20, 0, MATH_SUBJECTS, held_out=True)
    assert held and evolve(held, EvolveSettings(methods=("in-depth",)), seed=0) == ([], [])
    born, _ = evolve(held, EvolveSettings(methods=("in-breadth",), rounds=2), seed=0)
    assert len(born) == 2 * len(held) and not any(family_named(c.meta["family"]).held_out for c in born)
    longer, out = evolve(
        draw_problems("train", 30, 3, MATH_SUBJECTS),
        EvolveSettings(rounds=2),
        0,
        FilterSettings(prompt_words=12),
    )
    assert (
        out and {d.step for d in out} == {"evolve"} and {d.reason for d in out} <= {"too-long", "duplicate"}
    )
    assert all(len(c.prompt.split()) <= 12 for c in longer) and {c.meta["round"] for c in longer} == {1, 2}
    assert {c.meta["parent"] for c in longer if c.meta["round"] == 2} <= {c.id for c in longer}, (
        "dropped ones have no children"
    )
    assert evolve_one(held[0], "add-constraints", random.Random(0)) is None
    with pytest.raises(UserError, match="name a model"):
        evolve([Problem("x", "1+1", source="web")], EvolveSettings(), seed=0)


def test_teacher_is_mostly_right_and_deterministic() -> None:
    """About its skill, worse at high levels, some malformed; the same answers every time."""
    problems = draw_problems("train", 900, 5, MATH_SUBJECTS)
    teacher = WorksheetTeacher("t", skill=0.9)
    rows = graded(list(teacher.generate(problems, Sampling(n=1))), problems)
    accuracy = sum(r.correct for r in rows) / len(rows)
    assert 0.82 < accuracy < 0.95
    assert rows == graded(list(teacher.generate(problems, Sampling(n=1))), problems)
    level = {p.id: p.level for p in problems}
    easy, hard = ([r.correct for r in rows if level[r.problem_id] in part] for part in ((1,), (5,)))
    assert sum(easy) / len(easy) > sum(hard) / len(hard)
    kept, dropped = filter_responses(rows, FilterSettings())
    assert 0 < len(dropped) < 0.08 * len(rows)
    with pytest.raises(UserError, match="only worksheets"):
        list(teacher.generate([Problem("x", "1+1", source="web")], Sampling()))


def test_cross_check_keeps_what_is_nearly_always_right() -> None:
    """Responses on which three answers agree are more often right than the teacher's alone."""
    problems = draw_problems("train", 700, 6, MATH_SUBJECTS)
    main = graded(list(WorksheetTeacher("main", 0.9).generate(problems, Sampling())), problems)
    check: dict[str, list[Response]] = {}
    for r in WorksheetTeacher("check", 0.9).generate(problems, Sampling(n=2)):
        check.setdefault(r.problem_id, []).append(r)
    kept, _ = cross_checked(main, check)
    assert 0.6 < len(kept) / len(main) < 0.9
    assert sum(r.correct for r in kept) / len(kept) > 0.99
    assert agree(["1/2", "0.5", "\\frac12"]) and not agree(["1/2", None]) and not agree([])


def test_blends_take_what_they_name() -> None:
    """Pools by subject, by cross-check and by seeds; each prompt once; counts; the seed."""
    problems = [
        Problem(f"{s}{i}", f"{s} {i}", subject=s, meta={"root": "x"} if i % 2 else {})
        for s in ("code", "general", "algebra")
        for i in range(10)
    ]
    responses = [Response(p.id, 0, "So \\boxed{1}.", "t") for p in problems]
    checked = [r for r in responses if r.problem_id in {f"algebra{i}" for i in range(4)}]

    def blend(pools: list[str], **counts: int) -> list[str]:
        picker = Picker(pools, {k.replace("_", "."): v for k, v in counts.items()}, {}, {}, 0)
        chats = make_blend(picker, by_id(problems), responses, checked, ChatFormat())
        assert all(c.messages[-1]["role"] == "assistant" for c in chats)
        return sorted(c.problem_id for c in chats)

    assert len(blend(["code", "math"])) == 20 and len(blend(["code", "math.checked", "general"])) == 24
    assert blend(["math.checked"]) == [f"algebra{i}" for i in range(4)]
    assert blend(["math.seeds"]) == [f"algebra{i}" for i in range(0, 10, 2)]
    assert len(blend(["math", "math.checked"])) == 10 and len(blend(["math"], math=3)) == 3
    with pytest.raises(UserError, match="does not exist"):
        blend(["maths"])
