"""Groups in memory-mapped files: the same rows as `encode_row` gives, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from acemath.errors import UserError
from acemath.models.engine import ChatFormat
from acemath.models.score.layout import encode_row
from acemath.models.score.model import tokenizer_of
from acemath.records import Group
from acemath.train.reward.rows import encoded

CHAT = ChatFormat(system="Judge.")
GROUPS = [
    Group("a", "What is 1+2?", ("It is 3.", "It is 4.", "3"), (1, 0, 1)),
    Group("b", "What is 2+2?", ("5", "four, " * 200), (0, 1)),
]


def test_files_hold_what_encoding_gives(tmp_path: Path) -> None:
    """Prompts, responses, labels, pairs and the number of responses that were cut."""
    tokenizer = tokenizer_of("nano")
    files = encoded(iter(GROUPS), tokenizer, CHAT, 64, tmp_path / "groups")
    assert (len(files), files.cut, files.pairs) == (2, 1, 2 * 1 + 1 * 1)
    for group, found in zip(GROUPS, files, strict=True):
        row, _ = encode_row(group.prompt, group.responses, tokenizer, CHAT, 64)
        assert list(found.prompt) == list(row.prompt)
        assert [list(ids) for ids in found.responses] == [list(ids) for ids in row.responses]
        assert tuple(found.key.tolist()) == group.labels
    again = encoded(iter(()), tokenizer, CHAT, 64, tmp_path / "groups")  # found, not made again
    assert len(again) == 2


def test_no_groups_are_a_folder_too(tmp_path: Path) -> None:
    """Without held-out groups the files are empty, and can be read."""
    files = encoded((), tokenizer_of("nano"), CHAT, 64, tmp_path / "none")
    assert (len(files), list(files), files.pairs) == (0, [], 0)


def test_a_failure_leaves_no_folder(tmp_path: Path) -> None:
    """A prompt that fills max_length is one line, and the next call starts again."""
    with pytest.raises(UserError, match="leaves no room"):
        encoded(iter(GROUPS), tokenizer_of("nano"), CHAT, 8, tmp_path / "groups")
    assert not (tmp_path / "groups").exists()
