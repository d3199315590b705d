"""Distributed clocks at the start: who has one, who wants the pulse (SYNC0), when that comes.

reference    the first slave with a clock; a frame in every cycle carries its time to the others
pysoem       measures how long frames travel, and sets delays and offsets (`config_dc`)
settle       a burst of frames with the reference's time, until the others run as it does
pulse        of each slave that wants it: at `shift` of the reference's time in every cycle; frames pass at 0

frames pass    |#---------|#---------      0: `fieldbus.ethercat.clock.clock` holds wake-ups there
SYNC0          |---!------|---!------      `shift`: they have passed the last slave, with a margin
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from fieldbus.errors import DeviceError
from fieldbus.ethercat.protocol import Command, Register
from fieldbus.ethercat.slaves.slave import Slave
from fieldbus.ethercat.slaves.slave_clock import SlaveClock
from fieldbus.ethercat.wire.wire import Datagram, Node, Wire

How = Literal["own-thread", "in-cycle"]
HAS_CLOCK: Final = 0x0004
HAS_64_BITS: Final = 0x0008
"""Bits of register 0x0008 (ESC data sheet, section II)."""
SETTLE_FRAMES: Final = 15_000
"""So many frames the ESC data sheet (section I, chapter 9.1.3.3) wants for a start."""
SETTLE_S: Final = 0.5
_TRIALS: Final = 20
_MARGIN: Final = 5
"""A part of the cycle: threads are woken late now and then."""
_OUTPUT_SYNC: Final = 0x1C32
_BY_PULSE: Final = (2, 3)


@dataclass(frozen=True, slots=True)
class BusClocks:
    """What was set up: the reference's station address, does it tell 32 bits only, and when in a cycle the pulse comes."""

    reference: int
    is_short: bool
    cycle_ns: int
    shift_ns: int


def shift_of(cycle_ns: int, travel_ns: int, how: How) -> int:
    """When the pulse is to come, after frames pass the reference clock: the outputs of this cycle have passed the last slave.

    In a task's cycle they leave when the model has run, for which half of the cycle is left. Pure.
    """
    leaves_ns = cycle_ns // 2 if how == "in-cycle" else 0
    return min(leaves_ns + travel_ns + cycle_ns // _MARGIN, cycle_ns * 9 // 10)


def wants_clock(slave: Slave) -> bool:
    """As its options say; else as it says itself: its outputs are synchronous with SYNC0 or SYNC1 (ETG.1020, 0x1C32:01)."""
    if slave.option is not None and slave.option.dc is not None:
        return slave.option.dc
    if not slave.has_coe:
        return False
    try:
        data: bytes = slave.device.sdo_read(_OUTPUT_SYNC, 1)
    except Exception:  # it has no such object: it has no choice either
        return False
    return int.from_bytes(data[:2], "little") in _BY_PULSE


def set_up_clocks(
    wire: Wire,
    slaves: Sequence[Slave],
    configure: Callable[[], object],
    cycle_ns: int,
    how: How,
    shift_ns: int | None = None,
) -> BusClocks | None:
    """Of slaves in PRE-OP; each that wants the pulse has its `clock` then. None: nobody wants it, or has one.

    Args:
        configure: pysoem's `config_dc`.
        shift_ns: when the pulse comes; None: as measured.

    Raises:
        DeviceError: a slave that wants the pulse has no clock.
    """
    for slave in slaves:
        slave.clock = None
    wanting = [slave for slave in slaves if wants_clock(slave)]
    if not wanting:
        return None
    features = [int.from_bytes(f or b"\0\0", "little") for f in wire.read_each(_nodes(slaves), Register.FEATURES, 2)]
    having = [slave for slave, bits in zip(slaves, features, strict=True) if bits & HAS_CLOCK]
    for slave in wanting:
        if slave not in having:
            raise DeviceError(f"{slave.label} is to have the pulse of a distributed clock (dc), and has no such clock")
    configure()
    reference = having[0]
    travel_ns = settle(wire, reference.node)
    shift_ns = shift_of(cycle_ns, travel_ns, how) if shift_ns is None else shift_ns
    for slave, delay in zip(wanting, wire.read_each(_nodes(wanting), Register.DC_DELAY, 4), strict=True):
        slave.clock = SlaveClock(reference.address, delay or bytes(4), cycle_ns, shift_ns)
    is_short = not features[slaves.index(reference)] & HAS_64_BITS
    return BusClocks(reference.address, is_short, cycle_ns, shift_ns)


def settle(wire: Wire, reference: Node, frames: int = SETTLE_FRAMES, seconds: float = SETTLE_S) -> int:
    """A burst of the reference's time, so many frames or so long; gives how long a frame took there and back, at the least."""
    told = Datagram(Command.FRMW, reference.address, Register.DC_SYSTEM_TIME, bytes(8))
    until_s, least_ns = time.monotonic() + seconds, 1 << 40
    for number in range(frames):
        begun_ns = time.monotonic_ns()
        (answer,) = wire.ask([told])
        if answer is not None and answer.counter:
            least_ns = min(least_ns, time.monotonic_ns() - begun_ns)
        if number >= _TRIALS and time.monotonic() >= until_s:
            break
    return least_ns if least_ns < 1 << 40 else 0


def _nodes(slaves: Sequence[Slave]) -> list[Node]:
    return [slave.node for slave in slaves]
