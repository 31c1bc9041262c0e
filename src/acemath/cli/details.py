"""Options of commands that print a table of selectors, and the tables behind it: parts, who beats whom, quality, seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from acemath.benchmarks.details import details, parts
from acemath.benchmarks.tables import Record
from acemath.cli.output import show
from acemath.metrics import Protocol

TakenBy = Annotated[
    str,
    typer.Option(
        "--protocol",
        help="How k are taken from n responses: exact (all subsets), draws (the paper's 100 draws), or first-k (the Qwen2.5-Math "
        "harness: the first k, and the first of equals).",
    ),
]
By = Annotated[
    str | None, typer.Option("--by", help="Also a table by subject, level, length or generator.")
]
Details = Annotated[
    bool,
    typer.Option(
        "--details",
        help="Also who beats whom, the rewards' AUC, calibration and errors at thresholds, and the spread over sampling seeds.",
    ),
]


def more_of(
    named: Mapping[str, Sequence[Record]], k: int, protocol: Protocol, by: str | None, wanted: bool
) -> dict[str, Any]:
    """The parts and details of each judge's records, by its name, as fields of a command's result."""
    found: dict[str, Any] = {}
    if by is not None:
        found["parts"] = [{"judge": name, **row} for name, records in named.items() for row in parts(records, by, k, protocol)]
    if wanted:
        found["details"] = {name: details(records, k, protocol) for name, records in named.items()}
    return found


def show_details(found: Mapping[str, Any]) -> None:
    """Print the tables behind a table, where a command's result has some."""
    if found.get("parts"):
        columns = ("judge", "benchmark", found["parts"][0]["by"], "measure", "percent", "95 % interval", "problems")
        rows = [
            (r["judge"], r["benchmark"], r["part"], r["measure"], _number(r["value"]), _interval(r), r["problems"])
            for r in found["parts"]
        ]
        show({}, False, columns, rows)
    for judge, more in found.get("details", {}).items():
        _show_beats(judge, more["beats"])
        _show_quality(judge, more["quality"])
        _show_seeds(judge, more["seeds"])


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
    rows = [
        (judge, q["benchmark"], f"{t['threshold']:.4g}", t["accepted"], *(_percent(t[name]) for name in RATES))
        for q in quality
        for t in q["thresholds"]
    ]
    show({}, False, ("judge", "benchmark", "reward at least", "accepted", *(name.replace("_", " ") for name in RATES)), rows)
    rows = [
        (judge, q["benchmark"], f"{b['low']:g} … {b['high']:g}", b["responses"], _percent(b["predicted"]), _percent(b["right"]))
        for q in quality
        for b in q["calibration"]["bins"]
    ]
    show({}, False, ("judge", "benchmark", "sigmoid(reward)", "responses", "mean, percent", "right, percent"), rows)


RATES = ("false_positive_rate", "recall", "precision")


def _show_seeds(judge: str, seeds: Sequence[Mapping[str, Any]]) -> None:
    rows = [
        (
            judge, r["measure"], r["benchmark"], r["seeds"], _number(r["mean"]), _number(r["deviation"]),
            "undefined" if r["lowest"] is None else f"{r['lowest']:.2f} … {r['highest']:.2f}",
        )
        for r in seeds
    ]  # fmt: skip
    columns = ("judge", "measure", "benchmark", "sampling seeds", "mean", "standard deviation over seeds", "range over seeds")
    show({}, False, columns, rows)


def _number(value: float | None, digits: int = 2) -> str:
    return "undefined" if value is None else f"{value:.{digits}f}"


def _percent(value: float | None) -> str:
    return _number(None if value is None else 100 * value)


def _interval(row: Mapping[str, Any]) -> str:
    return "undefined" if row["low"] is None else f"{row['low']:.2f} … {row['high']:.2f}"
