"""Tokens in memory-mapped files equal those of encoding in memory."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from transformers import AutoTokenizer

from acemath.errors import UserError
from acemath.models.encoding import Tokens, encode_all
from acemath.records import Chat
from acemath.train.packing import Bins, PackedRows, pack
from acemath.train.tokens import TokenFiles, tokenised


class Stream:
    """Conversations that are made when they are read; `read` counts the passes."""

    def __init__(self, count: int) -> None:
        self.count, self.read = count, 0

    def __iter__(self) -> Iterator[Chat]:
        self.read += 1
        for i in range(self.count):
            turns = [
                {"role": "user", "content": f"What is {i}+1?"},
                {"role": "assistant", "content": f"{i + 1}"},
            ]
            yield Chat(f"c{i}", tuple(turns * (1 + i % 3)), f"source {i % 2}", "mit")


def _made(policy: Path, folder: Path, chats: Stream) -> TokenFiles:
    return tokenised(chats, AutoTokenizer.from_pretrained(policy), folder / "tokens", lambda *_: None)


def test_files_hold_what_encoding_gives(tiny_policy: Path, tmp_path: Path) -> None:
    """Ids, spans, lengths and learned tokens of each conversation, and the counts for the card, in one pass."""
    chats = Stream(1500)
    found = _made(tiny_policy, tmp_path, chats)
    assert chats.read == 1
    wanted = list(encode_all((c.messages for c in chats), AutoTokenizer.from_pretrained(tiny_policy)))
    assert len(found) == 1500 and list(found) == wanted
    assert found.lengths.tolist() == [len(row.ids) for row in wanted]
    assert found.prompts.tolist() == [row.spans[0][0] for row in wanted]
    for room in (16, 30, 4096):
        assert found.learned(room).tolist() == [row.cut(room).learned for row in wanted]
    assert found.facts["sources"] == {"source 0": 750, "source 1": 750} and found.facts["licences"] == {
        "mit": 1500
    }


def test_they_are_made_once(tiny_policy: Path, tmp_path: Path) -> None:
    """A resumed training maps the files; they are made again after a stop while writing, and for another chat template."""
    chats = Stream(20)
    (tmp_path / "tokens.tmp").mkdir()
    (tmp_path / "tokens.tmp" / "ids.bin").write_bytes(b"half")
    first = list(_made(tiny_policy, tmp_path, chats))
    assert list(_made(tiny_policy, tmp_path, chats)) == first and chats.read == 1
    tokenizer = AutoTokenizer.from_pretrained(tiny_policy)
    tokenizer.chat_template = tokenizer.chat_template.replace("<|im_start|>", "<|im_start|> ")
    other = tokenised(chats, tokenizer, tmp_path / "tokens", lambda *_: None)
    assert chats.read == 2 and list(other) != first
    assert [path.name for path in tmp_path.iterdir()] == ["tokens"]


def test_no_conversations_and_a_disk_that_refuses(tiny_policy: Path, tmp_path: Path) -> None:
    """One line each."""
    with pytest.raises(UserError, match="no conversations"):
        _made(tiny_policy, tmp_path, Stream(0))
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        _made(tiny_policy, tmp_path / "file", Stream(3))


def _best_fit(lengths: list[int], room: int, order: list[int]) -> list[list[int]]:
    """Best fit as its definition says it: the fullest bin with room, the oldest among equals."""
    bins: list[list[int]] = []
    free: list[int] = []
    for index in sorted(order, key=lambda i: -lengths[i]):
        length = min(lengths[index], room)
        fitting = [(left, number) for number, left in enumerate(free) if left >= length]
        left, number = min(fitting, default=(room, len(bins)))
        if number == len(bins):
            bins.append([])
            free.append(room)
        bins[number].append(index)
        free[number] = left - length
    return bins


def test_packing_is_best_fit() -> None:
    """Bin by bin what the definition gives, whatever the shortcuts; rows are laid out from files as from memory."""
    lengths = [1 + (i * i * 7919) % 97 for i in range(400)]
    order = list(pack([1] * 400, 1, seed=5).members)  # rows of one: the order that is drawn
    assert sorted(order) == list(range(400)) and order != list(range(400))
    assert list(pack(lengths, 80, seed=5)) == _best_fit(lengths, 80, order)
    assert list(pack([], 80)) == []
    rows = [Tokens(array("i", range(n)), ((0, n),)) for n in lengths]
    packed = PackedRows(rows, pack(lengths, 80), 80)
    assert packed.packed and packed.widths.tolist() == [
        len(row["input_ids"]) for row in map(packed.__getitem__, range(len(packed)))
    ]
    assert sum(packed.lengths) == sum(min(n, 80) for n in lengths)
    some = np.array([7, 3, 9])
    assert list(Bins.single(np.arange(3)).of(some)) == [[7], [3], [9]]
