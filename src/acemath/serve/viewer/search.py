"""Searching the texts of a set, piece by piece, so that a long search answers early and goes on when it is asked again."""

from __future__ import annotations

import threading
import time

import numpy as np

from acemath.serve.viewer.index import Bools, Index

BUDGET = 0.4  # seconds that one call searches


class Search:
    """The responses and problems in which a text stands, whatever the case of its letters."""

    def __init__(self, index: Index, text: str) -> None:
        import pyarrow as pa
        import pyarrow.compute as pc

        self._index, self._text = index, text
        self.rows: Bools = np.zeros(index.count, bool)  # the text or the answer of the response
        words = [f"{p.id}\n{p.prompt}\n{p.answer}\n{p.subject}" for p in index.problems]
        found = pc.match_substring(pa.array(words, pa.string()), text, ignore_case=True)
        self.problems: Bools = found.to_numpy(zero_copy_only=False)  # id, prompt, reference or subject
        self._pieces = index.source.rows.pieces()
        self._lock = threading.Lock()
        self.searched = 0  # responses
        self.done = False

    def go_on(self, seconds: float = BUDGET) -> None:
        """Search for about these seconds, or to the end. UserError if a part file is damaged."""
        import pyarrow.compute as pc

        until = time.monotonic() + seconds
        with self._lock:
            while not self.done and time.monotonic() < until:
                piece = next(self._pieces, None)
                if piece is None:
                    answers = pc.match_substring(
                        self._index.extracted, self._text, ignore_case=True
                    ).fill_null(False)
                    self.rows |= answers.to_numpy(zero_copy_only=False)
                    self.done = True
                    break
                start, texts = piece
                hits = pc.match_substring(texts, self._text, ignore_case=True).fill_null(False)
                self.rows[start : start + len(hits)] = hits.to_numpy()
                self.searched = start + len(hits)
