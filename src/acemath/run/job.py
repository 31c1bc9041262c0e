"""`python -m acemath.run.job FOLDER STAGE NUMBERS`: one job of a run in a process of its own."""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

from acemath.errors import UserError
from acemath.run.runner import DECLARED, Job, Runner, run_job


def main(arguments: list[str] | None = None) -> int:
    """Do one job; the exit code is 0 when it is done, 2 after a user's mistake, which is printed in one line."""
    parser = argparse.ArgumentParser(prog="python -m acemath.run.job", description=__doc__)
    parser.add_argument("folder", type=Path, help="the run's folder")
    parser.add_argument("stage", help="the stage")
    parser.add_argument("partitions", nargs="?", default="", help="partitions of a map: 0,1,2")
    parser.add_argument("--stages", default=DECLARED, help="module:function that gives the folder's stages")
    given = parser.parse_args(arguments)
    module, _, function = given.stages.partition(":")
    numbers = tuple(int(number) for number in given.partitions.split(",") if number)
    try:
        stages = getattr(importlib.import_module(module), function)(given.folder)
        run_job(Runner(given.folder, stages), Job(given.folder, given.stage, numbers))
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
