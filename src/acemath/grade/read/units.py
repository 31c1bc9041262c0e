"""Units of measure: names, what they measure, and how many base units they hold.

Money of different countries, and counted things (apples, people), have no conversion: a counted thing is not
a unit at all and is ignored beside a number.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple


class Unit(NamedTuple):
    """A unit: exponents of the base dimensions, and its size in base units."""

    dims: tuple[tuple[str, int], ...]
    size: Fraction


_TABLE = """
length m: m meter meters metre metres 1; km kilometer kilometers kilometre kilometres 1000; cm centimeter centimeters
 centimetre centimetres 1/100; mm millimeter millimeters 1/1000; dm decimeter 1/10; in inch inches 0.0254; ft foot feet 0.3048;
 yd yard yards 0.9144; mi mile miles 1609.344; nm nanometer nanometers 1/1000000000
mass g: g gram grams 1; kg kilogram kilograms kilo kilos 1000; mg milligram milligrams 1/1000; lb lbs pound pounds 453.59237;
 oz ounce ounces 28.349523125; ton tons 1000000; tonne tonnes 1000000
time s: s sec secs second seconds 1; min mins minute minutes 60; h hr hrs hour hours 3600; day days 86400; week weeks 604800;
 ms millisecond milliseconds 1/1000
year y: year years yr yrs 12; month months 1; decade decades 120; century centuries 1200
money usd: dollar dollars usd bucks 1; cent cents 1/100
euro eur: euro euros eur 1
yen yen: yuan 1; jiao 1/10
rupee inr: rupee rupees rs 1
pound gbp: gbp pence 1
volume l: l liter liters litre litres 1; ml milliliter milliliters millilitre millilitres 1/1000; gallon gallons gal 3.785411784;
 quart quarts 0.946352946; pint pints 0.473176473; cup cups 0.2365882365
temp k: celsius 1
fahrenheit f: fahrenheit 1
angle deg: degree degrees deg 1; arcminute arcminutes 1/60
angle rad: radian radians rad 1
force n: newton newtons 1
energy j: joule joules j 1; kj kilojoule kilojoules 1000
power w: watt watts w 1; kw kilowatt kilowatts 1000
elec v: volt volts v 1
elec ohm: ohm ohms 1
speed mph: mph 0.44704; kph kmh 5/18
freq hz: hz hertz 1
"""


def _build() -> dict[str, Unit]:
    table: dict[str, Unit] = {}
    for line in _TABLE.replace("\n ", " ").strip().splitlines():
        head, rest = line.split(":", 1)
        base = head.split()[1]
        for entry in rest.split(";"):
            *names, size = entry.split()
            for name in names:
                table[name] = Unit(((base, 1),), Fraction(size))
    for name in ("mph", "kph", "kmh"):
        table[name] = Unit((("m", 1), ("s", -1)), table[name].size)
    for name in list(table):
        if table[name].dims == (("l", 1),):
            table[name] = Unit((("m", 3),), table[name].size / 1000)
    return table


TABLE = _build()
# One or two letters that are more often variables than units: they count as units only inside \text{}.
_SHORT = frozenset(
    [
        "m",
        "g",
        "s",
        "h",
        "l",
        "j",
        "w",
        "v",
        "k",
        "n",
        "f",
        "in",
        "rs",
        "min",
        "deg",
        "ms",
        "nm",
        "rad",
        "day",
        "cup",
        "ton",
        "lb",
        "gal",
    ]
)
UNIT_WORDS = frozenset(name for name in TABLE if name not in _SHORT)
_POWER = re.compile(r"^([a-z]+)\s*(?:\^\s*\{?\s*(-?[1-6])\s*\}?)?$")
_WORD_POWER = {"square": 2, "sq": 2, "squared": 2, "cubic": 3, "cubed": 3, "cu": 3}


def parse_unit(text: str) -> Unit | None:
    r"""The unit that a phrase names: `cm^2`, `square feet`, `miles per hour`, `m/s`; None for other words."""
    plain = re.sub(r"[().{}\\]", " ", text.lower()).strip()
    plain = re.sub(r"\bdegrees? (?=celsius|fahrenheit)", "", plain)
    if not plain or len(plain) > 60:
        return None
    plain = re.sub(r"\s+per\s+|\s*/\s*|\bper\s+", "/", plain)
    above, *below = plain.split("/")
    total = _product(above) if above.strip() else Unit((), Fraction(1))
    for part in below:
        unit = _product(part)
        if total is None or unit is None:
            return None
        total = _times(total, unit, -1)
    return total


def _product(text: str) -> Unit | None:
    total = Unit((), Fraction(1))
    power, known = 1, False
    for word in re.sub(
        r"\s*\^\s*", "^", text.replace("\\cdot", " ").replace("*", " ").replace("-", " ")
    ).split():
        if word in ("square", "sq", "cubic", "cu"):
            power = _WORD_POWER[word]
            continue
        if word in ("squared", "cubed") and known:
            total = Unit(
                tuple((d, e * _WORD_POWER[word]) for d, e in total.dims), total.size ** _WORD_POWER[word]
            )
            continue
        match = _POWER.match(word)
        unit = TABLE.get(match.group(1)) if match else None
        if match is None or unit is None:
            return None
        total = _times(total, unit, power * int(match.group(2) or 1))
        power, known = 1, True
    return total if known else None


def _times(a: Unit, b: Unit, power: int) -> Unit:
    dims = dict(a.dims)
    for name, exponent in b.dims:
        dims[name] = dims.get(name, 0) + exponent * power
    return Unit(tuple(sorted((d, e) for d, e in dims.items() if e)), a.size * b.size**power)
