"""How long a state of a change lasts, as a station file and a command line write it: `"10 min"`, `"1 h"`, `"5000 cycles"`;
and how long something is kept: `"90 days"`, `"5 years"`."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

from station.terms.durations import parse_duration

NS_PER_DAY: Final = 86_400_000_000_000
MOST_DAYS: Final = 366
_CYCLES: Final = re.compile(r"(\d+)\s*cycles?")
_LONG: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(h|d|days?)")
_FORM: Final = 'write a time or a number of cycles: "10 min", "1 h", "2 days", "5000 cycles"'
SPAN_PATTERN: Final = r"^\s*[0-9]+(\.[0-9]+)?\s*(ns|us|µs|ms|s|min|h|d|days?|cycles?)\s*$"


def parse_span(text: object) -> tuple[int, int]:
    """(nanoseconds, cycles) of `"10 min"`, `"1 h"`, `"5000 cycles"`; one of both is 0.

    Raises:
        ValueError: says what is allowed.
    """
    if isinstance(text, str) and (cycles := _CYCLES.fullmatch(text.strip())):
        if not 0 < int(cycles[1]) < 1 << 53:
            raise ValueError("there must be at least one cycle")
        return 0, int(cycles[1])
    if isinstance(text, str) and (long := _LONG.fullmatch(text.strip())):
        ns = round(float(long[1]) * (NS_PER_DAY / 24 if long[2] == "h" else NS_PER_DAY))
        if not 0 < ns <= MOST_DAYS * NS_PER_DAY:
            raise ValueError(f"it must be greater than zero, and at most {MOST_DAYS} days")
        return ns, 0
    try:
        return parse_duration(text), 0
    except ValueError as error:
        shown = f'"{text}"' if isinstance(text, str) else repr(text)
        why = f"{shown} is no such time; {_FORM}" if "is no duration" in str(error) else str(error)
        raise ValueError(why) from error


MOST_YEARS: Final = 100
DAYS_PER_YEAR: Final = 366
"""So that nothing is kept for less than what a calendar calls years."""
AGE_PATTERN: Final = r"^\s*[0-9]+\s*(days?|years?)\s*$"
_AGE: Final = re.compile(r"([0-9]{1,6})\s*(day|year)s?", re.ASCII)


def parse_age(text: object) -> timedelta:
    """`"90 days"`, `"5 years"`.

    Raises:
        ValueError: says what is allowed.
    """
    match = _AGE.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None:
        shown = f'"{text}"' if isinstance(text, str) else repr(text)
        raise ValueError(f'{shown} is no such time; write a number of days or years: "90 days", "5 years"')
    days = int(match[1]) * (DAYS_PER_YEAR if match[2] == "year" else 1)
    if not 0 < days <= MOST_YEARS * DAYS_PER_YEAR:
        raise ValueError(f"it must be at least a day, and at most {MOST_YEARS} years")
    return timedelta(days=days)
