"""Times of day: `9:00 am`, `21:00`, `9 pm`, `07:15:00`."""

from __future__ import annotations

from acemath.grade.base.nodes import SKIP, Node
from acemath.grade.values.evaluate import exact

_HALVES = {"am": "am", "pm": "pm", "noon": "pm", "midnight": "am"}
Clock = tuple[int, int, int]


def same_time(a: Node, b: Node) -> object:
    """Whether two times are equal; SKIP where one is none, or where neither is marked as one.

    The half of the day may be missing on one side: 5:30 pm is 17:30, and may be said as 5:30.
    """
    (one, half), (other, its_half) = _read(a), _read(b)
    unmarked = not (half or its_half) and one != other
    if unmarked and {a.kind, b.kind} <= {"num", "ratio"} and (_is_clock(a) or _is_clock(b)):
        return False  # 2:01 is no ratio
    if one is None or other is None or unmarked and "num" in (a.kind, b.kind) or a.kind == b.kind == "num":
        return SKIP
    return one == other if not (half or its_half) else bool(_on_24_hours(one, half) & _on_24_hours(other, its_half))


def _read(node: Node) -> tuple[Clock | None, str]:
    """A time as hours, minutes and seconds, and the half of the day that stands beside it."""
    half = _HALVES.get(node.value.lower().strip(" .")) if node.kind == "quantity" else None
    time = node.args[0] if half else node
    parts = time.args if time.kind == "ratio" else (time,)
    if any(p.kind != "num" or p.value[1] >= 0 for p in parts) or any(len(p.value[2]) != 2 for p in parts[1:]):
        return None, ""
    whole = [int(value) for p in parts if (value := exact(p)) is not None and value.denominator == 1]
    if len(whole) != len(parts) or len(whole) > 3 or whole[0] > 24 or max(whole[1:], default=0) > 59:
        return None, ""
    hour, minute, second = (*whole, 0, 0)[:3]
    return (hour, minute, second), half or ""


def _is_clock(node: Node) -> bool:
    """Whether a ratio has a part such as 00 or 05, which only times have."""
    return node.kind == "ratio" and any(p.kind == "num" and p.value[2][:1] == "0" and p.value[2][1:] for p in node.args[1:])


def _on_24_hours(time: Clock, half: str) -> set[Clock]:
    """When a time may be, of each half of the day that it may mean."""
    hour, minute, second = time
    hours = (hour,) if hour > 12 or not (hour or half) else (hour % 12 + 12 * (h == "pm") for h in ([half] if half else _HALVES.values()))
    return {(h, minute, second) for h in hours}
