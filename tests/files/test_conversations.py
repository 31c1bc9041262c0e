"""Conversations in the forms that people keep them in, and what is said of those that cannot be learned."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset

from acemath.errors import UserError
from acemath.files.conversations import ChatFile, chat_of, turns_of
from acemath.files.rows import write_rows
from acemath.records import Chat

USER, ANSWER = {"role": "user", "content": "Half of 6?"}, {"role": "assistant", "content": "3"}
SYSTEM = {"role": "system", "content": "Be brief."}


def _file(path: Path, records: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


@pytest.mark.parametrize(
    ("record", "turns"),
    [
        ({"messages": [SYSTEM, USER, ANSWER]}, [SYSTEM, USER, ANSWER]),
        ({"messages": [USER], "answer": "3"}, [USER, ANSWER]),
        ({"messages": [{**USER, "content": [{"type": "text", "text": "Half of 6?"}]}, ANSWER]}, [USER, ANSWER]),
        ({"prompt": "Half of 6?", "completion": "3"}, [USER, ANSWER]),
        ({"instruction": "Half of", "input": 6, "output": "3"}, [{**USER, "content": "Half of\n6"}, ANSWER]),
        ({"prompt": [SYSTEM, USER], "completion": [ANSWER]}, [SYSTEM, USER, ANSWER]),
        ({"conversations": [{"from": "human", "value": "Half of 6?"}, {"from": "gpt", "value": "3"}]}, [USER, ANSWER]),
        (
            {"conversations": [{"from": "human", "value": "Half of 6?"}, {"from": "gpt", "value": "3"}], "system": "Be brief."},
            [SYSTEM, USER, ANSWER],
        ),
        (
            {"conversations": [{"from": "system", "value": "Be brief."}, {"from": "human", "value": "Half of 6?"},
                               {"from": "gpt", "value": "3"}], "system": ""},
            [SYSTEM, USER, ANSWER],
        ),
        ({"instruction": "Half of 6?", "input": "", "output": "3"}, [USER, ANSWER]),
        ({"instruction": "Half of", "input": "6?", "output": "3"}, [{**USER, "content": "Half of\n6?"}, ANSWER]),
        ({"instruction": "Half of", "context": "6?", "response": "3"}, [{**USER, "content": "Half of\n6?"}, ANSWER]),
        ({"query": "And half?", "response": "1.5", "history": [["Half of 6?", "3"]], "system": "Be brief."},
         [SYSTEM, USER, ANSWER, {**USER, "content": "And half?"}, {**ANSWER, "content": "1.5"}]),
        ({"messages": [USER, {**ANSWER, "reasoning_content": "6 / 2\n"}]},
         [USER, {**ANSWER, "content": "<think>\n6 / 2\n</think>\n\n3"}]),
        ({"messages": [USER, {**ANSWER, "reasoning_content": None}]}, [USER, ANSWER]),
        ({"problem": "Half of 6?", "solution": "3", "answer": "3"}, [USER, ANSWER]),
        ({"prompt": "ignored", "messages": [USER, ANSWER]}, [USER, ANSWER]),
    ],
)  # fmt: skip
def test_every_known_form(record: dict[str, Any], turns: list[dict[str, str]]) -> None:
    """Each gives the turns that it means."""
    assert list(chat_of(record, "here").messages) == turns


def test_forms_of_one_file_and_our_own_rows(tmp_path: Path) -> None:
    """Records of several forms in one file, Parquet's columns with nulls, and our rows with all they hold."""
    mixed = [
        {"prompt": "a", "completion": "b", "messages": None, "source": "one"},
        {"messages": [USER, ANSWER], "source": "two"},
    ]
    assert [chat.source for chat in ChatFile(_file(tmp_path / "m.jsonl", mixed))] == ["one", "two"]
    Dataset.from_list([*mixed]).to_parquet(tmp_path / "m.parquet")
    assert [len(chat.messages) for chat in ChatFile(tmp_path / "m.parquet")] == [2, 2]
    rows = [Chat("0", (SYSTEM, USER, ANSWER), "here", "MIT", {"style": "short"})]
    for name in ("c.parquet", "c.jsonl"):
        write_rows(tmp_path / name, rows, Chat)
        assert list(ChatFile(tmp_path / name)) == rows
    assert chat_of({"problem_id": 0, "messages": [USER, ANSWER]}, "here").problem_id == "0"


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"prompt": "a", "completion": "3", "label": False}, "label is False, but every response is learned"),
        ({"prompt": "a", "completion": "3", "finish_reason": "length"}, "the finish reason is 'length', but every response is learned"),
        ({"instruction": "a", "input": ["b"], "output": "3"}, "the input of an instruction is"),
        ({"messages": [USER, {**ANSWER, "content": None}]}, r"messages\.1\.content is null"),
        ({"messages": [USER, {"role": "assistant", "content": None, "tool_calls": [{"id": 1}]}]},
         r"messages\.1\.content is null, messages\.1\.tool_calls is a call of a tool.*remove"),
        ({"messages": [USER, {**ANSWER, "function_call": {"name": "f"}}]}, r"messages\.1\.function_call is a call"),
        ({"messages": [USER, {"role": "tool", "content": "3"}, ANSWER]}, r"messages\.1\.role is 'tool'.*tools"),
        ({"conversations": [{"from": "human", "value": "a"}, {"from": "observation", "value": "3"}]},
         r"conversations\.1\.from is 'observation'"),
        ({"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": None}]},
         r"conversations\.1\.value is null"),
        ({"messages": [USER, {"role": "critic", "content": "no"}]}, r"messages\.1\.role is 'critic'; a turn's role is one of"),
        ({"messages": [USER, {"content": "no"}]}, r"messages\.1\.from is None|messages\.1\.role is None"),
        ({"messages": [USER, {**ANSWER, "content": " \n"}]}, r"messages\.1\.content is empty"),
        ({"messages": [USER, {**ANSWER, "content": 3}]}, r"messages\.1\.content is of the type int"),
        ({"messages": [{**USER, "content": [{"type": "image"}]}, ANSWER]}, r"messages\.0\.content\.0 is 'image'"),
        ({"messages": [USER, {**ANSWER, "weight": 0}, USER, ANSWER]}, r"messages\.1\.weight is 0, but every response"),
        ({"messages": [USER, {**ANSWER, "loss": False}, USER, ANSWER]}, r"messages\.1\.loss is False, but every"),
        ({"query": "a", "response": "b", "history": ["a"]}, r"history is \"\['a'\]\"; it is a list of pairs"),
        ({"query": "a", "response": "b", "history": [["a", ""]]}, r"history\.0\.content is empty"),
        ({"messages": [USER, ANSWER, USER]}, "no conversation that ends with a response"),
        ({"messages": [SYSTEM, ANSWER]}, "no conversation that ends with a response"),
        ({"messages": "USER: a"}, "messages is str, not a list of turns"),
        ({"prompt": "a", "completion": ""}, "completion is empty"),
        ({"instruction": "a", "output": 3}, "output is int, not a list of turns"),
        ({"prompt": "a", "chosen": "b"}, r"its columns are \['chosen', 'prompt'\]\); a record has messages, conv"),
        ({"messages": [USER, ANSWER], "meta": "{"}, "meta is '{'"),
    ],
)  # fmt: skip
def test_what_cannot_be_learned_is_named(tmp_path: Path, record: dict[str, Any], said: str) -> None:
    """The file, the record and the field, in one line."""
    path = _file(tmp_path / "rows.jsonl", [{"messages": [USER, ANSWER]}, record])
    with pytest.raises(UserError, match=rf"rows\.jsonl, record 2: .*{said}") as found:
        list(ChatFile(path))
    assert "\n" not in str(found.value)


