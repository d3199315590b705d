"""The distributed clock of one slave: set at the start, and again when it comes back without its time."""

from dataclasses import dataclass
from typing import Final

from fieldbus.ethercat.protocol import Register
from fieldbus.ethercat.wire.wire import Node, Wire

LEAD_NS: Final = 100_000_000
"""The first pulse comes so long after it is ordered."""
_LOST_NS: Final = 1_000_000
"""A clock that is farther from the reference has lost its offset."""
_CYCLIC_SYNC0: Final = b"\x03"


@dataclass(frozen=True, slots=True)
class SlaveClock:
    """How a slave's clock is set: the reference's station address, what register 0x0928 had, and the pulse."""

    reference: int
    delay: bytes
    cycle_ns: int
    shift_ns: int


def first_pulse(now_ns: int, cycle_ns: int, shift_ns: int) -> int:
    """A time of the reference well ahead, at the phase of the pulse. Pure."""
    return (now_ns + LEAD_NS) // cycle_ns * cycle_ns + cycle_ns + shift_ns


def begin_pulse(wire: Wire, node: Node, clock: SlaveClock) -> None:
    """In PRE-OP: SYNC0 from now on; before it, the time, where the slave has lost it."""
    wire.write(node, Register.DC_SYNC_ACTIVATION, b"\0")
    wire.write(node, Register.DC_UNIT_CONTROL, b"\0")  # SYNC0 is the master's to set
    there, here = _times(wire, node, clock.reference)
    if abs(here - there) > _LOST_NS:
        offset = int.from_bytes(wire.read(node, Register.DC_OFFSET, 8), "little")
        wire.write(node, Register.DC_DELAY, clock.delay)
        wire.write(node, Register.DC_OFFSET, ((offset + there - here) & (1 << 64) - 1).to_bytes(8, "little"))
    start = first_pulse(there, clock.cycle_ns, clock.shift_ns)
    wire.write(node, Register.DC_START, start.to_bytes(8, "little"))
    wire.write(node, Register.DC_SYNC0_CYCLE, clock.cycle_ns.to_bytes(4, "little"))
    wire.write(node, Register.DC_SYNC_ACTIVATION, _CYCLIC_SYNC0)


def _times(wire: Wire, node: Node, reference: int) -> tuple[int, int]:
    """The reference's time, and the slave's own, as one frame saw them."""
    nodes = [Node.called(reference), node]
    there, here = (
        int.from_bytes(data or bytes(8), "little") for data in wire.read_each(nodes, Register.DC_SYSTEM_TIME, 8)
    )
    return there, here
