"""What is odd about values, and what else their bytes could mean."""

import math
import struct

import pytest

from fieldbus.ads.address import AdsAddress
from fieldbus.modbus.address import ModbusAddress
from fieldbus.tags import Order, Tag
from station.show.doubts import doubt, read


def tag_of(type_name="float32", order="ABCD", **keys):
    return Tag("x", type_name, "in", address=ModbusAddress("holding", 20, Order(order)), **keys)


def told(tag, raw, beside=None):
    """The doubt's sentence; empty: there is none."""
    data = bytes.fromhex(raw)
    beside = {shift: bytes.fromhex(text) for shift, text in (beside or {}).items()}
    found = doubt(tag, (read(tag, data),), data, beside)
    return found.text if found else ""


@pytest.mark.parametrize("given", Order)
@pytest.mark.parametrize("wanted", Order)
@pytest.mark.parametrize("value", [21.3, -40.0, 1013.25, 0.5])
def test_the_order_that_a_device_has_is_among_those_that_are_named(given, wanted, value):
    """Whatever order the file says and the device has: right is no doubt; where it is seen to be wrong, the right one is named."""
    raw = _wire(value, wanted)
    tag = tag_of(order=given, low=-100, high=2000)
    found = doubt(tag, (read(tag, raw),), raw)
    if given == wanted:
        assert found is None
    elif found is not None:
        assert wanted in found.orders


def _wire(value, order):
    a, b, c, d = struct.pack(">f", value)
    return bytes({"ABCD": (a, b, c, d), "CDAB": (c, d, a, b), "BADC": (b, a, d, c), "DCBA": (d, c, b, a)}[order])


@pytest.mark.parametrize(
    ("tag", "raw", "sentence"),
    [
        (tag_of(unit="%", low=0, high=100), "000041ac", "2.35586e-41 % is too small to be measured: in order CDAB it would be 21.5 %"),
        (tag_of(), "0fd04049", "2.05351e-29 is too small to be measured: in order CDAB it would be 3.14159"),
        (tag_of(order="CDAB"), "41ac0000", "2.35586e-41 is too small to be measured: in order ABCD it would be 21.5"),
        (tag_of("int32"), "00150000", "1376256 is unusual: in order CDAB it would be 21; or in order DCBA it would be 5376"),
        (tag_of("int16", low=0, high=1000), "d700", "-10496 is outside 0..1000: in order BADC it would be 215"),
        (tag_of("int16", unit="degC", low=0, high=100), "00d7", "215 degC is outside 0..100: with scale = 0.1 it would be 21.5 degC"),
        (tag_of("uint16", low=-50, high=50), "ffec", "65516 is outside -50..50: as int16 it would be -20"),
        (tag_of(low=0, high=100), "43fa0000", "500 is outside 0..100: with scale = 0.1 it would be 50"),
        (tag_of(low=0, high=100), "c7fa0000", "-128000 is outside 0..100"),
        (tag_of(), "7f800000", "inf is no number"),
        (tag_of("float64"), "000000000000f03f", "3.03865e-319 is too small to be measured: in order DCBA it would be 1"),
    ],
)  # fmt: skip
def test_what_is_odd_is_said_with_what_else_it_could_be(tag, raw, sentence):
    """Orders, sign, scale; and nothing more where nothing fits."""
    assert told(tag, raw) == sentence


