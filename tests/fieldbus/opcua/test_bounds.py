"""A message never becomes more than it holds: each of these few bytes was gigabytes once."""

import struct

import pytest

pytest.importorskip("asyncua", reason="pip install 'rt-engine[opcua]'")

from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import struct_from_binary, struct_to_binary, variant_from_binary, variant_to_binary
from asyncua.ua.uaerrors import UaError

from fieldbus.opcua import bounds

ARRAY, DIMENSIONS, BOOLEAN, TEXT, DATA_VALUE, MOST = 0x80, 0x40, 1, 21, 23, 1_000_000


def shaped(*dims, count=1):
    """So many truths, of these dimensions."""
    head = struct.pack("<Bi", ARRAY | DIMENSIONS | BOOLEAN, count)
    return head + b"\1" * count + struct.pack(f"<i{len(dims)}i", len(dims), *dims)


@pytest.mark.parametrize(
    "data",
    [
        struct.pack("<Bi", ARRAY, MOST),
        shaped(MOST),
        shaped(-1, -1),
        shaped(*[1] * (bounds.MOST_DIMENSIONS + 1)),
        struct.pack("<Bi", ARRAY | DATA_VALUE, 4) + bytes(4),
        struct.pack("<Bi", ARRAY | TEXT, bounds.MOST_OBJECTS + 1) + bytes(bounds.MOST_OBJECTS + 1),
    ],
    ids=["nothings", "empty lists", "below zero", "dimensions", "values in values", "texts"],
)
def test_a_variant_is_what_came(data):
    with pytest.raises(UaError):
        variant_from_binary(Buffer(data))


def test_a_length_below_zero_does_not_move_back():
    """The next text would be the same again, as often as the list says."""
    with pytest.raises(UaError):
        struct_from_binary(ua.GetEndpointsParameters, Buffer(struct.pack("<iii", -1, MOST, -4) + bytes(8)))


def test_an_answer_has_no_more_values_than_somebody_asks_for():
    """Each is a byte on the wire, and 200 in memory."""
    empty = struct_to_binary(ua.ReadResponse(Results=[], DiagnosticInfos=[]))
    many = empty[:-8] + struct.pack("<i", bounds.MOST_OBJECTS + 1) + bytes(bounds.MOST_OBJECTS + 1) + empty[-4:]
    with pytest.raises(UaError, match="objects in a list"):
        struct_from_binary(ua.ReadResponse, Buffer(many))
    few = empty[:-8] + struct.pack("<i", 3) + bytes(3) + empty[-4:]
    assert len(struct_from_binary(ua.ReadResponse, Buffer(few)).Results) == 3


@pytest.mark.parametrize("value", [[[1, 2, 3], [4, 5, 6]], [1, 2], [], 7])
def test_what_is_well_is_decoded_as_before(value):
    sent = ua.Variant(value, ua.VariantType.Int32, is_array=isinstance(value, list))
    got = variant_from_binary(Buffer(variant_to_binary(sent)))
    assert (got.Value, got.Dimensions) == (value, sent.Dimensions)
