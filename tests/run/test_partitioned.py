"""Runs in several partitions: what does not depend on their number, and what one more problem or setting redoes."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from acemath.recipe.load import load_recipe
from acemath.recipe.schema import Recipe
from acemath.records import Chat, Group, Problem, Response, root_of
from acemath.run.curation import INSTRUCTIONS, wrappers_in
from acemath.run.partitions import Partitions
from acemath.run.runner import Runner
from acemath.run.stage import MapStage

Make = Callable[..., Runner]
Asked = list[tuple[str, str]]  # the model and the question of each request
PARTS = 16
KINDS = (Problem, Response, Group, Chat)


def rows_of(runner: Runner) -> dict[str, Counter[str]]:
    """The rows of every finished stage that has rows, in no order."""
    found = {}
    for name, store in runner.stores.items():
        if store.finished and not store.artifact and name != INSTRUCTIONS:
            columns = pq.read_schema(store.part(0)).names
            kind = next(kind for kind in KINDS if kind.SCHEMA.names == columns)
            found[name] = Counter(repr(astuple(row)) for row in store.all_rows(kind))
    return found


def dropped_of(runner: Runner) -> dict[str, Counter[str]]:
    """What every finished stage dropped, in no order."""
    stores = {name: s for name, s in runner.stores.items() if s.finished and not s.artifact}
    return {name: Counter(repr(astuple(row)) for row in store.dropped()) for name, store in stores.items()}


def facts_of(runner: Runner) -> dict[str, Any]:
    """The facts of every finished stage but what an endpoint cost."""
    stores = {name: s for name, s in runner.stores.items() if s.finished}
    return {n: {k: v for k, v in s.manifest["facts"].items() if k != "cost"} for n, s in stores.items()}


def test_tables_do_not_depend_on_the_number_of_partitions(make: Make, tmp_path: Path) -> None:
    """The same rows, dropped rows and counts in every stage; evolved problems lie where their root lies."""
    changes = {
        "problems.seeds.worksheets.count": 240,
        "problems.benchmarks.worksheets.count": 70,
        "curate.evolve.rounds": 2,
        "curate.near": {},
        "curate.solvability": {"answers": 4, "at_least": 0.75},
        "sft.pools": {"left": {"of": "math", "unused_by": ["first"]}},
        "sft.stages": {"first": {"blend": ["math.checked", "code"], "counts": {"math.checked": 90}}, "more": {"blend": ["left"]}},
        "models.bad": {"engine": "worksheets", "skill": 0.5},
        "roles.ranker": None,
        "reward": {"base": "first", "problems": 60, "groups": {"held_out": 0.2}, "candidates": {"policies": ["checker", "bad"], "each": 8}},
        "bench": {"headline": "first", "policies": ["first"]},
    }  # fmt: skip
    runs = []
    for count in (1, PARTS):
        recipe = load_recipe("laptop", {**changes, "partitions": count})
        runs.append(make(recipe, tmp_path / str(count), "blend-more", "held-out"))
    one, many = runs
    assert rows_of(one) == rows_of(many) and dropped_of(one) == dropped_of(many)
    assert facts_of(one) == facts_of(many)
    rows = facts_of(one)
    assert rows["groups"]["groups"] > 15 and rows["held-out"]["groups"] > 3 and rows["blend-more"]["conversations"] > 50
    split, roots = Partitions(PARTS), dict[str, str]()
    for name in ("seeds", "evolve", "prompts"):
        for number in range(PARTS):
            for row in many.stores[name].rows(Problem, number):
                assert split.partition_of(root_of(row)) == number
                roots[row.id] = root_of(row) if name == "prompts" else ""
    for number in range(PARTS):
        for response in many.stores["candidates-bad"].rows(Response, number):
            assert split.partition_of(roots[response.problem_id]) == number


def box(question: str) -> int:
    """The number that a question of `written` is about."""
    found = re.search(r"Box (\d+)", question)
    assert found is not None, question
    return int(found[1])


def write_question(asked: str) -> str:
    """A new question about the same box, another for each way to evolve."""
    return f"Box {box(asked)} gets {'twice' if 'more complex' in asked else 'half'} as many pens. How many are in it?"


MODELS: dict[str, Callable[[str], str]] = {
    "writer": write_question,
    "teacher": lambda question: f"They are \\boxed{{{box(question)}}}.",
    "checker": lambda question: f"It holds \\boxed{{{box(question)}}}.",
    "sloppy": lambda question: f"It may hold \\boxed{{{box(question) + 1}}}.",
}


def written(path: Path, numbers: list[int]) -> Path:
    """A file of one question about each box, without ids."""
    rows = [{"question": f"Box {n} holds {n} pens. How many pens is that?", "answer": str(n)} for n in numbers]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def recipe_of(seeds: Path, url: str, **changes: Any) -> Recipe:
    """A recipe in which models behind an endpoint write, answer, check, and are the candidates."""
    bench = seeds.with_name("bench.jsonl")
    bench.write_text(json.dumps({"question": "How much is 3 plus 4?", "answer": "7"}) + "\n")
    laid = {
        "partitions": PARTS,
        "problems.seeds": {"mine": {"file": str(seeds)}},
        "problems.benchmarks": {"sums": {"file": str(bench)}},
        "models": {name: {"engine": "endpoint", "url": url} for name in MODELS},
        "roles": {"writer": "writer", "teachers": {"all": "teacher"}, "checker": "checker"},
        "sft.stages": {"math": {"blend": ["math.checked"]}},
        "reward": {"base": "math", "groups": {"size": 2}, "candidates": {"policies": ["teacher", "sloppy"], "each": 1}},
        "bench": {"headline": "teacher", "policies": {"teacher": {}}, "each": 1},
    }  # fmt: skip
    return load_recipe("laptop", {**laid, **changes})


LAST = ("blend-math", "held-out")


@pytest.fixture(scope="module")
def asked() -> Asked:
    """What the server was asked since somebody emptied this list."""
    return []


@pytest.fixture(scope="module")
def url(serve: Any, asked: Asked) -> str:
    """The address of all models."""

    def heard(model: str) -> Callable[[str], str]:
        return lambda question: asked.append((model, question)) or MODELS[model](question)

    return str(serve({model: heard(model) for model in MODELS}))


@pytest.fixture(scope="module")
def finished(make: Make, url: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that has its data and its groups; the seeds lie beside it."""
    home = tmp_path_factory.mktemp("endpoint")
    make(recipe_of(written(home / "seeds.jsonl", list(range(64))), url), home / "run", *LAST)
    return home / "run"


