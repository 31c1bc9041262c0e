"""`python -m acemath` is the command `acemath`."""

from __future__ import annotations

from acemath.cli import main

main()
