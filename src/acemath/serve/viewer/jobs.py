"""Slow work behind the page: grouping equal answers, comparing two sets, curves. One thread does it, the page says how far.

Numbers that depend on it are shown only when it is done: a wrong majority would be worse than a late one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

import numpy as np

from acemath.errors import UserError
from acemath.grade import classes
from acemath.serve.viewer.index import Index, Ints

T = TypeVar("T")


class Worker:
    """The thread that does the slow work, one job after another."""

    def __init__(self) -> None:
        self.pool = ThreadPoolExecutor(1, "viewer")
        self.closed = threading.Event()

    def close(self, wait: bool = True) -> None:
        """End the thread when the job in hand has come to its next step; `wait` waits for that."""
        self.closed.set()
        self.pool.shutdown(wait=wait, cancel_futures=True)


class Job(Generic[T]):
    """One piece of slow work: a generator that yields its share from 0 to 1 and returns the result."""

    def __init__(self, worker: Worker, work: Callable[[], Iterator[float]], result: Callable[[], T]) -> None:
        self.share = 0.0
        self.error = ""
        self._done = threading.Event()
        self._result = result
        worker.pool.submit(self._run, work, worker.closed)

    def _run(self, work: Callable[[], Iterator[float]], closed: threading.Event) -> None:
        try:
            for self.share in work():
                if closed.is_set():
                    return
        except UserError as error:
            self.error = str(error)
        except Exception as error:  # noqa: BLE001  (shown on the page; the thread must live for the next job)
            self.error = f"{type(error).__name__}: {error}"
        self.share = 1.0
        self._done.set()

    def wait(self, seconds: float) -> bool:
        """Whether the work is done, after at most these seconds."""
        return self._done.wait(seconds)

    @property
    def result(self) -> T | None:
        """The result; None while the work is not done, or if it failed."""
        return self._result() if self._done.is_set() and not self.error else None


class Grouping:
    """The classes of equal answers of a set's responses, problem by problem."""

    def __init__(self, index: Index, worker: Worker) -> None:
        self._index = index
        self._classes = np.full(index.count, -2)  # -2: not grouped yet
        self._lock = threading.Lock()
        self.job: Job[Ints] = Job(worker, self._all, lambda: self._classes)

    def _all(self) -> Iterator[float]:
        for problem in range(len(self._index.problems)):
            self.of(problem)
            yield (problem + 1) / len(self._index.problems)

    def of(self, problem: int) -> Ints:
        """The classes of one problem's responses in the order of the files, grouped now if they are not yet."""
        rows = self._index.rows_of(problem)
        with self._lock:
            if len(rows) and self._classes[rows[0]] == -2:
                self._classes[rows] = classes([self._index.answer(row) for row in rows])
            return self._classes[rows]
