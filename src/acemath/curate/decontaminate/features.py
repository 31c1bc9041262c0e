"""What a text is about: its numbers, its formulas and the stems of its content words.

A rewording keeps these and changes order, phrases and common words. Numbers in words count as digits, round percentages
as fractions, and synonyms as one word.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain

from acemath.curate.words import Memo, fold_one, is_variable, mask_one, merged

RUN = 3  # signs of a formula in a row that make one feature
PERCENT = "~%"  # the feature of a percent sign
_NUMBERS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty"
)
_VALUES = {word: str(value) for value, word in enumerate(_NUMBERS.split())} | {
    "thirty": "30", "forty": "40", "fifty": "50", "sixty": "60", "seventy": "70", "eighty": "80", "ninety": "90",
    "hundred": "100", "thousand": "1000", "half": "2", "halves": "2", "halved": "2", "twice": "2", "double": "2",
    "doubled": "2", "doubles": "2", "doubling": "2", "second": "2", "couple": "2", "thrice": "3", "triple": "3",
    "tripled": "3", "triples": "3", "third": "3", "thirds": "3", "quadruple": "4", "quadrupled": "4", "quarter": "4",
    "quarters": "4", "fourth": "4", "fourths": "4", "fifth": "5", "fifths": "5", "sixth": "6", "sixths": "6",
    "seventh": "7", "eighth": "8", "eighths": "8", "ninth": "9", "tenth": "10", "tenths": "10", "dozen": "12",
    "dozens": "12", "once": "1", "first": "1", "single": "1",
}  # fmt: skip
# A round percentage becomes the numbers of its fraction: for 75 %, the features of the number and the sign become 3 and 4.
_FRACTIONS = {share: Fraction(share, 100) for share in (*range(10, 100, 10), 25, 75)}
SHARES = {
    f"#{share}": (f"#{part.numerator}", f"#{part.denominator}")
    if part.numerator > 1
    else (f"#{part.denominator}", "")
    for share, part in _FRACTIONS.items()
}
# Words that do not tell what a problem is about: function words and the usual words of questions.
_SILENT = (
    "a an and are as at be been being both but by can could did do does each either every few for from had has have he "
    "her here him his how i if in into is it its many me more most much must my no none not of on only or other our out "
    "over own s she should so some such than that the their them then there these they this those through to under until "
    "up us was we were what when where which while who whose why will with would you your find compute determine "
    "calculate evaluate express give given solve show simplify write number total amount answer value values suppose "
    "assume consider following enter name let long sum also any all altogether another apiece combined different "
    "dollar dollars money overall per percentage same together usd"
)
_EMPTY = frozenset(_SILENT.split())
# Synonyms, irregular forms and units: every word of a line counts as its first word.
_SYNONYM_LINES = """
buy bought purchase get got gotten obtain acquire receive order
cost price pay paid spend spent charge expense expensive fee bill
sell sold sale seller
earn make made income wage salary revenue proceeds profit
eat ate eaten consume consumption
drink drank drunk
child children kid kids youngster
mother mom mum
father dad
person people individual
man men
woman women
day daily
week weekly
month monthly
year yearly annual annually
hour hourly hr hrs
minute min mins
foot feet ft
inch inches
mile mph
pound lb lbs
ounce oz
kilogram kg kilo
gram grams
meter metre
kilometer kilometre km
centimeter centimetre cm
liter litre
milliliter millilitre ml
mean average
remain remainder remaining leave left rest
finish complete end
begin began begun start initial initially original originally
tall high height
old age aged
big large great
small little
fast quick speed pace rate
trip travel journey drive drove driven ride rode
go goes went gone
gave hand
take took taken
run ran runner
write wrote written
fly flew flown
catch caught
teach taught teacher
grow grew grown
keep kept
lose lost
bring brought
see saw seen notice
home house
bike bicycle
car automobile vehicle
shop store
need require
contain hold held
fill full
add plus extra additional addition
divide split share
equal identical
box package packet pack
friend pal
distance far
"""


_ENDINGS = ("ingly", "edly", "ing", "ies", "ied", "ed", "es", "ly", "s")


def stem(word: str) -> str:
    """A word without its ending, roughly: walks, walked and walking have one stem."""
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


_SYNONYMS = {stem(word): stem(line.split()[0]) for line in _SYNONYM_LINES.strip().splitlines() for word in line.split()}


def feature_of(token: str) -> str:
    """The feature of a token: "#12" for a number, "~x" for a sign of a formula, a stem for a word, or "" for none."""
    word = fold_one(token)
    if token[0].isdigit():
        return f"#{word}"
    if word == "percent":
        return PERCENT
    if word in _VALUES and token[0] != "\\":
        return f"#{_VALUES[word]}"
    if not word or word in _EMPTY and token[0] != "\\":
        return ""
    if token[0] == "\\" or not word.isalpha():
        return f"~{word}"
    if is_variable(word) and word not in _SYNONYMS:
        return f"~{token}"
    return _SYNONYMS.get(stem(word), stem(word))


@dataclass(slots=True)
class Reading:
    """A text in the three forms that decontamination compares.

    `words` are from `fold`, `masked` from `mask`; `features` holds one feature per token, "" for none, with round
    percentages as fractions.
    """

    words: list[str]
    masked: list[str]
    features: Sequence[str]

    def numbers(self) -> frozenset[tuple[str, int]]:
        """Its numbers except zero and one, each with its occurrence: ("#2", 0), ("#2", 1), …"""
        counts = Counter(filter(is_telling, self.features))
        return frozenset((number, nth) for number, count in counts.items() for nth in range(count))

    def stems(self) -> frozenset[str]:
        """The stems of its words, and the runs of three signs in its formulas."""
        found = {feature for feature in self.features if feature and feature[0] not in _SIGNS}
        run: list[str] = []
        for feature in chain(self.features, ("",)):
            if feature[:1] in _SIGNS:
                run.append(feature)
            elif run:
                found |= _runs(run)
                run = []
        return frozenset(found)


_SIGNS = ("#", "~")


def read(tokens: Sequence[str]) -> Reading:
    """The reading of a text's tokens."""
    if not tokens:
        return Reading([], [], ())
    words, masked, features = zip(*map(_READINGS.__getitem__, tokens), strict=True)
    return Reading(list(filter(None, words)), merged(list(filter(None, masked))), with_fractions(features))


