"""From tags to requests: which function code, which addresses, which bytes."""

from collections.abc import Sequence

import numpy as np
import pytest

from fieldbus.ads.address import AdsAddress
from fieldbus.codec import Codec
from fieldbus.errors import AddressError, GarbageError
from fieldbus.link.ports import Cells
from fieldbus.modbus.address import ModbusAddress
from fieldbus.modbus.plan import Options, Plan, kept_words, make_plan, pair, plan_reads, plan_writes, shorter
from fieldbus.modbus.requests import Keep, MaskWrite, Read, ReadWrite, Request, Values, Write
from fieldbus.tags import Order, Tag

At = ModbusAddress


def tag(name: str, kind: str, address: ModbusAddress, count: int = 1, direction: str = "in") -> Tag:
    return Tag(name, kind, direction, count=count, address=address)  # type: ignore[arg-type]


def reads_of(*tags: Tag, gap: int = 0) -> list[Read]:
    return plan_reads(Cells("plc", tags), Options(gap=gap))


def writes_of(*tags: Tag, single: bool = True) -> list[Write | MaskWrite]:
    return plan_writes(Cells("plc", tags), Options(single_writes=single, keep_bits=False))


def plan_of(*tags: Tag, **options: object) -> Plan:
    chosen = Options(**options)  # type: ignore[arg-type]
    inputs = [t for t in tags if t.direction == "in"] + kept_words(tags, chosen)
    return make_plan(Cells("plc", inputs), Cells("plc", [t for t in tags if t.direction == "out"]), chosen)


def shape(requests: Sequence[Request]) -> list[tuple[int, int, int, int]]:
    return [(r.unit, r.function, r.address, r.count) for r in requests if not isinstance(r, ReadWrite)]


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
    requests, left = pair(writes, reads)
    assert [type(r) for r in (*requests, *left)] == [Write, ReadWrite, Read]
    body = requests[1].body(np.array([1.0, 2.0, 0.0]))
    assert body.hex(" ", 2).replace(" ", "") == "0064000200000004083f80000040000000"


def test_too_long_a_write_is_not_joined() -> None:
    """FC 23 writes at most 121 registers; 122 or 123 go with FC 16."""
    reads = reads_of(tag("x", "int16", At("holding", 1000)))
    for count, joined in ((121, True), (122, False)):
        writes = writes_of(tag("u", "int16", At("holding", 0), count, "out"))
        assert isinstance(pair(writes, reads)[0][0], ReadWrite) is joined


def test_another_units_registers_are_not_joined() -> None:
    """FC 23 has one unit."""
    writes = writes_of(tag("u", "int16", At("holding", 0), 1, "out"))
    reads = reads_of(tag("x", "int16", At("holding", 10, unit=2)))
    assert pair(writes, reads) == (writes, reads)


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


BIT = tag("warning", "bool", At("holding", 4, bit=0), 1, "out")
WIDE = tag("speed", "float32", At("holding", 5), 1, "out")


def test_the_other_bits_of_a_word_are_read_and_written_back() -> None:
    """An output of one bit: its word is read before, and its other fifteen bits are written as they were read."""
    plan = plan_of(BIT, WIDE, tag("x", "uint16", At("input", 9)))
    assert shape(plan.before) == [(1, 3, 4, 1)]
    assert shape(plan.middle) == [(1, 16, 5, 2), (1, 6, 4, 1)]
    assert shape(plan.after) == [(1, 4, 9, 1)]
    write = plan.middle[1]
    inputs = np.array([0.0, np.nan])
    assert not write.is_ready(inputs)
    plan.before[0].accept(b"", bytes.fromhex("02 a003"), inputs)
    assert write.is_ready(inputs)
    assert write.body(np.array([0.0, 1.0]), inputs).hex(" ", 2) == "0004 a002"
    assert write.body(np.array([1.0, 1.0]), inputs).hex(" ", 2) == "0004 a003"
    assert write.keeps == (Keep(2, 0xFFFE, 1),)


