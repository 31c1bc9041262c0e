"""Models and roles of a recipe: short forms, what may stand where, recipes that extend others, and the reference of keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from acemath.errors import UserError
from acemath.models.engine import ChatFormat
from acemath.models.spec import TransformersModel, VllmModel
from acemath.recipe.keys import reference, sections
from acemath.recipe.load import find_recipe, load_recipe
from acemath.recipe.plan import plan
from acemath.recipe.schema import Recipe
from acemath.recipe.sources import Source
from acemath.run.engines import make_ranker
from acemath.run.responses import copies_of
from acemath.run.stage import Copies

DOCS = Path(__file__).resolve().parents[2] / "docs"
SERVER = {"engine": "endpoint", "url": "http://127.0.0.1:1/v1"}


def fault(changes: dict[str, Any], recipe: str | Path = "laptop") -> str:
    """The one line that these changes end in."""
    with pytest.raises(UserError) as caught:
        load_recipe(recipe, changes)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"models.teacher.tensor_parallel": 2}, "models.teacher: 'tensor_parallel' is no key of engine worksheets (it belongs to vllm)"),
        ({"models.x": {**SERVER, "url": "here"}}, "models.x.url: 'here' is no address"),
        ({"bench.policies.math.engine": "vllm"}, "bench.policies.math: 'engine' is a key of a model; put it under models"),
        ({"roles.teachers.math": {"model": "x", "url": "y"}}, "roles.teachers.math: 'url' is a key of a model"),
        ({"roles.teachers.art": "teacher"}, "roles.teachers.art"),
        ({"roles.checker.answers": 1}, "checkers give 1 answers to a problem in all"),
        ({"roles.checkers": {"x": "teacher"}}, "checker is the short form of checkers"),
        ({"roles.writer.answers": 2, "roles.writer.model": "teacher"}, "unknown key 'roles.writer.answers'"),
        ({"roles.teachers": {"math": "teacher"}, "problems.seeds.c": {"known": "glaive-code"}}, "seeds.c holds code prompts, which no teacher answers; name roles.teachers.code"),
        ({"curate.solvability": {"by": "main"}}, "curate.solvability.by is 'main'; the roles are teachers.math, teachers.code"),
        ({"sft.base": "teacher"}, "sft.base is 'teacher', a model of engine worksheets; name one of engine transformers"),
        ({"models.x": {"dtype": "float32"}, "reward.base": "x"}, "'dtype' of this model would do nothing there; name a model with only engine, id, revision"),
        ({"models.math": {"revision": "v1"}}, "models.math is the stage 'math', which has no revision"),
        ({"models.x": SERVER, "roles.ranker": "x"}, "roles.ranker is 'x', a model of engine endpoint"),
        ({"models.x": {"stop_ids": [1]}, "roles.ranker": "x"}, "'stop_ids' of this model would do nothing there"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_one_line(changes: dict[str, Any], says: str) -> None:
    """A key of another engine, of a model in a role, and names that lead to what cannot serve."""
    assert says in fault(changes)


@pytest.mark.parametrize("changes", [{"teachers.main.skill": 0.5}, {"reward.rank_by": "none"}])
def test_an_old_recipe_is_told_what_to_do(changes: dict[str, Any]) -> None:
    """The key that it is known by, and where the new form is described."""
    said = fault(changes)
    assert "is of an older acemath; describe models under models: and name them under roles:" in said
    assert "## Older recipes" in (DOCS / "recipes.md").read_text()


def test_short_forms() -> None:
    """One teacher for all subjects, one checker, policies by name that share their sampling; changes reach into them."""
    recipe = load_recipe(
        "laptop", {"roles.checker.temperature": 0.5, "bench.policies.math.each": 8, "bench.k": 4}
    )
    roles = recipe.roles
    assert {role.model for role in roles.teachers.values()} == {"teacher"} and len(roles.teachers) == 3
    assert roles.checkers["first"].model_dump(include={"model", "answers", "temperature"}) == {
        "model": "checker", "temperature": 0.5, "answers": 2,
    }  # fmt: skip
    policies = recipe.bench.policies
    assert {name: (p.model, p.each, p.temperature) for name, p in policies.items()} == {
        "math": ("math", 8, 0.5), "general-2": ("general-2", 16, 0.5), "skip-general": ("skip-general", 16, 0.5),
    }  # fmt: skip
    hot = recipe.reward.candidates.policies["math-hot"]
    assert (hot.model, hot.each, hot.temperature, hot.max_new_tokens) == ("math", 4, 1.3, 120)
    own = load_recipe(
        "laptop", {"roles.teachers.code": {"model": "checker", "temperature": 0.3}}
    ).roles.teachers
    assert (own["code"].model, own["code"].temperature, own["math"].model) == ("checker", 0.3, "teacher")


def test_a_name_is_a_model_a_stage_or_a_hub_name() -> None:
    """A model's id is by default its name, and may be a stage, which then has another engine."""
    recipe = load_recipe(
        "laptop", {"models.math": {"engine": "vllm", "tensor_parallel": 2}, "models.far": SERVER}
    )
    assert recipe.model("math") == VllmModel(engine="vllm", id="math", tensor_parallel=2)


