"""`acemath-7b-released` whole, with nano: data in the form of the authors' releases, in words of our own, and no teacher."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from transformers import AutoModelForCausalLM

from acemath.cli.export import export_model
from acemath.demo.worksheets.registry import MATH_SUBJECTS
from acemath.demo.worksheets.sheets import draw_problems
from acemath.errors import UserError
from acemath.recipe.load import load_recipe
from acemath.records import Chat, Group
from acemath.run.display import Display
from acemath.run.export import export
from acemath.run.run import opened, run_recipe
from acemath.train.checkpoints import FACTS

LICENCE = "CC-BY-NC-4.0"
SYSTEM = "You know mathematics. Reason in steps, and check your final answer inside \\boxed{}."


def conversation(*turns: str, system: str = "") -> dict[str, Any]:
    """A row of the instruction data: the turns but the last response in `messages`, the last in `answer`."""
    roles = [{"role": ("user", "assistant")[n % 2], "content": text} for n, text in enumerate(turns[:-1])]
    return {
        "messages": [{"role": "system", "content": system}, *roles] if system else roles,
        "answer": turns[-1],
    }


def sums(first: int) -> list[dict[str, Any]]:
    """Twelve math conversations."""
    return [
        conversation(
            f"A shelf holds {n} books and gets {n + 3} more. How many are on it?",
            f"{n} + {n + 3} = \\boxed{{{2 * n + 3}}}",
        )
        for n in range(first, first + 12)
    ]


def labelled(qid: str, prompt: str, labels: list[int], answer: int) -> list[dict[str, Any]]:
    """The rows of one question of the reward data."""
    turns = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": prompt}]
    texts = [
        f"Way {n}: it is \\boxed{{{answer if right else answer + n + 1}}}." for n, right in enumerate(labels)
    ]
    return [
        {"qid": qid, "message": [*turns, {"role": "assistant", "content": text}], "label": label}
        for text, label in zip(texts, labels, strict=True)
    ]


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The changes that put small files in the place of the hub's data, and nano in that of the base."""
    folder = tmp_path_factory.mktemp("released")
    leak = max(
        (p.prompt for p in draw_problems("test", 30, 0, MATH_SUBJECTS, (1,))),
        key=lambda text: len(text.split()),
    )
    code = [
        conversation(f"Write a loop that prints {n}.", f"for i in range({n}): print(i)") for n in range(8)
    ]
    talk = conversation("Name a bird.", "A wren.", "And a tree?", "An oak.", system="Answer briefly.")
    splits = {
        "general-1": [*code, *sums(1), conversation(leak, "\\boxed{1}")],
        "general-2": [talk, *sums(20), {"messages": [], "answer": "nobody asked"}],
        "math": [*sums(40), *sums(60)],
    }
    groups = [
        row
        for n in range(30)
        for row in labelled(f"math_{n}", f"What is {n} + {n}?", [1, 0, 1, 0, n % 2, 0], 2 * n)
    ]
    groups += labelled("mcq_0", "Which choices are even? (A) 3 (B) 4 (C) 5 (D) 7", [1] * 6, 4)
    groups += [{"qid": "cut_0", "message": [{"role": "user", "content": "What is 1 + 1?"}], "label": 1}]
    groups += labelled("mcq_1", leak, [1, 0, 1, 0, 1, 0], 4)
    changes: dict[str, Any] = {
        "models": {}, "sft.base": "nano", "sft.launch": None, "reward.launch": None,
        "problems.benchmarks": {"worksheets": {"worksheets": "test", "count": 30, "levels": [1]}},
        "sft.settings": {"learning_rate": 1e-3, "global_batch": 8, "max_length": 256, "validation": 4},
        "reward.train": {"learning_rate": 1e-4, "batch_groups": 8, "epochs": 1, "max_length": 256},
        "bench.max_new_tokens": 24, "bench.policies": {"math": {"each": 8, "problems": 12}}, "partitions": 2,
    }  # fmt: skip
    for name, rows in splits.items():
        path = folder / f"{name}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        changes[f"sft.stages.{name}.data.file"] = str(path)
    pq.write_table(pa.Table.from_pylist(groups), folder / "groups.parquet")
    changes["reward.data.file"] = str(folder / "groups.parquet")
    return {"changes": changes, "leak": leak}


