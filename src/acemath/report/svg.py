"""Small charts as inline SVG: bars with intervals, lines, histograms. Colours come from the page's style."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

COLOURS = 9  # as many as style.css defines
WIDTH, HEIGHT = 640, 300
LEFT, RIGHT, TOP, BOTTOM = 48, 16, 14, 40


def _y(value: float, low: float, high: float) -> float:
    return TOP + (HEIGHT - TOP - BOTTOM) * (1 - (value - low) / ((high - low) or 1))


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round values for an axis (steps of 1, 2 or 5 times a power of ten) that enclose low and high."""
    span = (high - low) or abs(high) or 1.0
    power = 10.0 ** math.floor(math.log10(span / count))
    step = next(size * power for size in (1, 2, 5, 10) if size * power * count >= span * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [number * step for number in range(first, max(last, first + 1) + 1)]


def _frame(title: str, marks: Sequence[float], body: str, below: str) -> str:
    """The whole chart: axes with `marks`, a title for screen readers, and the drawing `body`."""
    low, high = marks[0], marks[-1]
    grid = []
    for value in marks:
        y = _y(value, low, high)
        grid.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        grid.append(
            f'<text class="tick" x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{round(value, 10):g}</text>'
        )
    label = f'<text class="tick" x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 4}" text-anchor="middle">{escape(below)}</text>'
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title, quote=True)}">'
        f"<title>{escape(title)}</title>{''.join(grid)}{label}{body}</svg>"
    )


def _colour(name: str, at: int, colours: Mapping[str, int] | None) -> str:
    """The CSS class of the series `name`: its own colour if it has one, else the colour of its position."""
    return f"c{(colours or {}).get(name, at) % COLOURS}"


def bars(
    title: str,
    rows: Sequence[tuple[str, float, float, float]],
    below: str,
    colours: Mapping[str, int] | None = None,
) -> str:
    """Bars (label, value, low, high) in percent with their intervals. `colours` gives labels fixed colours by number."""
    room = (WIDTH - LEFT - RIGHT) / max(1, len(rows))
    parts = []
    for at, (label, value, low, high) in enumerate(rows):
        x = LEFT + room * (at + 0.5)
        top, bottom = _y(value, 0, 100), _y(0, 0, 100)
        parts.append(
            f'<rect class="bar {_colour(label, at, colours)}" x="{x - room * 0.32:.1f}" width="{room * 0.64:.1f}" y="{top:.1f}" height="{bottom - top:.1f}">'
            f"<title>{escape(label)}: {value:.1f} ({low:.1f} to {high:.1f})</title></rect>"
            f'<line class="whisker" x1="{x:.1f}" x2="{x:.1f}" y1="{_y(high, 0, 100):.1f}" y2="{_y(low, 0, 100):.1f}"/>'
            f'<text class="value" x="{x:.1f}" y="{_y(high, 0, 100) - 5:.1f}" text-anchor="middle">{value:.1f}</text>'
            f"{_label(label, x)}"
        )
    return _frame(title, ticks(0, 100), "".join(parts), below)


def _label(text: str, x: float) -> str:
    """The text below a bar, its first word on a line of its own."""
    first, _, rest = text.partition(" ")
    return "".join(
        f'<text class="tick" x="{x:.1f}" y="{HEIGHT - BOTTOM + 16 + 14 * line}" text-anchor="middle">{escape(part)}</text>'
        for line, part in enumerate((first, rest))
        if part
    )