def test_a_ranker_has_the_settings_of_its_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies, parallelism, memory, length, prefix caching: the recipe takes them, and vLLM gets them."""
    given = {"engine": "vllm", "tensor_parallel": 4, "replicas": 2, "memory_share": 0.8, "max_length": 2048, "prefix_caching": False}
    recipe = load_recipe("laptop", {"models.rm": given, "roles.ranker": "rm"})
    asked: dict[str, Any] = {}
    monkeypatch.setattr("acemath.models.score.score.RewardModel", lambda *_, **options: asked.update(options))
    make_ranker(recipe.model("rm"), None)
    options = {"tensor_parallel_size": 4, "gpu_memory_utilization": 0.8, "enable_prefix_caching": False}
    assert (asked["engine"], asked["max_length"], asked["options"]) == ("vllm", 2048, options)
    assert copies_of(recipe.model("rm")) == Copies(replicas=2, devices=4)
    assert (recipe.stage_of("math"), recipe.stage_of("general-2")) == ("math", "general-2")
    assert recipe.model("far").name == "far" and recipe.stage_of("far") is None
    assert recipe.model("me/mine") == TransformersModel(id="me/mine") and recipe.stage_of("me/mine") is None


def test_each_role_has_its_own_chat() -> None:
    """Solvers of math get the solver's chat, others none, and any role one of its own; a dump reads as the same recipe."""
    solver = {"instruction": "Box it."}
    changes = {"sft.chat": solver, "roles.writer": "teacher", "roles.labeller": "teacher"}
    recipe = load_recipe("laptop", {**changes, "roles.checker.chat": {"system": "Check."}})
    chats = {name: role.chat for name, role in recipe.roles.named().items()}
    assert chats == {
        **dict.fromkeys(("teachers.math", "labeller"), ChatFormat(**solver)),
        **dict.fromkeys(("teachers.code", "teachers.general", "writer"), ChatFormat()),
        "checkers.first": ChatFormat(system="Check."),
    }
    policies = (*recipe.reward.candidates.policies.values(), *recipe.bench.policies.values())
    assert {policy.chat for policy in policies} == {ChatFormat(**solver)}
    assert Recipe.model_validate(recipe.model_dump(mode="json")) == recipe


def test_a_first_recipe_of_ones_own_is_three_lines(tmp_path: Path) -> None:
    """The 7B recipe with another base, teacher and source: as a copy with three lines changed, and as one that extends it."""
    lines = find_recipe("acemath-7b").read_text().splitlines()
    mine = {
        "  base: Qwen/Qwen2.5-Math-7B ": "  base: me/my-base",
        "  qwen-math-72b: ": "  qwen-math-72b: {engine: endpoint, id: my-teacher, url: http://127.0.0.1:8000/v1}",
        "    numina: ": "    numina: {file: my-problems.jsonl, subject: math}",
    }
    changed = [next((new for old, new in mine.items() if line.startswith(old)), line) for line in lines]
    assert sum(a != b for a, b in zip(lines, changed, strict=True)) == 3
    (tmp_path / "copy.yaml").write_text("\n".join(changed))
    short = {
        "extends": "acemath-7b",
        "sft": {"base": "me/my-base"},
        "models": {"qwen-math-72b": {"engine": "endpoint", "id": "my-teacher", "url": "http://127.0.0.1:8000/v1", "tensor_parallel": None}},
        "problems": {"seeds": {"numina": {"file": "my-problems.jsonl", "subject": "math", "known": None}}},
    }  # fmt: skip
    (tmp_path / "short.yaml").write_text(yaml.safe_dump(short))
    copy, extended = (load_recipe(tmp_path / name) for name in ("copy.yaml", "short.yaml"))
    assert copy == extended and copy.model(copy.roles.teachers["math"].model).name == "my-teacher"