def test_a_word_that_outputs_own_whole_is_not_read() -> None:
    """Sixteen bits of one register, or a value that is no bit, leave nothing to be kept."""
    assert plan_of(*(tag(f"b{n}", "bool", At("holding", 4, bit=8 * n), 8, "out") for n in (0, 1))).before == ()
    assert plan_of(tag("b", "bool", At("holding", 4), 1, "out"), WIDE).before == ()


@pytest.mark.parametrize(("order", "mask"), [("ABCD", 0xFDFE), ("BADC", 0xFEFD)])
def test_kept_bits_are_those_of_the_wire(order: str, mask: int) -> None:
    """Bits 0 and 9 are outputs: with swapped bytes they are bits 8 and 1 of what is on the wire."""
    bits = [tag(f"b{bit}", "bool", At("holding", 4, Order(order), bit=bit), 1, "out") for bit in (0, 9)]
    (write,) = plan_of(*bits).writes
    assert [keep.mask for keep in write.kept] == [mask]  # type: ignore[union-attr]
    words = np.array([float(0xFFFF)])
    assert write.body(np.zeros(2), words) == (4).to_bytes(2, "big") + mask.to_bytes(2, "big")


def test_a_device_that_masks_bits_itself_is_asked_to() -> None:
    """FC 22 with and mask and or mask: nothing is read; a word of one owner is written as ever."""
    plan = plan_of(BIT, tag("b9", "bool", At("holding", 5, bit=9), 1, "out"), mask_writes=True)
    assert plan.before == ()
    assert [request.body(np.array([1.0, 1.0])).hex(" ", 2) for request in plan.middle] == [
        "0004 fffe 0001",
        "0005 fdff 0200",
    ]
    body = plan.middle[0].body(np.array([1.0, 0.0]))
    plan.middle[0].accept(body, body, np.zeros(0))
    with pytest.raises(GarbageError, match=r"unit 1 FC 22, holding 4 \(warning\): expected the echo"):
        plan.middle[0].accept(body, body[:5], np.zeros(0))


def test_other_bits_become_zero_where_that_is_wanted() -> None:
    """`keep_bits=False`: the word is written alone."""
    plan = plan_of(BIT, keep_bits=False)
    assert (plan.before, shape(plan.middle)) == ((), [(1, 6, 4, 1)])


def test_kept_bits_go_with_function_code_23() -> None:
    """The word is read before, its bits are kept in the joined request too."""
    plan = plan_of(BIT, tag("x", "uint16", At("holding", 90)), read_write=True)
    assert [type(request) for request in plan.requests] == [Read, ReadWrite]
    body = plan.middle[0].body(np.ones(1), np.array([0.0, 0xA002]))
    assert body.hex() == "005a000100040001" + "02" + "a003"
    assert plan.middle[0].keeps == (Keep(9, 0xFFFE, 1),)


EVERYTHING = (
    BIT,
    WIDE,
    tag("lone", "int16", At("holding", 90), 1, "out"),
    tag("coil", "bool", At("coil", 3), 1, "out"),
    tag("coils", "bool", At("coil", 30), 11, "out"),
    tag("x", "float32", At("holding", 70, Order.DCBA)),
    tag("bit", "bool", At("input", 70, bit=3)),
    tag("d", "bool", At("discrete", 7), 9),
)


