"""Units of measure: names, what they measure, and how many base units they hold.

Money of different countries has no conversion. A counted thing (apples, people) is no unit and is ignored beside a
number.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple


class Unit(NamedTuple):
    """A unit: exponents of the base dimensions, and its size in base units."""

    dims: tuple[tuple[str, int], ...]
    size: Fraction


# Dimensions with their exponents: names and size; names and size …
_TABLE = """
m1: m meter meters metre metres 1; km kilometer kilometers kilometre kilometres 1000; cm centimeter centimeters
 centimetre centimetres 1/100; mm millimeter millimeters 1/1000; dm decimeter 1/10; in inch inches 0.0254;
 ft foot feet 0.3048; yd yard yards 0.9144; mi mile miles 1609.344; nm nanometer nanometers 1/1000000000
m3: l liter liters litre litres 1/1000; ml milliliter milliliters millilitre millilitres 1/1000000;
 gallon gallons gal 0.003785411784; quart quarts 0.000946352946; pint pints 0.000473176473; cup cups 0.0002365882365
g1: g gram grams 1; kg kilogram kilograms kilo kilos 1000; mg milligram milligrams 1/1000; lb lbs pound pounds 453.59237;
 oz ounce ounces 28.349523125; ton tons 1000000; tonne tonnes 1000000
s1: s sec secs second seconds 1; min mins minute minutes 60; h hr hrs hour hours 3600; day days 86400; week weeks 604800;
 ms millisecond milliseconds 1/1000
y1: year years yr yrs 12; month months 1; decade decades 120; century centuries 1200
usd1: dollar dollars usd bucks 1; cent cents 1/100
eur1: euro euros eur 1
yen1: yuan 1; jiao 1/10
inr1: rupee rupees rs 1
gbp1: gbp pence 1
k1: celsius 1
f1: fahrenheit 1
deg1: degree degrees deg 1; arcminute arcminutes 1/60
rad1: radian radians rad 1
n1: newton newtons 1
j1: joule joules j 1; kj kilojoule kilojoules 1000
w1: watt watts w 1; kw kilowatt kilowatts 1000
v1: volt volts v 1
ohm1: ohm ohms 1
m1 s-1: mph 0.44704; kph kmh 5/18
hz1: hz hertz 1
"""


def _build() -> dict[str, Unit]:
    table: dict[str, Unit] = {}
    for line in _TABLE.replace("\n ", " ").strip().splitlines():
        head, rest = line.split(":")
        dims = tuple((name, int(power)) for name, power in re.findall(r"([a-z]+)(-?\d)", head))
        for entry in rest.split(";"):
            *names, size = entry.split()
            table |= dict.fromkeys(names, Unit(dims, Fraction(size)))
    return table


TABLE = _build()
# More often variables or other words than units: they count as units only inside \text{} or behind a number.
_SHORT = frozenset("m g s h l j w v k n f in rs min deg ms nm rad day cup ton lb gal".split())
UNIT_WORDS = TABLE.keys() - _SHORT
_WORD_POWER = {"square": 2, "sq": 2, "squared": 2, "cubic": 3, "cubed": 3, "cu": 3}
_FACTOR = re.compile(r"([a-z]+)(?:\^(-?[1-6]))?")
_ONE = Unit((), Fraction(1))


def parse_unit(text: str) -> Unit | None:
    r"""The unit that a phrase names: `cm^2`, `square feet`, `miles per hour`, `m/s`; None for other words."""
    plain = re.sub(r"[().{}\\]", " ", text.lower()).strip()
    plain = re.sub(r"\bdegrees? (?=celsius|fahrenheit)", "", plain)
    if not plain or len(plain) > 60:
        return None
    above, *below = re.sub(r"\s+per\s+|\s*/\s*|\bper\s+", "/", plain).split("/")
    total = _product(above) if above.strip() else _ONE
    for part in below:
        unit = _product(part)
        if total is None or unit is None:
            return None
        total = _times(total, unit, -1)
    return total


def _product(text: str) -> Unit | None:
    total, power, known = _ONE, 1, False
    # A hyphen joins units, but after ^ it is a sign.
    for word in re.sub(r"\*|(?<![\^\s])-", " ", re.sub(r"\s*\^\s*(-?)\s*", r"^\1", text)).split():
        if word in ("square", "sq", "cubic", "cu"):
            power = _WORD_POWER[word]
        elif word in ("squared", "cubed") and known:
            total = _times(_ONE, total, _WORD_POWER[word])
        else:
            match = _FACTOR.fullmatch(word)
            unit = TABLE.get(match[1]) if match else None
            if match is None or unit is None:
                return None
            total = _times(total, unit, power * int(match[2] or 1))
            power, known = 1, True
    return total if known else None


def _times(a: Unit, b: Unit, power: int) -> Unit:
    dims = dict(a.dims)
    for name, exponent in b.dims:
        dims[name] = dims.get(name, 0) + exponent * power
    return Unit(tuple(sorted((d, e) for d, e in dims.items() if e)), a.size * b.size**power)
