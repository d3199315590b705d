"""How long a state of a change lasts, as a station file and a command line write it: `"10 min"`, `"1 h"`, `"5000 cycles"`;
how long something is kept: `"90 days"`, `"5 years"`; how large something may become: `"100 MB"`, `"2 GB"`."""

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


SIZE_PATTERN: Final = r"^\s*[0-9]+(\.[0-9]+)?\s*([kMGT]i?)?B\s*$"
MOST_BYTES: Final = 10**15
_SIZE: Final = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?)\s*([kMGT]?)(i?)B", re.ASCII)


def parse_size(text: object) -> int:
    """Bytes of `"16 MB"`, `"2 GB"`, `"1.5 GiB"`; a kB is 1000 bytes, a KiB would be 1024 and is written kiB.

    Raises:
        ValueError: says what is allowed.
    """
    match = _SIZE.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None or (match[3] and not match[2]):
        shown = f'"{text}"' if isinstance(text, str) else repr(text)
        raise ValueError(f'{shown} is no size; write a number and a unit (B, kB, MB, GB, TB), for example "2 GB"')
    size = round(float(match[1]) * float((1024 if match[3] else 1000) ** " kMGT".index(match[2] or " ")))
    if size > MOST_BYTES:
        raise ValueError("a size is at most 1000 TB")
    return size


def parse_size_or_duration(text: object) -> tuple[int, int]:
    """(nanoseconds, bytes) of `"10 min"` or `"100 MB"`; one of both is 0.

    Raises:
        ValueError: says what is allowed.
    """
    if isinstance(text, str) and re.search(r"B\s*$", text):
        return 0, parse_size(text)
    try:
        ns, cycles = parse_span(text)
    except ValueError as error:
        ns, cycles = 0, 1
        if "is no such time" not in str(error):
            raise
    if cycles:
        shown = f'"{text}"' if isinstance(text, str) else repr(text)
        raise ValueError(f'{shown} is neither a time nor a size; write "10 min", "1 h" or "100 MB"')
    return ns, 0


def format_size(size: float) -> str:
    """In three significant digits: 1536000 -> `1.54 MB`."""
    for unit, one in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= one * 0.9995:
            return f"{float(f'{size / one:.3g}'):g} {unit}"
    return f"{size:.0f} B"
