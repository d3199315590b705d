"""Units as people write them."""

import math

import pytest

from rt_engine.contract.units import conversion, parse


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("deg", "°"), ("Degrees", "deg"), ("RAD", "rad"), ("radians", "rad"), ("C", "°C"), ("degC", "℃"), ("celsius", "deg C"),
        ("m/s", "meters/second"), ("m/s", "m·s⁻¹"), ("m/s^2", "m/s²"), ("m s-2", "m/s**2"), ("N*m", "Nm"), ("N·m", "N m"),
        ("newton-meters", "Nm"), ("rpm", "1/min*rev"), ("U/min", "RPM"), ("m3/h", "m³/h"), ("[rad]", "rad"), ("µm", "um"),
        ("1/s", "Hz"), ("Ω", "ohm"), ("percent", "%"), ("kg*m^2/s^2", "J"), ("l/min", "L/min"), ("none", "-"),
    ],
)  # fmt: skip
def test_spellings_of_one_unit(one, other):
    """They are one unit."""
    found = conversion(one, other)
    assert found is not None and found.is_none


@pytest.mark.parametrize(
    ("one", "other", "scale", "offset"),
    [
        ("deg", "rad", math.pi / 180, 0), ("rad", "deg", 180 / math.pi, 0), ("deg/s", "rad/s", math.pi / 180, 0),
        ("rpm", "rad/s", math.pi / 30, 0), ("rpm", "deg/s", 6, 0), ("bar", "Pa", 1e5, 0), ("mbar", "hPa", 1, 0),
        ("degC", "K", 1, 273.15), ("K", "degC", 1, -273.15), ("degF", "degC", 5 / 9, -160 / 9), ("degC", "degF", 1.8, 32),
        ("km/h", "m/s", 1 / 3.6, 0), ("mm", "m", 1e-3, 0), ("m3/h", "l/min", 1000 / 60, 0), ("%", "-", 0.01, 0),
        ("degC/min", "K/s", 1 / 60, 0), ("psi", "bar", 0.06894757, 0), ("MW", "mW", 1e9, 0),
    ],
)  # fmt: skip
def test_what_makes_one_the_other(one, other, scale, offset):
    """`value * scale + offset`."""
    found = conversion(one, other)
    assert found is not None
    assert (found.scale, found.offset) == (pytest.approx(scale), pytest.approx(offset, abs=1e-9))


@pytest.mark.parametrize(
    ("one", "other"),
    [("bar", "rad"), ("rad/s", "Hz"), ("rad", "rad/s"), ("m", "m/s"), ("K", "Pa"), ("rad", "-"), ("deg", "degC")],
)
def test_what_no_factor_makes_the_other(one, other):
    """Both are known, and of other quantities; an angle is one of its own."""
    assert parse(one) is not None and parse(other) is not None
    assert conversion(one, other) is None


@pytest.mark.parametrize(
    "text", ["", "  ", "widgets", "F", "rad/", "/s", "m//s", "m^", "(m)", "m^99", "°°", "10", "\0", "m" * 5000]
)
def test_what_is_no_unit_here(text):
    """Nothing is said of it, and nothing is raised; F may be farad or Fahrenheit."""
    assert parse(text) is None
