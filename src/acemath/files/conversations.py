"""Conversations of every usual form, read as our `Chat` rows.

A record holds a conversation under `messages` or `conversations` ({role, content} or {from, value} turns, with the
last response in `answer` if the turns lack it, as in AceMath's sets), or as a prompt beside its response
(prompt and completion, Alpaca's instruction, input and output, and the like), each a text or turns.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from acemath.errors import UserError
from acemath.files.columns import INPUTS, id_text, input_texts, meta_of, renamed, truth_of
from acemath.files.rows import read_records
from acemath.records import STOP, Chat, content_key, finish_reason, reason_in

TURNS = ("messages", "conversations", "conversation")
PAIRS = (
    ("prompt", "completion"),
    ("prompt", "response"),
    ("instruction", "output"),
    ("instruction", "response"),
    ("query", "response"),
    ("problem", "solution"),
)
FORMS = (
    f"{', '.join(TURNS[:-1])} or {TURNS[-1]} with turns (role and content, or from and value), messages and answer, "
    f"or a pair: {', '.join(' and '.join(pair) for pair in PAIRS)}"
)
ROLES = {
    "human": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "developer": "system",
}
_KNOWN = ("system", "user", "assistant")
_UNLEARNED = ("weight", "train", "loss", "trainable", "loss_mask")  # marks of turns to skip: OpenAI's, axolotl's, ms-swift's
_THOUGHTS = ("reasoning_content", "reasoning", "thinking")
_TOOLS = ("tool", "function", "function_call", "function_response", "observation", "ipython")


@dataclass(frozen=True)
class ChatFile:
    """The conversations of a file, each record in its own form. Each pass reads the file again.

    `columns` maps our names to the file's. UserError, during a pass, names the record and the field at fault.
    """

    path: Path
    columns: Mapping[str, str] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Chat]:
        for number, record in enumerate(read_records(self.path), 1):
            yield chat_of(renamed(record, self.columns), f"{self.path}, record {number}")


def chat_of(record: Mapping[str, Any], place: str, source: str = "", license: str = "") -> Chat:
    """One record as a conversation that ends with a response; `place` says where it was read, for messages.

    `problem_id`, `source`, `license` and `meta` are kept if the record has them. UserError naming the place and
    the field if the record has no known form, a turn has no text, a tool speaks, or no response comes last.
    """
    try:
        turns = _turns(record)
        meta = meta_of(record.get("meta"))
        _check_learned(record)
    except UserError as error:
        raise UserError(f"{place}: {error}") from error
    own = record.get("problem_id")
    return Chat(
        content_key(*(turn["content"] for turn in turns[:-1])) if own is None else id_text(own),
        tuple(turns),
        str(record.get("source") or source),
        str(record.get("license") or license),
        meta,
    )


def _check_learned(record: Mapping[str, Any]) -> None:
    """UserError if a record marks its response as wrong (False, as in TRL's unpaired preferences), or as cut or refused."""
    label, reason = record.get("label"), finish_reason(reason_in(record))
    if label is False or isinstance(label, str) and truth_of(label) is False:
        raise UserError(f"label is {label!r}, but every response is learned; remove the wrong ones, or the column")
    if reason != STOP:
        raise UserError(f"the finish reason is {reason!r}, but every response is learned; remove those that are not complete")


def turns_of(value: Any) -> list[dict[str, str]] | None:
    """A conversation in any usual form as {role, content} turns with any roles; None if the value is not a conversation."""
    rows = _rows(value)
    turns = [] if rows is None else [_plain(row) for row in rows]
    return [turn for turn in turns if turn is not None] if turns and None not in turns else None


def _rows(value: Any) -> list[Mapping[str, Any]] | None:
    """The turns as mappings; also from a mapping of columns, as `datasets` may give it."""
    if isinstance(value, Mapping) and value and all(isinstance(part, list) for part in value.values()):
        value = [dict(zip(value, parts)) for parts in zip(*value.values())]
    if not isinstance(value, list) or not value or not all(isinstance(turn, Mapping) for turn in value):
        return None
    return value


def _plain(row: Mapping[str, Any]) -> dict[str, str] | None:
    role, content = row.get("role", row.get("from")), row.get("content", row.get("value"))
    if isinstance(content, list):  # parts of a turn: only the texts are read
        content = "\n".join(
            str(part["text"]) for part in content if isinstance(part, Mapping) and "text" in part
        )
    if not isinstance(role, str) or not isinstance(content, str):
        return None
    return {"role": ROLES.get(role, role), "content": content}


def _turns(record: Mapping[str, Any]) -> list[dict[str, str]]:
    """A record's turns, checked. UserError naming the field."""
    column = next((name for name in TURNS if record.get(name) is not None), None)
    pair = next((names for names in PAIRS if all(record.get(name) is not None for name in names)), None)
    if column is not None:
        turns = _checked(record[column], column)
        if turns[-1]["role"] != "assistant" and isinstance(record.get("answer"), str):
            turns += _said(record["answer"], "assistant", "answer")
    elif pair is not None:
        asked = _said(record[pair[0]], "user", pair[0])
        for more in input_texts(record, INPUTS) if pair[0] == "instruction" else ():
            asked[-1]["content"] += f"\n{more}"
        turns = [*_history(record.get("history")), *asked, *_said(record[pair[1]], "assistant", pair[1])]
    else:
        raise UserError(f"no conversation (its columns are {sorted(record)}); a record has {FORMS}")
    system = record.get("system")
    if isinstance(system, str) and system.strip() and turns[0]["role"] != "system":
        turns.insert(0, {"role": "system", "content": system})
    if turns[-1]["role"] != "assistant" or all(turn["role"] != "user" for turn in turns):
        raise UserError(
            f"no conversation that ends with a response (its roles are {[turn['role'] for turn in turns]}); "
            "a question comes first and the assistant's response last"
        )
    return turns


def _history(pairs: Any) -> list[dict[str, str]]:
    """Earlier questions, each with its response."""
    if not pairs:
        return []
    if not isinstance(pairs, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
        raise UserError(
            f"history is {str(pairs)[:60]!r}; it is a list of pairs, each a question and its response"
        )
    return [
        turn
        for number, pair in enumerate(pairs)
        for role, text in zip(("user", "assistant"), pair, strict=True)
        for turn in _checked([{"role": role, "content": text}], f"history.{number}")
    ]


def _said(value: Any, role: str, column: str) -> list[dict[str, str]]:
    """One side of a pair: a text, or turns."""
    if isinstance(value, str):
        return _checked([{"role": role, "content": value}], column)
    return _checked(value, column)


def _checked(value: Any, column: str) -> list[dict[str, str]]:
    rows = _rows(value)
    if rows is None:
        raise UserError(f"{column} is {type(value).__name__}, not a list of turns; a record has {FORMS}")
    alone = len(rows) == 1 and column not in TURNS
    return [_turn(row, column if alone else f"{column}.{number}") for number, row in enumerate(rows)]


def _turn(row: Mapping[str, Any], field: str) -> dict[str, str]:
    """One turn as {role, content}. UserError naming the field that is wrong or missing."""
    role_key = "role" if row.get("role") is not None else "from"
    text_key = "value" if row.get("content") is None and "value" in row else "content"
    role = ROLES.get(str(row.get(role_key)), row.get(role_key))
    tools = "conversations with tools are not learned: remove them"
    at = f"{field}.{text_key}" if "." in field else field
    if role in _TOOLS:
        raise UserError(f"{field}.{role_key} is {role!r}; {tools}")
    if calls := next((name for name in ("tool_calls", "function_call") if row.get(name)), None):
        null = f"{at} is null, " if row.get(text_key) is None else ""
        raise UserError(f"{null}{field}.{calls} is a call of a tool; {tools}")
    if role not in _KNOWN:
        raise UserError(
            f"{field}.{role_key} is {role!r}; a turn's role is one of {', '.join(_KNOWN)} (or human, gpt)"
        )
    unlearned = next((name for name in _UNLEARNED if row.get(name) in (0, False)), None)
    if role == "assistant" and unlearned is not None:
        raise UserError(
            f"{field}.{unlearned} is {row[unlearned]}, but every response is learned; remove the mark or the record"
        )
    content = row.get(text_key)
    if isinstance(content, Sequence) and not isinstance(content, str):
        content = "\n".join(_part(part, f"{at}.{number}") for number, part in enumerate(content))
    if not isinstance(content, str):
        what = "null" if content is None else f"of the type {type(content).__name__}"
        raise UserError(f"{at} is {what}; every turn needs a text: correct or remove the record")
    if not content.strip() and role != "system":
        raise UserError(f"{at} is empty; every turn needs a text: correct or remove the record")
    thought = next((row[name] for name in _THOUGHTS if isinstance(row.get(name), str)), "").strip()
    if role == "assistant" and thought and "</think>" not in content:
        content = f"<think>\n{thought}\n</think>\n\n{content}"
    return {"role": str(role), "content": content}


def _part(part: Any, field: str) -> str:
    if isinstance(part, str):
        return part
    if isinstance(part, Mapping) and isinstance(part.get("text"), str):
        return str(part["text"])
    kind = part.get("type") if isinstance(part, Mapping) else type(part).__name__
    raise UserError(f"{field} is {kind!r}, not a text; only texts are learned: remove the record")
