"""Requests and answers as bytes: every function code, every exception, what is published and when."""

import struct
from dataclasses import replace

import numpy as np
import pytest

import rt_engine
from fieldbus.tags import Order
from plc_bindings.calls.pace import SLOW_S
from plc_bindings.data.types import BOOL, SINT, Field, Struct
from plc_bindings.modbus.map import RegisterMap
from plc_bindings.modbus.pdu import MOST_PDU, Identity, identification
from plc_bindings.modbus.session import Job
from tests.plc_bindings.modbus.plant import INPUTS, POLICY


def ask(session, hexa, *more):
    """Send hex digits and bytes; the answer in hex."""
    answer = session.answer(bytes.fromhex(hexa) + b"".join(more))
    if isinstance(answer, Job):
        answer.run()
        answer = answer.finish()
    return answer.hex(" ")


# --- reading ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        ("03 001a 0002", "03 04 40 20 00 00"),  # force = 2.5
        ("04 001a 0002", "04 04 40 20 00 00"),  # the same as input registers
        ("03 001c 0001", "03 02 ff fe"),  # step = -2
        ("03 001d 0004", "03 08 00 00 01 00 00 00 00 07"),  # total = 2**40 + 7
        ("03 001b 0002", "03 04 00 00 ff fe"),  # the second half of force, and step
        ("03 001e 0001", "03 02 01 00"),  # the second register of total
        ("03 a028 0007", "03 0e ff fe ee 90 61 78 69 73 00 00 00 00 00 00"),  # -70000, 'axis'
        ("03 a02b 0001", "03 02 69 73"),  # 'is'
        ("01 0000 000c", "01 02 00 08"),  # alarm is coil 11
        ("02 000b 0001", "02 01 01"),
        ("02 2af8 0002", "02 01 01"),  # Late, Reset
    ],
)
def test_reading(plant, request_, answer):
    assert ask(plant.session(), request_) == answer


def test_one_read_over_two_areas_sees_each_once(plant):
    """Registers 0 to 33 are all tags: two areas, two snapshots."""
    answer = plant.session().answer(bytes.fromhex("03 0000 0022"))
    assert len(answer) == 2 + 68
    assert (plant.inputs.reads, plant.outputs.reads) == (1, 1)


@pytest.mark.parametrize("order", list(Order))
def test_the_order_of_the_server(plant, order):
    wire = {"ABCD": "40 20 00 00", "CDAB": "00 00 40 20", "BADC": "20 40 00 00", "DCBA": "00 00 20 40"}
    assert ask(plant.session(order), "03 001a 0002") == f"03 04 {wire[order]}"


# --- writing ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("request_", "answer", "name", "char", "value"),
    [
        ("05 0000 ff00", "05 00 00 ff 00", "on", "?", (True,)),
        ("06 0000 0001", "06 00 00 00 01", "on", "?", (True,)),
        ("06 0004 beef", "06 00 04 be ef", "count", "H", (0xBEEF,)),
        ("06 0003 ff80", "06 00 03 ff 80", "small", "b", (-128,)),
        ("10 0001 0002 04 3fc00000", "10 00 01 00 02", "speed", "f", (1.5,)),
        ("10 0013 0006 0c 3f800000 40000000 40400000", "10 00 13 00 06", "row", "3f", (1, 2, 3)),
        ("10 0015 0002 04 3f800000", "10 00 15 00 02", "row", "3f", (0, 1, 0)),  # one element of three
        ("0f 0001 000a 02 ffff", "0f 00 01 00 0a", "valves", "10?", (True,) * 10),
        ("0f 0004 0003 01 05", "0f 00 04 00 03", "valves", "10?", (*(False,) * 3, True, False, True, *(False,) * 4)),
        ("16 0004 0000 00ff", "16 00 04 00 00 00 ff", "count", "H", (0xFF,)),
    ],
)
def test_writing(plant, request_, answer, name, char, value):
    assert ask(plant.session(), request_) == answer
    assert struct.unpack_from("<" + char, plant.inputs.data, INPUTS.offsets[name]) == value
    assert len(plant.inputs.commits) == 1


