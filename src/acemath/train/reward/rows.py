"""Groups as token ids in memory-mapped files, so that memory does not grow with the number of groups."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from acemath.files.atomic import read_json
from acemath.models.engine import ChatFormat
from acemath.models.score.layout import Row, encode_row
from acemath.records import Group
from acemath.train.tokens import FACTS, made_once


class GroupFiles(Sequence[Row]):
    """The groups of a folder that `encoded` made. Memory holds only offsets and labels, some ten bytes a response.

    The key of each row is its labels [R], 1 for right and 0 for wrong.
    """

    def __init__(self, folder: Path) -> None:
        self.cut: int = read_json(folder / FACTS)["cut"]
        """The number of responses that were read without their middle."""
        self._ids = np.memmap(folder / "ids.bin", dtype=np.int32, mode="r")
        self._starts: np.ndarray = np.load(folder / "starts.npy")  # [texts + 1]; a prompt, then its responses
        self._firsts: np.ndarray = np.load(folder / "firsts.npy")  # [groups + 1], the text that is each prompt
        self._labels: np.ndarray = np.load(folder / "labels.npy")  # [responses]

    def __len__(self) -> int:
        return len(self._firsts) - 1

    def __getitem__(self, number: Any) -> Any:
        prompt, *responses = map(self._text, range(self._firsts[number], self._firsts[number + 1]))
        return Row(prompt, responses, torch.from_numpy(self._labels_of(number)))

    @property
    def pairs(self) -> int:
        """The number of pairs of a right and a wrong response of the same group."""
        right = [int(self._labels_of(n).sum()) for n in range(len(self))]
        sizes = np.diff(self._firsts) - 1
        return sum(r * (int(size) - r) for r, size in zip(right, sizes, strict=True))

    def _labels_of(self, number: int) -> np.ndarray:
        """The labels [R] of a group. Each group before it has one text, its prompt, without a label."""
        return self._labels[self._firsts[number] - number : self._firsts[number + 1] - number - 1].astype(np.int64)

    def _text(self, at: int) -> Sequence[int]:
        ids = array("i")
        ids.frombytes(self._ids[self._starts[at] : self._starts[at + 1]].tobytes())
        return ids


def encoded(groups: Iterable[Group], tokenizer: Any, chat: ChatFormat, max_length: int, folder: Path) -> GroupFiles:
    """Groups as files in `folder`, which the first process makes unless it has them. All processes call it.

    UserError if the disk is full, and as `encode_row`.
    """
    made_once(folder, tokenizer, lambda temporary: _write(groups, tokenizer, chat, max_length, temporary))
    return GroupFiles(folder)


def _write(
    groups: Iterable[Group], tokenizer: Any, chat: ChatFormat, max_length: int, folder: Path
) -> dict[str, Any]:
    """Write the files of `GroupFiles`; returns the number of responses that were cut."""
    starts, firsts, labels = array("q", [0]), array("q", [0]), array("b")
    total = 0
    with (folder / "ids.bin").open("wb") as file:
        for group in groups:
            row, cut = encode_row(group.prompt, group.responses, tokenizer, chat, max_length)
            total += cut
            labels.extend(group.labels)
            for ids in (row.prompt, *row.responses):
                array("i", ids).tofile(file)
                starts.append(starts[-1] + len(ids))
            firsts.append(len(starts) - 1)
        array("i", [0]).tofile(file)  # an empty file cannot be mapped
    np.save(folder / "starts.npy", np.frombuffer(starts, np.int64))
    np.save(folder / "firsts.npy", np.frombuffer(firsts, np.int64))
    np.save(folder / "labels.npy", np.frombuffer(labels, np.int8) if labels else np.zeros(0, np.int8))
    return {"cut": total}
