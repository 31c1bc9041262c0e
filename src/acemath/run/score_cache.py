"""Scores that a judge gave before, by prompt and response, so that no text is judged twice.

A judge has a folder for each of its identities (model, chat, length …). Each process appends to a file of its own there, so
several may use the folder at the same time, and a file that a stop cut short harms no other.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from math import isnan, nan
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acemath.files.atomic import explained, write_json
from acemath.models.engine import close
from acemath.models.hub import at_revision
from acemath.models.score.judge import Item, Judge, JudgeSettings, Progress, judge_identity, open_judge
from acemath.models.score.judging import NoScore
from acemath.models.score.settings import ProcessModelSettings
from acemath.notices import each_once, say
from acemath.records import Response, content_key, fingerprint

ROW = np.dtype([("key", "<u8"), ("score", "<f8"), ("check", "<u8")])
AT_ONCE = 1024  # responses between two writes: the most that a stop loses
STEPS_AT_ONCE = 64  # the same, where each step is scored
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

    @property
    def empty(self) -> bool:
        """Whether it holds no score."""
        return not len(self._rows) and not any(map(len, self._new))

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
    """A judge that is asked only for what its cache does not have, and that is loaded when it is first asked.

    Where a judge gives no score for any of the responses it is asked about, they get nan, and a notice says so. It is the
    judge's error (`NoScore`) if it has never given one.
    """

    def __init__(self, load: Callable[[], Judge], cache: ScoreCache) -> None:
        self._load = load
        self._judge: Judge | None = None
        self.cache = cache
        self.asked = 0  # responses that the judge was asked about

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

            flat = self._asked([(prompt, [text for _, text in group]) for prompt, group in chunk], report)
            mine = [int(content_key(*pair), 16) for _, group in chunk for pair in group]
            self.cache.add(np.array(mine, np.uint64), np.array(flat, np.float64))
            given |= dict(zip(mine, flat, strict=True))
        self.asked += len(given)
        return [given.get(int(key), float(value)) for key, value in zip(keys, found, strict=True)]

    def scored(
        self, prompts: Mapping[str, str], rows: Sequence[Response], progress: Progress
    ) -> tuple[list[Response], dict[str, int]]:
        """Responses with their scores as rewards, and the facts of a stage; `prompts` are the problems' texts by id."""
        before = self.asked
        scores = self.scores([(prompts[row.problem_id], row.text) for row in rows], progress)
        found = [replace(row, reward=score) for row, score in zip(rows, scores, strict=True)]
        return found, {"responses": len(rows), "asked": self.asked - before, "unscored": sum(map(isnan, scores))}

    def close(self) -> None:
        """Free what the judge holds: processes, memory, a journal."""
        close(self._judge)
        self._judge = None

    def _asked(self, items: Sequence[Item], progress: Progress) -> list[float]:
        if self._judge is None:
            self._judge = self._load()
        try:
            return [score for row in self._judge.score_many(items, progress) for score in row]
        except NoScore as error:
            if self.cache.empty:
                raise
            say(str(error))
            return [nan for _, texts in items for _ in texts]


@contextmanager
def cached_judge(settings: JudgeSettings, journal: Path, cache: Path) -> Iterator[CachedJudge]:
    """A judge with its part of the folder `cache`; its memory is freed when the block ends. `journal` keeps a server's replies."""
    judge = CachedJudge(lambda: open_judge(settings, journal), ScoreCache(cache, judge_identity(settings)))
    with each_once(), closing(judge):
        yield judge


def score_words(facts: Mapping[str, int]) -> str:
    """The facts of `CachedJudge.scored`, for people."""
    words = f"{facts['responses']:,} scores, of which {facts['asked']:,} were asked for and the others known"
    return words + (f"; {facts['unscored']:,} responses got no score" if facts["unscored"] else "")


class CachedSteps:
    """A process reward model whose probabilities of steps are kept like scores, and that is loaded when it is first asked."""

    def __init__(self, settings: ProcessModelSettings, cache: Path) -> None:
        """UserError if there is no such model, or if its files do not fit the form."""
        from acemath.models.score.process import form_of

        self.name, self.form = settings.model, form_of(at_revision(settings.model, settings.revision), settings.form)
        self.asked = 0  # responses that the model was asked about
        self._cache = ScoreCache(cache, judge_identity(settings))
        self._settings = settings
        self._model: Any = None

    def step_scores(self, items: Sequence[Item], progress: Progress) -> list[list[list[float]]]:
        """The probability of each step, as `ProcessRewardModel.step_scores` gives them."""
        pairs = list(dict.fromkeys((prompt, text) for prompt, texts in items for text in texts))
        table = {pair: self._known(pair) for pair in pairs}
        new = [pair for pair in pairs if table[pair] is None]
        for at in range(0, len(new), STEPS_AT_ONCE):
            chunk = new[at : at + STEPS_AT_ONCE]
            found = self._ask([(prompt, [text]) for prompt, text in chunk], progress, at, len(new))
            for pair, steps in zip(chunk, found, strict=True):
                table[pair] = steps
                self._cache.add(_step_keys(pair, len(steps)), np.array([len(steps), *steps], np.float64))
        self.asked += len(new)
        return [[table[prompt, text] or [] for text in texts] for prompt, texts in items]

    def _known(self, pair: tuple[str, str]) -> list[float] | None:
        """The stored probabilities; None if one is missing."""
        count = float(self._cache.find(_step_keys(pair, 0))[0])
        found = self._cache.find(_step_keys(pair, 0 if isnan(count) else int(count)))
        return None if np.isnan(found).any() else [float(value) for value in found[1:]]

    def _ask(self, items: Sequence[Item], progress: Progress, before: int, total: int) -> list[list[float]]:
        if self._model is None:
            self._model = open_judge(self._settings)
        found = self._model.step_scores(items, lambda now, _, note: progress(before + now, total, note))
        return [steps for (steps,) in found]


def _step_keys(pair: tuple[str, str], count: int) -> Keys:
    """The keys of a response's number of steps, and of its steps."""
    return np.array([int(content_key(*pair, f"step {at}"), 16) for at in range(-1, count)], np.uint64)


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
