"""From tags to requests: which function code, which addresses, which bytes."""

import numpy as np
import pytest

from fieldbus.ads.address import AdsAddress
from fieldbus.errors import AddressError, GarbageError
from fieldbus.link.ports import Cells
from fieldbus.modbus.address import ModbusAddress
from fieldbus.modbus.plan import Read, ReadWrite, Write, pair, plan_reads, plan_writes
from fieldbus.tags import Order, Tag

At = ModbusAddress


def tag(name: str, kind: str, address: ModbusAddress, count: int = 1, direction: str = "in") -> Tag:
    return Tag(name, kind, direction, count=count, address=address)  # type: ignore[arg-type]


def reads_of(*tags: Tag, gap: int = 0) -> list[Read]:
    return plan_reads(Cells("plc", tags), gap)


def writes_of(*tags: Tag, single: bool = True) -> list[Write]:
    return plan_writes(Cells("plc", tags), single)


def shape(requests: list[Read] | list[Write]) -> list[tuple[int, int, int, int]]:
    return [(r.unit, r.function, r.address, r.count) for r in requests]


def test_neighbours_are_read_together() -> None:
    """Three floats and an int beside them are one request; other tables and units have their own."""
    tags = [tag(f"f{i}", "float32", At("holding", 2 * i)) for i in range(3)]
    tags += [tag("i", "int16", At("holding", 6)), tag("far", "int16", At("holding", 9))]
    tags += [tag("in", "uint16", At("input", 0)), tag("other", "uint16", At("holding", 7, unit=2))]
    tags += [tag("c", "bool", At("coil", 5), 3), tag("d", "bool", At("discrete", 5))]
    expected = [(1, 3, 0, 7), (1, 3, 9, 1), (1, 4, 0, 1), (2, 3, 7, 1), (1, 1, 5, 3), (1, 2, 5, 1)]
    assert shape(reads_of(*tags)) == expected
    assert shape(reads_of(*tags, gap=2))[:1] == [(1, 3, 0, 10)]


def test_requests_keep_the_limits_of_the_protocol() -> None:
    """125 registers and 2000 coils in a read, 123 and 1968 in a write; a float is never split."""
    floats = tag("f", "float32", At("holding", 0), 70)
    assert shape(reads_of(floats)) == [(1, 3, 0, 124), (1, 3, 124, 16)]
    assert shape(writes_of(tag("f", "float32", At("holding", 0), 70, "out"))) == [(1, 16, 0, 122), (1, 16, 122, 18)]
    assert shape(reads_of(tag("w", "uint16", At("holding", 0), 126))) == [(1, 3, 0, 125), (1, 3, 125, 1)]
    assert shape(writes_of(tag("w", "uint16", At("holding", 0), 123, "out"))) == [(1, 16, 0, 123)]
    assert shape(reads_of(tag("c", "bool", At("coil", 0), 2001))) == [(1, 1, 0, 2000), (1, 1, 2000, 1)]
    assert shape(writes_of(tag("c", "bool", At("coil", 0), 1969, "out"))) == [(1, 15, 0, 1968), (1, 5, 1968, 1)]


