"""`python -m acemath` is the command `acemath`. Once it has started, Ctrl-C ends it quietly.

While a module is being imported, Ctrl-C takes effect when the import is done: an exception in the middle of an import
leaves half a package behind (numpy cannot be imported twice), is swallowed, or aborts the C++ code that it passes
through. A second Ctrl-C in that time ends the process at once, which does no more harm than `kill -9`. Before `main` runs
Python itself handles Ctrl-C, so this module imports little.
"""

from __future__ import annotations

import os
import signal
import sys

from acemath.errors import INTERRUPTED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import NoReturn

_IMPORTING = "<frozen importlib._bootstrap>"  # the file of the functions that import


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
    """Raise KeyboardInterrupt: here, or behind the import that the program is in."""
    importer: FrameType | None = None  # what began the outermost import
    while frame is not None:
        if frame.f_code.co_filename == _IMPORTING:
            importer = frame.f_back
        frame = frame.f_back
    if importer is None:
        raise KeyboardInterrupt
    if sys.gettrace() is _ignore:
        os._exit(INTERRUPTED)
    importer.f_trace = _raise  # called at the importer's next line, or at its end
    sys.settrace(_ignore)  # without it Python calls no `f_trace`


def _raise(*_: object) -> NoReturn:
    sys.settrace(None)
    raise KeyboardInterrupt


def _ignore(*_: object) -> None:
    return None


if __name__ == "__main__":
    main()
