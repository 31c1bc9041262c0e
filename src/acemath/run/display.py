"""Progress on standard error: a bar on a terminal, elsewhere a plain line every few seconds.

A thread prints the lines, so that also a step that reports nothing for minutes is seen to be alive.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from acemath.notices import is_first_process

EVERY = 5.0  # seconds between plain lines
_started: list[Display] = []  # displays between start and stop; only the last one shows progress


class Display:
    """Shows which step runs and why, its progress, and its result.

    `every` is the number of seconds between plain lines. Nothing is printed with `quiet`, and in all but the first of
    several processes that train together.
    """

    def __init__(self, quiet: bool = False, every: float = EVERY) -> None:
        quiet = quiet or not is_first_process()
        self.console = Console(stderr=True, quiet=quiet, highlight=False, emoji=False)
        self.bars = sys.stderr.isatty() and not quiet
        self.name = ""
        self.every = every
        self._quiet = quiet
        self._began = time.monotonic()
        self._state: tuple[int, int, str] = (0, 0, "")  # done, total, note; a total of 0 is unknown
        self._pace: list[tuple[int, float]] = []  # (done, time) of the first report of this total, and of the last change
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._beating: tuple[threading.Thread, threading.Event] | None = None

    def start(self, name: str, why: str = "") -> None:
        """A step starts, for the reason `why`. Without a reason nothing is printed until the first line is due."""
        self.stop()
        self.name, self._began, self._state, self._pace = name, time.monotonic(), (0, 0, ""), []
        if why:
            self._say(Text.assemble((name, "bold"), f": {why}"))
        if self._quiet:
            return
        if _started:
            _started[-1]._hide()
        _started.append(self)
        self._show()

    @contextmanager
    def during(self, name: str, why: str = "") -> Iterator[Display]:
        """Show a step while the block runs. The block may report progress to the display."""
        self.start(name, why)
        try:
            yield self
        finally:
            self.stop()

    def progress(self, done: int, total: int, note: str = "") -> None:
        """Report that `done` of `total` is done; a total of 0 is unknown."""
        if total != self._state[1]:
            self._pace = []
        if not self._pace or done != self._pace[-1][0]:
            self._pace = [*self._pace[:1], (done, time.monotonic())]
        self._state = (done, total, note)
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=done, total=total, description=note)

    def warn(self, text: str) -> None:
        """Print a warning."""
        self._say(Text(f"  warning: {text}"))

    def end(self, summary: str) -> None:
        """The step is done, with this result."""
        self.stop()
        self._say(Text(f"  {summary} ({time.monotonic() - self._began:.1f} s)"))

    def stop(self) -> None:
        """End the progress of this step; an outer step that it interrupted shows its own again."""
        self._hide()
        if self in _started:
            _started.remove(self)
            if _started:
                _started[-1]._show()

    def _say(self, text: Text) -> None:
        # The bar of an outer step would be drawn over the text.
        outer = _started[-1] if _started and _started[-1] is not self and _started[-1].bars else None
        if outer is not None:
            outer._hide()
        # With a soft wrap a pipe gets whole lines, and a terminal breaks them at its own width.
        self.console.print(text, soft_wrap=True)
        if outer is not None:
            outer._show()

    def _show(self) -> None:
        if self.bars:
            columns = (
                TextColumn("  "),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.description}", markup=False),
            )
            self._progress = Progress(*columns, console=self.console, transient=True)
            done, total, note = self._state
            self._task = self._progress.add_task(note or self.name, total=total or None, completed=done)
            self._progress.start()
        else:
            stopped = threading.Event()
            thread = threading.Thread(target=self._beat, args=(stopped,), name="progress", daemon=True)
            self._beating = thread, stopped
            thread.start()

    def _hide(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = self._task = None
        if self._beating is not None:
            thread, stopped = self._beating
            self._beating = None
            stopped.set()
            thread.join()

    def _beat(self, stopped: threading.Event) -> None:
        while not stopped.wait(self.every):
            self._say(Text(f"  {self.name}: {self._how_far()}"))

    def _how_far(self) -> str:
        """The progress, the time so far, an estimate of the time left, and the last note."""
        done, total, note = self._state
        words = [f"{done}/{total}"] if total else []
        words.append(f"{time.monotonic() - self._began:.0f} s so far")
        if (left := self._left()) is not None:
            words.append(f"{left:.0f} s left")
        return ", ".join([*words, note] if note else words)

    def _left(self) -> float | None:
        """The seconds left at the pace since the first report; None if there is no pace yet.

        The first report of a resumed run counts what the stopped run did, which took none of this time.
        """
        if len(self._pace) < 2:
            return None
        (first, began), (done, now) = self._pace
        if not first < done < self._state[1]:
            return None
        left = (now - began) / (done - first) * (self._state[1] - done)
        return max(0.0, left - (time.monotonic() - now))
