"""Scores that a judge gave before, by prompt and response, so that no text is judged twice.

A judge has a folder for each of its identities (model, chat, length …). Each process appends to a file of its own there, so
several may use the folder at the same time, and a file that a stop cut short harms no other.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acemath.files.atomic import explained, write_json
from acemath.models.score.judging import Judge, Progress
from acemath.records import content_key, fingerprint

ROW = np.dtype([("key", "<u8"), ("score", "<f8"), ("check", "<u8")])
AT_ONCE = 1024  # responses between two writes: the most that a stop loses
_SALT, _FACTOR = np.uint64(0x5BD1E995C0FFEE11), np.uint64(0x9E3779B97F4A7C15)
Keys = NDArray[np.uint64]
Scores = NDArray[np.float64]


class ScoreCache:
    """The scores of one judge. In memory each takes 24 bytes. A response without a score (nan) is not kept."""

    def __init__(self, folder: Path, identity: Mapping[str, Any]) -> None:
        """Read what is in `folder` for the judge with this identity. UserError if the folder cannot be written."""
        self.folder = folder / fingerprint(identity)
        with explained(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        write_json(self.folder / "judge.json", dict(identity))
        self._rows = np.zeros(0, ROW)  # sorted by key
        self._new = [_whole_rows(path) for path in sorted(self.folder.glob("*.scores"))]  # not yet among them
        self._own = self.folder / f"{time.time_ns():x}-{os.getpid()}.scores"

    def find(self, keys: Keys) -> Scores:
        """The score of each key; nan where there is none."""
        if self._new:
            rows = np.concatenate([self._rows, *self._new])
            self._rows, self._new = rows[np.argsort(rows["key"], kind="stable")], []
        if not len(self._rows):
            return np.full(len(keys), np.nan)
        at = np.minimum(np.searchsorted(self._rows["key"], keys), len(self._rows) - 1)
        return np.where(self._rows["key"][at] == keys, self._rows["score"][at], np.nan)

    def add(self, keys: Keys, scores: Scores) -> None:
        """Keep scores; they are on disk when this returns."""
        kept = ~np.isnan(scores)
        rows = np.zeros(int(kept.sum()), ROW)
        rows["key"], rows["score"] = keys[kept], scores[kept]
        rows["check"] = _checks(rows)
        with explained(self._own), self._own.open("ab") as file:
            file.write(rows.tobytes())
            file.flush()
            os.fsync(file.fileno())
        self._new.append(rows)


def _whole_rows(path: Path) -> NDArray[Any]:
    """The rows of a file, without those that a stop or a loss of power damaged."""
    content = path.read_bytes()
    rows = np.frombuffer(content[: len(content) // ROW.itemsize * ROW.itemsize], ROW)
    return rows[rows["check"] == _checks(rows)]


def _checks(rows: NDArray[Any]) -> Keys:
    bits = np.ascontiguousarray(rows["score"]).view(np.uint64)
    return (rows["key"] ^ bits ^ _SALT) * _FACTOR


class CachedJudge:
    """A judge that is asked only for what its cache does not have, and that is loaded when it is first asked."""

    def __init__(self, load: Callable[[], Judge], cache: ScoreCache) -> None:
        self._load = load
        self._judge: Judge | None = None
        self.cache = cache
        self.asked = 0  # responses that the judge scored

    def scores(self, pairs: Sequence[tuple[str, str]], progress: Progress) -> list[float]:
        """The score of each (prompt, response); equal pairs are judged once."""
        keys = np.array([int(content_key(*pair), 16) for pair in pairs], np.uint64)
        found = self.cache.find(keys)
        missing = {int(keys[at]): at for at in np.flatnonzero(np.isnan(found))[::-1]}
        new = [pairs[at] for at in sorted(missing.values())]
        given: dict[int, float] = {}
        for chunk in _chunks(new):
            done = len(given)

            def report(now: int, total: int, note: str, done: int = done) -> None:
                progress(done + now, len(new), note)

            texts = [(prompt, [text for _, text in group]) for prompt, group in chunk]
            scores = self._ask().score_many(texts, report)
            mine = [int(content_key(*pair), 16) for _, group in chunk for pair in group]
            flat = [score for row in scores for score in row]
            self.cache.add(np.array(mine, np.uint64), np.array(flat, np.float64))
            given |= dict(zip(mine, flat, strict=True))
        self.asked += len(given)
        return [given.get(int(key), float(value)) for key, value in zip(keys, found, strict=True)]

    def close(self) -> None:
        """Free what the judge holds: processes, memory, a journal."""
        close = getattr(self._judge, "close", None)
        self._judge = None
        if close is not None:
            close()

    def _ask(self) -> Judge:
        if self._judge is None:
            self._judge = self._load()
        return self._judge


Group = tuple[str, list[tuple[str, str]]]  # a prompt, and the pairs with it


def _chunks(pairs: Sequence[tuple[str, str]]) -> Iterator[list[Group]]:
    """The pairs by prompt, in chunks of about AT_ONCE; all responses to a prompt that follow each other stay together."""
    groups: list[Group] = []
    held = 0
    for pair in pairs:
        if not groups or groups[-1][0] != pair[0]:
            if held >= AT_ONCE:
                yield groups
                groups, held = [], 0
            groups.append((pair[0], []))
        groups[-1][1].append(pair)
        held += 1
    if groups:
        yield groups
