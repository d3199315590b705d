"""Requests cut by hand say what asyncua's decoder says of them; index ranges are places; nothing that lies is taken."""

import random
import struct
import time
from datetime import UTC, datetime

import pytest
from asyncua import ua
from asyncua.common.utils import Buffer, NotEnoughData
from asyncua.ua.ua_binary import struct_from_binary, struct_to_binary
from asyncua.ua.uaerrors import UaError

from plc_bindings.opcua.codec import Codec
from plc_bindings.opcua.ranges import RangeError, part
from plc_bindings.opcua.requests import read_request, write_request
from plc_bindings.opcua.tree import Place

IDS = (
    ua.NodeId("Tags.Speed", 2),
    ua.NodeId(2258, 0),
    ua.NodeId(7, 0),
    ua.NodeId(70000, 3),
    ua.NodeId("ü" * 40, 2),
    ua.NodeId(b"\1\2", 1, ua.NodeIdType.ByteString),
)


def asked(*ids, range_=None, encoding=None):
    """A ReadRequest, without its header."""
    params = ua.ReadParameters(0.0, ua.TimestampsToReturn.Both)
    params.NodesToRead = [
        ua.ReadValueId(one, ua.AttributeIds.Value, range_, ua.QualifiedName(encoding, 0)) for one in ids
    ]
    return struct_to_binary(params)


def cut(data):
    """(stamps, (node, attribute, range) of each) as we see it, and as asyncua does."""
    ours = read_request(Buffer(data))
    theirs = struct_from_binary(ua.ReadParameters, Buffer(data))
    return (
        (ours[0], [(one.node_id, one.attribute, one.range, one.encoding) for one in ours[1]]),
        (
            theirs.TimestampsToReturn,
            [(r.NodeId, r.AttributeId, r.IndexRange or "", r.DataEncoding.Name or "") for r in theirs.NodesToRead],
        ),
    )


@pytest.mark.parametrize("ids", [IDS[:5], IDS, IDS[5:], ()], ids=["common", "with a rare one", "rare", "none"])
@pytest.mark.parametrize("range_", [None, "", "2:5"])
def test_what_is_cut_by_hand_is_what_asyncua_reads(ids, range_):
    ours, theirs = cut(asked(*ids, range_=range_, encoding="Default Binary" if range_ else None))
    assert ours == theirs


def test_a_request_that_lies_is_refused_at_once():
    """A count, a text's length beyond the end; cut anywhere."""
    whole = asked(*IDS[:3])
    for lie in (
        whole[:12] + struct.pack("<i", 0x7FFF_FFFF) + whole[16:],
        whole[:19] + b"\xff\xff\xff\x7f" + whole[23:],
    ):
        with pytest.raises((NotEnoughData, UaError)):
            read_request(Buffer(lie))
    for end in range(len(whole)):
        with pytest.raises((NotEnoughData, UaError, struct.error, ValueError)):
            read_request(Buffer(whole[:end]))


def test_spoiled_requests_are_read_as_asyncua_reads_them_or_refused():
    chance, wholes = random.Random(3), [asked(*IDS), asked(*IDS[:4], range_="1")]
    begin = time.monotonic()
    for _ in range(2000):
        data = bytearray(chance.choice(wholes))
        for _ in range(chance.randint(1, 3)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        try:
            ours, theirs = cut(bytes(data))
        except Exception:
            continue
        assert ours == theirs
    assert time.monotonic() - begin < 30


VALUES = (
    ua.Variant(1.5, ua.VariantType.Float),
    ua.Variant(True, ua.VariantType.Boolean),
    ua.Variant([1, -2, 3], ua.VariantType.Int16),
    ua.Variant("Förderband", ua.VariantType.String),
    ua.Variant([], ua.VariantType.Int32, is_array=True),
    ua.Variant(["a", None], ua.VariantType.String),
    ua.Variant([[1, 2], [3, 4]], ua.VariantType.Int32),
    ua.Variant(),
)


def to_write(*values, range_=None):
    """A WriteRequest, without its header: each value to each of the identifiers, with times and a status."""
    params = ua.WriteParameters()
    now = datetime(2026, 1, 2, tzinfo=UTC)
    for which, value in zip(IDS * 2, values, strict=False):
        whole = ua.DataValue(value, ua.StatusCode(0x4000_0000), now, now)
        params.NodesToWrite.append(ua.WriteValue(which, ua.AttributeIds.Value, range_, whole))
    return struct_to_binary(params)


def cut_write(data):
    """(node, range, type, value, status) of each as we see it, and as asyncua does."""
    ours = [
        (one.where.node_id, one.where.range, one.value.VariantType, one.value.Value, one.value.is_array, one.status)
        for one in write_request(Buffer(data))
    ]
    theirs = []
    for one in struct_from_binary(ua.WriteParameters, Buffer(data)).NodesToWrite:
        value = one.Value.Value
        shape = (value.VariantType, value.Value, value.is_array)
        theirs.append((one.NodeId, one.IndexRange or "", *shape, one.Value.StatusCode.value))
    return ours, theirs


@pytest.mark.parametrize(
    "values", [VALUES[:4], VALUES, VALUES[4:], ()], ids=["common", "with rare ones", "rare", "none"]
)
def test_what_is_to_be_written_is_what_asyncua_reads(values):
    ours, theirs = cut_write(to_write(*values, range_="1:2" if values else None))
    assert ours == theirs and len(ours) == len(values)


def test_a_write_that_lies_is_refused_at_once():
    whole = to_write(*VALUES[:4])
    at = whole.index(struct.pack("<3h", 1, -2, 3)) - 4
    for lie in (struct.pack("<i", 0x7FFF_FFFF) + whole[4:], whole[:at] + b"\xff\xff\xff\x7f" + whole[at + 4 :]):
        with pytest.raises((NotEnoughData, UaError)):
            write_request(Buffer(lie))
    for end in range(len(whole)):
        with pytest.raises((NotEnoughData, UaError, struct.error, ValueError, IndexError)):
            write_request(Buffer(whole[:end]))


ARRAY = Place(1, 100, Codec(ua.VariantType.Float, "f", 32, 8, low=-1.0), True)
SCALAR = Place(1, 4, Codec(ua.VariantType.Int32, "i", 4), True)


@pytest.mark.parametrize(("text", "offset", "count"), [("", 100, 8), ("0", 100, 1), ("2:5", 108, 4), ("6:99", 124, 2)])
def test_a_range_is_a_place(text, offset, count):
    found = part(ARRAY, text)
    assert (found.offset, found.codec.count, found.codec.size, found.codec.low) == (offset, count, 4 * count, -1.0)


@pytest.mark.parametrize(
    ("place", "text", "code"),
    [
        (ARRAY, "8", "BadIndexRangeNoData"),
        (SCALAR, "0", "BadIndexRangeNoData"),
        *(
            (ARRAY, text, "BadIndexRangeInvalid")
            for text in ("x", "-1", "5:2", "3:3", "1,2", "1:2:3", ":", "1" * 40, "²")
        ),
    ],
)
def test_what_is_no_range_is_refused(place, text, code):
    with pytest.raises(RangeError) as caught:
        part(place, text)
    assert caught.value.code == getattr(ua.StatusCodes, code)
