"""Registers against fieldbus's own codec, which is tested against other devices."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldbus import codec
from fieldbus.tags import Order, Tag
from plc_bindings.data.types import BOOL, DINT, INT, LINT, LREAL, REAL, SCALARS, SINT, UDINT, UINT, ULINT, USINT, String
from plc_bindings.modbus.convert import Converter, swap

ORDERS = list(Order)
TAG_TYPES = {scalar: name for name, scalar in SCALARS.items()}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("types", [[t] for t in TAG_TYPES] + [[INT, REAL, UDINT, LREAL, BOOL, LINT, UINT, REAL]])
def test_registers_are_those_of_fieldbus(types, order):
    """The link and the server mean the same by ABCD, CDAB, BADC and DCBA."""
    values = [1 if t == BOOL else 0x12 if t.size == 1 else 0x1234 for t in types]
    fields, at = [], 0
    for i, type_ in enumerate(types):
        fields.append(codec.Field(Tag(f"t{i}", TAG_TYPES[type_], "out"), i, at, max(2, type_.size), order))
        at += max(2, type_.size)
    wire = codec.Codec(fields, at).encode(np.array(values, np.float64))
    memory = struct.pack("<" + "".join(t.char for t in types), *values)
    converter = Converter(types, order)
    assert converter.to_wire(memory) == wire
    assert converter.to_memory(wire) == memory


def test_what_abcd_means():
    memory = struct.pack("<I", 0x0A0B0C0D)
    wire = {order: Converter([UDINT], order).to_wire(memory).hex() for order in ORDERS}
    assert wire == {"ABCD": "0a0b0c0d", "CDAB": "0c0d0a0b", "BADC": "0b0a0d0c", "DCBA": "0d0c0b0a"}


@given(
    types=st.lists(st.sampled_from([INT, UINT, DINT, UDINT, LINT, ULINT, REAL, LREAL]), min_size=1, max_size=60),
    order=st.sampled_from(ORDERS),
    data=st.data(),
)
def test_every_bit_survives(types, order, data):
    """Also of NaNs: nothing passes through a float."""
    size = sum(t.size for t in types)
    memory = data.draw(st.binary(min_size=size, max_size=size))
    converter = Converter(types, order)
    assert converter.to_memory(converter.to_wire(memory)) == memory


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("count", [1, 5, 47, 48, 200])
@pytest.mark.parametrize("type_", [INT, REAL, LREAL])
def test_rows_of_one_type_are_the_same_as_one_by_one(order, count, type_):
    """The fast ways give what the general one gives."""
    memory = bytes(range(256))[: type_.size] * count
    whole, general = Converter([type_] * count, order), Converter([type_], order)
    expected = b"".join(
        general.to_wire(memory[i : i + type_.size]) for i in range(0, len(memory), type_.size)
    )  # one by one
    assert whole.to_wire(memory) == whole._to_wire(memory) == expected
    assert whole.to_memory(expected) == whole._to_memory(expected) == memory


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("length", [3, 4])
def test_texts_stand_in_order_unless_bytes_are_exchanged(order, length):
    converter = Converter([String(length), UINT], order)
    memory = b"ab".ljust(length + 1, b"\0") + b"\2\1"
    wire = converter.to_wire(memory)
    assert wire[:2] == (b"ab" if order in ("ABCD", "CDAB") else b"ba")
    assert len(wire) == converter.wire_size == 2 * ((length + 2) // 2) + 2
    assert converter.to_memory(wire) == memory


def test_a_small_number_keeps_its_sign():
    assert Converter([SINT], Order.ABCD).to_wire(b"\xfe") == b"\xff\xfe"
    assert Converter([USINT], Order.ABCD).to_wire(b"\xfe") == b"\x00\xfe"


@pytest.mark.parametrize(("type_", "register"), [(SINT, 128), (SINT, 0x80FF), (USINT, 256), (BOOL, 256)])
def test_what_a_small_type_cannot_hold_is_refused(type_, register):
    with pytest.raises(ValueError, match=r"range|format"):
        Converter([type_], Order.ABCD).to_memory(register.to_bytes(2, "big"))


@pytest.mark.parametrize(
    ("type_", "memory", "is_good"),
    [
        (BOOL, b"\1", True),
        (BOOL, b"\2", False),
        (REAL, struct.pack("<f", 3.4e38), True),
        (REAL, struct.pack("<f", float("nan")), False),
        (REAL, struct.pack("<f", float("-inf")), False),
        (LREAL, struct.pack("<d", 1e308), True),
        (LREAL, struct.pack("<d", float("inf")), False),
        (UDINT, b"\xff\xff\xff\xff", True),
    ],
)
def test_check(type_, memory, is_good):
    converter = Converter([UINT, type_], Order.ABCD)
    if is_good:
        converter.check(b"\0\0" + memory)
    else:
        with pytest.raises(ValueError, match=r"BOOL|finite"):
            converter.check(b"\0\0" + memory)


def test_swap():
    assert swap(b"abcd") == b"badc"
