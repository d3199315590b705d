"""Random requests against a naive twin that knows the specification's tables and nothing of ours."""

import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldbus.tags import Order
from plc_bindings.modbus import mbap, rtu
from plc_bindings.modbus.pdu import Refused, identification
from plc_bindings.modbus.session import Job
from tests.plc_bindings.modbus.plant import INPUTS, OUTPUTS, Plant

FUNCTIONS = (1, 2, 3, 4, 5, 6, 15, 16, 22, 23, 43)


class Twin:
    """What the exception code must be. One entry for each register and coil."""

    def __init__(self, plant):
        allowed = plant.database.writable(("*",))
        self.registers, self.coils = {}, {}
        for place in plant.map.places:
            values = getattr(place.type, "count", 1)
            each = place.count // values
            may = allowed.allows(place.area, place.offset, place.type.size)
            for i in range(place.count):
                first = place.register + i // each * each
                self.registers[place.register + i] = (first, each, may, getattr(place.type, "element", place.type).name)
            if place.coil is not None:
                self.coils |= {place.coil + i: may for i in range(values)}
        block = plant.map.blocks[0]
        for i in range(block.inputs, block.end):
            self.registers[i] = (i, 1, i < block.result, "any")

    def code(self, pdu):
        if not pdu or pdu[0] not in FUNCTIONS:
            return 1
        function, body = pdu[0], pdu[1:]
        if function in (1, 2, 3, 4):
            return self.reading(function, body)
        if function in (5, 6):
            return self.single(function, body)
        if function in (15, 16):
            return self.several(function, body)
        if function == 22:
            return self.masked(body)
        if function == 23:
            return self.both(body)
        return None

    def reading(self, function, body):
        if len(body) != 4:
            return 3
        address, count = struct.unpack(">HH", body)
        if not 1 <= count <= (2000 if function < 3 else 125):
            return 3
        table = self.coils if function < 3 else self.registers
        return 0 if all(a in table for a in range(address, address + count)) else 2

    def single(self, function, body):
        if len(body) != 4 or (function == 5 and body[2:] not in (b"\xff\0", b"\0\0")):
            return 3
        address = int.from_bytes(body[:2], "big")
        if function == 5:
            return 0 if self.coils.get(address) else 2
        return self.values(address, body[2:])

    def several(self, function, body):
        if len(body) < 6:
            return 3
        address, count, size = struct.unpack(">HHB", body[:5])
        wanted = (count + 7) // 8 if function == 15 else 2 * count
        if not 1 <= count <= (0x7B0 if function == 15 else 123) or size != wanted or len(body) != 5 + size:
            return 3
        if function == 15:
            return 0 if all(self.coils.get(a) for a in range(address, address + count)) else 2
        return self.values(address, body[5:])

    def masked(self, body):
        if len(body) != 6:
            return 3
        return None  # 0, 2 or 3, as what is there now says

    def both(self, body):
        if len(body) < 11:
            return 3
        read, reads, write, writes, size = struct.unpack(">HHHHB", body[:9])
        if not 1 <= writes <= 121 or not 1 <= reads <= 125 or size != 2 * writes or len(body) != 9 + size:
            return 3
        if not all(a in self.registers for a in range(read, read + reads)):
            return 2
        return self.values(write, body[9:])

    def values(self, address, data):
        count = len(data) // 2
        written = range(address, address + count)
        for register in written:
            first, each, may, _ = self.registers.get(register, (0, 0, False, ""))
            if not may or first not in written or first + each - 1 not in written:
                return 2
        for i, register in enumerate(written):
            _, each, _, type_ = self.registers[register]
            word = int.from_bytes(data[2 * i : 2 * i + 2], "big")
            if self.registers[register][0] == register and is_illegal(type_, word):
                return 3
        return 0


def is_illegal(type_, first_word):
    if type_ == "REAL":
        return first_word & 0x7F80 == 0x7F80
    if type_ == "LREAL":
        return first_word & 0x7FF0 == 0x7FF0
    limits = {"BOOL": range(2), "USINT": range(256), "SINT": [*range(128), *range(0xFF80, 0x10000)]}
    return first_word not in limits.get(type_, range(0x10000))


