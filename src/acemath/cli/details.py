"""Prints what stands behind a table of selectors: who beats whom, the quality of the rewards, the spread over blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from acemath.cli.output import show

RATES = ("false_positive_rate", "recall", "precision")

def show_details(details: Mapping[str, Any]) -> None:
    """Print the details of each judge's records, by its name (`benchmarks.details.details`)."""
    for judge, more in details.items():
        _show_beats(judge, more["beats"])
        _show_quality(judge, more["quality"])
        _show_blocks(judge, more["blocks"])


def _show_beats(judge: str, beats: Sequence[Mapping[str, Any]]) -> None:
    rows = [
        (judge, f"{r['a']} − {r['b']}", r["benchmark"], _number(r["difference"]), _interval(r), r["winner"] or "undecided")
        for r in beats
    ]
    show({}, False, ("judge", "difference", "benchmark", "points", "95 % interval", "winner"), rows)


def _show_quality(judge: str, quality: Sequence[Mapping[str, Any]]) -> None:
    if not quality:
        return
    rows = [
        (
            judge, q["benchmark"], _number(q["auc"], 4), _number(q["auc_within"]["value"], 4), _number(q["calibration"]["brier"], 4),
            _number(q["calibration"]["expected_error"], 4), _percent(q["truncated"]), q["unscored"],
        )
        for q in quality
    ]  # fmt: skip
    columns = ("judge", "benchmark", "AUC", "AUC within a problem", "Brier", "calibration error", "cut, percent", "no score")
    show({}, False, columns, rows)
    _show_thresholds(judge, quality)
    _show_bins(judge, quality)


def _show_thresholds(judge: str, quality: Sequence[Mapping[str, Any]]) -> None:
    rows = [
        (judge, q["benchmark"], f"{t['threshold']:.4g}", t["accepted"], *(_percent(t[name]) for name in RATES))
        for q in quality
        for t in q["thresholds"]
    ]
    show({}, False, ("judge", "benchmark", "reward at least", "accepted", *(name.replace("_", " ") for name in RATES)), rows)


def _show_bins(judge: str, quality: Sequence[Mapping[str, Any]]) -> None:
    rows = [
        (judge, q["benchmark"], f"{b['low']:g} … {b['high']:g}", b["responses"], _percent(b["predicted"]), _percent(b["right"]))
        for q in quality
        for b in q["calibration"]["bins"]
    ]
    show({}, False, ("judge", "benchmark", "sigmoid(reward)", "responses", "mean, percent", "right, percent"), rows)


def _show_blocks(judge: str, blocks: Sequence[Mapping[str, Any]]) -> None:
    rows = [
        (
            judge, r["measure"], r["benchmark"], r["blocks"], _number(r["mean"]), _number(r["deviation"]),
            "undefined" if r["lowest"] is None else f"{r['lowest']:.2f} … {r['highest']:.2f}",
        )
        for r in blocks
    ]  # fmt: skip
    columns = ("judge", "measure", "benchmark", "blocks of k", "mean", "standard deviation over blocks", "range over blocks")
    show({}, False, columns, rows)


def _number(value: float | None, digits: int = 2) -> str:
    return "undefined" if value is None else f"{value:.{digits}f}"


def _percent(value: float | None) -> str:
    return _number(None if value is None else 100 * value)


def _interval(row: Mapping[str, Any]) -> str:
    return "undefined" if row["low"] is None else f"{row['low']:.2f} … {row['high']:.2f}"
