"""Earlier verdicts by answer, reference and conventions: in memory, and in an SQLite file if one is opened."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections import OrderedDict
from dataclasses import astuple
from pathlib import Path

from acemath.grade.conventions import Conventions
from acemath.records import Status, content_key

Key = tuple[str, str, Conventions]
Decision = tuple[Status, str, str]
_LONGEST = 10_000  # characters of an answer and its reference that are kept


class VerdictCache:
    """A bounded cache, safe between threads. Time-outs are not kept: the next try may be faster."""

    def __init__(self, size: int = 50_000) -> None:
        self._size = size
        self._rows: OrderedDict[Key, Decision] = OrderedDict()
        self._file: sqlite3.Connection | None = None
        self._rules = ""
        self.after_fork()

    def after_fork(self) -> None:
        """In a forked child: make a lock that no thread holds, and leave the file to the parent."""
        self._lock = threading.Lock()
        self._file = None

    def open(self, path: str | Path) -> None:
        """Keep verdicts in this SQLite file too, and answer from it. Replaces a file opened before.

        A verdict that another version of the grader gave is not believed.
        """
        self.close()
        sources = sorted(Path(__file__).parent.rglob("*.py"))
        self._rules = content_key(*(source.read_text(encoding="utf-8") for source in sources))
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        file = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
        file.execute("PRAGMA journal_mode=WAL")
        columns = "key TEXT PRIMARY KEY, status TEXT, reason TEXT, tier TEXT"
        file.execute(f"CREATE TABLE IF NOT EXISTS verdicts ({columns})")
        self._file = file

    def close(self) -> None:
        """Close the file; the verdicts in memory stay."""
        with self._lock:
            if self._file is not None:
                self._file.close()
            self._file = None

    def get(self, key: Key) -> Decision | None:
        """The verdict kept for a key, None where there is none."""
        with self._lock:
            found = self._rows.get(key)
            if found is None and self._file is not None:
                query = "SELECT status, reason, tier FROM verdicts WHERE key = ?"
                found = self._file.execute(query, (self._text_key(key),)).fetchone()
            return found

    def put(self, key: Key, decision: Decision) -> None:
        """Keep a verdict."""
        if decision[0] == "timeout" or len(key[0]) + len(key[1]) > _LONGEST:
            return
        with self._lock:
            self._rows[key] = decision
            if len(self._rows) > self._size:
                self._rows.popitem(last=False)
            if self._file is not None:
                row = (self._text_key(key), *decision)
                self._file.execute("INSERT OR REPLACE INTO verdicts VALUES (?, ?, ?, ?)", row)

    def _text_key(self, key: Key) -> str:
        return content_key(self._rules, key[0], key[1], repr(astuple(key[2])))


CACHE = VerdictCache()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=CACHE.after_fork)
