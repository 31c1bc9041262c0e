"""Earlier verdicts by answer, reference and conventions: in memory, and in an SQLite file if one is opened."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections import OrderedDict
from dataclasses import astuple
from pathlib import Path
from typing import cast

from acemath.grade.conventions import Conventions
from acemath.records import Status, content_key

Key = tuple[str, str, Conventions]
Decision = tuple[Status, str, str]
VERSION = "4"  # raised whenever a rule changes, so that an old file is not believed


class VerdictCache:
    """A bounded cache, safe between threads. Time-outs are not kept: the next try may be faster."""

    def __init__(self, size: int = 50_000) -> None:
        self._size = size
        self._rows: OrderedDict[Key, Decision] = OrderedDict()
        self._lock = threading.Lock()
        self._file: sqlite3.Connection | None = None

    def after_fork(self) -> None:
        """In a forked child: make a lock that no thread holds, and leave the file to the parent."""
        self._lock = threading.Lock()
        self._file = None

    def open(self, path: str | Path) -> None:
        """Keep verdicts in this SQLite file too, and answer from it. Replaces a file opened before."""
        self.close()
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        file = sqlite3.connect(path, check_same_thread=False, timeout=30)
        file.execute("PRAGMA journal_mode=WAL")
        file.execute(
            "CREATE TABLE IF NOT EXISTS verdicts (key TEXT PRIMARY KEY, status TEXT, reason TEXT, tier TEXT)"
        )
        file.commit()
        self._file = file

    def close(self) -> None:
        """Write what is pending and close the file; the verdicts in memory stay."""
        with self._lock:
            if self._file is not None:
                self._file.commit()
                self._file.close()
                self._file = None

    def clear(self) -> None:
        """Forget what is in memory."""
        with self._lock:
            self._rows.clear()

    def get(self, key: Key) -> Decision | None:
        """The verdict kept for a key, None where there is none."""
        with self._lock:
            found = self._rows.get(key)
            if found is None and self._file is not None:
                row = self._file.execute(
                    "SELECT status, reason, tier FROM verdicts WHERE key = ?", (_text_key(key),)
                ).fetchone()
                found = cast(Decision, tuple(row)) if row else None
            return found

    def put(self, key: Key, decision: Decision) -> None:
        """Keep a verdict."""
        if decision[0] == "timeout" or len(key[0]) + len(key[1]) > 10_000:
            return
        with self._lock:
            self._rows[key] = decision
            if len(self._rows) > self._size:
                self._rows.popitem(last=False)
            if self._file is not None:
                self._file.execute(
                    "INSERT OR REPLACE INTO verdicts VALUES (?, ?, ?, ?)", (_text_key(key), *decision)
                )
                self._file.commit()


def _text_key(key: Key) -> str:
    return content_key(VERSION, key[0], key[1], repr(astuple(key[2])))


CACHE = VerdictCache()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=CACHE.after_fork)