def times(runner: Runner) -> dict[str, list[tuple[int, int]]]:
    """When each part file of each finished stage was written, and its inode."""
    stores = {name: s for name, s in runner.stores.items() if s.finished and not s.artifact}
    stats = {name: [store.part(n).stat() for n in range(store.count)] for name, store in stores.items()}
    return {name: [(s.st_mtime_ns, s.st_ino) for s in parts] for name, parts in stats.items()}


def test_one_more_problem_redoes_one_partition_of_each_map(
    finished: Path, make: Make, url: str, asked: Asked, tmp_path: Path
) -> None:
    """Only the new problem and its children are asked for; the rows are those of a new run in one partition."""
    seeds = finished.parent / "seeds.jsonl"
    before = times(make(recipe_of(seeds, url), finished, *LAST))
    asked.clear()
    runner = make(recipe_of(written(seeds, [999, *range(64)]), url), finished, *LAST)
    after = times(runner)
    changed = {name: [n for n, (a, b) in enumerate(zip(after[name], before[name], strict=True)) if a != b] for name in after}  # fmt: skip
    maps = [name for name in after if isinstance(runner.by_name[name], MapStage)]
    (number,) = {n for name in maps for n in changed[name]}
    assert {name for name in maps if changed[name]} == {
        "evolve", "filter-prompts", "prompts", *(f"teacher-{subject}" for subject in ("math", "code", "general")),
        "responses", "checker-first", "cross-check", "candidates-teacher", "candidates-sloppy", "groups",
    }  # fmt: skip
    assert number == Partitions(PARTS).partition_of(runner.stores["evolve"].rows(Problem, number)[0].meta["root"])
    assert "benchmarks" not in runner.ran and {box(question) for _, question in asked} == {999}
    # Two new questions; answers to three; two checks of each; the seed alone has a reference and gets candidates.
    assert Counter(model for model, _ in asked) == {"writer": 2, "teacher": 4, "checker": 6, "sloppy": 1}
    fresh = make(recipe_of(seeds, url, partitions=1), tmp_path / "fresh", *LAST)
    assert rows_of(fresh) == rows_of(runner) and facts_of(fresh) == facts_of(runner)