def test_the_whole_run_goes_through(released: dict[str, Any], tmp_path: Path) -> None:
    """Every stage to the report; leaks, faulty rows and one-sided groups are dropped rows; a second call does nothing."""
    recipe = load_recipe("acemath-7b-released", released["changes"])
    outcome = run_recipe(recipe, tmp_path / "run", Display(quiet=True))
    assert outcome.report.exists() and set(outcome.headline) >= {"pass@1", "maj@8", "rm@8", "pass@8"}
    stores = opened(tmp_path / "run", Display(quiet=True))[1].stores
    assert not {"seeds", "teacher-math", "responses", "labels", "ranks"} & set(stores)
    chats = {name: list(stores[f"blend-{name}"].all_rows(Chat)) for name in recipe.sft.stages}
    assert {name: len(rows) for name, rows in chats.items()} == {"general-1": 20, "general-2": 13, "math": 24}
    assert {chat.license for rows in chats.values() for chat in rows} == {LICENCE}
    talk = next(chat for chat in chats["general-2"] if len(chat.messages) == 5)
    assert [turn["role"] for turn in talk.messages] == ["system", "user", "assistant", "user", "assistant"]
    dropped = {
        name: [(d.reason, d.text) for d in stores[name].dropped()]
        for name in ("blend-general-1", "read-general-2", "groups")
    }
    assert dropped["blend-general-1"] == [("leak", released["leak"])]
    assert (
        [reason for reason, _ in dropped["read-general-2"]]
        == ["malformed"]
        == [d.reason for d in stores["reward-read"].dropped()]
    )
    assert {reason for reason, _ in dropped["groups"]} == {"leak", "all right"}
    groups = list(stores["groups"].all_rows(Group))
    assert len(groups) == 30 and {len(group.labels) for group in groups} == {6}
    facts = json.loads((tmp_path / "run" / "reward" / "model" / FACTS).read_text())
    assert facts["sources"] == {"acemath-rm": 28} and facts["licences"] == {LICENCE: 28}  # two are held out
    assert LICENCE in outcome.report.read_text()
    assert run_recipe(recipe, tmp_path / "run", Display(quiet=True)).ran == ()
    with pytest.raises(UserError, match="stage general-1 trains on data that exist already"):
        export(tmp_path / "run", tmp_path / "out")
    _models_are_given_away(tmp_path, outcome.headline)


def _models_are_given_away(folder: Path, headline: Mapping[str, float]) -> None:
    """Whole folders that transformers loads, whose cards have the licence of the data and the run's numbers."""
    _as_earlier_versions_wrote_it(folder / "run" / "sft-math" / "model")
    for kind in ("policy", "reward-model"):
        found = export_model(folder / "run", kind, folder / kind, None, None, False)
        card = (folder / kind / "README.md").read_text()
        assert not [file for file in (folder / kind).glob("*.[jm][sd]*") if str(folder) in file.read_text()]
        assert f"license: {LICENCE.lower()}" in card and "Commercial use is forbidden" in card
        assert {"model.safetensors", "tokenizer.json", FACTS, "README.md"} <= set(found["files"])
    card = (folder / "policy" / "README.md").read_text()
    assert f"| rm@8 | average | {headline['rm@8']:.2f} |" in card and "| greedy | average |" in card
    assert "| general-2 | 13 | acemath-general-2 13 | CC-BY-NC-4.0 13 |\n| math | 24 |" in card
    assert "- acemath-general-2: the file ./general-2.jsonl" in card and "## Models that wrote" not in card
    assert 'chat = [{"role": "user", "content": "PROBLEM"}]' in card and 'base_model: "nano"' in card
    assert "rm@8" in (folder / "reward-model" / "README.md").read_text()
    assert AutoModelForCausalLM.from_pretrained(folder / "policy") is not None
    export_model(folder / "run", "policy", folder / "policy", "math", None, False)  # an earlier release is replaced
    with pytest.raises(UserError, match="policy 'general-1' was not measured; the policies are math"):
        export_model(folder / "run", "policy", folder / "policy", "general-1", None, False)
    with pytest.raises(UserError, match="is not empty and no earlier release"):
        export_model(folder / "run", "policy", folder, None, None, False)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (
            {"sft.stages.math.data.known": "acemath-rm"},
            "holds groups, not chats; name one of acemath-general-1",
        ),
        ({"sft.stages.math.blend": ["math"]}, "give exactly one of blend, data"),
        (
            {"sft.stages.math.data": None, "sft.stages.math.blend": ["math"]},
            "blend needs prompts; name problems.seeds",
        ),
        (
            {"problems.seeds": {"n": {"known": "orca-math"}}, "roles.teachers.math": "nano"},
            "seeds would do nothing",
        ),
        ({"roles.labeller": "nano"}, "roles.labeller would do nothing"),
        ({"reward.train.rm_k": 8}, "train.rm_k is about candidates"),
        ({"reward.candidates.policies": ["math"]}, "exactly one of candidates, data"),
        ({"reward.data.exact": True}, "exact is for problems"),
    ],
)
def test_what_does_not_fit_is_one_line(change: dict[str, Any], why: str) -> None:
    """Each in one line, when the recipe is loaded."""
    with pytest.raises(UserError, match=why):
        load_recipe("acemath-7b-released", change)


def test_data_of_another_form_are_one_line(released: dict[str, Any], tmp_path: Path) -> None:
    """A first row without a conversation is an error, not thousands of dropped rows."""
    (tmp_path / "wrong.jsonl").write_text('{"text": "1 + 1 = 2"}\n')
    changes = released["changes"] | {"sft.stages.general-1.data.file": str(tmp_path / "wrong.jsonl")}
    with pytest.raises(UserError, match="line 1: no conversation"):
        run_recipe(load_recipe("acemath-7b-released", changes), tmp_path / "run", Display(quiet=True))


def _as_earlier_versions_wrote_it(model: Path) -> None:
    """A card and facts with paths of this machine."""
    place = str(model.parents[1] / "sft-general-2" / "model")
    for name in (FACTS, "README.md"):
        text = (model / name).read_text()
        assert "general-2" in text
        (model / name).write_text(text.replace("general-2", place))