@pytest.mark.parametrize(
    ("tag", "raw"),
    [
        (tag_of("int16", scale=0.1), "8000"),
        (tag_of("int16"), "7fff"),
        (tag_of("int16", low=0), "ffff"),
        (tag_of("uint16"), "ffff"),
        (tag_of("uint16", high=1000), "8000"),
        (tag_of("int32"), "80000000"),
        (tag_of("uint32"), "ffffffff"),
        (tag_of(), "7fc00000"),
        (tag_of(), "00007fc0"),
        (tag_of(), "ffffffff"),
        (tag_of("float64"), "7ff8000000000000"),
    ],
)
def test_numbers_for_not_available_are_known(tag, raw):
    """Also when the words lie the other way round; no order or scale is proposed for them."""
    begin, _, end = told(tag, raw).partition(
        f' is what many devices give for "not available" ({bytes.fromhex(raw).hex(" ").upper()}): '
    )
    assert begin
    key = (
        ""
        if tag.number.is_float
        else f"not_available = [{read(tag_of(tag.type), bytes.fromhex(raw)):.0f}] makes it no value; "
    )
    assert end == f"{key}is the sensor connected?"


def test_what_the_file_says_is_not_available():
    """By its own numbers, too."""
    tag = tag_of("int16", scale=0.1, not_available=(-999.0,))
    assert (
        told(tag, "fc19")
        == '-99.9 is what many devices give for "not available" (FC 19), as not_available says: is the sensor connected?'
    )
    assert told(tag, "fc18") == ""


@pytest.mark.parametrize(
    ("tag", "raw"),
    [
        (tag_of(), "42c80000"),
        (tag_of(), "00000000"),
        (tag_of(), "80000000"),
        (tag_of(), "c07f0000"),
        (tag_of("int16"), "ffff"),
        (tag_of("uint16"), "8000"),
        (tag_of("uint8"), "00ff"),
        (tag_of("int32"), "00000015"),
        (tag_of("uint32"), "00012345"),
        (tag_of(low=0, high=1e12), "501502f9"),
        (tag_of("bool"), "ffff"),
        (tag_of(scale=1e-9), "42c80000"),
    ],
)
def test_what_is_ordinary_is_not_doubted(tag, raw):
    """0, -1, a full byte, a counter, a value that its limits allow, a small unit."""
    assert told(tag, raw) == ""


def test_one_register_beside():
    """A value that begins in the register after, or before, the address; the place is named."""
    tag = tag_of(unit="Hz", low=0, high=100)
    beside = {1: "423c6666", -1: "00000000"}
    assert told(tag, "7a12423c", beside).endswith(
        "is too large to be measured: in order CDAB it would be 47.1192 Hz; or one register later (holding 21) it would be 47.1 Hz"
    )
    word = tag_of("int16", low=10, high=100)
    assert (
        told(word, "0000", {-1: "0015", 1: "7000"})
        == "0 is outside 10..100: one register earlier (holding 19) it would be 21"
    )


def test_what_lies_beside_by_chance_is_not_named():
    """The order explains it, and the register beside holds something else."""
    assert told(tag_of(), "0fd04049", {1: "43480000", -1: "42c80000"}) == told(tag_of(), "0fd04049")


def test_an_array_names_the_element():
    """The first that is odd."""
    tag = tag_of(count=3, low=0, high=100)
    data = struct.pack(">3f", 1.0, 2.0, 300.0)
    assert doubt(tag, (1.0, 2.0, 300.0), data).text == "[2] 300 is outside 0..100: with scale = 0.1 it would be 30"


def test_a_value_that_its_link_replaced_is_judged_by_its_bytes():
    """A link gives NaN for what it does not believe; what the device said is in the bytes."""
    tag = tag_of(low=0, high=100)
    assert doubt(tag, (math.nan,), struct.pack(">f", 250.0)).text.startswith("250 is outside 0..100")


def test_symbols_of_a_controller_have_one_order():
    """No order is proposed for ADS; without bytes the value alone is judged."""
    tag = Tag("x", "float32", "in", low=0, high=100, address=AdsAddress("MAIN.x"))
    assert doubt(tag, (0.0,), struct.pack("<f", 250.0)).text == "250 is outside 0..100: with scale = 0.1 it would be 25"
    assert doubt(tag, (250.0,), b"").text == "250 is outside 0..100: with scale = 0.1 it would be 25"
    assert doubt(tag, (25.0,), struct.pack("<f", 25.0)) is None
