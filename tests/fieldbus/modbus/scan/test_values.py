"""Where a value lies: each type, word order and scale, the likeliest first, and what is left when it changes."""

import struct

import pytest

from fieldbus.modbus.scan.blocks import Block, Table
from fieldbus.modbus.scan.values import ORDERS, Found, Place, apart, are_twins, places, still, tolerance_of

FILLER = (0x1111,) * 5


def table_of(*words: int, name: str = "holding", start: int = 100) -> Table:
    return Table(name, (Block(start, (*FILLER, *words, *FILLER)),), 125)


def in_order(data: bytes, order: str) -> list[int]:
    """Big-endian bytes as registers of that order, written down by hand: letters are bytes, A the most significant."""
    words = [data[n : n + 2] for n in range(0, len(data), 2)]
    if order in ("CDAB", "DCBA"):
        words.reverse()
    if order in ("BADC", "DCBA"):
        words = [word[::-1] for word in words]
    return [int.from_bytes(word, "big") for word in words]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(
    ("type_name", "form", "raw", "scale"),
    [
        ("float32", "f", 21.5, 1.0),
        ("float64", "d", 21.5, 1.0),
        ("int32", "i", 2_150_000, 0.0001),
        ("int32", "i", -70_000, 1.0),
        ("uint32", "I", 4_000_000_000, 1.0),
        ("int64", "q", -5_000_000_000, 1.0),
    ],
)
def test_wide_values_in_every_order(order, type_name, form, raw, scale):
    """The place itself is among those found, and the likeliest of its type."""
    value = raw * scale
    found = places([table_of(*in_order(struct.pack(">" + form, raw), order))], value, 1e-9 * abs(value))
    wanted = Place("holding", 105, type_name, order, scale)
    assert found[0].place == wanted
    assert found[0].value == pytest.approx(value)


@pytest.mark.parametrize(
    ("word", "value", "type_name", "order", "scale"),
    [
        (0x00D7, 21.5, "int16", "ABCD", 0.1),
        (0xFF29, -21.5, "int16", "ABCD", 0.1),
        (0xD700, 21.5, "int16", "BADC", 0.1),
        (2150, 21.5, "int16", "ABCD", 0.01),
        (21500, 21.5, "int16", "ABCD", 0.001),
        (60000, 60000, "uint16", "ABCD", 1.0),
        (15, 1500, "int16", "ABCD", 100.0),
    ],
)
def test_registers_with_usual_scales(word, value, type_name, order, scale):
    """Signed or not, bytes swapped or not."""
    found = places([table_of(word)], value, 1e-6)
    assert Place("holding", 105, type_name, order, scale) in [f.place for f in found]


def test_a_number_that_fits_both_is_told_once():
    """int16 or uint16: one line, which says so; a negative one is signed."""
    (both,) = [f for f in places([table_of(215)], 21.5, 0.01) if f.place.register == 105 and f.place.scale == 0.1]
    assert both.place.type == "int16"
    assert both.maybe_unsigned
    assert [p.type for p in both.places] == ["int16", "uint16"]
    (signed,) = [f for f in places([table_of(0xFF29)], -21.5, 0.01) if f.place.register == 105]
    assert not signed.maybe_unsigned


def test_temperatures_have_offsets():
    """Kelvins, in tenths, if the unit is one of a temperature; else nothing."""
    kelvins = table_of(2947)
    wanted = Place("holding", 105, "int16", "ABCD", 0.1, -273.15)
    assert wanted in [f.place for f in places([kelvins], 21.55, 0.02, "degC")]
    assert places([kelvins], 21.55, 0.02, "bar") == []


def test_bits_are_places_of_0_and_1():
    """Of coils and discrete inputs, and of nothing else."""
    bits = Table("coil", (Block(8, (0, 1, 0)),), 2000)
    assert [f.place for f in places([bits], 1.0, 0.0)] == [Place("coil", 9, "bool")]
    assert places([bits], 21.5, 0.0) == []


