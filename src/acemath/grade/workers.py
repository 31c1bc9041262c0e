"""Worker processes for symbolic comparison, with a hard deadline and a memory limit; one that fails is replaced.

The deadline counts the processor time that the pair itself takes: neither the start of a worker nor the load of the
machine changes a verdict.

A worker is a plain child process that reads and writes lines, so it works from threads, from asyncio, after a fork, in
daemonic processes and in Ray tasks. It ends by itself when its parent is gone.
"""

from __future__ import annotations

import atexit
import json
import os
import queue
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Literal, cast, get_args

Outcome = Literal["equal", "different", "unknown", "timeout"]
START_LIMIT = 120.0  # seconds for a new worker to load sympy, on a machine under load too
# Times its own time that a pair may take on a machine under load; without a timer of processor time, the clock counts.
_WAIT = 1 if sys.platform == "win32" else 20
MEMORY_LIMIT_MB = 2048


class Worker:
    """One child process."""

    def __init__(self) -> None:
        paths = [str(Path(__file__).resolve().parents[2]), os.environ.get("PYTHONPATH")]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "acemath.grade.symbolic.process", str(MEMORY_LIMIT_MB)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
            start_new_session=True,  # Ctrl-C reaches the parent alone, which then closes its workers
        )
        self._ready = False

    def same(self, left: str, right: str, seconds: float) -> Outcome:
        """Compare two answers; after "timeout" the worker cannot be used again."""
        self._ready = self._ready or self._answer(b"", START_LIMIT) == "ready"
        outcome = self._answer(json.dumps([left, right, seconds]).encode() + b"\n", _WAIT * seconds)
        return cast(Outcome, outcome) if outcome in get_args(Outcome) else "timeout"

    def _answer(self, line: bytes, limit: float) -> str:
        """The line that the process writes when it has read this one; "" if it dies, or is killed at the limit."""
        assert self.process.stdin is not None and self.process.stdout is not None
        timer = threading.Timer(limit, self.process.kill)
        timer.start()
        try:
            self.process.stdin.write(line)
            self.process.stdin.flush()
            return self.process.stdout.readline().decode().strip()
        except BrokenPipeError:
            return ""
        finally:
            timer.cancel()

    def close(self) -> None:
        """Kill the process."""
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            with suppress(BrokenPipeError):  # an unsent line of a process that is gone
                if stream is not None:
                    stream.close()


class WorkerPool:
    """A few workers for all threads of this process. They start when they are first needed."""

    def __init__(self, size: int | None = None) -> None:
        self.workers: set[Worker] = set()
        self.restarts = 0
        self._idle: queue.LifoQueue[Worker | None] = queue.LifoQueue()  # None: one that has yet to start
        for _ in range(size or max(1, min(4, (os.cpu_count() or 2) // 2))):
            self._idle.put(None)

    def same(self, left: str, right: str, seconds: float) -> Outcome:
        """Compare two answers; "timeout" where they take more than `seconds` of a worker's own time, or it dies."""
        worker = self._idle.get()
        outcome: Outcome = "timeout"
        try:
            if worker not in self.workers:
                worker = self._start()
            outcome = worker.same(left, right, seconds)
        finally:
            if outcome == "timeout" and worker in self.workers:
                worker.close()
                self.workers.discard(worker)
                self.restarts += 1
                worker = self._start()  # at once, so that it is ready when it is needed
            self._idle.put(worker)
        return outcome

    def _start(self) -> Worker:
        worker = Worker()
        self.workers.add(worker)
        return worker

    def close(self) -> None:
        """End all workers; the next comparison starts new ones."""
        while self.workers:
            self.workers.pop().close()


_POOL = WorkerPool()


def shared_pool() -> WorkerPool:
    """The pool of this process."""
    return _POOL


def close_workers() -> None:
    """End the workers of this process; the next comparison starts new ones."""
    _POOL.close()


def _after_fork() -> None:
    """A forked child starts workers of its own, and leaves those that it knows of to the parent."""
    global _POOL
    _POOL = WorkerPool()


atexit.register(close_workers)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