@pytest.mark.parametrize("options", [{}, {"mask_writes": True}, {"read_write": True}, {"single_writes": False}])
def test_what_a_request_says_of_itself_is_what_it_does(options: dict[str, bool]) -> None:
    """Template and outputs give the body, `fixed` and `echoed` the answer, inputs its values: without calling it."""
    plan = plan_of(*EVERYTHING, **options)
    outputs, inputs = np.arange(20.0) % 2, np.full(16, 5.0)
    for request in plan.requests:
        body = request.body(outputs, inputs)
        assert rebuilt(request, outputs, inputs) == body
        answer = bytearray(request.answer)
        answer[: request.echoed] = body[: request.echoed]
        request.accept(body, bytes(answer), np.zeros(16))
        assert len(request.fixed) == len(request.answer)
        assert all(a & f == b & f for a, b, f in zip(answer, request.answer, request.fixed, strict=True))
        for field in request.inputs:
            values = np.zeros(16)
            changed = bytearray(answer)
            changed[field.byte : field.byte + field.width] = b"\xff" * field.width
            request.accept(body, bytes(changed), values)
            assert values[field.cell] != 0.0


def rebuilt(request: Request, outputs: Values, inputs: Values) -> bytes:
    """The body, made of what the request says of itself."""
    body = Codec(request.outputs, len(request.template)).encode(outputs) if request.outputs else b""
    whole = bytearray(a | b for a, b in zip(request.template, body or bytes(len(request.template)), strict=True))
    for keep in request.keeps:
        word = int.from_bytes(whole[keep.byte : keep.byte + 2], "big") | int(inputs[keep.cell]) & keep.mask
        whole[keep.byte : keep.byte + 2] = word.to_bytes(2, "big")
    return bytes(whole)


def test_a_broadcast_is_not_answered() -> None:
    """Unit 0 of a serial line: outputs of no answer, inputs refused; of TCP it is a unit like others."""
    out, into = tag("u", "int16", At("holding", 1, unit=0), 1, "out"), tag("x", "int16", At("holding", 1, unit=0))
    assert [w.answered for w in plan_of(out, broadcasts=True).writes] == [False]
    assert [w.answered for w in plan_of(out, into).writes] == [True]
    with pytest.raises(AddressError, match="tag 'x': unit 0 of a serial line is every device at once"):
        plan_of(into, broadcasts=True)
    with pytest.raises(AddressError, match="unit 0 of a serial line"):
        plan_of(tag("b", "bool", At("holding", 1, unit=0, bit=1), 1, "out"), broadcasts=True)


def test_a_device_of_short_requests() -> None:
    """`max_read` and the others are kept; a value that needs more is refused."""
    floats = tag("f", "float32", At("input", 0), 24)
    assert shape(plan_of(floats, max_read=20).after) == [(1, 4, 0, 20), (1, 4, 20, 20), (1, 4, 40, 8)]
    assert shape(plan_of(floats, max_read=7).after)[0] == (1, 4, 0, 6)
    outs = tag("u", "uint16", At("holding", 0), 5, "out"), tag("c", "bool", At("coil", 0), 5, "out")
    assert shape(plan_of(*outs, max_write=3, max_write_bits=4).middle) == [
        (1, 16, 0, 3),
        (1, 16, 3, 2),
        (1, 15, 0, 4),
        (1, 5, 4, 1),
    ]
    with pytest.raises(AddressError, match="tag 'f': a float32 takes 2 registers, more than 1 of a request"):
        plan_of(floats, max_read=1)


def test_a_request_that_is_too_long_is_halved() -> None:
    """Until it is as short as its widest value; a write and a read in one both."""
    options, lengths = Options(), []
    while options is not None:
        read = plan_reads(Cells("plc", [tag("f", "float32", At("input", 0), 24)]), options)[0]
        lengths.append(read.count)
        options = shorter(options, read)  # type: ignore[assignment]
    assert lengths == [48, 24, 12, 6, 2]
    assert shorter(Options(), writes_of(tag("c", "bool", At("coil", 0), 9, "out"))[0]) == Options(max_write_bits=5)
    (both,) = plan_of(WIDE, tag("x", "uint16", At("holding", 90), 9), read_write=True).middle
    assert shorter(Options(read_write=True), both) == Options(read_write=True, max_read=5)
    assert shorter(Options(), plan_of(BIT, mask_writes=True).middle[0]) is None
