"""The tables of `acemath rewardbench`: made from records, and printed with the paper's numbers beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from acemath.benchmarks.breakdown import breakdown
from acemath.benchmarks.compare import Duel, between_judges
from acemath.benchmarks.details import details, plain
from acemath.benchmarks.published import beside
from acemath.benchmarks.quality import calibration_notices, notices
from acemath.benchmarks.tables import JUDGED, VERIFIED_AND_JUDGED, Record, measure, reward_bench
from acemath.benchmarks.tables import MEASURES as SELECTORS
from acemath.cli.details import show_details
from acemath.cli.output import MEASURES, measure_rows, show
from acemath.metrics.protocols import EXACT, Protocol
from acemath.notices import say

RM = "reward model"  # the selector that picks by a judge's scores alone
OF_JUDGE = (*JUDGED, *VERIFIED_AND_JUDGED)  # the selectors whose picks depend on a judge
Judges = Mapping[str, tuple[str, Sequence[Record]]]  # by short name: the judge's model, and the records with its scores


@dataclass(frozen=True)
class Asked:
    """What a table is asked for: k, the protocol, parts by which it is broken down ("" for none), and whether details follow."""

    k: int
    protocol: Protocol = EXACT
    by: str = ""
    details: bool = False


def tables(judges: Judges, asked: Asked, notes: Sequence[str] = (), paper: bool = False) -> dict[str, Any]:
    """The numbers of some judges of the same candidates: the controls once, each judge's rows, the judges in pairs.

    A judge without a name is that of a file. `paper` puts the paper's numbers beside, for the candidates of the release.
    """
    found: dict[str, Any] = {"k": asked.k, "rows": [], "notes": list(notes)}
    parts, printed = [], []
    more = {}
    for name, (model, records) in judges.items():
        only = OF_JUDGE if found["rows"] else SELECTORS
        mine = [asdict(row) for row in reward_bench(records, asked.k, asked.protocol, only)]
        printed += [c.record() for c in beside(mine, judge=model)] if paper else []
        found["rows"] += _named(mine, name, asked.k)
        if asked.by:
            cells = breakdown(records, asked.by, asked.k, asked.protocol, only)
            rows = [{"by": cell.by, "part": cell.part, **plain(asdict(cell.row))} for cell in cells]
            parts += _named(rows, name, asked.k)
        if asked.details:
            more[name] = details(records, asked.k, asked.protocol)
        lines = [*notices(records), *(calibration_notices(records) if asked.details else ())]
        found["notes"] += [f"{name}: {line}" if name else line for line in lines]
    if len(judges) > 1:
        duels, left = between_judges({name: records for name, (_, records) in judges.items()}, RM, asked.k, asked.protocol)
        found["comparisons"] = [_difference(duel, asked.k) for duel in duels]
        found["notes"] += [f"{left:,} problems are not compared, because not all judges have them"] if left else []
    extra = {"paper": (paper, printed), "parts": (asked.by, parts), "details": (asked.details, more)}
    return found | {name: value for name, (wanted, value) in extra.items() if wanted}


def _named(rows: Sequence[Mapping[str, Any]], judge: str, k: int) -> list[dict[str, Any]]:
    """Rows with their k, and those of a judge with its name."""
    return [{**row, "k": k, **({"judge": judge} if judge and row["selector"] in OF_JUDGE else {})} for row in rows]


def _difference(duel: Duel, k: int) -> dict[str, Any]:
    return {
        "judge": duel.a, "other": duel.b, "selector": RM, "measure": measure(RM, k), "k": k, "benchmark": duel.benchmark,
        "value": duel.difference, "low": duel.low, "high": duel.high, "problems": duel.problems, "winner": duel.winner,
    }  # fmt: skip


def printed(found: Mapping[str, Any], as_json: bool) -> None:
    """Print the notes, then the tables."""
    for note in found["notes"]:
        say(note)
    if as_json:
        show(found, True)
        return
    paper = {(c["measure"], c["benchmark"], c["value"]): c for c in found.get("paper", ())}
    rows = found["rows"]
    lines: list[Sequence[Any]] = _cells(rows)
    if paper:
        beside_them = [paper.get((row["measure"], row["benchmark"], row["value"])) for row in rows]
        lines = [(*cells, _words(c)) for cells, c in zip(lines, beside_them, strict=True)]
    show({}, False, (*MEASURES, *(["paper"] if paper else [])), lines)
    if parts := found.get("parts"):
        lines = [(row["part"], *cells) for row, cells in zip(parts, _cells(parts), strict=True)]
        show({}, False, (parts[0]["by"], *MEASURES), lines)
    if pairs := found.get("comparisons"):
        names = [f"{row['judge']} − {row['other']}" for row in pairs]
        shown = measure_rows([{**row, "undefined": 0} for row in pairs])
        lines = [(name, *cells, row["winner"] or "neither") for name, cells, row in zip(names, shown, pairs, strict=True)]
        show({}, False, ("difference", *MEASURES, "better"), lines)
    show_details(found.get("details", {}))


def _cells(rows: Sequence[Mapping[str, Any]]) -> list[Sequence[Any]]:
    return [
        (f"{first} {row['judge']}" if "judge" in row else first, *rest)
        for row, (first, *rest) in zip(rows, measure_rows(rows), strict=True)
    ]


def _words(c: Mapping[str, Any] | None) -> str:
    """The paper's number, whether it is outside the own interval, and how many problems it is of if not as many."""
    if c is None:
        return ""
    size = c["paper_problems"]
    of = f", of {size:,} problems" if size not in (None, c["problems"]) else ""
    return f"{c['paper']:.2f}{of}" + (" (OUTSIDE the interval)" if c["outside"] else "")


