"""Units as people write them: which of them mean the same, and by what one becomes another. Pure.

    "deg", "°", "degrees"         one unit
    "deg" -> "rad"                value * 0.017453292519943295
    "degC" -> "K"                 value + 273.15
    "N*m/s", "m/s²", "1/min", "m3/h"      products and powers, of SI units with their prefixes and some others
    "widgets"                     no unit that is known here: nothing is said of it

A unit is what a number of it is in the SI: `value * factor + offset`, and its dimension, the exponents of `BASES`. An angle has a
dimension of its own, so that degrees per second are not taken for hertz.
"""

import math
import re
from dataclasses import dataclass
from typing import Final

BASES: Final = ("m", "kg", "s", "A", "K", "mol", "cd", "rad")
Dimension = tuple[int, ...]
_NONE: Final[Dimension] = (0,) * len(BASES)


@dataclass(frozen=True, slots=True)
class Unit:
    """A value of it is `value * factor + offset` in SI units of its dimension."""

    dimension: Dimension
    factor: float
    offset: float = 0.0


@dataclass(frozen=True, slots=True)
class Conversion:
    """`value * scale + offset`."""

    scale: float
    offset: float

    @property
    def is_none(self) -> bool:
        """Are both units one, whatever they are called?"""
        return math.isclose(self.scale, 1.0, rel_tol=1e-12) and self.offset == 0.0


def parse(text: str) -> Unit | None:
    """The unit that a text names; None where it names none, or one that is not known here."""
    plain = _plain(text)
    if not plain:
        return None
    named = _named(plain)
    if named is not None:
        return named
    if re.search(r"[^\w%*/^+-]", plain) is not None or not plain.isascii():
        return None
    return _product(plain)


def conversion(source: str, target: str) -> Conversion | None:
    """What makes a value in `source` one in `target`; None where it is not known, or nothing can (`bar` to `rad`)."""
    one, other = parse(source), parse(target)
    if one is None or other is None or one.dimension != other.dimension:
        return None
    scale, offset = one.factor / other.factor, (one.offset - other.offset) / other.factor
    return Conversion(scale, 0.0 if math.isclose(one.offset, other.offset) else offset)


def _plain(text: str) -> str:
    """Without spaces around, and with one sign for each thing that has several."""
    text = text.strip().strip("[]").strip()
    for signs, plain in (("µμ", "u"), ("·⋅×∙", "*"), ("ΩΩ", "ohm"), ("℃", "°C"), ("℉", "°F")):
        for sign in signs:
            text = text.replace(sign, plain)
    text = re.sub("[⁻⁺⁰¹²³⁴⁵⁶⁷⁸⁹]+", lambda found: "^" + found[0].translate(_RAISED), text)
    text = text.replace("**", "^").replace("°", "deg")
    text = re.sub(r"(?i)\bdeg(rees?)?[ _.]*(C|F)(elsius|ahrenheit)?\b", lambda found: "deg" + found[2].upper(), text)
    return re.sub(r"\s*([*/^])\s*|\s+|(?<=[a-z])-(?=[a-z])", lambda found: found[1] or "*", text)


_RAISED: Final = str.maketrans("⁻⁺⁰¹²³⁴⁵⁶⁷⁸⁹", "-+0123456789")


def _product(text: str) -> Unit | None:
    """`kg*m^2/s`: factors left to right; what follows `/` divides, by itself alone."""
    dimension, factor, sign = list(_NONE), 1.0, 1
    for part in re.split(r"([*/])", text):
        if part in ("*", "/"):
            sign = -1 if part == "/" else 1
            continue
        one = _power(part)
        if one is None:
            return None
        factor *= one.factor**sign
        dimension = [has + sign * more for has, more in zip(dimension, one.dimension, strict=True)]
    return Unit(tuple(dimension), factor)


def _power(text: str) -> Unit | None:
    """`m^2`, `m2`, `s^-1`, `1`."""
    if text == "1":
        return Unit(_NONE, 1.0)
    if (found := re.fullmatch(r"([A-Za-z%_]+)(?:\^?([+-]?[1-9]))?", text)) is None:
        return None
    unit, power = _named(found[1]), int(found[2] or 1)
    if unit is None:
        return None
    return Unit(tuple(power * exponent for exponent in unit.dimension), unit.factor**power)


def _named(name: str) -> Unit | None:
    """One unit by its symbol, with or without a prefix, or by its word."""
    if name == "F":  # Fahrenheit or farad: nobody knows
        return None
    if name in _SYMBOLS:
        return _SYMBOLS[name]
    prefix, rest = name[:1], name[1:]
    if prefix in _PREFIXES and rest in _PREFIXED:
        return Unit(_SYMBOLS[rest].dimension, _SYMBOLS[rest].factor * _PREFIXES[prefix])
    if name.startswith("da") and name[2:] in _PREFIXED:
        return Unit(_SYMBOLS[name[2:]].dimension, _SYMBOLS[name[2:]].factor * 10.0)
    symbol = _WORDS.get(name.lower()) or _WORDS.get(name.lower().removesuffix("s"))
    return _named(symbol) if symbol is not None else None