def test_turns_of_prompts_may_have_any_role() -> None:
    """To find a question it does not matter who else speaks; a turn without text makes it no conversation."""
    turns = [USER, {"role": "tool", "content": "3"}]
    assert turns_of(turns) == turns
    assert turns_of({"role": ["user"], "content": ["Half of 6?"]}) == [USER]
    for value in (None, "text", [], {}, ["a"], [USER, {"role": "user", "content": None}]):
        assert turns_of(value) is None


def test_shared_cases(shared: Path) -> None:
    """The files of the known cases name their first bad record."""
    with pytest.raises(UserError, match=r"record 1: messages\.1\.content is null"):
        list(ChatFile(shared / "cases" / "sft" / "tool.jsonl"))
    with pytest.raises(UserError, match=r"record 7: messages\.1\.content is null"):
        list(ChatFile(shared / "cases" / "sft" / "onebad.jsonl"))


def test_columns_of_other_names(tmp_path: Path) -> None:
    """A pair under names of one's own; without them the record is refused with its columns."""
    path = _file(tmp_path / "own.jsonl", [{"Frage": "1+1?", "extra": {"reply": "2"}}])
    (chat,) = list(ChatFile(path, {"prompt": "Frage", "completion": "extra.reply"}))
    assert [turn["content"] for turn in chat.messages] == ["1+1?", "2"]
    with pytest.raises(UserError, match="Frage"):
        list(ChatFile(path))
