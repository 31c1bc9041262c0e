"""`python -m acemath` is the command `acemath`."""

from __future__ import annotations

import sys


def main() -> None:
    """Start the command line. Ctrl-C also ends it quietly while modules are still loading."""
    try:
        from acemath.cli.app import main as run
    except KeyboardInterrupt:
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