def test_mask_keeps_and_sets_bits(plant):
    """The example of 6.16: 0x12, AND 0xF2, OR 0x25 gives 0x17."""
    session = plant.session()
    ask(session, "06 0004 0012")
    ask(session, "16 0004 00f2 0025")
    assert ask(session, "03 0004 0001") == "03 02 00 17"


def test_fc23_writes_before_it_reads(plant):
    """Both are holding registers 1 and 2: the answer is what the same request wrote."""
    assert ask(plant.session(), "17 0001 0002 0001 0002 04 3fc00000") == "17 04 3f c0 00 00"


def test_one_request_is_published_at_once(plant):
    """Twenty-six registers of one area: one commit."""
    data = bytes(52)
    assert ask(plant.session(), "10 0000 001a 34", data) == "10 00 00 00 1a"
    assert len(plant.inputs.commits) == 1


# --- refusals ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        ("07", "87 01"),
        ("08 0000 0000", "88 01"),
        ("64", "e4 01"),
        ("83 0000 0001", "83 01"),
        ("2b 0d 01 00", "ab 01"),
        ("03 0000 0000", "83 03"),
        ("03 0000 007e", "83 03"),
        ("03 0000", "83 03"),
        ("03 0000 0001 00", "83 03"),
        ("01 0000 07d1", "81 03"),
        ("05 0000 0001", "85 03"),
        ("05 0000 ff01", "85 03"),
        ("06 0000 01", "86 03"),
        ("0f 0000 0000 00", "8f 03"),
        ("0f 0000 0009 01 ff", "8f 03"),
        ("0f 0000 0008 02 ffff", "8f 03"),
        ("10 0000 0001 03 000000", "90 03"),
        ("10 0000 0001 02 0000 00", "90 03"),
        ("10 0000 0001 02 00", "90 03"),
        ("17 0000 0000 0001 0001 02 0000", "97 03"),
        ("17 0000 007e 0004 0001 02 0000", "97 03"),
        ("17 0000 0001 0004 0000 00", "97 03"),
        ("16 0004 00f2 00", "96 03"),
        ("2b 0e 05 00", "ab 03"),
        ("2b 0e 01", "ab 03"),
        ("2b 0e 04 09", "ab 02"),
        ("03 0022 0001", "83 02"),
        ("03 0000 0023", "83 02"),
        ("03 ffff 0001", "83 02"),
        ("03 ffff 0002", "83 02"),
        ("01 000c 0001", "81 02"),
        ("01 0000 0010", "81 02"),
        ("06 001c 0001", "86 02"),  # an output
        ("05 000b ff00", "85 02"),
        ("06 0001 3fc0", "86 02"),  # half of a REAL
        ("10 0000 0002 04 00003fc0", "90 02"),
        ("10 0002 0002 04 00000000", "90 02"),
        ("16 0001 0000 ffff", "96 02"),
        ("17 0022 0001 0004 0001 02 0007", "97 02"),  # what it would read does not exist
        ("06 0000 0002", "86 03"),  # BOOL
        ("06 0003 0080", "86 03"),  # SINT
        ("06 0019 0100", "86 03"),  # USINT
        ("10 0001 0002 04 7fc00000", "90 03"),  # NaN
        ("10 0001 0002 04 ff800000", "90 03"),  # -inf
        ("10 000f 0004 08 7ff0000000000000", "90 03"),
        ("17 0000 0001 0001 0002 04 7fc00000", "97 03"),
        ("10 0000 0003 06 0001 7fc00000", "90 03"),  # a good value and a bad one
    ],
)
def test_a_refused_request_gets_its_exception_and_changes_nothing(plant, request_, answer):
    assert ask(plant.session(), request_) == answer
    assert not plant.inputs.commits and not plant.outputs.commits


