"""Exact deduplication of prompts (paper, section 3.2: exact match after lower-casing)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from acemath.records import Dropped, Problem


def dedup(rows: Sequence[Problem]) -> tuple[list[Problem], list[Dropped]]:
    """One prompt of each text after lower-casing, the first in order of arrival, and those dropped."""
    # Digests of 128 bits in place of the texts: a million prompts take 60 MB here, not 400.
    first: dict[bytes, str] = {}
    kept, dropped = [], []
    for row in rows:
        text = row.prompt.lower().strip().encode("utf-8", "surrogatepass")
        key = hashlib.blake2b(text, digest_size=16).digest()
        if key in first:
            dropped.append(
                Dropped(row.id, "dedup", "duplicate", row.prompt, row.source, f"same as {first[key]}")
            )
        else:
            first[key] = row.id
            kept.append(row)
    return kept, dropped
