"""Times as a station file writes them: `"1 ms"`, `"500 us"`, `"2 s"`."""

from __future__ import annotations

import re
from typing import Final

NS_PER_UNIT: Final = {"ns": 1, "us": 1_000, "µs": 1_000, "ms": 1_000_000, "s": 1_000_000_000, "min": 60_000_000_000}
MAX_NS: Final = 1440 * NS_PER_UNIT["min"]
PATTERN: Final = r"^\s*[0-9]+(\.[0-9]+)?\s*(ns|us|µs|ms|s|min)\s*$"

_FORM: Final = re.compile(r"(?P<number>-?\d+(?:\.\d+)?)\s*(?P<unit>[a-zµ]+)")


def parse_duration(text: object) -> int:
    """Nanoseconds of `"1.5 ms"`.

    Raises:
        ValueError: says what is allowed; a bare number is refused, because nobody can see its unit.
    """
    match = _FORM.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None or match["unit"] not in NS_PER_UNIT:
        shown = f'"{text}"' if isinstance(text, str) else repr(text)
        raise ValueError(f'{shown} is no duration; write a number and a unit (ns, us, ms, s, min), for example "1 ms"')
    exact_ns = float(match["number"]) * NS_PER_UNIT[match["unit"]]
    if exact_ns > MAX_NS:
        raise ValueError("a duration is at most a day (1440 min)")
    ns = round(exact_ns)
    if ns <= 0:
        raise ValueError("a duration must be greater than zero")
    return ns


def format_duration(ns: float, digits: int = 4) -> str:
    """Shortest usual form, in so many significant digits: 1500000 -> `1.5 ms`."""
    unit = next((unit for unit in ("s", "ms", "us") if ns >= NS_PER_UNIT[unit]), "ns")
    number = float(f"{ns / NS_PER_UNIT[unit]:.{digits}g}")
    return f"{number:g} {unit}"


def long_words(seconds: float) -> str:
    """`1 h 20 min`, `3 min 20 s`, `12 s`."""
    whole = round(seconds)
    hours, minutes, rest = whole // 3600, whole % 3600 // 60, whole % 60
    parts = [(hours, "h"), (minutes, "min"), (rest if not hours else 0, "s")]
    return " ".join(f"{number} {unit}" for number, unit in parts if number) or "0 s"
