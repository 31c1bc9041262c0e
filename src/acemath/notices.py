"""Notices: what a user should know though the work goes on, one line each on standard error."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

log = logging.getLogger(__name__)


def is_first_process() -> bool:
    """Whether this is the only process or the first of several. Only this one prints and writes results."""
    return os.environ.get("RANK", "0") == "0"


def say(text: str) -> None:
    """Log a notice, in the first process only."""
    if is_first_process():
        log.warning(text)


say_once = cache(say)  # each notice once a process


@contextmanager
def each_once() -> Iterator[None]:
    """Pass only the first of the notices that differ in nothing but their numbers; at the end, say how many came again.

    For work that is done in many pieces, each of which may say the same.
    """
    seen: Counter[str] = Counter()

    def new(record: logging.LogRecord) -> bool:
        kind = re.sub(r"-?\d[\d,.e+-]*", "0", record.getMessage())
        seen[kind] += 1
        return seen[kind] == 1

    log.addFilter(new)
    try:
        yield
    finally:
        log.removeFilter(new)
        for kind, count in seen.items():
            if count > 1:
                say(f"said {count:,} times, each time with other numbers: {kind}")


def quiet_transformers() -> None:
    """Silence transformers' progress bars and log lines, without importing it."""
    if "transformers" not in sys.modules:
        os.environ.update(TRANSFORMERS_VERBOSITY="error", HF_HUB_DISABLE_PROGRESS_BARS="1")
        return
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
