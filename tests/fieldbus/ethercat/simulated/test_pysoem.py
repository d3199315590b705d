"""pysoem, a master that is not ours, finds simulated slaves, talks CoE with them, brings them to OP and moves an axis."""

import struct
import time
from contextlib import contextmanager

import pytest

from fieldbus.ethercat.protocol import AL_ERROR, AlState
from fieldbus.ethercat.simulated.process import BusProcess
from tests import need
from tests.fieldbus.ethercat.buses import MASTER, SLAVES, network

WAIT_US = 5_000_000
INIT, PREOP, SAFEOP, OP = AlState.INIT, AlState.PREOP, AlState.SAFEOP, AlState.OP


@pytest.fixture(scope="module")
def pysoem():
    return need.package("pysoem")


@contextmanager
def plant(*slaves):
    """Slaves on the wire, in a process of their own: a master that holds the interpreter cannot keep them from answering."""
    with network(), BusProcess(SLAVES, slaves) as found:
        yield found


@contextmanager
def master(pysoem, slaves):
    """A master that has found so many slaves; it gives each answer a few milliseconds, and may have to begin again."""
    found = pysoem.Master()
    found.open(MASTER)
    try:
        assert any(found.config_init() == slaves for _ in range(20))
        yield found
    finally:
        found.state = INIT
        found.write_state()
        found.close()


def cycle(found, count=1):
    """Exchange process data so many times; whether all slaves took part each time."""
    counters = set()
    for _ in range(count):
        found.send_processdata()
        counters.add(found.receive_processdata(50_000))
    return counters == {found.expected_wkc}


def reach(found, state):
    """Ask for a state, exchanging; the state that all are in then."""
    found.state = state
    found.write_state()
    for _ in range(200):
        cycle(found)
        if (now := found.state_check(state, 10_000)) == state:
            break
    return now


def until(found, is_so, most_s=30.0):
    """Exchange until something is so: an axis takes its time, however quick the exchange is."""
    end_s = time.monotonic() + most_s
    while time.monotonic() < end_s:
        cycle(found)
        if is_so():
            return True
    return False


def test_slaves_are_found_mapped_and_exchange_in_op(pysoem):
    """Found, mapped, in OP, values there and back, a drive that moves."""
    with plant("coupler", "do8", "di8", "ao2", "ai2", "drive:alias=7"), master(pysoem, 6) as found:
        names = [slave.name for slave in found.slaves]
        assert names[0] == "Simulated coupler" and {slave.man for slave in found.slaves} == {0x00FABE00}
        found.config_map()
        sizes = [(len(slave.output), len(slave.input)) for slave in found.slaves]
        assert sizes == [(0, 0), (1, 0), (0, 1), (4, 0), (0, 8), (8, 16)]
        assert found.state_check(SAFEOP, WAIT_US) == SAFEOP and until(found, lambda: cycle(found))
        assert reach(found, OP) == OP
        _, outputs, inputs, volts_out, volts_in, drive = found.slaves
        outputs.output, volts_out.output = b"\xa5", struct.pack("<hh", 16384, -3277)
        assert until(found, lambda: inputs.input == b"\xa5")
        assert until(found, lambda: struct.unpack("<2xh2xh", volts_in.input) == (16384, -3277))
        move(found, drive)


def move(found, drive):
    """The axis goes where csp sends it."""

    def actual():
        return struct.unpack("<HiihbBH", drive.input)

    for control, status in ((6, 0x21), (7, 0x23), (15, 0x1027)):
        drive.output = struct.pack("<HibB", control, actual()[1], 8, 0)
        assert until(found, lambda status=status: actual()[0] & 0x106F == status)
    target = start = actual()[1]
    for _ in range(100):
        target += 500
        drive.output = struct.pack("<HibB", 15, target, 8, 0)
        cycle(found)
    assert until(found, lambda: abs(actual()[1] - target) <= 40) and target == start + 50_000
    assert actual()[0] & 0x106F == 0x1027