def test_what_is_not_named_writable_is_refused_and_noted(plant):
    session = plant.session(writable=("tags.SPEED",))
    assert ask(session, "10 0001 0002 04 3fc00000") == "10 00 01 00 02"
    assert ask(session, "06 0004 0001") == "86 02"
    assert ask(session, "10 0000 0003 06 0001 3fc00000") == "90 02"
    assert len(plant.inputs.commits) == 1
    assert plant.refused == ["write of Tags.count: not writable", "write of Tags.on: not writable"]


def test_an_area_that_fails_is_a_device_failure(plant):
    """The client learns it, the log why; the next request is answered."""

    def fail():
        raise RuntimeError("broken")

    plant.outputs.read = fail
    session = plant.session()
    assert ask(session, "03 001a 0002") == "83 04"
    assert "broken" in plant.refused[0]
    assert ask(session, "03 0000 0001") == "03 02 00 00"


def test_identification(plant):
    session = plant.session()
    assert ask(session, "2b 0e 01 00") == "2b 0e 01 82 00 00 03 00 02 72 74 01 06 65 6e 67 69 6e 65 02 01 31"
    assert ask(session, "2b 0e 04 01") == "2b 0e 04 82 00 00 01 01 06 65 6e 67 69 6e 65"
    assert ask(session, "2b 0e 02 63") == ask(session, "2b 0e 02 00")


def test_identification_that_is_too_long_for_one_answer_goes_on(plant):
    objects = Identity(vendor="v" * 200, product_code="p" * 300, revision="1").objects()
    first = identification(bytes.fromhex("2b0e0100"), objects)
    assert (first[4], first[5], first[6]) == (0xFF, 1, 1)
    second = identification(bytes.fromhex("2b0e0101"), objects)
    assert len(first) <= MOST_PDU and len(second) <= MOST_PDU
    assert (second[4], second[5]) == (0xFF, 2)
    assert identification(bytes.fromhex("2b0e0102"), objects)[4:] == b"\0\0\1\2\0011"


# --- predict ----------------------------------------------------------------------------------------------------------
def exchange(plant, x):
    block = plant.map.blocks[0]
    data = struct.pack(">7f", *x)
    counts = (block.result, block.end - block.result, block.inputs, block.result - block.inputs)
    return b"\x17" + struct.pack(">HHHHB", *counts, len(data)) + data


def direct(plant, x):
    context = plant.slots["policy"].model.context()
    next(iter(context.inputs.values())).reshape(-1)[:] = x
    context.run()
    return float(next(iter(context.outputs.values())).reshape(-1)[0])


def predict(session, pdu):
    answer = bytes.fromhex(ask(session, pdu.hex()))
    return struct.unpack(">IIf", answer[2:])


def test_predict_by_one_fc23(plant):
    """Status, version and the outputs of that very call."""
    session = plant.session()
    for i in range(5):
        x = np.linspace(-1, 1, 7, dtype=np.float32) * i
        assert predict(session, exchange(plant, x)) == (0, 1, direct(plant, x))


def test_predict_by_fc16_then_fc3_or_fc4(plant):
    session = plant.session()
    x = [0.5] * 7
    pdu = exchange(plant, x)
    block = plant.map.blocks[0]
    assert ask(session, f"10 {block.inputs:04x} 000e 1c", pdu[10:]) == f"10 {block.inputs.to_bytes(2).hex(' ')} 00 0e"
    for function in (3, 4):
        answer = bytes.fromhex(ask(session, f"{function:02x} {block.result:04x} 0006"))
        assert struct.unpack(">IIf", answer[2:]) == (0, 1, direct(plant, x))