ADDRESS = st.one_of(
    st.integers(0, 40), st.integers(9998, 10022), st.integers(40998, 41012), st.sampled_from([0xFFFE, 0xFFFF])
)
COUNT = st.one_of(st.integers(0, 20), st.sampled_from([121, 122, 123, 124, 125, 126, 1968, 1969, 2000, 2001, 0xFFFF]))
WORD = st.one_of(st.sampled_from([0, 1, 2, 0xFF00, 0x7F80, 0x3F80, 0xFF80, 0x7FF0, 0x80]), st.integers(0, 0xFFFF))


@st.composite
def requests(draw):
    """Mostly well-formed; sometimes cut, longer, or with a wrong byte count."""
    function = draw(st.one_of(st.sampled_from(FUNCTIONS), st.integers(0, 255)))
    address, count = draw(ADDRESS), draw(COUNT)
    words = draw(st.lists(WORD, min_size=1, max_size=12))
    data = struct.pack(f">{len(words)}H", *words)
    if function in (15, 16):
        count = len(words) if function == 16 else 8 * len(data) - draw(st.integers(0, 7))
        body = struct.pack(">HHB", address, count, len(data)) + data
    elif function == 22:
        body = struct.pack(">HHH", address, draw(WORD), draw(WORD))
    elif function == 23:
        body = struct.pack(">HHHHB", draw(ADDRESS), count, address, len(words), len(data)) + data
    elif function == 43:
        body = bytes((draw(st.sampled_from([13, 14])), draw(st.integers(0, 5)), draw(st.integers(0, 8))))
    else:
        body = struct.pack(">HH", address, draw(WORD) if function in (5, 6) else count)
    match draw(st.integers(0, 9)):
        case 0:
            body = body[: draw(st.integers(0, len(body)))]
        case 1:
            body += draw(st.binary(min_size=1, max_size=3))
        case 2 if len(body) > 4:
            at = draw(st.integers(0, min(9, len(body) - 1)))
            body = body[:at] + draw(st.binary(min_size=1, max_size=1)) + body[at + 1 :]
    return (bytes((function,)) + body)[:253]


PLANT = Plant()
TWIN = Twin(PLANT)


def answered(session, pdu):
    answer = session.answer(pdu)
    if isinstance(answer, Job):
        answer.run()
        answer = answer.finish()
    return answer


@given(pdus=st.lists(requests(), min_size=1, max_size=8))
def test_every_request_gets_the_answer_that_the_specification_names(pdus):
    session = PLANT.session()
    for pdu in pdus:
        before = PLANT.inputs.data
        answer = answered(session, pdu)
        expected = TWIN.code(pdu)
        if answer[0] & 0x80:
            assert len(answer) == 2 and answer[0] == (pdu[0] | 0x80) and answer[1] in (1, 2, 3)
            assert expected in (None, answer[1]), (pdu.hex(" "), answer.hex(" "))
            assert PLANT.inputs.data == before
        else:
            assert expected in (None, 0), (pdu.hex(" "), answer.hex(" "))
            assert answer[0] == pdu[0] and len(answer) <= 253


@given(
    order=st.sampled_from(Order),
    first=st.integers(0, 33),
    count=st.integers(1, 34),
    data=st.binary(min_size=INPUTS.size + OUTPUTS.size, max_size=INPUTS.size + OUTPUTS.size),
)
def test_what_is_read_together_is_what_is_read_one_by_one(order, first, count, data):
    """Registers of any values, cut anywhere; so a part of a value is that part."""
    plant = Plant(models={})
    plant.inputs.data, plant.outputs.data = data[: INPUTS.size], data[INPUTS.size :]
    session, count = plant.session(order), min(count, 34 - first)

    def read(address, quantity):
        return session.answer(struct.pack(">BHH", 3, address, quantity))[2:]

    assert read(first, count) == b"".join(read(first + i, 1) for i in range(count))