def test_an_array_in_two_requests_decodes_as_one() -> None:
    """The second request's values follow the first one's."""
    values = np.zeros(70)
    for request in reads_of(tag("f", "uint32", At("holding", 0), 70)):
        first = request.address // 2
        data = b"".join((first + i).to_bytes(4, "big") for i in range(request.count // 2))
        request.accept(b"", bytes([len(data)]) + data, values)
    assert values.tolist() == list(range(70))


def test_one_register_or_coil_is_written_with_the_single_code() -> None:
    """FC 6 and 5 for a block of one; with `single=False` FC 16 and 15."""
    register, coil = tag("r", "int16", At("holding", 7), 1, "out"), tag("c", "bool", At("coil", 9), 1, "out")
    assert shape(writes_of(register, coil)) == [(1, 6, 7, 1), (1, 5, 9, 1)]
    assert shape(writes_of(register, coil, single=False)) == [(1, 16, 7, 1), (1, 15, 9, 1)]


@pytest.mark.parametrize(
    ("tags", "values", "bodies"),
    [
        ([tag("r", "int16", At("holding", 7), 1, "out")], [-2.0], ["0007 fffe"]),
        ([tag("c", "bool", At("coil", 9), 1, "out")], [1.0], ["0009 ff00"]),
        ([tag("c", "bool", At("coil", 9), 1, "out")], [0.0], ["0009 0000"]),
        ([tag("c", "bool", At("coil", 9), 10, "out")], [1.0] * 9 + [0.0], ["0009 000a 02 ff01"]),
        ([tag("f", "float32", At("holding", 1), 1, "out")], [12.5], ["0001 0002 04 41480000"]),
        ([tag("f", "float32", At("holding", 1, Order.CDAB), 1, "out")], [12.5], ["0001 0002 04 00004148"]),
        ([tag("b", "bool", At("holding", 3, bit=9), 2, "out")], [1.0, 1.0], ["0003 0600"]),
        ([tag("b", "bool", At("holding", 3, Order.BADC, bit=9), 2, "out")], [1.0, 1.0], ["0003 0006"]),
        ([tag("b", "bool", At("holding", 3, bit=7), 2, "out")], [1.0, 1.0], ["0003 0180"]),
        (
            [tag("a", "bool", At("holding", 3, bit=0), 1, "out"), tag("b", "bool", At("holding", 3, bit=15), 1, "out")],
            [1.0, 1.0],
            ["0003 8001"],
        ),
    ],
)
def test_what_is_written_byte_by_byte(tags: list[Tag], values: list[float], bodies: list[str]) -> None:
    """Bodies as the specification draws them."""
    assert [r.body(np.array(values)) for r in writes_of(*tags)] == [bytes.fromhex(b) for b in bodies]


@pytest.mark.parametrize(("bit", "order", "wire"), [(0, "ABCD", "0001"), (8, "ABCD", "0100"), (8, "BADC", "0001")])
def test_a_bit_of_a_register_is_read(bit: int, order: str, wire: str) -> None:
    """Bit 0 is the least significant one, wherever the order puts it."""
    (request,) = reads_of(tag("b", "bool", At("input", 0, Order(order), bit=bit)))
    values = np.zeros(1)
    request.accept(b"", b"\x02" + bytes.fromhex(wire), values)
    assert values[0] == 1.0
    request.accept(b"", b"\x02" + (int(wire, 16) ^ 0xFFFF).to_bytes(2, "big"), values)
    assert values[0] == 0.0


def test_a_read_asks_for_its_block() -> None:
    """Address and count, big-endian."""
    assert reads_of(tag("f", "float64", At("input", 0x102)))[0].body(np.zeros(0)).hex(" ", 2) == "0102 0004"


@pytest.mark.parametrize("answer", ["", "02 0001", "04 00010002 03", "05 0001000200"])
def test_an_answer_of_the_wrong_length_is_garbage(answer: str) -> None:
    """Byte count and data must be what was asked for, or `GarbageError` says which request it was."""
    (request,) = reads_of(tag("f", "float32", At("holding", 5)))
    with pytest.raises(GarbageError, match=r"unit 1 FC 3, holding 5\.\.6 \("):
        request.accept(b"", bytes.fromhex(answer), np.zeros(1))


def test_a_write_must_be_echoed() -> None:
    """FC 6 echoes address and value, FC 16 address and count; anything else is `GarbageError`."""
    (one,) = writes_of(tag("r", "int16", At("holding", 7), 1, "out"))
    (many,) = writes_of(tag("r", "int16", At("holding", 7), 2, "out"))
    for request, echo in ((one, "0007 0003"), (many, "0007 0002")):
        body = request.body(np.array([3.0, 4.0]))
        request.accept(body, bytes.fromhex(echo), np.zeros(0))
        with pytest.raises(GarbageError, match="expected the echo"):
            request.accept(body, bytes.fromhex("0007 0009"), np.zeros(0))


def test_function_code_23_joins_a_write_and_a_read() -> None:
    """One round trip for a closed loop; what does not fit goes separately, plain writes first."""
    writes = writes_of(tag("u", "float32", At("holding", 0), 2, "out"), tag("c", "bool", At("coil", 0), 1, "out"))
    reads = reads_of(tag("x", "float32", At("holding", 100)), tag("i", "int16", At("input", 0)))
    requests = pair(writes, reads)
    assert [type(r) for r in requests] == [Write, ReadWrite, Read]
    body = requests[1].body(np.array([1.0, 2.0, 0.0]))
    assert body.hex(" ", 2).replace(" ", "") == "0064000200000004083f80000040000000"


def test_too_long_a_write_is_not_joined() -> None:
    """FC 23 writes at most 121 registers; 122 or 123 go with FC 16."""
    reads = reads_of(tag("x", "int16", At("holding", 1000)))
    for count, joined in ((121, True), (122, False)):
        writes = writes_of(tag("u", "int16", At("holding", 0), count, "out"))
        assert isinstance(pair(writes, reads)[0], ReadWrite) is joined


def test_another_units_registers_are_not_joined() -> None:
    """FC 23 has one unit."""
    writes = writes_of(tag("u", "int16", At("holding", 0), 1, "out"))
    reads = reads_of(tag("x", "int16", At("holding", 10, unit=2)))
    assert [type(r) for r in pair(writes, reads)] == [Write, Read]


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ([tag("x", "int16", At("coil", 0))], "tag 'x': the coil table holds bool, not int16"),
        ([tag("x", "int16", At("holding", 0, bit=1))], "tag 'x': bits 1 and up of one register hold at most 16 bools"),
        ([tag("x", "bool", At("holding", 0, bit=9), 8)], "tag 'x': bits 9 and up"),
        ([tag("x", "float32", At("holding", 65535))], "tag 'x' ends beyond address 65535"),
        ([Tag("x", "int16", "in", address=AdsAddress("MAIN.x"))], "tag 'x' needs a ModbusAddress, has AdsAddress"),
        ([Tag("x", "int16", "in")], "tag 'x' needs a ModbusAddress, has None"),
    ],
)
def test_an_input_that_cannot_be_read_is_refused(tags: list[Tag], message: str) -> None:
    """`AddressError` names the tag and the reason, before anything runs."""
    with pytest.raises(AddressError, match=message):
        reads_of(*tags)


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ([tag("x", "int16", At("input", 0), 1, "out")], "output 'x': table input cannot be written; use coil or hold"),
        ([tag("x", "bool", At("discrete", 0), 1, "out")], "output 'x': table discrete cannot be written"),
        (
            [tag("x", "float32", At("holding", 0), 1, "out"), tag("y", "int16", At("holding", 1), 1, "out")],
            "outputs 'x' and 'y' share holding 1",
        ),
        (
            [tag("x", "bool", At("holding", 0, bit=1), 2, "out"), tag("y", "bool", At("holding", 0, bit=2), 1, "out")],
            "outputs 'y' and 'x' share holding 0|outputs 'x' and 'y' share holding 0",
        ),
        (
            [tag("x", "bool", At("holding", 0, bit=1), 1, "out"), tag("y", "int16", At("holding", 0), 1, "out")],
            "outputs 'x' and 'y' share holding 0",
        ),
    ],
)
def test_an_output_that_cannot_be_written_is_refused(tags: list[Tag], message: str) -> None:
    """Read-only tables and shared addresses raise `AddressError`."""
    with pytest.raises(AddressError, match=message):
        writes_of(*tags)


def test_a_request_in_words() -> None:
    """Table, registers and tags: what a person needs who looks for a wrong address; of many tags the first ones."""
    (one,) = reads_of(tag("x_ra", "float32", At("input", 500)))
    assert str(one) == "unit 1 FC 4, input 500..501 (x_ra)"
    (many,) = reads_of(*(tag(f"t{n}", "int16", At("holding", n)) for n in range(8)))
    assert str(many) == "unit 1 FC 3, holding 0..7 (t0, t1, t2, t3, t4 and 3 more)"
