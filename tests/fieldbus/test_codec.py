"""Bytes <-> values, for every type and every order of bytes and words."""

import math
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldbus.codec import Codec, Field, Limiter
from fieldbus.errors import OutOfRangeError, PayloadError
from fieldbus.tags import TYPES, Order, Tag

WIRE = {  # the same numbers as a device sends them; written out by hand from the table in `Order`
    ("uint16", Order.ABCD): "1234", ("uint16", Order.CDAB): "1234",
    ("uint16", Order.BADC): "3412", ("uint16", Order.DCBA): "3412",
    ("uint32", Order.ABCD): "12345678", ("uint32", Order.CDAB): "56781234",
    ("uint32", Order.BADC): "34127856", ("uint32", Order.DCBA): "78563412",
    ("uint64", Order.ABCD): "0012345678000000", ("uint64", Order.CDAB): "0000780034560012",
    ("uint64", Order.BADC): "1200563400780000", ("uint64", Order.DCBA): "0000007856341200",
    ("uint8", Order.ABCD): "0012", ("uint8", Order.CDAB): "0012",
    ("uint8", Order.BADC): "1200", ("uint8", Order.DCBA): "1200",
    ("bool", Order.ABCD): "0001", ("bool", Order.BADC): "0100",
    ("float32", Order.ABCD): "41480000", ("float32", Order.CDAB): "00004148",
    ("float32", Order.BADC): "48410000", ("float32", Order.DCBA): "00004841",
}  # fmt: skip
VALUE = {"uint16": 0x1234, "uint32": 0x12345678, "uint64": 0x12345678000000, "uint8": 0x12, "bool": 1, "float32": 12.5}


def codec_of(tag: Tag, order: Order = Order.ABCD, width: int | None = None) -> Codec:
    """A codec of one tag at the start of a payload of registers."""
    width = max(2, tag.number.nbytes) if width is None else width
    return Codec([Field(tag, 0, 0, width, order, tag.count)], width * tag.count)


@pytest.mark.parametrize(("kind", "order"), WIRE)
def test_bytes_lie_as_the_table_of_orders_says(kind: str, order: Order) -> None:
    """Each type in each order encodes to, and decodes from, the bytes written out by hand."""
    codec, wire = codec_of(Tag("x", kind, "out"), order), bytes.fromhex(WIRE[kind, order])
    values = np.zeros(1)
    codec.decode(wire, values)
    assert values[0] == VALUE[kind]
    assert codec.encode(values) == wire


@pytest.mark.parametrize("name", TYPES)
@pytest.mark.parametrize("order", Order)
@given(data=st.data())
def test_what_is_encoded_decodes_to_the_same(name: str, order: Order, data: st.DataObject) -> None:
    """A round trip gives back every value that the type and float64 can both hold."""
    number = TYPES[name]
    exact = st.floats(-(2.0**100), 2.0**100, width=32) if number.is_float else st.integers(
        max(int(number.low), -(2**53)), min(int(number.high), 2**53)
    )  # fmt: skip
    values = np.array(data.draw(st.lists(exact, min_size=3, max_size=3)), np.float64)
    codec = codec_of(Tag("x", name, "out", count=3), order)
    back = np.zeros(3)
    codec.decode(codec.encode(values), back)
    assert back.tolist() == values.tolist()


@pytest.mark.parametrize("name", [n for n in TYPES if n != "bool"])
def test_a_little_endian_payload_is_what_struct_packs(name: str) -> None:
    """Order DCBA with the type's own width is the machine's little-endian layout: ADS."""
    tag = Tag("x", name, "out", count=2)
    codec = codec_of(tag, Order.DCBA, tag.number.nbytes)
    assert codec.encode(np.array([3.0, 5.0])) == struct.pack(f"<2{tag.number.char}", 3, 5)


@pytest.mark.parametrize("kind", ["int8", "int16", "int32", "int64"])
@pytest.mark.parametrize("order", Order)
def test_negative_numbers_keep_their_sign(kind: str, order: Order) -> None:
    """-2 stays -2, in all signed types and orders."""
    codec, back = codec_of(Tag("x", kind, "out"), order), np.zeros(1)
    codec.decode(codec.encode(np.array([-2.0])), back)
    assert back[0] == -2.0


