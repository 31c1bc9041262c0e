"""Notices: what a user should know though the work goes on, one line each on standard error."""

from __future__ import annotations

import logging
import os
import sys
from functools import cache

log = logging.getLogger(__name__)


def is_first_process() -> bool:
    """Whether this is the only process of the work or the first, which alone prints and writes results."""
    return os.environ.get("RANK", "0") == "0"


def say(text: str) -> None:
    """A notice, from the first process of several."""
    if is_first_process():
        log.warning(text)


say_once = cache(say)  # the same notice is said once a process


def quiet_transformers() -> None:
    """Keep transformers' bars and notes out of our own progress, without importing it."""
    if "transformers" not in sys.modules:
        os.environ.update(TRANSFORMERS_VERBOSITY="error", HF_HUB_DISABLE_PROGRESS_BARS="1")
        return
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