def with_fractions(features: Sequence[str]) -> Sequence[str]:
    """The features with round percentages as fractions. The percent sign of any other number is ignored."""
    if PERCENT not in features:
        return features
    found = list(features)
    for at, feature in enumerate(features):
        if feature == PERCENT:
            found[at] = ""
            if at and features[at - 1] in SHARES:
                found[at - 1], found[at] = SHARES[features[at - 1]]
    return found


def is_telling(feature: str) -> bool:
    """Whether a feature is a number other than zero (the cents of a price) and one (often just a word)."""
    return feature[:1] == "#" and feature != "#1" and feature.strip("#0") != ""


_READINGS = Memo(lambda token: (fold_one(token), mask_one(token), feature_of(token)))


def is_run(feature: str) -> bool:
    """Whether a feature of `Reading.stems` is a run of signs rather than a stem."""
    return feature[0] in _SIGNS


def _runs(signs: list[str]) -> set[str]:
    """All runs of three signs of a formula that include a variable or a command."""
    letters = list(map(_is_letter, signs))
    return {
        "".join(signs[at : at + RUN]) for at in range(len(signs) - RUN + 1) if any(letters[at : at + RUN])
    }


def _is_letter(sign: str) -> bool:
    """Whether a sign of a formula is a variable or a command."""
    return sign[:1] == "~" and sign[1:].strip("\\").isalpha()
