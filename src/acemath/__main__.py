"""`python -m acemath` is the command `acemath`. Ctrl-C ends it quietly at any moment.

While a module is being imported, Ctrl-C takes effect when the import is done: an exception in the middle of an import
leaves half a package behind (numpy cannot be imported twice), is swallowed, or aborts the C++ code that it passes
through. A second Ctrl-C in that time ends the process at once, which does no more harm than `kill -9`.
"""

from __future__ import annotations

import _thread
import os
import signal
import sys
import time
from types import FrameType

from acemath.errors import INTERRUPTED

CHECK_EVERY = 0.02  # seconds
_IMPORTING = "<frozen importlib._bootstrap>"  # the file of the functions that import
_waits = False  # whether a Ctrl-C waits for the end of an import


def main() -> None:
    """Start the command line."""
    # In the background it is ignored.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _on_interrupt)
    try:
        from acemath.cli.app import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    finally:
        if signal.getsignal(signal.SIGINT) is _on_interrupt:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # Python's own way out would print a traceback


def _on_interrupt(_number: int, frame: FrameType | None) -> None:
    global _waits
    if not _imports(frame):
        raise KeyboardInterrupt
    if _waits:
        os._exit(INTERRUPTED)
    _waits = True
    _thread.start_new_thread(_interrupt_after_import, (_thread.get_ident(),))


def _interrupt_after_import(main_thread: int) -> None:
    global _waits
    while _imports(sys._current_frames().get(main_thread)):
        time.sleep(CHECK_EVERY)
    _waits = False
    signal.pthread_kill(main_thread, signal.SIGINT)  # it also ends a wait


def _imports(frame: FrameType | None) -> bool:
    while frame is not None and frame.f_code.co_filename != _IMPORTING:
        frame = frame.f_back
    return frame is not None


if __name__ == "__main__":
    main()
