"""One problem with its responses, the texts of responses, and a verdict made again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from acemath.files.columns import meta_of
from acemath.grade import STRICT, grade
from acemath.grade.extract.choices import extract_for
from acemath.report.formulas import formulas_in
from acemath.serve.viewer.index import CODES, Index, View
from acemath.serve.viewer.jobs import Grouping
from acemath.serve.viewer.listing import number_or_none, pieces
from acemath.serve.viewer.query import Query, with_reason
from acemath.serve.viewer.search import Search

_STATUS = {code: name for name, code in CODES.items()}


def side_of(
    view: View, place: int, grouping: Grouping, query: Query, search: Search | None
) -> dict[str, Any]:
    """A problem of one set with its responses, highest reward first, and its votes."""
    index = view.index
    number = int(view.problems[place])
    problem = index.problems[number]
    classes = dict(zip(index.rows_of(number).tolist(), grouping.of(number).tolist(), strict=True))
    end = view.starts[place + 1] if place + 1 < len(view.starts) else len(view.rows)
    rows = view.rows[view.starts[place] : end]
    found = _found(view, query, search)
    responses = [_response(index, row, classes[row], found) for row in rows.tolist()]
    if view.judged[place]:
        top = view.top[place]
        for row in responses:
            row["picked"] = bool(np.nan_to_num(index.reward[row["row"]], nan=-np.inf) == top)
        responses.sort(key=lambda row: -np.nan_to_num(index.reward[row["row"]], nan=-np.inf))
    return {
        "problem": number, "id": problem.id, "benchmark": index.benchmarks[number], "subject": problem.subject,
        "level": problem.level, "license": problem.license, "meta": _plain_meta(problem.meta),
        "prompt": pieces(problem.prompt), "reference": _answer(problem.answer), "unit": index.unit,
        "n": len(rows), "right": int(view.right[place]), "cut": int(view.cut[place]),
        "judge": number_or_none(view.judge[place]), "margin": number_or_none(view.margin[place]),
        "responses": responses, "answers": _answers(responses),
    }  # fmt: skip


def _found(view: View, query: Query, search: Search | None) -> np.ndarray[Any, Any] | None:
    """For each response of the set, whether it is one that the filters look for; None if they look for none."""
    wanted = []
    if query.status:
        wanted.append(view.index.status == CODES[query.status])
    if query.reason:
        wanted.append(with_reason(view, query.reason))
    if query.outcome == "cut":
        wanted.append(view.index.cut)
    if search is not None:
        wanted.append(search.rows)
    return np.logical_and.reduce(wanted) if wanted else None


def _response(index: Index, row: int, group: int, found: np.ndarray[Any, Any] | None) -> dict[str, Any]:
    return {
        "row": row, "sample": int(index.sample[row]), "model": index.models[index.model[row]],
        "status": _STATUS[int(index.status[row])], "right": bool(index.right[row]), "cut": bool(index.cut[row]),
        "complete": bool(index.complete[row]), "answer": _answer(index.extracted[row].as_py()),
        "reason": index.reason[row].as_py(), "scored": bool(index.scored[row]),
        "reward": number_or_none(index.reward[row]), "length": int(index.length[row]), "group": group,
        "found": found is not None and bool(found[row]), "picked": False,
    }  # fmt: skip


def _answer(text: str | None) -> list[list[Any]] | None:
    """An answer in pieces, drawn whole if it is a formula without dollars: "\\frac{1}{2}"."""
    if text is None:
        return None
    mathematical = any(sign in text for sign in "\\^_") and "$" not in text
    tree = next((t for _, t in formulas_in(f"${text}$")), None) if mathematical else None
    return [[text, tree]] if tree is not None else pieces(text)


def _answers(responses: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The classes of equal answers, most votes first: the first answer of each, its votes, and how many of them are right."""
    found: dict[int, dict[str, Any]] = {}
    for row in sorted(responses, key=lambda row: row["row"]):
        entry = found.setdefault(
            row["group"],
            {
                "group": row["group"],
                "answer": row["answer"] if row["group"] >= 0 else None,
                "votes": 0,
                "right": 0,
                "rewards": [],
            },
        )
        entry["votes"] += 1
        entry["right"] += row["right"]
        if row["reward"] is not None:
            entry["rewards"].append(row["reward"])
    for entry in found.values():
        rewards = entry.pop("rewards")
        entry["reward"] = sum(rewards) / len(rewards) if rewards else None
    return sorted(found.values(), key=lambda entry: (entry["group"] < 0, -entry["votes"]))


def text_of(index: Index, record: Mapping[str, Any], row: int) -> dict[str, Any]:
    """A response's text in pieces, with the rule that found its answer, and what else its row holds."""
    problem = index.problems[index.problem[row]]
    rule = record.get("rule")
    if not rule and problem.answer and index.complete[row]:
        # A stage does not keep the rule. It is found again, and said only if it gives the same answer.
        found = extract_for(record["text"], problem.answer, STRICT)
        rule = found.rule if found.answer == record.get("extracted") else None
    meta = _plain_meta(meta_of(record.get("meta")))
    return {
        "row": row, "text": pieces(record["text"]), "rule": rule or None, "tier": record.get("tier") or None,
        "finish": record.get("finish_reason"), "meta": meta,
    }  # fmt: skip


def verdict_of(index: Index, row: int) -> dict[str, Any]:
    """A response graded again by the strict conventions; `unknown` without a reference."""
    problem = index.problems[index.problem[row]]
    if not problem.answer:
        return {"unknown": "the problem has no reference answer here"}
    [record] = index.source.rows.full([row])
    found = grade(record["text"], problem.answer, finish_reason=record["finish_reason"])
    return {
        "answer": found.answer,
        "status": found.status,
        "reason": found.reason,
        "tier": found.tier,
        "rule": found.rule,
    }


def _plain_meta(meta: Mapping[str, Any]) -> dict[str, str]:
    """What a row says besides, each value as a short text."""
    return {
        str(name): (value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))[:400]
        for name, value in meta.items()
    }
