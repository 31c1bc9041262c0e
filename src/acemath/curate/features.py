"""What a text is about: its numbers, its formulas and the stems of its words, without the phrases that ask.

A rewording keeps these while order, phrases and common words change. Numbers in words count as digits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from acemath.curate.words import fold_one, mask_one, merged, names_something

RUN = 3  # signs of a formula in a row that are one feature
_NUMBERS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty"
)
_VALUES = {word: str(value) for value, word in enumerate(_NUMBERS.split())} | {
    "thirty": "30", "forty": "40", "fifty": "50", "sixty": "60", "seventy": "70", "eighty": "80", "ninety": "90",
    "hundred": "100", "thousand": "1000", "half": "2", "twice": "2", "double": "2", "doubled": "2", "doubles": "2",
    "second": "2", "thrice": "3", "triple": "3", "tripled": "3", "third": "3", "thirds": "3", "quarter": "4",
    "quarters": "4", "fourth": "4", "fifth": "5", "dozen": "12", "once": "1", "first": "1", "single": "1",
}  # fmt: skip
# Words that say nothing of what a problem is about: function words and the phrases in which problems ask.
_SILENT = (
    "a an and are as at be been being both but by can could did do does each either every few for from had has have he "
    "her here him his how i if in into is it its many me more most much must my no none not of on only or other our out "
    "over own s she should so some such than that the their them then there these they this those through to under until "
    "up us was we were what when where which while who whose why will with would you your find compute determine "
    "calculate evaluate express give given solve show simplify write number total amount answer value values suppose "
    "assume consider following enter name let long sum also any"
)
_EMPTY = frozenset(_SILENT.split())
_ENDINGS = ("ingly", "edly", "ing", "ies", "ied", "ed", "es", "ly", "s")


def stem(word: str) -> str:
    """A word without its ending, roughly: walks, walked and walking are one."""
    if len(word) <= 3:
        return word
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word[: -len(ending)] + ("y" if ending in ("ies", "ied") else "")
            if ending in ("ing", "ed") and len(word) > 3 and word[-1] == word[-2] and word[-1] not in "ls":
                word = word[:-1]  # planned, running
            break
    if len(word) > 3 and word.endswith("e"):
        word = word[:-1]
    return word[:-1] + "i" if len(word) > 3 and word.endswith("y") else word


def feature_of(token: str) -> str:
    """What a token says: "#12" a number, "~x" a sign of a formula, a stem, or "" for nothing."""
    word = fold_one(token)
    if token[0].isdigit():
        return f"#{word}"
    if word in _VALUES and token[0] != "\\":
        return f"#{_VALUES[word]}"
    if not word or word in _EMPTY and token[0] != "\\":
        return ""
    if token[0] == "\\" or not word.isalpha():
        return f"~{word}"
    return f"~{token}" if names_something(word) else stem(word)


@dataclass(slots=True)
class Reading:
    """A text as all tiers of decontamination compare it, in one pass over its tokens.

    `words` as `fold` gives them, `masked` as `mask` does; `said` what each token says (`feature_of`); `numbers` its
    numbers other than one, which is a word as often.
    """

    words: list[str]
    masked: list[str]
    said: Sequence[str]
    numbers: frozenset[str]

    def plain(self) -> set[str]:
        """Stems, numbers and single signs, and "" for tokens that say nothing."""
        return set(self.said)

    def features(self) -> frozenset[str]:
        """Stems, numbers, and runs of three signs in place of the single ones."""
        found = {feature for feature in self.plain() if feature and feature[0] != "~"}
        run: list[str] = []
        for feature in chain(self.said, ("",)):
            if feature[:1] in _SIGNS:
                run.append(feature)
            elif run:
                found |= _runs(run)
                run = []
        return frozenset(found)


_SIGNS = ("#", "~")


def read(tokens: Sequence[str]) -> Reading:
    """A text's tokens, read in one pass."""
    if not tokens:
        return Reading([], [], (), frozenset())
    words, masked, said, numbers = zip(*map(_READINGS.__getitem__, tokens), strict=True)
    return Reading(
        list(filter(None, words)), merged(list(filter(None, masked))), said, frozenset(filter(None, numbers))
    )


def reading_of(said: Sequence[str]) -> Reading:
    """A text of which only what its tokens say is known."""
    return Reading([], [], said, frozenset(map(number_of, said)) - {""})


def number_of(feature: str) -> str:
    """A feature that is a number other than one, which is a word as often; "" for any other."""
    return feature if feature[:1] == "#" and feature != "#1" else ""


class _Readings(dict[str, tuple[str, str, str, str]]):
    """Of each token its word, its mask, its feature and its number, computed once: the same few thousand come again."""

    limit = 200_000

    def __missing__(self, token: str) -> tuple[str, str, str, str]:
        if len(self) >= self.limit:
            self.clear()
        feature = feature_of(token)
        found = self[token] = fold_one(token), mask_one(token), feature, number_of(feature)
        return found


_READINGS = _Readings()


def is_number(feature: str) -> bool:
    """Whether a feature is a number alone, rather than a run of signs that begins with one."""
    return feature[0] == "#" and feature[1:].isdigit()


def is_run(feature: str) -> bool:
    """Whether a feature is a run of signs."""
    return feature[0] in "#~" and not is_number(feature)


def _runs(signs: list[str]) -> set[str]:
    """Runs of three signs, where they are a formula and no list of numbers."""
    if len(signs) < RUN or not any(sign[0] == "~" for sign in signs):
        return set()
    return {"".join(run) for run in zip(*(signs[start:] for start in range(RUN)), strict=False)}
