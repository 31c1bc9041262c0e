"""Licences: which forbid commercial use, and which one covers a work made from parts under several licences."""

from __future__ import annotations

import re
from collections.abc import Iterable

_FORBIDS = re.compile(
    r"(?<![a-z])nc(?![a-z])|non[- ]?commercial|(?:research|academic)[- ](?:(?:use|purposes)[- ])?only",
    re.IGNORECASE,
)


def non_commercial(licences: Iterable[str]) -> list[str]:
    """Those of the licences that forbid commercial use, sorted. An unknown licence is not among them."""
    return sorted({name for name in licences if _FORBIDS.search(name)})


# Values that do not name a licence.
UNKNOWN = frozenset(
    (
        "", "unknown", "not stated", "not-stated", "other", "none", "null", "nan", "n/a", "na", "unspecified", "undefined",
        "no license", "no-license", "no licence", "no-licence", "unlicensed",
    )
)  # fmt: skip


def combined(licences: Iterable[str]) -> tuple[str, str]:
    """The licence of a work made from parts under these licences, as a card states it: (license, license_name or "").

    It never allows more than any part does. It is ("unknown", "") if a part's licence is unknown; else the only licence, or
    the only one that forbids commercial use; else ("other", the names of the licences that apply).
    """
    names = sorted({"-".join(name.lower().split()) for name in licences})
    if not names or any(name in UNKNOWN for name in names):
        return "unknown", ""
    forbidding = non_commercial(names)
    if len(names) == 1 or len(forbidding) == 1:
        return (forbidding or names)[0], ""
    return "other", "-and-".join(forbidding or names)
