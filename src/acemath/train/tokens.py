"""Conversations as token ids in memory-mapped files, so that memory does not grow with the number of tokens.

The first process reads and tokenises the conversations. The other processes wait for its files and map them; a resumed
training maps them without tokenising again. All processes must see the same folder.
"""

from __future__ import annotations

import shutil
import time
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from acemath.errors import UserError
from acemath.files.atomic import explained, flush_tree, read_json, write_json
from acemath.models.chat import chat_template
from acemath.models.encoding import Tokens, encode_all
from acemath.models.hardware import meet
from acemath.notices import is_first_process
from acemath.records import Chat, content_key

FACTS = "facts.json"
POLL = 0.2  # seconds between checks for the files; a barrier could time out before tokenising ends


class TokenFiles(Sequence[Tokens]):
    """The conversations of a folder that `tokenised` made. Memory holds only offsets, about 32 bytes a conversation."""

    def __init__(self, folder: Path) -> None:
        self.facts = read_json(folder / FACTS)
        self._ids = np.memmap(folder / "ids.bin", dtype=np.int32, mode="r")
        self._starts: np.ndarray = np.load(folder / "starts.npy")  # [conversations + 1]
        self._spans: np.ndarray = np.load(folder / "spans.npy")  # [spans, 2], within their conversation
        self._of: np.ndarray = np.load(folder / "spans-of.npy")  # [spans], the conversation of each
        self._firsts = np.searchsorted(self._of, np.arange(len(self) + 1))  # the first span of each

    def __len__(self) -> int:
        return len(self._starts) - 1

    def __getitem__(self, number: Any) -> Any:
        ids = array("i")
        ids.frombytes(self._ids[self._starts[number] : self._starts[number + 1]].tobytes())
        spans = self._spans[self._firsts[number] : self._firsts[number + 1]]
        return Tokens(ids, tuple((first, end) for first, end in spans.tolist()))

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each conversation [conversations]."""
        return np.diff(self._starts)

    @property
    def prompts(self) -> np.ndarray:
        """Tokens before the first response of each conversation [conversations]."""
        return self._spans[self._firsts[:-1], 0]

    def learned(self, room: int) -> np.ndarray:
        """Tokens of responses among the first `room` of each conversation [conversations]."""
        first, end = np.minimum(self._spans, room).T
        return np.bincount(self._of, weights=end - first, minlength=len(self)).astype(np.int64)


def tokenised(
    chats: Iterable[Chat], tokenizer: Any, folder: Path, progress: Callable[[int, int, str], None]
) -> TokenFiles:
    """The conversations as files in `folder`, which the first process makes unless it has them. All processes call it.

    UserError if there are no conversations, or if the disk is full.
    """
    chat_template(tokenizer)
    made_once(folder, tokenizer, lambda temporary: _write(chats, tokenizer, temporary, progress))
    return TokenFiles(folder)


def made_once(folder: Path, tokenizer: Any, write: Callable[[Path], dict[str, Any]]) -> None:
    """Make a folder of token files in the first process, unless it was made with this tokenizer. All processes call it.

    `write` fills a temporary folder and returns facts for `facts.json`. UserError if the disk is full.
    """
    key = content_key(tokenizer.backend_tokenizer.to_str(), str(tokenizer.chat_template))
    if is_first_process() and (folder / FACTS).exists() and read_json(folder / FACTS)["tokenizer"] != key:
        shutil.rmtree(folder)
    meet()  # before this, another process could map the files of another tokenizer
    if is_first_process() and not folder.exists():
        temporary = folder.with_name(folder.name + ".tmp")
        with explained(folder):
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir(parents=True)
            write_json(temporary / FACTS, {"tokenizer": key, **write(temporary)})
            flush_tree(temporary)
            temporary.rename(folder)
    while not folder.exists():
        time.sleep(POLL)


def _write(
    chats: Iterable[Chat], tokenizer: Any, folder: Path, progress: Callable[[int, int, str], None]
) -> dict[str, Any]:
    """Write the files of `TokenFiles`; returns the counts of sources and licences."""
    sources: Counter[str] = Counter()
    licences: Counter[str] = Counter()

    def messages() -> Iterator[Any]:
        for chat in chats:
            sources[chat.source] += 1
            licences[chat.license] += 1
            yield chat.messages

    starts, spans, of = array("q", [0]), array("i"), array("q")
    with (folder / "ids.bin").open("wb") as file:
        for number, row in enumerate(encode_all(messages(), tokenizer)):
            row.ids.tofile(file)
            starts.append(starts[-1] + len(row.ids))
            for span in row.spans:
                spans.extend(span)
                of.append(number)
            if number % 256 == 0:
                progress(number, 0, "conversations tokenised")
    if len(starts) == 1:
        raise UserError("there are no conversations to learn; check the file, or the blend's pools and counts")
    np.save(folder / "starts.npy", np.frombuffer(starts, np.int64))
    np.save(folder / "spans.npy", np.frombuffer(spans, np.int32).reshape(-1, 2))
    np.save(folder / "spans-of.npy", np.frombuffer(of, np.int64))
    return {"sources": dict(sources), "licences": dict(licences)}