@pytest.mark.parametrize("partitions", [1, PARTS])
def test_an_instruction_around_a_source_hides_no_copy(make: Make, tmp_path: Path, partitions: int) -> None:
    """A partition holds too few prompts to see that all share an instruction, and evolved prompts lack it."""
    around = "You are a mathematics expert. Solve the problem step by step, and put the final answer in a box.\n\nProblem: "
    copied = "A harbour has 6 piers with 17 boats at each and 4 lanterns on every boat. At noon 23 boats leave. How many lanterns remain?"
    changed = copied.replace("remain", "are left there")
    texts = [changed, *(f"What is {n} times the year {n + 1900}?" for n in range(20))]
    seeds, bench = tmp_path / "seeds.jsonl", tmp_path / "bench.jsonl"
    seeds.write_text("".join(json.dumps({"prompt": around + text}) + "\n" for text in texts))
    bench.write_text(json.dumps({"prompt": copied, "answer": "79"}) + "\n")
    changes = {
        "partitions": partitions,
        "problems": {"seeds": {"mine": {"file": str(seeds)}}, "benchmarks": {"harbour": {"file": str(bench)}}},
        "curate.evolve.methods": [],
    }
    runner = make(load_recipe("laptop", changes), tmp_path / "run", "prompts")
    assert wrappers_in(runner.stores[INSTRUCTIONS]) == [(around, "")]
    assert [row.reason for row in runner.stores["prompts"].dropped()] == ["leak"]


@pytest.mark.parametrize(
    ("changes", "ran", "models"),
    [
        ({"roles.checker": {"model": "checker", "chat": {"system": "Check."}}}, ["checker-first"], {"checker"}),
        ({"sft.settings.learning_rate": 1e-5}, [], set()),
        ({"bench.policies.teacher": {"chat": {"system": "Be brief."}}}, [], set()),
        ({"models.teacher": {"engine": "endpoint", "url": "http://127.0.0.1:1/v1", "in_flight": 3, "price_in": 1.0}}, [], set()),
        ({"curate.filters.loops": False}, ["filter-prompts", "responses"], set()),
    ],
)  # fmt: skip
def test_a_changed_setting_redoes_what_uses_it(
    finished: Path, make: Make, url: str, asked: Asked, changes: dict[str, Any], ran: list[str], models: set[str]
) -> None:
    """A role's chat asks that role again and no other; equal rows stop there; what is back is made from the journal."""
    seeds = finished.parent / "seeds.jsonl"
    make(recipe_of(seeds, url), finished, *LAST)
    asked.clear()
    runner = make(recipe_of(seeds, url, **changes), finished, *LAST)
    assert [name for name in runner.ran if name != "evolve"] == ran and {model for model, _ in asked} == models
    asked.clear()
    assert make(recipe_of(seeds, url), finished, *LAST).ran == runner.ran and not asked


def test_the_labellers_answers_become_the_references(make: Make, serve: Any, tmp_path: Path) -> None:
    """Also of problems that have none; those that it does not answer or refuses are dropped with the reason."""

    def label(question: str) -> str | None:
        number = box(question)
        if number % 4 == 0:
            return "I do not know." if number % 8 else "There are many: 3 or 4.\n\nNobody can say how many."
        return None if number == 3 else f"So \\boxed{{{number + number % 2}}}." if number > 2 else f"The answer is {number + number % 2}."

    url = serve({"labeller": label, **MODELS})
    changes = {
        "models.labeller": {"engine": "endpoint", "url": url},
        "roles.labeller": "labeller",
        "curate.evolve.methods": [],
    }
    runner = make(recipe_of(written(tmp_path / "seeds.jsonl", list(range(1, 25))), url, **changes), tmp_path / "run", "groups")
    store = runner.stores["labelled"]
    kept = {box(p.prompt): p for p in store.all_rows(Problem)}
    assert {n: p.answer for n, p in kept.items()} == {n: str(n + n % 2) for n in range(1, 25) if n % 4 and n != 3}
    assert all(p.meta["reference"] == str(n) for n, p in kept.items())
    dropped = {box(d.text): (d.reason, d.detail) for d in store.dropped()}
    assert dropped == {
        3: ("unlabelled", "no response of the labeller"),
        **dict.fromkeys(range(4, 25, 4), ("unlabelled", "the labeller's response states no answer")),
    }
    assert [d.reason for d in runner.stores["labels"].dropped()] == ["refused"]
    assert store.manifest["facts"] == {"rows": 17, "unlabelled": 7}
    groups = runner.stores["groups"].all_rows(Group)
    right = {box(g.prompt): g.models[g.labels.index(1)] for g in groups}
    assert right == {n: "sloppy" if n % 2 else "teacher" for n in kept}
