"""`python -m acemath.run.job FOLDER STAGE PARTITIONS`: does one job of a run in a process of its own."""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import os
import sys
import time
from pathlib import Path

from acemath import notices
from acemath.errors import UserError
from acemath.run.launch import CHILD, MISTAKE, NOTICE, PROGRESS, follow_parent
from acemath.run.runner import DECLARED, Job, Runner, Silent, run_job

EVERY = 0.5  # seconds between lines of progress


def main(arguments: list[str] | None = None) -> int:
    """Do one job. The exit code is 0 when it is done, and 2 after a user's mistake, which is printed in one line."""
    parser = argparse.ArgumentParser(prog="python -m acemath.run.job", description=__doc__)
    parser.add_argument("folder", type=Path, help="the run's folder")
    parser.add_argument("stage", help="the stage")
    parser.add_argument("partitions", nargs="?", default="", help="partitions of a map: 0,1,2")
    parser.add_argument("--stages", default=DECLARED, help="module:function that returns the folder's stages")
    given = parser.parse_args(arguments)
    module, _, function = given.stages.partition(":")
    numbers = tuple(int(number) for number in given.partitions.split(",") if number)
    if CHILD in os.environ:
        follow_parent()
        shown = logging.StreamHandler(sys.stdout)
        shown.setFormatter(logging.Formatter(f"{NOTICE}%(message)s"))
        logging.getLogger(notices.__name__).addHandler(shown)
    try:
        stages = getattr(importlib.import_module(module), function)(given.folder)
        run_job(Runner(given.folder, stages, Reporter()), Job(given.folder, given.stage, numbers))
    except UserError as error:
        print(f"{MISTAKE if CHILD in os.environ else ''}{error}", file=sys.stderr)
        return 2
    return 0


class Reporter(Silent):
    """Sends progress to the parent process, as lines on standard output."""

    def __init__(self) -> None:
        self._last = 0.0

    def progress(self, done: int, total: int, note: str = "") -> None:
        """Write a line, at most one each `EVERY` seconds. Of several processes that train together only the first writes."""
        now = time.monotonic()
        if CHILD in os.environ and notices.is_first_process() and now > self._last + EVERY:
            self._last = now
            print(PROGRESS + json.dumps([done, total, note]), flush=True)


if __name__ == "__main__":
    sys.exit(main())
