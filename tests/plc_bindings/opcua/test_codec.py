"""Bytes of areas as values of OPC UA, both ways, against asyncua's own encoding."""

import math
import struct

import pytest
from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import struct_from_binary, variant_from_binary
from hypothesis import given, settings
from hypothesis import strategies as st

from plc_bindings.data.types import SCALARS, Array, Leaf, String, counted
from plc_bindings.opcua.codec import Clock, Codec, NotAValueError, data_value
from plc_bindings.opcua.monitoring import LEAST_INTERVAL_MS, MOST_INTERVAL_MS, Watched, revised_interval
from plc_bindings.opcua.reading import Seen
from plc_bindings.opcua.tree import Class, Node, Place
from plc_bindings.opcua.units import NO_CODE, unit


@pytest.mark.parametrize("scalar", SCALARS.values(), ids=lambda scalar: scalar.name)
@settings(max_examples=20)
@given(data=st.data())
def test_what_is_encoded_is_what_asyncua_reads_and_comes_back(scalar, data):
    """Scalars and arrays of every type; the same bits."""
    for count in (0, 3):
        codec = Codec.of(Leaf("", Array(scalar, count) if count else scalar, 0))
        raw = data.draw(st.binary(min_size=codec.size, max_size=codec.size))
        if scalar.char == "?":
            raw = bytes(byte & 1 for byte in raw)
        variant = variant_from_binary(Buffer(codec.encode(raw)))
        assert variant.VariantType == codec.type
        back = codec.decode(variant)
        if scalar.char not in "fd":  # a NaN's payload is nobody's value
            assert back == raw
        assert struct.pack(f"<{count or 1}{scalar.char}", *struct.unpack(f"<{count or 1}{scalar.char}", raw)) == back


def test_texts_end_at_their_nul_and_fit():
    codec = Codec.of(Leaf("", String(7), 0))
    assert variant_from_binary(Buffer(codec.encode(b"belt\0old"))).Value == "belt"
    assert codec.decode(ua.Variant("belt", ua.VariantType.String)) == b"belt\0\0\0\0"
    for wrong in ("12345678", "a\0b"):
        with pytest.raises(NotAValueError):
            codec.decode(ua.Variant(wrong, ua.VariantType.String))


@pytest.mark.parametrize(
    "variant",
    [
        None,
        ua.Variant(None, ua.VariantType.Null),
        ua.Variant(1.0, ua.VariantType.Double),
        ua.Variant([1.0], ua.VariantType.Float),
        ua.Variant([[1.0], [2.0]], ua.VariantType.Float, [2, 1]),
        ua.Variant(1e300, ua.VariantType.Float),
    ],
)
def test_what_is_no_value_of_the_type_is_refused(variant):
    with pytest.raises(NotAValueError):
        Codec.of(Leaf("", SCALARS["float32"], 0)).decode(variant)


@pytest.mark.parametrize("values", [[1.0], [1.0, 2.0, 3.0, 4.0], [], None, [1.0, None, 3.0]])
def test_an_array_has_its_length(values):
    codec = Codec.of(Leaf("", Array(SCALARS["float32"], 3), 0))
    with pytest.raises(NotAValueError):
        codec.decode(ua.Variant(values, ua.VariantType.Float, is_array=True))
    assert codec.decode(ua.Variant([1.0, 2.0, 3.0], ua.VariantType.Float)) == struct.pack("<3f", 1, 2, 3)


def test_numbers_with_names_are_an_int32():
    codec = Codec.of(Leaf("", SCALARS["uint16"], 0, names=counted("idle", "running")))
    variant = variant_from_binary(Buffer(codec.encode(b"\1\0")))
    assert (variant.VariantType, variant.Value) == (ua.VariantType.Int32, 1)


def test_a_data_value_has_status_and_times():
    """As asyncua reads it; what is good, or not known, is left out."""
    source = Clock().now()
    value = struct_from_binary(
        ua.DataValue, Buffer(data_value(b"\x01\x01", ua.StatusCodes.BadNoCommunication, source, source))
    )
    assert (value.Value.Value, value.StatusCode.value) == (True, ua.StatusCodes.BadNoCommunication)
    assert value.SourceTimestamp == value.ServerTimestamp
    plain = struct_from_binary(ua.DataValue, Buffer(data_value(b"\x01\x01", 0, 0, 0)))
    assert (plain.Value.Value, plain.SourceTimestamp, plain.ServerTimestamp) == (True, None, None)


def test_units_have_the_codes_of_un_cefact():
    """The number is made of the letters: MTS."""
    assert unit("m/s").UnitId == int.from_bytes(b"MTS", "big") == 5067859
    assert (unit("parsecs").UnitId, unit("parsecs").NamespaceUri) == (NO_CODE, "")


def watched(**more):
    place = Place(0, 0, Codec.of(Leaf("", SCALARS["float32"], 0)), False)
    node = Node("Tags.x", "x", Class.VARIABLE, content=place)
    return Watched(node, place, 1, ua.MonitoringMode.Reporting, (True, True), **more)


def changes(item, *values):
    """Which of these are published; (value, status, source time)."""
    return [item.differs(Seen(struct.pack("<f", value), status, 0, when_ns)) for value, status, when_ns in values]


def test_what_is_published():
    """The first, and then what has changed, as the trigger says."""
    nan = float("nan")
    same, moved, worse, later = (1.0, 0, 1), (2.0, 0, 1), (2.0, 7, 1), (2.0, 7, 2)
    assert changes(watched(), same, same, moved, worse, later) == [True, False, True, True, False]
    status, times = ua.DataChangeTrigger.Status, ua.DataChangeTrigger.StatusValueTimestamp
    assert changes(watched(trigger=status), same, moved, worse) == [True, False, True]
    assert changes(watched(trigger=times), same, later, later) == [True, True, False]
    band = watched(deadband=0.5)
    assert changes(band, (1.0, 0, 1), (1.4, 0, 1), (1.6, 0, 1), (nan, 0, 1), (1.6, 0, 1)) == [
        True,
        False,
        True,
        True,
        True,
    ]


def test_a_value_is_no_newer_because_our_clock_was_set():
    """Its time is told as the computer's clock has it now, which moves a little at each look."""
    item = watched(trigger=ua.DataChangeTrigger.StatusValueTimestamp)
    told = [item.differs(Seen(bytes(4), 0, source, 5)) for source in (1000, 1001, 999)]
    assert told == [True, False, False]


@pytest.mark.parametrize(
    ("asked", "given_"),
    [(100.0, 100.0), (1e300, MOST_INTERVAL_MS), *((odd, LEAST_INTERVAL_MS) for odd in (0.0, -5.0, math.nan, math.inf))],
)
def test_an_interval_is_one_that_we_keep(asked, given_):
    assert revised_interval(asked) == given_
