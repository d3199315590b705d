"""How long a state of a change lasts: a time, or cycles."""

import re
from datetime import timedelta

import pytest

from station.terms.lengths import (
    AGE_PATTERN,
    SIZE_PATTERN,
    SPAN_PATTERN,
    format_size,
    parse_age,
    parse_size,
    parse_size_or_duration,
    parse_span,
)

MINUTE_NS, HOUR_NS = 60_000_000_000, 3_600_000_000_000


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("10 min", (10 * MINUTE_NS, 0)),
        ("1 h", (HOUR_NS, 0)),
        ("1.5 h", (HOUR_NS * 3 // 2, 0)),
        ("2 days", (48 * HOUR_NS, 0)),
        ("1 d", (24 * HOUR_NS, 0)),
        ("500 ms", (500_000_000, 0)),
        ("5000 cycles", (0, 5000)),
        (" 1 cycle ", (0, 1)),
    ],
)
def test_a_time_or_cycles(text, length):
    """One of both is 0; the pattern of the schema takes it too."""
    assert parse_span(text) == length
    assert re.fullmatch(SPAN_PATTERN, text)


@pytest.mark.parametrize("text", ["10", 10, "h", "1 week", "", None, "1.5 cycles", "-1 h"])
def test_what_says_neither_is_refused_with_examples(text):
    with pytest.raises(ValueError, match='"10 min", "1 h", "2 days", "5000 cycles"'):
        parse_span(text)


@pytest.mark.parametrize(
    ("text", "why"), [("0 cycles", "at least one"), ("0 h", "than zero"), ("0 ms", "than zero"), ("9000 h", "366 days")]
)
def test_nothing_and_for_ever_are_refused(text, why):
    with pytest.raises(ValueError, match=why):
        parse_span(text)


@pytest.mark.parametrize(
    ("text", "days"), [("1 day", 1), ("90 days", 90), ("5 years", 5 * 366), (" 1year ", 366), ("100 years", 36_600)]
)
def test_an_age_is_so_many_days_and_no_year_is_short_of_one(text, days):
    assert parse_age(text) == timedelta(days=days)
    assert re.search(AGE_PATTERN, text)


@pytest.mark.parametrize(
    "text", ["", "5", "5 y", "-1 days", "1.5 years", "0 days", "101 years", "9999999 days", None, 5]
)
def test_what_is_no_age_is_refused_with_what_to_write(text):
    with pytest.raises(ValueError, match=r"days|a day"):
        parse_age(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("2 GB", 2 * 10**9),
        ("16MB", 16 * 10**6),
        ("1.5 kB", 1500),
        ("0 B", 0),
        ("1 MiB", 1 << 20),
        (" 3 TB ", 3 * 10**12),
    ],
)
def test_a_size(text, size):
    assert parse_size(text) == size
    assert re.fullmatch(SIZE_PATTERN, text)


@pytest.mark.parametrize("text", ["2", 2, "GB", "2 gb", "-1 MB", "1 iB", "", None, "2 G", "9999 TB"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(ValueError, match=r"no size; write a number and a unit|at most 1000 TB"):
        parse_size(text)


def test_a_time_or_a_size():
    assert parse_size_or_duration("10 min") == (10 * MINUTE_NS, 0)
    assert parse_size_or_duration("1 h") == (HOUR_NS, 0)
    assert parse_size_or_duration("100 MB") == (0, 10**8)
    for text in ("5000 cycles", "ten", 7):
        with pytest.raises(ValueError, match="neither a time nor a size"):
            parse_size_or_duration(text)
    with pytest.raises(ValueError, match="366 days"):
        parse_size_or_duration("9000 h")


@pytest.mark.parametrize(("size", "text"), [(0, "0 B"), (999, "999 B"), (1536000, "1.54 MB"), (999_999_999, "1 GB")])
def test_a_size_in_words(size, text):
    assert format_size(size) == text
