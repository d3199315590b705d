"""A slave with CoE, whole: what its power, its states and its mailbox do to each other; whatever comes, it lives."""

import random
import struct

import pytest

from fieldbus.ethercat.simulated.device import Why
from fieldbus.ethercat.simulated.presets import make
from tests.fieldbus.ethercat.simulated.runner import Runner


@pytest.fixture
def runner():
    return Runner(make(["drive"])[0], 8, 16)


def message(body, counter=1, kind=3):
    """A whole mailbox."""
    return (struct.pack("<HHBB", len(body), 0, 0, kind | counter << 4) + body).ljust(128, b"\0")[:128]


def sdo(command, index, subindex, data=bytes(4)):
    """An SDO request."""
    return struct.pack("<HBHB", 0x2000, command, index, subindex) + data


def test_rights_are_those_of_the_state(runner):
    """The assignment may change in PREOP, and no more in SAFEOP; what an RxPDO brings is not written by SDO in OP."""
    runner.go(2)
    write = sdo(0x2F, 0x1C12, 0, b"\1\0\0\0")
    assert runner.device.mailbox(runner.esc, message(write, 1))[0][8] == 0x60
    runner.go(4)
    assert runner.device.mailbox(runner.esc, message(write, 2))[0][12:16] == b"\x22\0\0\x08"
    runner.go(8)
    write = sdo(0x2B, 0x6040, 0)
    assert runner.device.mailbox(runner.esc, message(write, 3))[0][12:16] == b"\x06\0\1\x06"
    runner.go(2)
    assert runner.device.mailbox(runner.esc, message(write, 4))[0][8] == 0x60


def test_init_forgets_a_transfer_and_counters_and_power_the_assignment(runner):
    runner.go(2)
    runner.sdo(0x1C12, b"\0")
    begin, segment = sdo(0x21, 0x2000, 0, struct.pack("<I", 200)), struct.pack("<HB", 0x2000, 0) + bytes(20)
    assert runner.device.mailbox(runner.esc, message(begin, 5))[0][5] >> 4 == 1
    runner.go(1, 2)
    answer = runner.device.mailbox(runner.esc, message(segment, 5))[0]
    assert answer[5] >> 4 == 1 and answer[8] == 0x80
    assert runner.sdo(0x1C12) == b"\0"
    runner.device.power_on(runner.esc)
    runner.go(2)
    assert runner.sdo(0x1C12) == b"\1"


def test_with_a_clock_op_waits_for_sync0_and_outputs_are_taken_then():
    """An OP without SYNC0 is refused with 0x002D after a while."""
    runner = Runner(make(["drive"])[0], 8, 16)
    runner.esc.put(0x981, b"\3")
    runner.esc.put(0x9A0, struct.pack("<I", 1_000_000))
    assert runner.go(2, 4, 8) == (4, 0)
    runner.device.al.patience_ns = -1
    runner.device.poll(runner.esc)
    assert runner.esc.shown == (0x14, 0x2D)
    runner.step(why=Why.SYNC0)
    assert runner.go(8 | 0x10) == (8, 0)
    shutdown = struct.pack("<HibB", 6, 0, 8, 0)
    assert runner.step(shutdown)[:1] == b"\x50"
    runner.step(why=Why.SYNC0)
    assert runner.step(shutdown)[:1] == b"\x31"


def test_whatever_a_master_sends_answers_fit_and_the_slave_lives(runner):
    """Mailboxes of any content, states in any order, any outputs: 4,000 of them, always the same."""
    rng, known = random.Random(15), list(runner.device.objects.objects)
    commands = [0x21, 0x23, 0x2F, 0x2B, 0x31, 0x40, 0x50, 0x60, 0x70, 0x00, 0x01, 0x10, 0x11, 0x80]
    answered = 0
    for i in range(4000):
        if i % 100 == 0:
            runner.go(rng.choice([1, 2, 4, 8]) | 0x10, rng.choice([2, 0x12, 0x14, 0x18]))
        index, subindex = rng.choice([*known, rng.randrange(65536)]), rng.choice([0, 1, 2, rng.randrange(256)])
        data = rng.choice([struct.pack("<I", rng.choice([0, 2, 6, 200, 1 << 31])), rng.randbytes(4)])
        body = rng.choice([
            sdo(rng.choice(commands), index, subindex, data + rng.randbytes(rng.choice([0, 4, 112]))),
            struct.pack("<HBxHHBB", 0x8000, rng.choice([1, 3, 5, 9]), 0, index % 7 if i % 2 else index, subindex, i & 0x7F),
            rng.randbytes(rng.randrange(40)),
        ])  # fmt: skip
        answers = runner.device.mailbox(runner.esc, message(body, i % 8, rng.choice([3, 3, 3, 3, i % 16])))
        answered += len(answers)
        assert all(6 < len(answer) <= 128 for answer in answers)
        if i % 10 == 0:
            runner.step(rng.randbytes(8))
            runner.device.poll(runner.esc)
    assert answered > 2000
    runner.go(1, 2)
    assert runner.esc.shown == (2, 0) and runner.sdo(0x1008) == b"Simulated drive"
