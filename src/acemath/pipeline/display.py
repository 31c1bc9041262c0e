"""Progress of a run: bars on a terminal, one plain line every few seconds elsewhere. All on standard error."""

from __future__ import annotations

import sys
import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

EVERY = 5.0  # seconds between plain lines


class Display:
    """Says which stage runs, why, how far it is, and what it came to."""

    def __init__(self, quiet: bool = False) -> None:
        self.console = Console(stderr=True, quiet=quiet, highlight=False)
        self.bars = sys.stderr.isatty() and not quiet
        self.name = ""
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._began = self._last = time.monotonic()

    def start(self, name: str, why: str) -> None:
        """A stage begins, for this reason."""
        self.stop()
        self.name, self._began, self._last = name, time.monotonic(), time.monotonic()
        self.console.print(f"[bold]{name}[/bold]: {why}" if self.bars else f"{name}: {why}", markup=self.bars)

    def progress(self, done: int, total: int, note: str = "") -> None:
        """So much of the stage is done."""
        if self.bars:
            if self._progress is None:
                columns = (
                    TextColumn("  "),
                    BarColumn(),
                    MofNCompleteColumn(),
                    TimeRemainingColumn(),
                    TextColumn("{task.description}"),
                )
                self._progress = Progress(*columns, console=self.console, transient=True)
                self._progress.start()
                self._task = self._progress.add_task("", total=total)
            assert self._task is not None
            self._progress.update(self._task, completed=done, total=total, description=note)
        elif time.monotonic() - self._last >= EVERY:
            self._last = time.monotonic()
            spent = self._last - self._began
            left = f", {spent / done * (total - done):.0f} s left" if done else ""
            self.console.print(
                f"  {self.name}: {done}/{total}{left}{', ' + note if note else ''}", markup=False
            )

    def warn(self, text: str) -> None:
        """Something that the user should know before the run goes on."""
        self.console.print(f"  warning: {text}", markup=False)

    def end(self, summary: str) -> None:
        """The stage is done, with this result."""
        self.stop()
        self.console.print(f"  {summary} ({time.monotonic() - self._began:.1f} s)", markup=False)

    def stop(self) -> None:
        """Take the bar away."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = self._task = None
