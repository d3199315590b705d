"""The distributed clock: drift, offset, delay, its control, SYNC0 (data sheet, section I, chapter 9)."""

import struct

import numpy as np
import pytest

from fieldbus.ethercat.protocol import Command
from fieldbus.ethercat.simulated.device import EscKind, NativeStep, Why
from fieldbus.ethercat.simulated.generic import Mirror
from tests.fieldbus.ethercat.simulated.datagrams import MS, Datagram, at, line

S = 1000 * MS


def clocked(*ppm):
    """Mirrors whose crystals are so fast, 500 ns apart."""
    return [Mirror(kind=EscKind(drift_ppm=one)) for one in ppm]


def system_time(one, slave):
    """What a slave's clock shows to a frame that leaves the master now."""
    return struct.unpack("<q", one.read(slave, 0x0910, 8))[0]


def test_a_crystal_drifts():
    """A second later 50 ppm are 50 us."""
    with line(clocked(0.0, 50.0, -50.0)) as one:
        one.read(0, 0, 1)
        before = [system_time(one, i) for i in range(3)]
        one.now += S
        assert [system_time(one, i) - t - S for i, t in enumerate(before)] == pytest.approx([0, 50_000, -50_000], abs=2)


def test_receive_times_tell_the_cables_length():
    """Port 0 when a frame comes, port 1 when it comes back: half of it is the way to the last slave; that one has no port 1."""
    with line(clocked(0.0, 0.0, 0.0)) as one:
        one.ask(Command.BWR, 0, 0x0900, bytes(4))
        times = [struct.unpack("<II", one.read(i, 0x0900, 8)) for i in range(3)]
        assert [back - came for came, back in times[:2]] == [2000, 1000]
        assert times[2][1] == 0
        assert struct.unpack("<q", one.read(1, 0x0918, 8))[0] & 0xFFFFFFFF == times[1][0]


def test_an_offset_sets_system_time():
    with line(clocked(0.0)) as one:
        one.write(0, 0x0920, struct.pack("<q", 7 * S))
        before = system_time(one, 0)
        one.write(0, 0x0920, struct.pack("<q", 9 * S))
        assert system_time(one, 0) - before == 2 * S


def synchronised(one, delays, cycles, period=MS):
    """Let the first slave's clock be everybody's for so many cycles; gives by how much the others differ, each cycle."""
    for i, delay in enumerate(delays):
        one.write(i, 0x0010, struct.pack("<H", 1001 + i))
        one.write(i, 0x0928, struct.pack("<I", delay))
    found = []
    for _ in range(cycles):
        one.now += period
        one.send(Datagram(Command.FRMW, at(1001, 0x0910), bytes(8)))
        words = [struct.unpack("<I", one.read(i, 0x092C, 4))[0] for i in range(1, len(delays))]
        found.append([w & 0x7FFFFFFF if w >> 31 else -w for w in words])
    return np.array(found)


def test_clocks_are_drawn_to_the_reference():
    """Crystals 100 ppm apart differ by less than 20 ns after a second of cycles, and stay."""
    with line(clocked(20.0, 100.0, -80.0)) as one:
        for i in range(3):
            one.write(i, 0x0920, struct.pack("<q", 100 * S - system_time(one, i) + i * 1000))
        differences = synchronised(one, (0, 500, 1000), 2000)
        assert abs(differences[0]).max() > 20
        assert abs(differences[1000:]).max() < 20
        true = [system_time(one, i) - i * 500 for i in range(3)]
        assert max(true) - min(true) < 40


class Pulsed(Mirror):
    """A slave that writes down when its step was called, and why."""

    def __init__(self, step: NativeStep) -> None:
        super().__init__()
        self.step = step


@pytest.fixture
def pulses():
    """Calls of a native step, made in Python: (time, why)."""
    import ctypes

    calls: list[tuple[int, int]] = []
    kind = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * 5)

    def step(state: int, outputs: int, inputs: int, now: int, why: int) -> int:
        calls.append((now, why))
        return 0

    function = kind(step)
    from rt_native.memory import Block

    address = ctypes.cast(function, ctypes.c_void_p).value
    assert address is not None
    native = NativeStep(address, Block(8), on=Why.SYNC0 | Why.PERIOD, period_ns=MS)
    with line([Pulsed(native)]) as one:
        one.read(0, 0, 1)
        calls.clear()
        yield one, calls, function


def activate(one, first, cycle, activation=0x03):
    """SYNC0 from a system time on."""
    one.write(0, 0x0990, struct.pack("<q", first))
    one.write(0, 0x09A0, struct.pack("<I", cycle))
    assert one.write(0, 0x0981, bytes([activation])) == 1


def test_a_pulse_comes_at_its_time_however_late_we_are(pulses):
    """Each is made up for, with its own true time; while there are pulses the device does not run freely."""
    one, calls, _ = pulses
    start = system_time(one, 0) + 10 * MS
    began = one.now
    activate(one, start, 2 * MS)
    calls.clear()
    one.now += 15 * MS
    one.read(0, 0, 1)
    assert [why for _, why in calls] == [Why.SYNC0] * 3
    assert [now - began for now, _ in calls] == pytest.approx([10 * MS, 12 * MS, 14 * MS], abs=1000)
    assert struct.unpack("<q", one.read(0, 0x0990, 8))[0] == start + 6 * MS


def test_without_pulses_a_device_runs_freely(pulses):
    one, calls, _ = pulses
    one.now += 5 * MS
    one.read(0, 0, 1)
    assert [why for _, why in calls] == [Why.PERIOD] * 5


def test_a_start_time_that_has_passed_never_comes(pulses):
    one, calls, _ = pulses
    activate(one, system_time(one, 0) - 1, MS)
    calls.clear()
    one.now += 5 * MS
    one.read(0, 0, 1)
    assert calls == []


def test_a_start_time_that_has_passed_comes_at_once_where_it_is_checked(pulses):
    """Bit 5 of the activation."""
    one, calls, _ = pulses
    activate(one, system_time(one, 0) - 1, MS, 0x23)
    calls.clear()
    one.now += 5 * MS
    one.read(0, 0, 1)
    assert len(calls) == 5


def test_ports_keep_receive_times_of_two_commands(pulses):
    """BWR and FPWR; the processing unit keeps that of any write."""
    one, _, _ = pulses
    one.ask(Command.BWR, 0, 0x0900, bytes(4))
    kept = one.read(0, 0x0900, 4)
    one.now += MS
    assert one.write(0, 0x0900, bytes(4)) == 1
    assert one.read(0, 0x0900, 4) == kept
    assert one.read(0, 0x0918, 4) != kept


def test_a_clock_that_is_ahead_says_so(pulses):
    """Bit 31 of the difference is set."""
    one, _, _ = pulses
    for wrong, is_ahead in ((-1000, 1), (1000, 0)):
        one.write(0, 0x0930, b"\x00\x10")
        one.write(0, 0x0910, struct.pack("<I", (system_time(one, 0) + wrong) & 0xFFFFFFFF))
        assert struct.unpack("<I", one.read(0, 0x092C, 4))[0] >> 31 == is_ahead


def test_one_without_a_clock_has_none():
    with line([Mirror(kind=EscKind(has_clock=False))]) as one:
        assert one.read(0, 0x0008, 2)[0] & 0x04 == 0
        one.ask(Command.BWR, 0, 0x0900, bytes(4))
        assert one.read(0, 0x0910, 8) == bytes(8)