def _of(factor: float = 1.0, offset: float = 0.0, **exponents: int) -> Unit:
    return Unit(tuple(exponents.get(base, 0) for base in BASES), factor, offset)


_PREFIXES: Final = {
    **{"p": 1e-12, "n": 1e-9, "u": 1e-6, "m": 1e-3, "c": 1e-2, "d": 1e-1, "h": 1e2, "k": 1e3, "M": 1e6, "G": 1e9},
    "T": 1e12,
}
_PREFIXED: Final = (
    *(
        "m",
        "g",
        "s",
        "A",
        "K",
        "mol",
        "Hz",
        "N",
        "Pa",
        "J",
        "W",
        "V",
        "ohm",
        "F",
        "T",
        "Wb",
        "S",
        "bar",
        "l",
        "L",
        "rad",
    ),
    *("Nm", "eV", "Wh", "VA", "cd", "lm", "lx"),
)
_FULL: Final = 2.0 * math.pi
_SYMBOLS: Final = {
    **{"m": _of(m=1), "g": _of(1e-3, kg=1), "s": _of(s=1), "A": _of(A=1), "K": _of(K=1), "mol": _of(mol=1)},
    **{"cd": _of(cd=1), "lm": _of(cd=1), "lx": _of(cd=1, m=-2), "rad": _of(rad=1), "deg": _of(_FULL / 360, rad=1)},
    **{"rev": _of(_FULL, rad=1), "rpm": _of(_FULL / 60, rad=1, s=-1), "gon": _of(_FULL / 400, rad=1)},
    **{"arcmin": _of(_FULL / 21600, rad=1), "arcsec": _of(_FULL / 1296000, rad=1)},
    **{"min": _of(60.0, s=1), "h": _of(3600.0, s=1), "d": _of(86400.0, s=1)},
    **{"Hz": _of(s=-1), "N": _of(kg=1, m=1, s=-2), "Pa": _of(kg=1, m=-1, s=-2), "bar": _of(1e5, kg=1, m=-1, s=-2)},
    **{"psi": _of(6894.757293168361, kg=1, m=-1, s=-2), "atm": _of(101325.0, kg=1, m=-1, s=-2)},
    **{"J": _of(kg=1, m=2, s=-2), "Nm": _of(kg=1, m=2, s=-2), "W": _of(kg=1, m=2, s=-3), "VA": _of(kg=1, m=2, s=-3)},
    **{"Wh": _of(3600.0, kg=1, m=2, s=-2), "eV": _of(1.602176634e-19, kg=1, m=2, s=-2)},
    **{"V": _of(kg=1, m=2, s=-3, A=-1), "ohm": _of(kg=1, m=2, s=-3, A=-2), "S": _of(kg=-1, m=-2, s=3, A=2)},
    **{"F": _of(kg=-1, m=-2, s=4, A=2), "T": _of(kg=1, s=-2, A=-1), "Wb": _of(kg=1, m=2, s=-2, A=-1)},
    **{"l": _of(1e-3, m=3), "L": _of(1e-3, m=3), "t": _of(1e3, kg=1), "in": _of(0.0254, m=1), "ft": _of(0.3048, m=1)},
    **{"lb": _of(0.45359237, kg=1), "lbf": _of(4.4482216152605, kg=1, m=1, s=-2), "mph": _of(0.44704, m=1, s=-1)},
    **{"kn": _of(1852 / 3600, m=1, s=-1), "degC": _of(1.0, 273.15, K=1), "C": _of(1.0, 273.15, K=1)},
    **{
        "degF": _of(5 / 9, 459.67 * 5 / 9, K=1),
        "-": _of(),
        "%": _of(0.01),
        "ppm": _of(1e-6),
        "g0": _of(9.80665, m=1, s=-2),
    },
}
"""`C` is Celsius here, as on nearly every sensor's label, and no coulomb."""
_WORDS: Final = {
    **{
        "metre": "m",
        "meter": "m",
        "millimetre": "mm",
        "millimeter": "mm",
        "kilogram": "kg",
        "gram": "g",
        "second": "s",
    },
    **{"sec": "s", "millisecond": "ms", "msec": "ms", "minute": "min", "hour": "h", "hr": "h", "day": "d"},
    **{"ampere": "A", "amp": "A", "kelvin": "K", "celsius": "degC", "fahrenheit": "degF"},
    **{"degree": "deg", "degs": "deg", "radian": "rad", "rads": "rad", "revolution": "rev", "turn": "rev"},
    **{"rpm": "rpm", "u": "rev", "r": "rev", "hertz": "Hz", "newton": "N", "pascal": "Pa"},
    **{"bar": "bar", "mbar": "mbar", "psi": "psi", "joule": "J", "watt": "W", "volt": "V", "ohm": "ohm", "litre": "l"},
    **{"liter": "l", "percent": "%", "pct": "%", "perc": "%", "deg": "deg", "rad": "rad", "kg": "kg", "mm": "mm"},
    **{"hz": "Hz", "newtonmeter": "Nm", "newton_meter": "Nm", "none": "-", "unitless": "-"},
    **{"dimensionless": "-", "ratio": "-"},
}
"""Words in any case, also in the plural -> symbol."""
