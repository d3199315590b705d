"""Distributed clocks of a simulated bus: set up, held in phase, given back to a slave that had no power."""

from collections.abc import Iterator
from typing import Any

import pytest

from fieldbus.errors import DeviceError
from fieldbus.ethercat.address import EthercatAddress
from fieldbus.ethercat.clock.clock_setup import set_up_clocks, shift_of, wants_clock
from fieldbus.ethercat.link import EthercatLink
from fieldbus.ethercat.options import SlaveOptions
from fieldbus.ethercat.protocol import Register
from fieldbus.ethercat.simulated.bus import Bus
from fieldbus.ethercat.simulated.presets import make
from fieldbus.ethercat.wire.wire import Node, Wire
from fieldbus.tags import Tag
from scheduler.rights import use_fifo
from tests.fieldbus.ethercat.buses import MASTER, simulated
from tests.waiting import PATIENCE_S, is_once, wait_for

pytest.importorskip("pysoem", reason="pip install 'rt-engine[ethercat]'")
TAGS = [Tag("status", "uint16", "in", address=EthercatAddress("second", 0x6041, 0))]
CYCLE_NS = 2_000_000


@pytest.mark.parametrize(
    ("how", "travel_ns", "shift_ns"),
    [("own-thread", 0, 200_000), ("own-thread", 80_000, 280_000), ("in-cycle", 80_000, 780_000)],
)
def test_the_pulse_comes_when_frames_have_passed_the_last_slave(how: Any, travel_ns: int, shift_ns: int) -> None:
    """With a fifth of the cycle as a margin; in a task's cycle the model has half of it before."""
    assert shift_of(1_000_000, travel_ns, how) == shift_ns


def test_the_pulse_comes_before_the_next_frame() -> None:
    """However long frames travel."""
    assert shift_of(1_000_000, 10_000_000, "own-thread") == 900_000


@pytest.fixture(scope="module")
def bus() -> Iterator[Bus]:
    """Two drives and a terminal without a clock; the first drive, the reference, is 100 ppm fast."""
    with simulated(make(["drive:drift=100", "di8", "drive:drift=-20"])) as bus:
        yield bus


def link_of(dc: bool | None, **more: Any) -> EthercatLink:
    """The second drive acts on its pulse."""
    slaves = [SlaveOptions(name="second", position=2, dc=dc)]
    link = EthercatLink("bus", TAGS, MASTER, CYCLE_NS / 1e9, 0.2, slaves=slaves, backoff_s=(0.01, 0.02), **more)
    link.prepare = lambda: use_fifo(80)
    return link


def pulse_of(position: int) -> tuple[int, int, int]:
    """(is SYNC0 on, its cycle, its phase) of a slave."""
    wire = Wire(MASTER, timeout_s=PATIENCE_S / 10)
    try:
        at = [(Register.DC_SYNC_ACTIVATION, 1), (Register.DC_SYNC0_CYCLE, 4), (Register.DC_START, 8)]
        on, cycle, start = (int.from_bytes(wire.read(Node.at(position), *one), "little") for one in at)
    finally:
        wire.close()
    return on, cycle, start % cycle if cycle else 0


def test_frames_are_held_in_phase_with_a_reference_that_drifts(bus: Bus) -> None:
    """The rate is found, SYNC0 is at the shift that was chosen, and a slave that had no power has it again."""

    def is_held() -> bool:
        with link_of(True, shift_s=0.0007) as link:
            wait_for(lambda: (s := link.clock_status()) is not None and s.is_locked)
            found = link.clock_status()
            assert found is not None
            assert pulse_of(2) == (3, CYCLE_NS, 700_000)
            assert pulse_of(0)[0] == 0
            bus.order({"do": "power", "slave": 2, "on": False})
            wait_for(lambda: link.status().slaves_lost > 0 and "does not answer" in link.status().note)
            bus.order({"do": "power", "slave": 2, "on": True})
            wait_for(lambda: _pulse_or_none(2) == (3, CYCLE_NS, 700_000))
            status = link.status()
            assert status.clock_offsets is not None
            counted = status.clock_offsets.count
            assert counted > 0
            link.reset_counters()
            assert status.clock_offsets.count < counted
            rates = found.rate_ppm, status.clock_rate / 1000
            return (status.clock_jumps, status.clock_losses) == (0, 0) and rates == pytest.approx((100, 100), abs=40)

    assert is_once(is_held)


def _pulse_or_none(position: int) -> tuple[int, int, int] | None:
    try:
        return pulse_of(position)
    except DeviceError:
        return None


@pytest.mark.parametrize("more", [{"dc": None}, {"dc": True, "has_clock": False}])
def test_without_a_slave_that_wants_the_pulse_nothing_follows_the_clock(bus: Bus, more: dict[str, Any]) -> None:
    """No frame asks for the time; or the link was told not to."""
    with link_of(**more) as link:
        wait_for(lambda: link.status().state == "up")
        assert link.clock_status() is None
        assert link._plan is not None
        assert not any(t.tells_time for t in link._plan.transactions)


class Pretended:
    """As much of a slave as is asked: what register 0x0008 says, and object 0x1C32:01."""

    def __init__(self, dc: bool | None, sync: bytes | None) -> None:
        self.option, self.has_coe, self.device = SlaveOptions(name="a", position=0, dc=dc), sync is not None, self
        self.sync, self.label, self.clock, self.node = sync or b"", "slave 0 'a' (A)", None, Node.at(0)

    def sdo_read(self, index: int, subindex: int) -> bytes:
        assert (index, subindex) == (0x1C32, 1)
        return self.sync


@pytest.mark.parametrize(
    ("dc", "sync", "wants"),
    [
        (True, None, True),
        (False, b"\2\0", False),
        (None, b"\2\0", True),
        (None, b"\3\0", True),
        (None, b"\1\0", False),
        (None, None, False),
    ],
)
def test_who_wants_the_pulse(dc: bool | None, sync: bytes | None, wants: bool) -> None:
    """As its options say; else as the slave itself says that its outputs are synchronous with SYNC0 or SYNC1."""
    assert wants_clock(Pretended(dc, sync)) is wants  # type: ignore[arg-type]


def test_a_slave_without_a_clock_is_refused_the_pulse() -> None:
    """By its name."""

    class Bare:
        def read_each(self, nodes: Any, register: int, nbytes: int) -> list[bytes]:
            return [b"\0\0" for _ in nodes]

    with pytest.raises(DeviceError, match=r"slave 0 'a' \(A\) is to have the pulse"):
        set_up_clocks(Bare(), [Pretended(True, None)], int, CYCLE_NS, "own-thread")  # type: ignore[arg-type,list-item]
