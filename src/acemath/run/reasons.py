"""Why a stage runs, in one line for the user."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Record = Mapping[str, Any]  # what a stage is made from: {"settings": …, "inputs": {stage: hash of its output}}
SHOWN = 5  # partitions that a line names


def reason(
    before: Record,
    now: Record,
    stale: Sequence[int],
    count: int,
    absent: Sequence[str],
    checkpoints: bool = False,
) -> str:
    """Why a stage makes the parts `stale` of its `count`. `before` is its manifest, `now` what it is to be made from.

    `absent` are the stale parts' files that do not exist. With `checkpoints` a stopped training goes on.
    """
    kept = count - len(stale)
    if not before:
        return (
            f"{kept} of {count} partitions are there without a manifest"
            if kept
            else "runs for the first time"
        )
    if (change := changed_setting(before["settings"], now["settings"])) is not None:
        return change
    if changed := changed_inputs(before["inputs"], now["inputs"]):
        names = ", ".join(changed)
        words = "its input" if len(changed) == 1 else "its inputs"
        return f"{words} {names} changed{in_partitions(stale, count)}"
    if "output" not in before:
        if checkpoints:
            return "was stopped; its checkpoints are kept"
        return (
            f"was stopped; {kept} of {count} partitions are kept"
            if count > 1
            else "was stopped before its end"
        )
    if absent:
        return f"its {absent[0]} is gone and is made again"
    return f"was damaged{in_partitions(stale, count)}; that is made again"


def changed_setting(before: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """The first setting that changed, with its old and new value; None if none did."""
    old, new = flatten(before), flatten(now)
    for key in sorted({*old, *new}):
        if key not in new:
            return f"{key} is no longer set"
        if key not in old:
            return f"{key} is new"
        if old[key] != new[key]:
            return f"{key} changed from {old[key]!r} to {new[key]!r}"
    return None


def changed_inputs(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """The inputs whose rows changed, and those that were added or removed."""
    return sorted(name for name in {*before, *now} if before.get(name) != now.get(name))


def in_partitions(numbers: Sequence[int], count: int) -> str:
    """The partitions, for the end of a sentence; empty if they are all."""
    if not numbers or len(numbers) == count:
        return ""
    some = ", ".join(map(str, numbers[:SHOWN])) + (" …" if len(numbers) > SHOWN else "")
    return (
        f" in partition {some}" if len(numbers) == 1 else f" in {len(numbers)} of {count} partitions ({some})"
    )


def flatten(value: Any, prefix: str = "") -> dict[str, Any]:
    """Nested mappings as dotted keys."""
    if not isinstance(value, Mapping):
        return {prefix: value}
    flat: dict[str, Any] = {}
    for key, inner in value.items():
        flat |= flatten(inner, f"{prefix}.{key}" if prefix else str(key))
    return flat