def test_the_plan_has_a_row_for_each_role_that_writes() -> None:
    """With the rows and the price of its own model: endpoints cost money, models here GPU hours."""
    rows = {row["stage"]: row for row in plan(load_recipe("acemath-7b"))["stages"]}
    paid = {"evolve", "teacher-code", "teacher-general", "checker-first", "labels"}
    assert {name for name, row in rows.items() if row["usd"]} == paid
    assert all(not rows[name]["gpu_hours"] for name in paid) and rows["teacher-math"]["gpu_hours"] > 700
    assert rows["labels"]["rows"] == 352_000 and rows["teacher-code"]["rows"] == 479_810
    prompt, text = 352_000 * 200 * 0.15e-6, 352_000 * 800 * 0.60e-6  # tokens and US$ a token
    assert rows["labels"]["usd"] == pytest.approx(prompt + text, abs=0.01)


SHORT = "reward.candidates.policies.short-qwen.shots"


@pytest.mark.parametrize(
    ("shots", "says"),
    [
        ({"known": "aqua-rat", "split": "test", "count": 5}, "shots come from the split 'test'; name one for training or development"),
        ({"hub": "cais/mmlu", "split": "auxiliary_test", "count": 5}, "shots come from the split 'auxiliary_test'"),
        ({"benchmark": "mmlu_stem", "count": 5}, "not from worksheets or a benchmark"),
        ({"worksheets": "train", "count": 5}, "not from worksheets or a benchmark"),
        ({"known": "aqua-rat", "split": "validation"}, "give a count"),
        ({"known": "aqua-rat", "splitt": "validation"}, "short-qwen.shots: splitt: unknown key"),
        ({"known": "aqua"}, "short-qwen.shots: 'aqua' is not registered; the names are"),
        # The problems that this candidate answers are the same split's.
        ({"known": "aqua-rat", "split": "train", "count": 5}, "are rows of problems.seeds.choices, so a problem could come after its own"),
        ({"known": "aqua-rat", "count": 5, "part": [0.5, 1]}, "name another split or part"),
    ],
)
def test_worked_problems_are_of_a_split_for_training_and_apart(shots: dict[str, object], says: str) -> None:
    """Paper, section 4.1: a data set's train or dev split; nothing of a test split, and no problem after its own solution."""
    assert says in fault({SHORT: shots}, "acemath-7b")


def test_our_recipes_take_worked_problems_from_another_split_than_their_problems() -> None:
    """Of the same data set, so of the same form; two parts of one split may stand in for two splits."""
    for name in ("acemath-1.5b", "acemath-7b", "acemath-72b"):
        recipe = load_recipe(name)
        taken = [p.shots for p in recipe.reward.candidates.policies.values() if isinstance(p.shots, Source)]
        assert {(source.known, source.split, source.count) for source in taken} == {("aqua-rat", "validation", 5)}
        assert recipe.problems.seeds["choices"].split == "train"
    apart = {"problems.seeds.choices.part": [0, 0.5], SHORT: {"known": "aqua-rat", "split": "train", "part": [0.5, 1], "count": 5}}
    assert load_recipe("acemath-7b", apart).reward.candidates.policies["short-qwen"].shots


def test_a_recipe_extends_another_by_name_or_file(tmp_path: Path) -> None:
    """Groups are laid over groups, all else replaces, null takes away; circles and other values are one line."""
    others = ", ".join(f"{name}: null" for name in load_recipe("acemath-7b").bench.policies if name not in ("math", "llama-3.1-70b"))
    (tmp_path / "a.yaml").write_text(f"extends: acemath-7b\nname: a\nbench: {{policies: {{{others}}}}}\n")
    (tmp_path / "b.yaml").write_text("extends: a.yaml\nname: b\nbench: {curve: [1, 8]}\n")
    recipe = load_recipe(tmp_path / "b.yaml")
    assert (recipe.name, list(recipe.bench.policies), recipe.bench.curve) == (
        "b",
        ["math", "llama-3.1-70b"],
        (1, 8),
    )
    assert recipe.reward == load_recipe("acemath-7b").reward
    (tmp_path / "c.yaml").write_text("extends: c.yaml\n")
    assert "go in a circle" in fault({}, tmp_path / "c.yaml")
    (tmp_path / "d.yaml").write_text("extends: [laptop]\n")
    assert "extends is ['laptop']; it names one recipe" in fault({}, tmp_path / "d.yaml")


def test_every_key_has_a_sentence_and_the_page_is_up_to_date() -> None:
    """Each key of each part ends in a full stop; docs/keys.md is what `acemath recipe keys` prints."""
    found = sections()
    silent = [
        f"{s.kind.__name__}.{key.name}" for s in found for key in s.keys if not key.says.endswith((".", "…"))
    ]
    assert silent == [] and sum(len(s.keys) for s in found) > 150
    assert (DOCS / "keys.md").read_text() == reference(), "write it again: acemath recipe keys > docs/keys.md"
