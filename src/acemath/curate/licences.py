"""Licences: which ones forbid commercial use, and the licence of what is made from parts under several of them."""

from __future__ import annotations

import re
from collections.abc import Iterable

_FORBIDS = re.compile(
    r"(?<![a-z])nc(?![a-z])|non[- ]?commercial|(?:research|academic)[- ](?:(?:use|purposes)[- ])?only",
    re.IGNORECASE,
)


def non_commercial(licences: Iterable[str]) -> list[str]:
    """The licences among these that forbid commercial use, sorted. What an unnamed licence allows is unknown."""
    return sorted({name for name in licences if _FORBIDS.search(name)})


# What says nothing of what is allowed, however it is spelled.
UNKNOWN = frozenset(
    (
        "", "unknown", "not stated", "not-stated", "other", "none", "null", "nan", "n/a", "na", "unspecified", "undefined",
        "no license", "no-license", "no licence", "no-licence", "unlicensed",
    )
)  # fmt: skip


def combined(licences: Iterable[str]) -> tuple[str, str]:
    """The licence of what was made from parts under these, as a card names it: (license, license_name or "").

    It never allows more than a part's licence: ("unknown", "") if one is not known, the one that forbids commercial use
    if there is one, and ("other", all of their names) if no single licence covers the parts.
    """
    names = sorted({"-".join(name.lower().split()) for name in licences})
    if not names or any(name in UNKNOWN for name in names):
        return "unknown", ""
    forbidding = non_commercial(names)
    if len(names) == 1 or len(forbidding) == 1:
        return (forbidding or names)[0], ""
    return "other", "-and-".join(forbidding or names)
