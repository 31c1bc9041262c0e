"""Limits of decontamination's tiers that are no settings: our choice, made while looking at real hits.

The exact comparison (`decontaminate.py`) and the screen before it (`screen.py`) read them here.
"""

from __future__ import annotations

# A problem of fewer words ("What is 7 * 8?" has 5) leaks only where it is the whole prompt, because longer prompts hold
# such a phrase by chance.
INSIDE = 6
TINY = 3  # words at least of a problem that is looked for inside a prompt: among instructions, or …
ONE_MORE = 14  # … "contained" at its beginning or end, with at most so many words more, about one sentence
WHOLE = 0.9  # of a benchmark problem's words, for it to be "contained"
BLOCK = 8  # masked words in a row that make two texts worth comparing
SHORT = (
    3 * BLOCK
)  # masked words at most of a problem that is also looked for whole: its blocks may all be common
COMMON = 32  # a masked block of more benchmark problems than this says nothing
CANDIDATES = 3  # compared in full
# A near-copy says more than a textbook's stock phrase: "find the greatest common divisor of 0 and 0" is in every book.
SAYING = 10  # masked words that it needs, or else …
CONTENT = 4  # … different words beside marks, signs and the stock phrases' own
