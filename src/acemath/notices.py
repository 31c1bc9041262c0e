"""Notices: what a user should know though the work goes on, one line each on standard error."""

from __future__ import annotations

import logging
import os
from functools import cache

log = logging.getLogger(__name__)


def is_first_process() -> bool:
    """Whether this is the only process of the work or the first, which alone prints and writes results.

    Launchers of several processes number them so (torchrun, accelerate).
    """
    return os.environ.get("RANK", "0") == "0"


def say(text: str) -> None:
    """A notice, from the first process of several."""
    if is_first_process():
        log.warning(text)


say_once = cache(say)  # the same notice is said once a process
