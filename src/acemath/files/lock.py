"""A lock that lets only one process use a run's folder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from acemath.errors import UserError
from acemath.files.atomic import explained

LOCK = ".lock"
_held: set[int] = set()


@contextmanager
def locked(run: Path) -> Iterator[None]:
    """Lock a run's folder. UserError naming the process that holds it already.

    The kernel drops the lock when the process ends, so `kill -9` leaves no stale lock, and a reused process id does
    no harm. The file holds the owner's process id only for the message. It stays when the run ends: if it were
    removed, two processes could lock two different files.
    """
    path = run / LOCK
    with explained(path):
        run.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    _held.add(descriptor)
    try:
        _take(descriptor, path)
        yield
    finally:
        _held.discard(descriptor)
        os.close(descriptor)


def _take(descriptor: int, path: Path) -> None:
    with explained(path):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
            raise UserError(
                f"{path.parent} is in use by process {holder or 'unknown'}; wait for it, or choose another "
                "folder with --out"
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)


def _leave_to_parent() -> None:
    """In a forked child, close the parent's lock: an orphaned worker would otherwise keep it."""
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_leave_to_parent)
