"""Units of measure: names, what they measure, and how many base units they hold.

Money of different countries has no conversion. What is counted (apples, people) is no unit; it may be left out, and said
in other words where the words of one side are among those of the other (`red marbles`, `marbles`).
"""

from __future__ import annotations

import re
from fractions import Fraction
from itertools import takewhile
from typing import NamedTuple


class Unit(NamedTuple):
    """A unit: exponents of the base dimensions, and its size in base units."""

    dims: tuple[tuple[str, int], ...]
    size: Fraction


# Dimensions with their exponents: names and size; names and size …
_TABLE = """
m1: m meter metre 1; km kilometer kilometre 1000; cm centimeter centimetre 1/100; mm millimeter millimetre 1/1000;
 dm decimeter decimetre 1/10; in inch inches 0.0254; ft foot feet 0.3048; yd yard 0.9144; mi mile 1609.344;
 micrometer micrometre micron 1/1000000; nm nanometer nanometre 1/1000000000
m2: hectare ha 10000; acre 4046.8564224
m3: l liter litre 1/1000; ml milliliter millilitre cc 1/1000000; gallon gal 0.003785411784; quart 0.000946352946;
 pint 0.000473176473; cup 0.0002365882365
g1: g gms gram 1; kg kilogram kilo 1000; mg milligram 1/1000; microgram 1/1000000; lb pound 453.59237; oz ounce 28.349523125; ton 1000000;
 tonne 1000000
s1: s sec second 1; min minute 60; h hr hour 3600; day 86400; week 604800; ms millisecond 1/1000; microsecond 1/1000000; nanosecond 1/1000000000
y1: year yr 12; month 1; decade 120; century centuries 1200
usd1: dollar usd buck 1; cent 1/100
eur1: euro eur 1
yen1: yuan yen 1; jiao 1/10
inr1: rupee rs 1
gbp1: gbp 1; pence penny 1/100
k1: celsius 1
kelvin1: kelvin k 1
mol1: mol mole 1; kmol kilomole 1000; mmol millimole 1/1000
unit1: unit 1
f1: fahrenheit 1
deg1: degree deg 1; arcminute 1/60
rad1: radian rad 1
g1 m1 s-2: n newton 1000; kilonewton 1000000
g1 m2 s-2: j joule 1000; kj kilojoule 1000000; cal calorie 4184; kcal kilocalorie 4184000; kwh 3600000000
g1 m2 s-3: w watt 1000; kw kilowatt 1000000; megawatt 1000000000; horsepower 745699.872
g1 m-1 s-2: pa pascal 1000; kpa kilopascal 1000000; megapascal 1000000000; atm atmosphere 101325000
ev1: ev 1; kev 1000; mev 1000000
v1: v volt 1; kilovolt 1000; millivolt 1/1000
ohm1: ohm omega 1; kilohm kiloohm komega 1000; megohm megaohm momega 1000000
amp1: amp ampere 1; milliamp milliampere 1/1000
amp1 s1: coulomb 1
m1 s-1: mph 0.44704; kph kmh kmph 5/18; fps 0.3048
s-1: hz hertz 1; khz kilohertz 1000; mhz megahertz 1000000; ghz gigahertz 1000000000
rev1 s-1: rpm 1/60
byte1: byte 1; kb kilobyte 1000; mb megabyte 1000000; gb gigabyte 1000000000; tb terabyte 1000000000000
"""


def _build() -> dict[str, Unit]:
    table: dict[str, Unit] = {}
    for line in _TABLE.replace("\n ", " ").strip().splitlines():
        head, rest = line.split(":")
        dims = tuple((name, int(power)) for name, power in re.findall(r"([a-z]+)(-?\d)", head))
        for entry in rest.split(";"):
            *names, size = entry.split()
            plurals = [f"{name}s" for name in names if len(name) > 1]
            table |= dict.fromkeys([*plurals, *names], Unit(dims, Fraction(size)))
    return table


