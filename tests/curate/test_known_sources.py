"""Sources: the registry, data sets of the hub and files of every form, and the sets that AceMath's authors released."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset

from acemath.cli.fetch import fetch
from acemath.cli.reading import GroupFile, read_problems
from acemath.curate.columns import groups_of, prompt_text
from acemath.curate.known_sources import KNOWN
from acemath.curate.licences import non_commercial
from acemath.errors import UserError
from acemath.files.columns import value_at
from acemath.files.conversations import ChatFile
from acemath.files.rows import read_rows
from acemath.grade.references import solution_answer
from acemath.recipe.sources import Source
from acemath.records import Chat, Group, Problem
from acemath.run.source_rows import read_source

DATA = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"
TURNS = [
    {"from": "system", "value": "Be brief."},
    {"from": "human", "value": "What is 2+2?"},
    {"from": "gpt", "value": "4"},
    {"from": "human", "value": "And 3+3?"},
]


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Rows as JSONL."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_prompts_may_be_nested_or_conversations() -> None:
    """The first user turn of each form; a path through records and lists."""
    roles = [{"role": "user", "content": [{"type": "text", "text": "A"}, {"type": "image"}]}]
    columns = {"from": ["human", "gpt"], "value": ["B", "b"]}
    assert [prompt_text(value) for value in ("x", TURNS, roles, columns, 7, [], [{"role": "user"}])] == [
        "x",
        "What is 2+2?",
        "A",
        "B",
        None,
        None,
        None,
    ]
    record = {"a": {"b": [{"c": 1}, {"c": 2}]}, "a.b": "plain"}
    assert value_at(record, "a.b") == "plain" and value_at(record, "a.b.-1.c") == 2
    assert value_at(record, "a.b.2.c") is value_at(record, "a.x.y") is None


def test_answers_come_from_solutions_that_state_one() -> None:
    """The last box, GSM8K's mark, a stated answer; not the last number of a text that states none."""
    assert solution_answer("First \\boxed{1}? No.\n\nSo it is \\boxed{\\frac{1}{2}}.") == "\\frac{1}{2}"
    assert solution_answer("5 + 5 = 10\n#### 10\nThe answer is: 10") == "10"
    assert solution_answer("n = 4\nprint(n * 5)") == solution_answer("Let n be 3. Hence done.") == ""


def test_hub_data_sets_are_streamed_by_config_split_and_columns(tmp_path: Path) -> None:
    """With a local folder as the data set: two configs, a nested column, a wrong split."""
    for config in ("one", "two"):
        rows = [{"chat": TURNS, "out": f"So \\boxed{{{config}}}", "n": i} for i in range(5)]
        (tmp_path / "set" / config).mkdir(parents=True)
        Dataset.from_list(rows).to_parquet(tmp_path / "set" / config / "train.parquet")
    (tmp_path / "set" / "README.md").write_text(
        "---\nconfigs:\n"
        + "".join(f"- config_name: {c}\n  data_files: {c}/*.parquet\n" for c in ("one", "two"))
        + "---\n"
    )
    source = Source(
        hub=str(tmp_path / "set"),
        config="two",
        columns={"prompt": "chat", "solution": "out", "id": "n"},
        count=3,
        license="MIT",
    )
    rows = list(read_source("mine", source, 0))
    assert [(p.id, p.prompt, p.answer) for p in rows][1:] == [
        ("mine:1", "What is 2+2?", "two"),
        ("mine:2", "What is 2+2?", "two"),
    ]
    assert {(p.source, p.license, p.subject) for p in rows} == {("mine", "MIT", "math")}
    deep = source.model_copy(update={"columns": {"prompt": "chat.2.value"}})
    assert next(read_source("mine", deep, 0)).prompt == "4"
    with pytest.raises(UserError, match="check its name, config, revision and split"):
        next(read_source("mine", source.model_copy(update={"split": "nowhere"}), 0))
    with pytest.raises(UserError, match="record 1: no text in column 'q' "):
        next(read_source("mine", source.model_copy(update={"columns": {"prompt": "q"}}), 0))


@pytest.mark.parametrize("form", ["jsonl", "parquet", "csv"])
def test_files_of_every_form_give_the_same_prompts(form: str, tmp_path: Path) -> None:
    """An instruction with its input, an empty line within a cell, and an unchanged answer."""
    data = Dataset.from_list(
        [
            {"instruction": "Add,\n\nplease.", "input": "2, 3", "answer": "5"},
            {"instruction": "Why?", "input": "", "answer": ""},
        ]
    )
    path = tmp_path / f"rows.{form}"
    {"jsonl": data.to_json, "parquet": data.to_parquet, "csv": data.to_csv}[form](path)
    rows = list(read_source("f", Source(file=path, columns={"prompt": "instruction", "input": "input"}), 0))
    assert [(p.prompt, p.answer) for p in rows] == [("Add,\n\nplease.\n2, 3", "5"), ("Why?", "")]


def test_a_broken_csv_is_named(tmp_path: Path) -> None:
    """A record with an extra cell."""
    (tmp_path / "rows.csv").write_text("prompt,answer\na,1\nb,2,3\n")
    with pytest.raises(UserError, match="record 2: not as many cells"):
        read_problems(tmp_path / "rows.csv")


