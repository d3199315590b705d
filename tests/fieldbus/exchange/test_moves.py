"""Numbers <-> bytes in native code, beside `fieldbus.codec`, which moves them in Python: both get the same."""

import math
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldbus.codec import Codec, Field, Limiter
from fieldbus.exchange.block import MOVE
from fieldbus.exchange.memory import Exchange
from fieldbus.exchange.rows import moves_of
from fieldbus.link.ports import Cells
from fieldbus.tags import TYPES, Order, Tag
from rt_native.memory import Block
from tests.fieldbus.exchange.bench import NS, PIECES

SCALES = (1.0, 0.1, -0.25, 1e-9, 1000.0)
OFFSETS = (0.0, -40.0, 0.5)
EDGES = (
    0.0, -0.0, 0.5, 1.5, 2.5, -0.5, 1e-320, 5e-324, 2.0**31, -(2.0**31), 2.0**32, 2.0**52 + 1, 2.0**53, 2.0**63, -(2.0**63),
    2.0**64, math.nextafter(2.0**63, 0), math.nextafter(2.0**64, 0), 3.4028234663852886e38, 1e308, math.nan, math.inf, -math.inf,
)  # fmt: skip


def fields_of(tag: Tag, order: Order, first_bit: int | None) -> tuple[list[Field], int]:
    """The tag alone, one byte behind the beginning, and how long that is. Bits: packed, from any bit on."""
    if first_bit is not None and tag.type == "bool":
        return [Field(tag, 0, 1, 1, Order.ABCD, tag.count, first_bit)], 2 + (first_bit + tag.count + 7) // 8
    width = max(tag.number.nbytes, 2)
    return [Field(tag, 0, 1, width, order, tag.count)], 2 + width * tag.count


def native(tag: Tag, fields: list[Field], is_output: bool) -> tuple[Exchange, Block, int, list[Block]]:
    """An exchange with the tag alone, and its moves."""
    parts: list[Block] = []
    rows = moves_of(parts, fields, 0, is_output)
    block = Block(MOVE.itemsize * len(rows))
    block.view(MOVE, 0, len(rows))[:] = np.array(rows, MOVE)
    cells = Cells("l", [tag]), Cells("l", [])
    exchange = Exchange(*(reversed(cells) if is_output else cells), NS, NS, NS)
    return exchange, block, len(rows), parts


def decoded(tag: Tag, fields: list[Field], payload: bytes) -> list[float]:
    """By native code."""
    exchange, moves, count, _keep = native(tag, fields, False)
    message = np.frombuffer(payload, np.uint8)
    PIECES.function("piece_decode")(exchange.address, moves.address, count, message.ctypes.data)
    values: list[float] = exchange.values_in.tolist()
    exchange.close()
    return values


def encoded(tag: Tag, fields: list[Field], nbytes: int, values: np.ndarray) -> bytes:
    """By native code."""
    exchange, moves, count, _keep = native(tag, fields, True)
    exchange.values_out[:] = values
    message = np.zeros(nbytes, np.uint8)
    PIECES.function("piece_encode")(exchange.address, moves.address, count, message.ctypes.data)
    exchange.close()
    return message.tobytes()


@st.composite
def cases(draw: st.DrawFn, direction: str = "in") -> tuple[Tag, Order, int | None]:
    """A tag of any type, scaled somehow, in any order."""
    kind = draw(st.sampled_from(list(TYPES)))
    scaled = (1.0, 0.0) if kind == "bool" else (draw(st.sampled_from(SCALES)), draw(st.sampled_from(OFFSETS)))
    if direction == "out" and kind.startswith("float"):
        scaled = (scaled[0] if abs(scaled[0]) <= 1 else 1.0, scaled[1])
    count = draw(st.integers(1, 20))
    safe = scaled[1]  # the raw number 0
    tag = Tag("t", kind, direction, scale=scaled[0], offset=scaled[1], count=count, safe=safe)  # type: ignore[arg-type]
    return tag, draw(st.sampled_from(list(Order))), draw(st.sampled_from((None, 0, 3, 7)))


@settings(max_examples=150)
@given(cases(), st.data())
def test_what_is_decoded_is_what_the_codec_decodes(case: tuple[Tag, Order, int | None], data: st.DataObject) -> None:
    """Any bytes, of any type, order, scale and count: bit for bit the same values; NaN is NaN."""
    fields, nbytes = fields_of(*case)
    payload = data.draw(st.binary(min_size=nbytes, max_size=nbytes))
    expected = np.zeros(case[0].count)
    Codec(fields, nbytes).decode(payload, expected)
    np.testing.assert_array_equal(np.array(decoded(case[0], fields, payload)), expected)


@settings(max_examples=150)
@given(cases("out"), st.data())
def test_what_is_encoded_is_what_the_codec_encodes(case: tuple[Tag, Order, int | None], data: st.DataObject) -> None:
    """Any values, limited as before each sending: the same bytes, halves to even, to the ends of each type."""
    tag = case[0]
    low, high = tag.representable
    value = st.one_of(st.sampled_from((*EDGES, low, high)), st.floats(), st.integers(-9, 9).map(lambda n: n / 2))
    values = np.array(data.draw(st.lists(value, min_size=tag.count, max_size=tag.count)))
    Limiter([tag]).apply(values)
    fields, nbytes = fields_of(*case)
    assert encoded(tag, fields, nbytes, values) == Codec(fields, nbytes).encode(values)


@pytest.mark.parametrize("order", list(Order))
def test_the_ends_of_64_bits_are_moved_whole(order: Order) -> None:
    """-2**63, 2**63 - 1 and 2**64 - 1, and one less: the nearest float64; back: the largest that the type holds."""
    for kind, char, raw in (("int64", "q", -(2**63)), ("int64", "q", 2**63 - 1), ("uint64", "Q", 2**64 - 1)):
        tag = Tag("t", kind, "in")
        fields, nbytes = fields_of(tag, order, None)
        for number in (raw, raw - 1 if raw > 0 else raw + 1, raw // 2, 2**53, 2**53 - 1):
            payload = bytearray(nbytes)
            for i, byte in zip(_low_first(fields[0]), struct.pack("<" + char, number), strict=True):
                payload[i] = byte
            assert decoded(tag, fields, bytes(payload)) == [float(number)]


def _low_first(field: Field) -> list[int]:
    """Where the bytes of a 64-bit number lie, from the table of `Order`."""
    letters = {"ABCD": "ABCDEFGH", "CDAB": "GHEFCDAB", "BADC": "BADCFEHG", "DCBA": "HGFEDCBA"}[field.order]
    return [field.byte + letters.index(letter) for letter in "HGFEDCBA"]


def test_other_bytes_of_a_request_stay_as_they_are() -> None:
    """Bits 3 to 7 of a byte are written, those around them and the bytes beside it are not."""
    tag = Tag("t", "bool", "out", count=5)
    exchange, moves, count, _keep = native(tag, [Field(tag, 0, 1, 1, Order.ABCD, 5, 3)], True)
    message = np.full(3, 0xA5, np.uint8)
    exchange.values_out[:] = (1.0, 0.0, 1.0, 1.0, 0.0)
    PIECES.function("piece_encode")(exchange.address, moves.address, count, message.ctypes.data)
    assert message.tolist() == [0xA5, 0b01101_101, 0xA5]
    exchange.close()
