"""Notices: what a user should know though the work goes on, one line each on standard error."""

from __future__ import annotations

import logging
import os
from functools import cache

log = logging.getLogger(__name__)


def say(text: str) -> None:
    """A notice, from the first process of several."""
    if os.environ.get("RANK", "0") == "0":
        log.warning(text)


say_once = cache(say)  # the same notice is said once a process
