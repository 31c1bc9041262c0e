"""Worker processes for symbolic comparison, with a hard deadline and a memory limit; one that fails is replaced.

The deadline counts the processor time that the pair itself takes: neither the start of a worker nor the load of the
machine changes a verdict.

A worker is a plain child process that reads and writes one JSON line at a time. Without signal handlers and
multiprocessing it works from threads, from asyncio, after a fork, in daemonic processes and in Ray tasks. It ends by
itself when its parent is gone.
"""

from __future__ import annotations

import atexit
import json
import os
import queue
import subprocess
import sys
import threading
from pathlib import Path
from typing import Literal

Outcome = Literal["equal", "different", "unknown", "timeout"]
START_LIMIT = 120.0  # seconds for a new worker to load sympy, on a machine under load too
# Times its own time that a pair may take on a machine under load; without a timer of processor time, the clock counts.
_WAIT = 1 if sys.platform == "win32" else 20
MEMORY_LIMIT_MB = 2048
_OUTCOMES: dict[str, Outcome] = {"equal": "equal", "different": "different", "unknown": "unknown"}


class Worker:
    """One child process and the thread that collects its lines."""

    def __init__(self) -> None:
        root = str(Path(__file__).resolve().parents[2])
        paths = os.environ.get("PYTHONPATH")
        environment = {**os.environ, "PYTHONPATH": root if not paths else root + os.pathsep + paths}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "acemath.grade.symbolic.process", str(MEMORY_LIMIT_MB)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,  # Ctrl-C reaches the parent alone, which then closes its workers
        )
        self._lines: queue.Queue[bytes] = queue.Queue()
        self._ready = False
        threading.Thread(target=self._collect, daemon=True).start()

    def _collect(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put(b"")

    def same(self, left: str, right: str, seconds: float) -> Outcome:
        """Compare two answers; after "timeout" the worker cannot be used again."""
        try:
            if not self._ready:
                self._ready = bool(self._lines.get(timeout=START_LIMIT))
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps([left, right, seconds]).encode() + b"\n")
            self._process.stdin.flush()
            line = self._lines.get(timeout=_WAIT * seconds)
        except (queue.Empty, BrokenPipeError):
            return "timeout"
        return _OUTCOMES.get(line.decode().strip(), "timeout")

    def close(self) -> None:
        """Kill the process."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                try:
                    stream.close()
                except BrokenPipeError:
                    continue  # an unsent line of a process that is gone


class WorkerPool:
    """A few workers for all threads of this process. They start when they are first needed."""

    def __init__(self, size: int | None = None) -> None:
        self._size = size or max(1, min(4, (os.cpu_count() or 2) // 2))
        self._slots = threading.Semaphore(self._size)
        self._lock = threading.Lock()
        self._idle: list[Worker] = []
        self._all: list[Worker] = []
        self.restarts = 0

    def same(self, left: str, right: str, seconds: float) -> Outcome:
        """Compare two answers; "timeout" where they take more than `seconds` of a worker's own time, or it dies."""
        with self._slots:
            worker = self._take()
            outcome: Outcome = "timeout"
            try:
                outcome = worker.same(left, right, seconds)
            finally:
                if outcome == "timeout":
                    self._replace(worker)
                else:
                    with self._lock:
                        self._idle.append(worker)
            return outcome

    def _take(self) -> Worker:
        with self._lock:
            if self._idle:
                return self._idle.pop()
            worker = Worker()
            self._all.append(worker)
            return worker

    def _replace(self, worker: Worker) -> None:
        """Kill a worker and start another at once, so that it is ready when it is needed."""
        worker.close()
        with self._lock:
            self.restarts += 1
            self._all.remove(worker)
            fresh = Worker()
            self._all.append(fresh)
            self._idle.append(fresh)

    def close(self) -> None:
        """End all workers."""
        with self._lock:
            workers, self._all, self._idle = self._all, [], []
        for worker in workers:
            worker.close()


_SHARED: dict[int, WorkerPool] = {}
_SHARED_LOCK = threading.Lock()


def _after_fork() -> None:
    """In a forked child: make a lock that no thread holds, and leave the workers to the parent."""
    global _SHARED_LOCK
    _SHARED_LOCK = threading.Lock()
    _SHARED.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def shared_pool() -> WorkerPool:
    """The pool of this process; a forked child gets its own."""
    with _SHARED_LOCK:
        pool = _SHARED.get(os.getpid())
        if pool is None:
            _SHARED.clear()
            pool = _SHARED[os.getpid()] = WorkerPool()
            atexit.register(close_workers)
        return pool


def close_workers() -> None:
    """End the workers of this process; the next comparison starts new ones."""
    with _SHARED_LOCK:
        pool = _SHARED.pop(os.getpid(), None)
    if pool is not None:
        pool.close()