def test_the_registry_gives_what_a_recipe_does_not_say(tmp_path: Path) -> None:
    """Data set, columns and licence by name; a local copy with the same columns; the recipe's own keys win."""
    source = Source.model_validate({"known": "numinamath-cot", "count": 5})
    assert source.hub == "AI-MO/NuminaMath-CoT" and source.license == "Apache-2.0" and source.count == 5
    assert Source.model_validate(source.model_dump()) == source
    copy = write(tmp_path / "n.jsonl", [{"problem": "1+1?", "solution": "So \\boxed{2}."}])
    own = Source.model_validate({"known": "numinamath-cot", "file": copy, "license": "mine"})
    assert own.hub is None and own.license == "mine" and next(read_source("n", own, 0)).answer == "2"
    for wrong in ({"known": "numina"}, {"hub": "a/b", "columns": {"promt": "x"}}, {"known": None}):
        with pytest.raises(ValueError):
            Source.model_validate(wrong)
    assert non_commercial(k.license for k in KNOWN.values()) == ["CC-BY-NC-4.0", "CC-BY-NC-SA-4.0"]
    assert all(k.columns and k.license for k in KNOWN.values())


LABELLED = [
    {
        "qid": f"q{i // 3}",
        "message": [
            {"role": "system", "content": "Check."},
            {"role": "user", "content": f"Question {i // 3}"},
            {"role": "assistant", "content": f"Response {i}"},
        ],
        "label": int(i % 3 == 0 and i < 6),
    }
    for i in range(9)
]


def test_released_reward_data_becomes_groups(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Rows with one qid are a group; a group that is all wrong is left out and counted; from JSONL and from Parquet."""
    groups = list(groups_of(LABELLED, "here"))
    assert "here: 1 groups are all right or all wrong and are left out" in caplog.text
    assert [g.problem_id for g in groups] == ["q0", "q1"] and groups[1].labels == (1, 0, 0)
    assert groups[0].prompt == "Question 0" and groups[0].responses[2] == "Response 2"
    path = write(tmp_path / "rm.jsonl", LABELLED)
    Dataset.from_list(LABELLED).to_parquet(tmp_path / "rm.parquet")
    assert list(GroupFile(path)) == list(GroupFile(tmp_path / "rm.parquet")) == groups
    with pytest.raises(UserError, match="record 2: not a labelled response"):
        list(groups_of([LABELLED[0], {**LABELLED[1], "label": 2}], "here"))
    with pytest.raises(UserError, match="record 3: qid .* is not next to"):
        list(groups_of([LABELLED[0], {**LABELLED[1], "qid": "between"}, LABELLED[0]], "here"))
    talk = LABELLED[0]["message"]
    assert isinstance(talk, list)
    other = [{**turn, "content": "Another?"} if turn["role"] == "user" else turn for turn in talk]
    for turns, why in (
        ([*talk, *talk[1:]], "record 2: not a labelled response"),
        ([{"role": "system", "content": "Judge."}, *talk[1:]], "record 2: qid 'q0' has another system prompt"),
        (other, "record 2: qid 'q0' has another system prompt or question"),
    ):
        with pytest.raises(UserError, match=why):
            list(groups_of([LABELLED[0], {**LABELLED[1], "message": turns}], "here"))
    found = fetch("acemath-rm", {"file": path, "count": 6}, {}, 0, tmp_path / "groups.parquet")
    assert found["rows"] == 2 and found["sizes"] == {3: 2} and found["non_commercial"] == ["CC-BY-NC-4.0"]
    assert read_rows(tmp_path / "groups.parquet", Group) == groups


def test_released_conversations_train_and_give_prompts(tmp_path: Path) -> None:
    """`messages` with `answer` as the last turn: as conversations, and as prompts with answers."""
    row = {"messages": [{"role": "user", "content": "1+2?"}], "answer": "It is \\boxed{3}."}
    path = write(tmp_path / "sft.jsonl", [row])
    chat = list(ChatFile(path))[0]
    assert [turn["role"] for turn in chat.messages] == ["user", "assistant"]
    assert [(p.prompt, p.answer) for p in read_problems(path)] == [("1+2?", "3")]
    assert fetch("acemath-math", {"file": path}, {}, 0, tmp_path / "c.parquet")["kind"] == "chat"
    stored = list(ChatFile(tmp_path / "c.parquet"))
    assert stored == read_rows(tmp_path / "c.parquet", Chat) and stored[0].license == "CC-BY-NC-4.0"
    with pytest.raises(UserError, match="no conversation that ends with a response"):
        list(ChatFile(write(tmp_path / "bad.jsonl", [{"messages": row["messages"]}])))
    prompts = write(tmp_path / "n.jsonl", [{"problem": "?", "solution": "1"}])
    found = fetch("numinamath-cot", {"file": prompts}, {}, 0, tmp_path / "p.jsonl")
    assert (
        found["kind"] == "problem" and read_rows(tmp_path / "p.jsonl", Problem)[0].source == "numinamath-cot"
    )


def test_answers_of_real_solutions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nearly every solution of MATH train gives an answer, from its last box."""
    if not DATA.is_dir():
        pytest.skip("the real data sets are not beside this checkout")
    monkeypatch.setenv("ACEMATH_DATA", str(DATA))
    source = Source.model_validate({"known": "math-train", "count": 1500})
    rows = list(read_source("math", source, 0))
    assert sum(bool(p.answer) for p in rows) >= 1495 and all(1 <= p.level <= 5 for p in rows[:50])
