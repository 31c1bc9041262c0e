"""Tables and figures, which all sections of the page use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape


def table(head: Sequence[str], rows: Sequence[Sequence[str]], best: Mapping[int, int] | None = None) -> str:
    """A table in a box that scrolls sideways. `best` maps a column to the row whose cell is bold."""
    top = "".join(f'<th scope="col">{escape(h)}</th>' for h in head)
    body = ""
    for r, row in enumerate(rows):
        cells = "".join(
            f"<td{' class=best' if (best or {}).get(c) == r else ''}>{escape(v)}</td>"
            for c, v in enumerate(row)
        )
        body += f"<tr>{cells}</tr>"
    return f'<div class="scroll" tabindex="0"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def figure(picture: str, caption: str) -> str:
    """A picture with its caption."""
    return f"<figure>{picture}<figcaption>{escape(caption)}</figcaption></figure>"