def test_the_plainest_place_is_the_first():
    """A float before a scaled integer; an exact one before one that is near."""
    float_words = in_order(struct.pack(">f", 21.5), "CDAB")
    found = places([table_of(215, 0, *float_words, 0x0084)], 21.5, 0.05)
    assert found[0].place == Place("holding", 107, "float32", "CDAB")


def test_only_what_follows_stays():
    """The value changes from 21.5 to 23.1: chance goes."""
    before, after = table_of(215, 43, 2150), table_of(231, 43, 2150)
    known = [f.place for f in places([before], 21.5, 0.05)]
    assert {p.register for p in known} == {105, 106, 107}
    left = still(known, [after], 23.1, 0.05)
    assert {f.place.register for f in left} == {105}
    assert [f.value for f in left] == [pytest.approx(23.1)]


def test_a_place_that_is_not_read_any_more_goes():
    """Without its block it has no value."""
    assert still([Place("holding", 300, "int16")], [table_of(1)], 1.0, 0.1) == []


def test_places_apart():
    """Of those that overlap the first stays; another table is another place."""
    one, two, three = (Found(Place(t, r, "float32"), 0.0) for t, r in (("holding", 5), ("holding", 6), ("input", 6)))
    assert apart([one, two, three]) == [one, three]


def test_the_nearer_of_two_floats_around_one_register():
    """CDAB 27.444 before CDAB 3.25: register 106 makes a float of 27.5 with what follows as well. The nearer is first."""
    words = [*in_order(struct.pack(">f", 27.444), "CDAB"), *in_order(struct.pack(">f", 3.2484), "CDAB")]
    found = places([table_of(*words)], 27.44, 0.2)
    right, other = Place("holding", 105, "float32", "CDAB"), Place("holding", 106, "float32")
    assert [f.place for f in found if f.place.type == "float32"] == [right, other]
    assert apart(found)[0].place == right
    assert [f.place for f in still([other, right], [table_of(*words)], 27.44, 0.2)] == [right, other]


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (("holding", 6, "float32", "ABCD"), ("holding", 5, "float32", "CDAB"), True),
        (("holding", 6, "float32", "BADC"), ("holding", 5, "float32", "DCBA"), True),
        (("holding", 8, "float64", "ABCD"), ("holding", 5, "float64", "CDAB"), True),
        (("holding", 6, "float32", "ABCD"), ("holding", 6, "float32", "CDAB"), False),
        (("holding", 6, "float32", "ABCD"), ("input", 5, "float32", "CDAB"), False),
        (("holding", 6, "float32", "ABCD"), ("holding", 5, "float32", "DCBA"), False),
        (("holding", 6, "int32", "ABCD"), ("holding", 5, "int32", "CDAB"), False),
        (("holding", 6, "float32", "ABCD"), ("holding", 6, "float32", "ABCD"), False),
    ],
)
def test_twins(one, other, expected):
    """Floats whose most significant register is the same: no change of the value tells them apart."""
    assert are_twins(Place(*one), Place(*other)) is expected


@pytest.mark.parametrize(
    ("text", "tolerance"),
    [("21.5", 0.05), ("21.50", 0.0215), ("7", 0.5), ("1500", 1.5), ("1e3", 500.0), ("-2.5", 0.05)],
)
def test_a_value_is_as_exact_as_it_is_typed(text, tolerance):
    """Half of its last digit, at least a thousandth of it."""
    assert tolerance_of(text) == pytest.approx(tolerance)


def test_floats_of_every_bit_pattern_are_no_trouble():
    """NaN, infinities, the greatest: no warning, and no place."""
    odd = table_of(0x7FC0, 0, 0x7F80, 0, 0xFF80, 0, 0x7F7F, 0xFFFF, 0xFFFF, 0xFFFF, 0x7FF0, 0, 0, 0)
    assert all(f.place.type != "float32" for f in places([odd], 12345.678, 1e-6))