@pytest.fixture(scope="module")
def bus():
    with plant("drive", "ai2:mailbox=64") as found:
        yield found


@pytest.fixture
def slaves(pysoem, bus):
    with master(pysoem, 2) as found:
        assert found.state_check(PREOP, WAIT_US) == PREOP
        yield found


def test_sdo_transfers_of_all_kinds(slaves):
    """Expedited, with a size, in segments through mailboxes of 128 and 64 bytes, and as a whole object."""
    for slave in slaves.slaves:
        assert slave.sdo_read(0x1018, 1) == struct.pack("<I", 0x00FABE00)
        assert slave.sdo_read(0x1008, 0).startswith(b"Simulated ")
        for size in (1, 5, 48, 112, 113, 300, 2000):
            data = bytes(i * 7 & 0xFF for i in range(size))
            slave.sdo_write(0x2000, 0, data)
            assert slave.sdo_read(0x2000, 0, 4096) == data
    drive = slaves.slaves[0]
    drive.sdo_write(0x1C12, 0, struct.pack("<HH", 1, 0x1601), ca=True)
    assert drive.sdo_read(0x1C12, 0, ca=True) == struct.pack("<HH", 1, 0x1601)


def test_refused_sdos_have_their_abort_codes(pysoem, bus, slaves):
    drive = slaves.slaves[0]
    bus.order({"do": "abort", "slave": 0, "index": "0x6065", "code": "0x08000021"})
    for index, subindex, data, code in (
        (0x5555, 0, None, 0x06020000),
        (0x1018, 9, None, 0x06090011),
        (0x6041, 0, b"\0\0", 0x06010002),
        (0x6060, 0, b"\1", 0x06090030),
        (0x6065, 0, None, 0x08000021),
    ):
        with pytest.raises(pysoem.SdoError) as refused:
            drive.sdo_read(index, subindex) if data is None else drive.sdo_write(index, subindex, data)
        assert refused.value.abort_code == code
    bus.order({"do": "abort", "slave": 0, "index": "0x6065", "code": 0})


def test_the_dictionary_is_told(slaves):
    objects = {item.index: item for item in slaves.slaves[1].od}
    assert objects[0x1008].name == b"Device name" and objects[0x6000].entries[17].name == b"Value"
    assert objects[0x6000].entries[17].bit_length == 16 and objects[0x6000].entries[17].obj_access & 0x80


def test_another_assignment_is_another_image(slaves):
    drive, inputs = slaves.slaves
    drive.sdo_write(0x1C12, 0, struct.pack("<HH", 1, 0x1603), ca=True)
    inputs.sdo_write(0x1C13, 0, b"\0")
    inputs.sdo_write(0x1C13, 1, b"\1\x1a")
    inputs.sdo_write(0x1C13, 0, b"\1")
    slaves.config_map()
    assert (len(drive.output), len(inputs.input)) == (14, 2)
    assert slaves.state_check(SAFEOP, WAIT_US) == SAFEOP


def test_a_refused_state_has_its_code_and_an_emergency_arrives(bus, slaves):
    drive = slaves.slaves[0]
    slaves.config_map()
    assert slaves.state_check(SAFEOP, WAIT_US) == SAFEOP
    bus.order({"do": "refuse", "slave": 0, "state": "OP", "code": "0x8001", "times": 1})
    assert reach(slaves, OP) != OP
    slaves.read_state()
    assert (drive.state, drive.al_status) == (SAFEOP | AL_ERROR, 0x8001)
    heard = []
    drive.add_emergency_callback(heard.append)
    bus.order({"do": "emergency", "slave": 0, "code": "0x4310", "register": 9})
    for _ in range(100):
        drive.mbx_receive()
        if heard:
            break
    assert [(e.error_code, e.error_reg) for e in heard] == [(0x4310, 9)]
