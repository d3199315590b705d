"""kickcat, a second master that is not ours, finds simulated slaves, talks CoE with them, brings them to OP and moves an axis."""

import struct
import time
from datetime import timedelta

import pytest

from fieldbus.ethercat.simulated.process import BusProcess
from tests import need
from tests.fieldbus.ethercat.buses import MASTER, SECOND_MASTER, SECOND_SLAVES, SLAVES, network

LONG = timedelta(seconds=5)


@pytest.fixture(scope="module")
def kickcat():
    return need.package("kickcat")


@pytest.fixture
def bus(kickcat):
    """A master on a ring of a coupler, digital and analogue terminals and a drive; on a line it waits for each frame's time to end."""
    with network(is_ring=True), BusProcess(SLAVES, ["coupler", "do8", "di8", "ai2", "drive"], SECOND_SLAVES):
        link = kickcat.create_link(MASTER, SECOND_MASTER)
        link.set_timeout(timedelta(milliseconds=500))
        found = kickcat.Bus(link)
        found.init(timedelta(milliseconds=500))
        yield found


def test_a_second_master_does_the_same(kickcat, bus):
    """Names, complete access, the information service; then OP: bits through a wire, and a drive that follows its target."""
    slaves = bus.slaves()
    read = kickcat.Access.PARTIAL
    assert [bus.read_sdo(slave, 0x1008, 0, read, 64, LONG)[:10] for slave in slaves[3:]] == [b"Simulated "] * 2
    drive = slaves[4]
    assert bus.read_sdo(drive, 0x1C12, 0, kickcat.Access.COMPLETE, 64, LONG) == struct.pack("<HH", 1, 0x1600)
    assert bus.read_object_description(drive, 0x6041)[0] == "Statusword"
    assert bus.read_entry_description(drive, 0x1018, 1)[0] == "Vendor ID"
    bus.create_mapping(4096)
    for state in (kickcat.State.SAFE_OP, kickcat.State.OPERATIONAL):
        bus.request_state(state)
        bus.wait_for_state(state, LONG, bus.process_data_no_check)
    slaves[1].set_output_bytes(b"\xa5")
    for control, status in ((6, 0x21), (7, 0x23), (15, 0x1027)):
        drive.set_output_bytes(struct.pack("<HibB", control, 0, 8, 0))
        assert until(bus, lambda status=status: actual(drive)[0] & 0x106F == status)
    for i in range(1, 51):
        drive.set_output_bytes(struct.pack("<HibB", 15, 500 * i, 8, 0))
        bus.process_data()
    assert until(bus, lambda: abs(actual(drive)[1] - 25_000) <= 40)
    assert slaves[2].input_data == b"\xa5"


def actual(drive):
    """Status word, position, ..."""
    return struct.unpack("<HiihbBH", drive.input_data)


def until(bus, is_so, most_s=30.0):
    """Exchange until something is so: an axis takes its time, however quick the exchange is."""
    end_s = time.monotonic() + most_s
    while time.monotonic() < end_s:
        bus.process_data()
        if is_so():
            return True
    return False