TABLE = _build()
# More often variables or other words than units: they count as units only inside \text{} or behind a number.
_SHORT = frozenset("omega m g s h l j w v k n f in rs min deg ms nm day cup ton lb gal pa ha ev kb mb gb tb cc mol unit cal".split())
UNIT_WORDS = TABLE.keys() - _SHORT - {f"{name}s" for name in TABLE if len(name) < 3}
_WORD_POWER = {"square": 2, "sq": 2, "squared": 2, "cubic": 3, "cubed": 3, "cu": 3}
_FACTOR = re.compile(r"([a-z]+)(?:\^(-?\d))?")
_FRACTION = re.compile(r"frac\s*\{(.+)\}\s*\{(.+)\}")
_PREPOSITION = re.compile(r"\bin (?=(?!per)[a-z])")
_JOINS = re.compile(r"[().{}\\*]|\bcdot\b|\bdegrees? (?=celsius|fahrenheit)")
_POWER = re.compile(r"\s*\^\s*(-?)\s*")
_ONE = Unit((), Fraction(1))
_MONEY = ("usd", "eur", "yen", "inr", "gbp")
_RATE = re.compile(r"/|\bper\b")
_PLURAL = re.compile(r"[a-z]{3,}s|(?:wo)?man|children|people")
_ENDING = re.compile(r"(?:(?<=[a-z]{3})(?:ies|es|[ey]|(?<!s)s)|(?<=child)ren)$")
# Words that end the name of what is measured or counted, and those that fit whatever is counted.
_REST = frozenset("of in on at for with from to by per and that who which is are was were have has can will / (".split())
_GENERAL = frozenset(
    "ways possibilities arrangements combinations permutations choices options outcomes methods cases times people persons items "
    "things objects pieces values numbers integers solutions roots elements members different distinct possible more other total "
    "the a left remaining altogether each only exactly approximately about respectively".split()
)


def parse_unit(text: str) -> Unit | None:
    r"""The unit that a phrase names: `cm^2`, `square feet`, `miles per hour`, `J/(g K)`; None for other words."""
    plain = _JOINS.sub(" ", _FRACTION.sub(r"\1 / \2", _PREPOSITION.sub("of ", text.lower().replace("\\omega", "omega"))))
    if len(plain) > 60:
        return None
    unit: Unit | None = None
    total, exponent, power, sign = _ONE, 0, 1, 1
    # A hyphen joins units, but after ^ it is a sign.
    for word in re.sub(r"(?<![\^\s])-", " ", _POWER.sub(r"^\1", plain)).replace("/", " / ").split():
        if word in ("/", "per"):
            sign = -1
        elif word in ("square", "sq", "cubic", "cu"):
            power = _WORD_POWER[word]
        elif word in ("squared", "cubed") and unit is not None:
            total = _times(total, unit, exponent * (_WORD_POWER[word] - 1))
        else:
            match = _FACTOR.fullmatch(word)
            named = TABLE.get(match[1]) if match else None
            if match is None or named is None:
                if not word.isalpha():
                    return None  # `w^2 (7w)^{1/3}` is a product
                break  # `hours of work`, `metres long`
            unit = named
            exponent, power = sign * power * int(match[2] or 1), 1
            total = _times(total, unit, exponent)
    return None if unit is None else total


def _times(a: Unit, b: Unit, power: int) -> Unit:
    dims = dict(a.dims)
    for name, exponent in b.dims:
        dims[name] = dims.get(name, 0) + exponent * power
    return Unit(tuple(sorted((d, e) for d, e in dims.items() if e)), a.size * b.size**power)


def _counted(text: str) -> list[str]:
    """The words for what is counted, `red marbles` of `red marbles in the bag`; none where the text is longer prose."""
    words = list(takewhile(lambda word: word not in _REST, text.lower().replace("/", " / ").replace("men", "man").split()))
    return words if len(words) < 4 and all(map(str.isalpha, words)) else []


def conversion(a: str, b: str) -> Fraction | None:
    """How many of the second unit one of the first makes; None where they measure different kinds of things.

    1 where nothing says what one of them is, where one is units of any length, area or volume, and for money of which one
    has a `per …` behind it: `$250/week` and `$250`.
    """
    one, other = parse_unit(a), parse_unit(b)
    if one is None or other is None:
        words, its_words = _counted(a), _counted(b)
        if one is not other:
            apart = any(map(_PLURAL.fullmatch, words[-1:] if one is None else its_words[-1:]))
        else:
            named, its_named = (frozenset(_ENDING.sub("", w) for w in found if w not in _GENERAL) for found in (words, its_words))
            apart = not (named <= its_named or its_named <= named)
        return None if apart else Fraction(1)
    if one.dims == other.dims:
        return one.size / other.size
    if "pound" in (a + b).lower() and ("gbp", 1) in one.dims + other.dims:  # money, no weight
        return conversion(*(text.lower().replace("pound", "gbp") for text in (a, b)))
    length, its_length = (tuple(("m" if name == "unit" else name, n) for name, n in u.dims) for u in (one, other))
    heads = [_RATE.split(text.lower(), maxsplit=1) for text in (a, b)]
    paid, its_paid = (parse_unit(head) for head, *_ in heads)
    rate = paid is not None and paid == its_paid and any(name in _MONEY for name, _ in paid.dims[:1]) and len(heads[0]) != len(heads[1])
    return Fraction(1) if length == its_length or rate else None
