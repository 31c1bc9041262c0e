"""Hits for people: JSONL rows, and an HTML page with both texts side by side.

The page is one self-contained file without scripts. Text from data sets is escaped.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from difflib import SequenceMatcher
from html import escape
from typing import Any

from acemath.curate.decontaminate.index import Hit
from acemath.curate.words import fold, mask, tokens_of
from acemath.records import Problem

SHOWN = 1000  # hits on a page; more would slow the browser
MARKED = 4_000_000  # the largest product of both texts' words for which common words are marked
_CHUNK = re.compile(r"\s+")
_MEANINGS = {
    "leak": "the paper's rule, or a whole problem among instructions: dropped",
    "contained": "a benchmark problem word for word in a longer prompt: reported",
    "near-copy": "the same words once numbers and variables are masked: reported",
    "reworded": "the same numbers, formulas and rare words in another wording: reported",
}
_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:75rem;padding:0 1rem;color:#1b1b1b;background:#fff}
h2{margin:2rem 0 .3rem;font-size:1rem}table{border-collapse:collapse}th,td{padding:.2rem .8rem;text-align:left}
td.n{text-align:right}.pair{display:grid;grid-template-columns:1fr 1fr;gap:1rem}
.pair div{border:1px solid #ccc;border-radius:4px;padding:.6rem;white-space:pre-wrap;overflow-wrap:anywhere}
.pair b{display:block;font-weight:600;color:#555;font-size:.8rem}mark{background:#ffe08a;color:inherit}
.kind{border-radius:4px;padding:0 .4rem;color:#fff;background:#b3261e}.kind.contained{background:#8a5a00}
.kind.near-copy{background:#33608c}.kind.reworded{background:#5b4a8a}
@media(max-width:45rem){.pair{grid-template-columns:1fr}}
@media(prefers-color-scheme:dark){body{color:#eee;background:#161616}.pair div{border-color:#555}
.pair b{color:#aaa}mark{background:#6b5300}}
"""

Pair = tuple[Problem, Hit]


def record_of(row: Problem, hit: Hit, benchmarks: Sequence[Problem]) -> dict[str, Any]:
    """A hit as one JSONL row. See `Hit` for `shared` and `lcs`."""
    return {
        "id": row.id,
        "kind": hit.kind,
        "benchmark": hit.benchmark,
        "benchmark_id": hit.benchmark_id,
        "shared": hit.shared,
        "lcs": hit.lcs,
        "prompt": row.prompt,
        "benchmark_prompt": benchmarks[hit.place].prompt,
    }


def marked(one: str, other: str, masked: bool = False) -> tuple[str, str]:
    """Both texts as escaped HTML with their common words, in order, in <mark> tags.

    With `masked`, words are compared with numbers and variables masked. Very long pairs are not marked, because the time
    is quadratic in their length.
    """
    left, right = _CHUNK.split(one.strip()), _CHUNK.split(other.strip())
    if len(left) * len(right) > MARKED:
        return _html(left, set()), _html(right, set())
    keys = [[_key(part, masked) for part in side] for side in (left, right)]
    blocks = SequenceMatcher(None, keys[0], keys[1], autojunk=False).get_matching_blocks()
    common = [{at for b in blocks for at in range(b[side], b[side] + b.size)} for side in (0, 1)]
    return _html(left, common[0]), _html(right, common[1])


def _key(part: str, masked: bool) -> tuple[str, ...]:
    tokens = tokens_of(part)
    # A piece without a word ("$$") equals only itself.
    return tuple(mask(tokens) if masked else fold(tokens)) or ("", part)


def _html(parts: Sequence[str], common: set[int]) -> str:
    """Words as HTML. Adjacent common words share one mark."""
    out: list[str] = []
    for at, part in enumerate(parts):
        opens = at in common and at - 1 not in common
        closes = at in common and at + 1 not in common
        out.append(("<mark>" if opens else "") + escape(part) + ("</mark>" if closes else ""))
    return " ".join(out)


def page_of(pairs: Sequence[Pair], benchmarks: Sequence[Problem], prompts: int) -> str:
    """The page: counts by kind and benchmark, then the hits. `prompts` is the number of prompts that were checked."""
    counts = Counter((hit.kind, hit.benchmark) for _, hit in pairs)
    lines = "".join(
        f'<tr><td>{_badge(kind)}</td><td>{escape(name)}</td><td class="n">{count:,}</td></tr>'
        for (kind, name), count in sorted(counts.items())
    )
    meanings = "".join(f"<li>{_badge(kind)} {text}</li>" for kind, text in _MEANINGS.items())
    cut = f"<p>The first {SHOWN:,} are shown.</p>" if len(pairs) > SHOWN else ""
    body = "".join(_section(row, hit, benchmarks[hit.place].prompt) for row, hit in pairs[:SHOWN])
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Decontamination hits</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<style>{_STYLE}</style></head><body><h1>Decontamination hits</h1>"
        f"<p>{len(pairs):,} of {prompts:,} prompts are too similar to a benchmark problem. Their common words are marked."
        f"</p><ul>{meanings}</ul><table><tr><th>kind</th><th>benchmark</th><th>prompts</th></tr>{lines}</table>"
        f"{cut}{body}</body></html>\n"
    )


def _badge(kind: str) -> str:
    return f'<span class="kind {kind}">{kind}</span>'


def _section(row: Problem, hit: Hit, benchmark: str) -> str:
    left, right = marked(row.prompt, benchmark, masked=hit.kind == "near-copy")
    name = escape(f"{hit.benchmark} {hit.benchmark_id}")
    return (
        f"<h2>{_badge(hit.kind)} {escape(row.id)} · {hit.lcs:.0%} in common</h2>"
        f'<div class="pair"><div><b>prompt</b>{left}</div><div><b>{name}</b>{right}</div></div>'
    )
