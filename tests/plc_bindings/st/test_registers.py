"""Registers of values: the same as the server's converter makes."""

import struct

import pytest

from fieldbus.tags import Order
from plc_bindings.data.types import SCALARS, UDINT, UINT, ULINT, Array, Field, Struct
from plc_bindings.modbus.convert import Converter
from plc_bindings.modbus.map import registers
from plc_bindings.st.registers import CARRIERS, count, of_number


@pytest.mark.parametrize("order", ["ABCD", "CDAB", "BADC", "DCBA"])
@pytest.mark.parametrize(("type_", "size"), [(UINT, 1), (UDINT, 2), (ULINT, 4)])
def test_words_of_a_number(order, type_, size):
    """Every order of bytes, against the server's."""
    number = 0x0123_4567_89AB_CDEF & (1 << 16 * size) - 1
    wire = Converter([type_], Order(order)).to_wire(number.to_bytes(type_.size, "little"))
    assert of_number(number, size, order) == list(struct.unpack(f">{size}H", wire))


def test_every_type_has_a_carrier_of_the_size_that_the_map_gives_it():
    assert set(CARRIERS) == {scalar.name for scalar in SCALARS.values()}
    for scalar in SCALARS.values():
        struct_ = Struct("S", (Field("a", scalar), Field("b", Array(scalar, 3))))
        assert count(struct_) == registers(struct_) == 4 * CARRIERS[scalar.name].registers