def test_status_and_outputs_in_two_reads_are_of_one_call(plant):
    """A result is computed once, so a model with state goes one step on."""
    session = plant.session()
    ask(session, exchange(plant, [1.0] * 7).hex())
    calls = []
    block = session._blocks[0]
    run, block.run = block.run, lambda: calls.append(run())
    ask(session, "03 271e 0002")
    ask(session, "03 2722 0002")
    assert not calls
    ask(session, exchange(plant, [2.0] * 7).hex())
    assert len(calls) == 1


def test_inputs_in_parts_split_anywhere(plant):
    """Several FC 16, even through the middle of a REAL, and the rest with FC 23."""
    session = plant.session()
    x = [0.1, -0.2, 0.3, -0.4, 0.5, -0.6, 0.7]
    data = struct.pack(">7f", *x)
    assert ask(session, "10 2710 0005 0a", data[:10]) == "10 27 10 00 05"
    assert ask(session, "10 2715 0006 0c", data[10:22]) == "10 27 15 00 06"
    answer = bytes.fromhex(ask(session, "17 271e 0006 271b 0003 06", data[22:]))
    assert struct.unpack(">IIf", answer[2:]) == (0, 1, direct(plant, np.float32(x)))


def test_before_all_inputs_are_written_there_is_no_result(plant):
    """Status 201, WRONG_SIZE: nothing is computed from inputs that nobody has written."""
    session = plant.session()
    assert ask(session, "03 271e 0006") == "03 0c 00 00 00 c9 00 00 00 01 00 00 00 00"
    ask(session, "06 2710 3f80")
    assert ask(session, "03 271e 0002") == "03 04 00 00 00 c9"


def test_inputs_are_private_to_a_connection(plant):
    one, two = plant.session(), plant.session()
    a, b = exchange(plant, [1.0] * 7), exchange(plant, [-1.0] * 7)
    ask(one, a.hex()), ask(two, b.hex())
    assert ask(one, "03 2710 0001") == "03 02 3f 80"
    assert ask(two, "03 2710 0001") == "03 02 bf 80"


def test_nan_reaches_the_model_and_its_status_says_so(plant):
    status, version, _ = predict(plant.session(), exchange(plant, [float("nan")] * 7))
    assert (status, version) == (106, 1)


def test_results_cannot_be_written(plant):
    session = plant.session()
    assert ask(session, "06 271e 0000") == "86 02"
    assert ask(session, "10 271d 0002 04 00000000") == "90 02"


def test_a_hot_update_shows_in_the_version(plant):
    session = plant.session()
    x = np.linspace(-1, 1, 7, dtype=np.float32)
    assert predict(session, exchange(plant, x))[1] == 1
    plant.slots["policy"].update(rt_engine.load(POLICY.with_name("policy-v2.onnx")))
    assert predict(session, exchange(plant, x)) == (0, 2, direct(plant, x))


def test_the_first_call_and_slow_ones_are_jobs(plant):
    """The first call makes a context; how long the newest took decides about the next."""
    session = plant.session()
    pdu = exchange(plant, [0.0] * 7)
    first, paces = session.answer(pdu), session._predictor._paces
    assert isinstance(first, Job)
    first.run(), first.finish()
    paces.note(1, 1, SLOW_S / 2)
    assert isinstance(session.answer(pdu), bytes)
    paces.note(1, 1, SLOW_S * 2)
    assert isinstance(session.answer(pdu), Job)


def test_small_inputs_are_checked(plant):
    """A model that takes BOOL and SINT gets no others."""
    served = plant.models.all[0]
    inputs = Struct("In", (Field("flag", BOOL), Field("level", SINT)))
    plant.models.all = (replace(served, signature=replace(served.signature, inputs=inputs)),)
    plant.map = RegisterMap(plant.database, plant.models)
    session = plant.session()
    assert ask(session, "10 2710 0002 04 0001 ff80") == "10 27 10 00 02"
    assert ask(session, "06 2710 0002") == "86 03"
    assert ask(session, "10 2710 0002 04 0001 0080") == "90 03"
    assert ask(session, "03 2710 0002") == "03 04 00 01 ff 80"