def lines(
    title: str,
    series: Mapping[str, Sequence[tuple[float, float]]],
    below: str,
    even: bool = False,
    colours: Mapping[str, int] | None = None,
) -> str:
    """Lines of (x, y) points with a legend. `even` spaces the x values evenly, for k = 1, 2, 4 ….

    `colours` gives names fixed colours by number.
    """
    points = [p for row in series.values() for p in row]
    if not points:
        return "<p>Nothing was recorded.</p>"
    xs = sorted({x for x, _ in points})
    marks = ticks(min(y for _, y in points), max(y for _, y in points))
    low, high = marks[0], marks[-1]
    span = (xs[-1] - xs[0]) or 1

    def x_of(x: float) -> float:
        share = xs.index(x) / max(1, len(xs) - 1) if even else (x - xs[0]) / span
        return LEFT + (WIDTH - LEFT - RIGHT) * share

    parts = []
    for at, (name, row) in enumerate(series.items()):
        colour = _colour(name, at, colours)
        path = " ".join(f"{x_of(x):.1f},{_y(y, low, high):.1f}" for x, y in row)
        dots = "".join(
            f'<circle class="dot {colour}" cx="{x_of(x):.1f}" cy="{_y(y, low, high):.1f}" r="3"><title>{escape(name)}, {x:g}: {y:.3g}</title></circle>'
            for x, y in (row if len(row) <= 40 else [])
        )
        parts.append(f'<polyline class="line {colour}" points="{path}"/>{dots}')
    shown = xs if even else [x for x in ticks(xs[0], xs[-1], 4) if xs[0] <= x <= xs[-1]]
    for x in shown:
        place = x_of(x) if even else LEFT + (WIDTH - LEFT - RIGHT) * (x - xs[0]) / span
        parts.append(
            f'<text class="tick" x="{place:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{round(x, 10):g}</text>'
        )
    return _frame(title, marks, "".join(parts), below) + legend(list(series), colours)


def stacks(title: str, rows: Sequence[tuple[str, Mapping[str, int]]]) -> str:
    """Horizontal stacked bars, one a row, of counts by name. A name has the same colour in all bars."""
    names = list(dict.fromkeys(name for _, counts in rows for name in counts))
    most = max((sum(counts.values()) for _, counts in rows), default=0) or 1
    left, step = 150, 24
    parts = []
    for at, (label, counts) in enumerate(rows):
        x, y = float(left), at * step + 4
        for name in sorted(counts, key=names.index):
            width = (WIDTH - left - 70) * counts[name] / most
            parts.append(
                f'<rect class="bar c{names.index(name) % COLOURS}" x="{x:.1f}" y="{y}" width="{width:.1f}" height="{step - 7}">'
                f"<title>{escape(label)}: {escape(name)} {counts[name]:,}</title></rect>"
            )
            x += width
        middle = y + (step - 7) / 2 + 4
        parts.append(
            f'<text class="tick" x="{left - 8}" y="{middle:.1f}" text-anchor="end">{escape(label)}</text>'
        )
        parts.append(f'<text class="value" x="{x + 6:.1f}" y="{middle:.1f}">{sum(counts.values()):,}</text>')
    return (
        f'<svg viewBox="0 0 {WIDTH} {len(rows) * step + 4}" role="img" aria-label="{escape(title, quote=True)}">'
        f"<title>{escape(title)}</title>{''.join(parts)}</svg>" + legend(names)
    )


def histogram(title: str, groups: Mapping[str, Sequence[float]], below: str, bins: int = 30) -> str:
    """Shares of each group's values over common bins, drawn as steps."""
    everything = [v for values in groups.values() for v in values]
    if not everything:
        return "<p>Nothing was scored.</p>"
    low, high = min(everything), max(everything)
    width = ((high - low) or 1) / bins
    series = {}
    for name, values in groups.items():
        counts = [0] * bins
        for value in values:
            counts[min(bins - 1, int((value - low) / width))] += 1
        series[f"{name} (n = {len(values):,})"] = [
            (low + (i + side) * width, 100 * c / max(1, len(values)))
            for i, c in enumerate(counts)
            for side in (0, 1)
        ]
    return lines(title, series, below)


def legend(names: Sequence[str], colours: Mapping[str, int] | None = None) -> str:
    """A chart's legend."""
    items = "".join(
        f'<li><span class="swatch {_colour(name, at, colours)}"></span>{escape(name)}</li>'
        for at, name in enumerate(names)
    )
    return f'<ul class="legend">{items}</ul>'