@pytest.mark.parametrize(
    ("kind", "value"),
    [("int8", 128), ("int8", -129), ("uint8", 256), ("uint8", -1), ("int16", 32768), ("uint16", -1), ("int32", 2**31),
     ("uint32", -1), ("int64", 2.0**63), ("uint64", 2.0**64), ("bool", 2), ("float32", 1e39), ("float64", math.inf),
     ("float32", math.nan), ("int16", math.nan)],
)  # fmt: skip
def test_a_value_out_of_range_is_refused(kind: str, value: float) -> None:
    """Nothing wraps around: `OutOfRangeError` names the tag, the value and the range."""
    with pytest.raises(OutOfRangeError, match=rf"tag 'x': .* {kind} .*limit the value first"):
        codec_of(Tag("x", kind, "out")).encode(np.array([value]))


def test_a_payload_of_the_wrong_length_is_refused() -> None:
    """One byte less or more raises `PayloadError` with both lengths."""
    for wrong in (b"\0" * 3, b"\0" * 5):
        with pytest.raises(PayloadError, match=f"expected 4 bytes for x, got {len(wrong)}"):
            codec_of(Tag("x", "float32", "in")).decode(wrong, np.zeros(1))


def test_scale_and_offset_lead_from_raw_to_engineering_units() -> None:
    """value = raw * scale + offset, and back with rounding to the nearest, halves to even."""
    codec = codec_of(Tag("t", "int16", "out", scale=0.5, offset=-10.0, count=4))
    values = np.zeros(4)
    codec.decode(struct.pack(">4h", 0, 20, -20, 7), values)
    assert values.tolist() == [-10.0, 0.0, -20.0, -6.5]
    assert struct.unpack(">4h", codec.encode(np.array([-9.7, -9.8, -9.25, -8.75]))) == (1, 0, 2, 2)


def test_packed_bits_share_bytes() -> None:
    """Coils: bit n of the payload is coil n, lowest bit of the first byte first; unnamed ones are sent as 0."""
    low, high = Tag("low", "bool", "out", count=3), Tag("high", "bool", "out")
    codec = Codec([Field(low, 0, 0, 1, bit=1, count=3), Field(high, 3, 0, 1, bit=9)], 2)
    values = np.zeros(4)
    codec.decode(b"\x0b\x02", values)
    assert values.tolist() == [1.0, 0.0, 1.0, 1.0]
    assert codec.encode(values) == b"\x0a\x02"


def test_fields_go_to_their_cells_and_leave_the_others() -> None:
    """A codec writes only its own cells of the link's values."""
    values = np.full(4, 9.0)
    Codec([Field(Tag("x", "uint16", "in"), 2, 2, 2)], 4).decode(b"\xff\xff\x00\x05", values)
    assert values.tolist() == [9.0, 9.0, 5.0, 9.0]


def test_the_limiter_saturates_in_the_stated_order() -> None:
    """NaN and inf become safe, then limits apply, then the type's range; the number of changed cells is told."""
    tags = [
        Tag("a", "float32", "out", low=-1, high=1, safe=0.25, count=4),
        Tag("b", "int16", "out", scale=0.1, safe=-1),
    ]
    limiter = Limiter(tags)
    values = np.array([math.nan, math.inf, -7.0, 0.5, 1e9])
    assert limiter.apply(values) == 4
    assert values[:4].tolist() == [0.25, 0.25, -1.0, 0.5]
    assert round(tags[1].raw(values[4])) == 32767
    assert limiter.apply(values) == 0


@pytest.mark.parametrize("name", TYPES)
@given(value=st.floats(), scale=st.sampled_from([1.0, -0.1, 1e-9, 3.7]), offset=st.sampled_from([0.0, -40.0, 1e6]))
def test_what_the_limiter_passes_can_be_encoded(name: str, value: float, scale: float, offset: float) -> None:
    """No float64 at all, NaN and inf included, makes a limited output unsendable."""
    safe = offset + scale * (TYPES[name].high * 0.1)
    tag = Tag("x", name, "out", scale=scale, offset=offset, safe=safe)
    values = np.array([value])
    Limiter([tag]).apply(values)
    codec_of(tag).encode(values)


def test_an_integer_safe_value_does_not_make_outputs_integers() -> None:
    """A tag declared with `safe=-1` still sends 0.5."""
    limiter = Limiter([Tag("u", "float64", "out", safe=-1)])
    values = limiter.safe.copy()
    values[:] = 0.5
    assert values.tolist() == [0.5]
