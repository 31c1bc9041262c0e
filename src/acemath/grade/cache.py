"""Earlier verdicts by answer, reference and conventions."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict

from acemath.grade.conventions import Conventions
from acemath.records import Status

Key = tuple[str, str, Conventions]
Decision = tuple[Status, str, str]
_LONGEST = 10_000  # characters of an answer and its reference that are kept


class VerdictCache:
    """A bounded cache, safe between threads. Time-outs are not kept: the next try may be faster."""

    def __init__(self, size: int = 50_000) -> None:
        self._size = size
        self._rows: OrderedDict[Key, Decision] = OrderedDict()
        self.after_fork()

    def after_fork(self) -> None:
        """In a forked child: make a lock that no thread holds."""
        self._lock = threading.Lock()

    def get(self, key: Key) -> Decision | None:
        """The verdict kept for a key, None where there is none."""
        with self._lock:
            return self._rows.get(key)

    def put(self, key: Key, decision: Decision) -> None:
        """Keep a verdict."""
        if decision[0] == "timeout" or len(key[0]) + len(key[1]) > _LONGEST:
            return
        with self._lock:
            self._rows[key] = decision
            if len(self._rows) > self._size:
                self._rows.popitem(last=False)


CACHE = VerdictCache()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=CACHE.after_fork)
