"""Terminals, step by step: their bits, their status, what they do when OP ends; wires."""

import math
import struct

import pytest

from fieldbus.ethercat.simulated.al import AlCode
from fieldbus.ethercat.simulated.presets import make
from tests.fieldbus.ethercat.simulated.runner import Runner


def test_digital_outputs_are_bits_and_zero_outside_of_op():
    runner = Runner(make(["do16"])[0], 2, 0)
    assert runner.go(2, 4) == (4, 0)
    runner.step(b"\xff\xff")
    assert not any(runner.device.values)
    assert runner.go(8) == (8, 0)
    runner.step(b"\x05\x80")
    assert [i for i, on in enumerate(runner.device.values) if on] == [0, 2, 15]
    runner.is_op = False
    runner.step()
    assert not any(runner.device.values)


def test_digital_inputs_follow_the_outputs_that_they_are_wired_to():
    outputs, inputs = make(["do4", "di8"])
    out, into = Runner(outputs, 1, 0), Runner(inputs, 0, 1)
    into.go(2, 4)
    inputs.set_inputs([False] * 4 + [True] * 4)
    out.go(2, 4, 8)
    out.step(b"\x0a")
    assert into.step() == b"\xfa"


@pytest.fixture
def inputs():
    return Runner(make(["ai2"])[0], 0, 8)


def channel(image, number):
    """(underrange, overrange, limit 1, limit 2, error, state, value) of a channel; the toggle is apart."""
    status, value = struct.unpack_from("<Hh", image, 4 * number)
    bits = (status & 1, status >> 1 & 1, status >> 2 & 3, status >> 4 & 3, status >> 6 & 1, status >> 14 & 1)
    return (*bits, value)


@pytest.mark.parametrize(
    ("volts", "status"),
    [
        (5.0, (0, 0, 0, 0, 0, 0, 16384)),
        (-10.0, (0, 0, 0, 0, 0, 0, -32768)),
        (11.0, (0, 1, 0, 0, 1, 0, 32767)),
        (-11.0, (1, 0, 0, 0, 1, 0, -32768)),
        (math.nan, (1, 0, 0, 0, 1, 1, 0)),
    ],
)
def test_an_analogue_input_tells_when_its_value_is_none(inputs, volts, status):
    assert inputs.go(2, 4) == (4, 0)
    inputs.device.set_volts(1, volts)
    assert channel(inputs.step(), 1) == status


def test_limits_and_scaling_are_settings(inputs):
    inputs.go(2, 4)
    inputs.sdo(0x8000, b"\1", 7)
    inputs.sdo(0x8000, struct.pack("<h", 100), 19)
    inputs.sdo(0x8000, struct.pack("<h", 10), 17)
    inputs.sdo(0x8000, struct.pack("<i", 1 << 15), 18)
    seen = []
    for volts in (0.01, 0.1, 180 / 3276.8):
        inputs.device.set_volts(0, volts)
        seen.append(channel(inputs.step(), 0))
    assert [(s[2], s[6]) for s in seen] == [(1, 26), (2, 173), (3, 100)]


def test_the_toggle_changes_with_each_value(inputs):
    inputs.go(2, 4)
    assert [inputs.step()[1] >> 7 for _ in range(3)] == [1, 0, 1]


def test_a_compact_pdo_is_the_value_alone(inputs):
    inputs.go(2)
    for data, subindex in ((b"\0", 0), (b"\1\x1a", 1), (b"\3\x1a", 2), (b"\2", 0)):
        inputs.sdo(0x1C13, data, subindex)
    assert inputs.go(4) == (2 | 0x10, AlCode.INPUTS)
    inputs.esc.manager(3, 0x1400, 4, 0x20)
    assert inputs.go(4 | 0x10) == (4, 0)
    inputs.device.set_volts(1, 5.0)
    assert struct.unpack("<hh", inputs.step()[:4]) == (0, 16384)


def test_analogue_inputs_follow_the_outputs_that_they_are_wired_to(inputs):
    outputs, into = make(["ao2", "ai2"])
    out, reader = Runner(outputs, 4, 0), Runner(into, 0, 8)
    out.go(2, 4, 8), reader.go(2, 4)
    out.step(struct.pack("<hh", 16384, -16384))
    assert outputs.volts == [5.0, -5.0]
    image = reader.step()
    assert [channel(image, i)[6] for i in range(2)] == [16384, -16384]
    out.go(4)
    out.step()
    assert outputs.volts == [0.0, 0.0] and channel(reader.step(), 0)[6] == 0


def test_the_watchdog_ends_op_where_there_is_firmware():
    runner, simple = Runner(make(["ao2"])[0], 4, 0), Runner(make(["do8"])[0], 1, 0)
    for one, shown in ((runner, (4 | 0x10, AlCode.WATCHDOG)), (simple, (8, 0))):
        one.go(2, 4, 8)
        one.device.watchdog(one.esc)
        assert one.esc.shown == shown


def test_orders_break_wires_and_refuse_states(inputs):
    inputs.device.order(inputs.esc, "refuse", {"state": "SAFE-OP", "code": "0x8001", "times": 1})
    assert inputs.go(2, 4) == (2 | 0x10, 0x8001)
    assert inputs.go(4 | 0x10) == (4, 0)
    inputs.device.order(inputs.esc, "broken", {"channel": 1})
    assert channel(inputs.step(), 1)[5] == 1
    inputs.device.order(inputs.esc, "abort", {"index": "0x1018", "subindex": 1})
    inputs.device.order(inputs.esc, "silent", {"count": 2})
    assert inputs.device.coe.aborts == {(0x1018, 1): 0x08000000} and inputs.device.mails.silent == 2
    inputs.device.order(inputs.esc, "emergency", {"code": 0x5000})
    assert inputs.esc.sent[0][6:11] == b"\0\x10\0\x50\1"
    with pytest.raises(ValueError, match="no order 'dance'"):
        inputs.device.order(inputs.esc, "dance", {})
    with pytest.raises(ValueError, match="none of INIT"):
        inputs.device.order(inputs.esc, "refuse", {"state": "SLEEP"})