@given(first=st.integers(0, 11), bits=st.lists(st.booleans(), min_size=1, max_size=11))
def test_coils_that_are_written_are_read(first, bits):
    """The others keep what they are; one by one or together."""
    plant = Plant(models={})
    session, bits = plant.session(), bits[: 11 - first]
    before = [session.answer(struct.pack(">BHH", 1, i, 1))[2] for i in range(12)]
    if bits:
        packed = sum(bit << i for i, bit in enumerate(bits)).to_bytes((len(bits) + 7) // 8, "little")
        head = struct.pack(">BHHB", 15, first, len(bits), len(packed))
        assert session.answer(head + packed) == head[:5]
    expected = [*before[:first], *bits, *before[first + len(bits) :]]
    assert [session.answer(struct.pack(">BHH", 1, i, 1))[2] for i in range(12)] == expected
    together = session.answer(struct.pack(">BHH", 1, 0, 12))[2:]
    assert [together[i // 8] >> i % 8 & 1 for i in range(12)] == expected


@given(pdu=st.binary(max_size=253))
def test_noise_never_raises(pdu):
    answer = answered(PLANT.session(), pdu)
    assert 2 <= len(answer) <= 253


def test_the_twin_can_tell():
    """A server that answered everything would not pass."""
    assert TWIN.code(bytes.fromhex("03 0000 0000")) == 3
    assert TWIN.code(bytes.fromhex("06 001c 0001")) == 2
    assert TWIN.code(bytes.fromhex("10 0000 0001 02 0002")) == 3
    assert TWIN.code(bytes.fromhex("10 0000 0001 02 0001")) == 0
    assert TWIN.code(b"\x63") == 1


@given(pdu=st.binary(max_size=8), objects=st.lists(st.binary(max_size=244), min_size=7, max_size=7))
def test_identification_always_fits(pdu, objects):
    with suppress(Refused):
        assert len(identification(b"\x2b\x0e" + pdu, objects)) <= 253


@given(pdus=st.lists(requests(), min_size=1, max_size=5), cuts=st.lists(st.integers(1, 40), max_size=30))
def test_mbap_frames_are_the_same_however_they_are_cut(pdus, cuts):
    stream = b"".join(mbap.frame(i, 1, pdu) for i, pdu in enumerate(pdus))
    found, received = [], b""
    for size in [*cuts, len(stream)]:
        received, stream = received + stream[:size], stream[size:]
        while frame := mbap.next_frame(received, 0):
            found.append((frame.transaction, frame.unit, frame.pdu))
            received = received[frame.end :]
    assert found == [(i, 1, pdu) for i, pdu in enumerate(pdus)]


KNOWN = st.sampled_from(
    [bytes.fromhex(h) for h in ("03001a0002", "0500000000", "0f0000000801ff", "10000100020400000000", "2b0e0100")]
    + [bytes.fromhex("17000100020001000204" + "00" * 4), bytes.fromhex("16000400f20025")]
)


@given(
    pdus=st.lists(st.tuples(st.sampled_from([1, 0, 9]), KNOWN), min_size=1, max_size=5),
    cuts=st.lists(st.integers(1, 9)),
)
def test_rtu_frames_are_the_same_however_they_are_cut(pdus, cuts):
    """Without any silence between them; those of unit 9 are passed over."""
    stream = b"".join(rtu.frame(unit, pdu) for unit, pdu in pdus)
    reader, found = rtu.Reader(1), []
    for size in [*cuts, len(stream)]:
        found += reader.feed(stream[:size])
        stream = stream[size:]
    assert found == [(unit, pdu) for unit, pdu in pdus if unit != 9]


@given(noise=st.lists(st.binary(min_size=1, max_size=300), max_size=10))
def test_rtu_noise_is_forgotten_at_the_next_silence(noise):
    reader = rtu.Reader(1)
    for data in noise:
        reader.feed(data)
        assert len(reader._received) <= rtu.MOST + 1
    reader.silence()
    assert reader.feed(rtu.frame(1, bytes.fromhex("03001a0002"))) == [(1, bytes.fromhex("03001a0002"))]


@pytest.mark.parametrize("answer", ["83 02", "03 04 40 20 00 00", "10 00 01 00 02", "05 00 00 ff 00"])
def test_rtu_answers_of_other_units_are_passed_over(answer):
    """The line carries them too; the request behind them is ours."""
    mine = bytes.fromhex("03001a0002")
    stream = rtu.frame(9, bytes.fromhex("03001a0002")) + rtu.frame(9, bytes.fromhex(answer)) + rtu.frame(1, mine)
    assert rtu.Reader(1).feed(stream) == [(1, mine)]


def test_rtu_unknown_functions_end_with_silence():
    reader = rtu.Reader(1)
    assert reader.feed(rtu.frame(1, b"\x64\1\2\3")) == []
    assert reader.is_waiting
    assert reader.silence() == [(1, b"\x64\1\2\3")]
    assert reader.broken == 0


def test_crc_is_that_of_the_specification():
    """MODBUS over Serial Line, appendix B: 02 07 has the CRC 41 12."""
    assert rtu.frame(2, b"\x07").hex(" ") == "02 07 41 12"
