"""Durations of a station file."""

import pytest

from station.terms.durations import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "ns"),
    [("1 ms", 1_000_000), ("500us", 500_000), ("1.5 ms", 1_500_000), (" 2 s ", 2_000_000_000), ("250 µs", 250_000)],
)
def test_parse(text, ns):
    """A number and a unit become nanoseconds."""
    assert parse_duration(text) == ns


@pytest.mark.parametrize("text", ["1", 1, "ms", "1 hour", "", None, "1e3 ms"])
def test_refused(text):
    """What has no unit, or no meaning, is refused with an example of what is allowed."""
    with pytest.raises(ValueError, match='for example "1 ms"'):
        parse_duration(text)


@pytest.mark.parametrize("text", ["1441 min", "9" * 400 + " s"])
def test_more_than_a_day_is_refused(text):
    """Times beyond a day, and beyond all numbers, are a mistake."""
    with pytest.raises(ValueError, match="at most a day"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["0 ms", "-1 ms"])
def test_zero_and_less_are_refused(text):
    """No cycle or timeout is zero, or negative."""
    with pytest.raises(ValueError, match="greater than zero"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["1 ms", "1.5 ms", "500 us", "2 s", "40 ns"])
def test_format_is_the_inverse(text):
    """Formatting gives back what was written."""
    assert format_duration(parse_duration(text)) == text
