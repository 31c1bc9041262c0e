"""Licences that forbid commercial use: they are named in the manifest, the report and a warning."""

from __future__ import annotations

import re
from collections.abc import Iterable

_FORBIDS = re.compile(r"(?<![a-z])nc(?![a-z])|non[- ]?commercial|research[- ](?:use[- ])?only", re.IGNORECASE)


def non_commercial(licences: Iterable[str]) -> list[str]:
    """The licences among these that forbid commercial use, sorted. What an unnamed licence allows is unknown."""
    return sorted({name for name in licences if _FORBIDS.search(name)})
