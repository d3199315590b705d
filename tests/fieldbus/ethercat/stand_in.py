"""Slaves of which nothing is simulated but what datagrams do with process data and the AL status: for tests of the native exchange."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from fieldbus.ethercat.plan import READS, WRITES, WRITES_OF_LRW, BusSlave
from fieldbus.ethercat.protocol import AlState, Command, Register
from fieldbus.ethercat.wire.frames import SOURCE, Datagram, datagrams_of, frame_of

BACK = bytes([SOURCE[0] | 2]) + SOURCE[1:]


@dataclass
class Slave:
    """One slave: what it was given, and what it gives."""

    mapped: BusSlave
    outputs: bytearray = field(init=False)
    inputs: bytearray = field(init=False)
    state: int = AlState.OP
    is_there: bool = True
    has_clock: bool = False

    def __post_init__(self) -> None:
        self.outputs, self.inputs = bytearray(self.mapped.out_bytes), bytearray(self.mapped.in_bytes)


class Wire:
    """A line of slaves."""

    def __init__(self, slaves: Sequence[BusSlave], clock: int = 0) -> None:
        self.slaves = [Slave(one) for one in slaves]
        self.time_ns = clock

    def answer(self, frame: bytes) -> bytes:
        """The frame as it comes back."""
        return frame_of([self._through(one) for one in datagrams_of(frame)], BACK)

    def _through(self, one: Datagram) -> Datagram:
        for slave in self.slaves:
            if slave.is_there:
                one = self._worked(slave, one)
        return one

    def _worked(self, slave: Slave, one: Datagram) -> Datagram:
        match one.command:
            case Command.LRD | Command.LWR | Command.LRW:
                return self._logical(slave, one)
            case Command.BRD if one.address >> 16 == Register.AL_STATUS:
                data = bytes(a | b for a, b in zip(one.data, slave.state.to_bytes(2, "little"), strict=True))
                address = (one.address & 0xFFFF0000) | ((one.address + 1) & 0xFFFF)
                return replace(one, data=data, address=address, counter=one.counter + READS)
            case Command.FRMW if slave.has_clock:
                is_reference = one.address & 0xFFFF == slave.mapped.station_address
                data = self.time_ns.to_bytes(8, "little") if is_reference else one.data
                return replace(one, data=data, counter=one.counter + READS)
        return one

    def _logical(self, slave: Slave, one: Datagram) -> Datagram:
        data, counter = bytearray(one.data), one.counter
        first = one.address - slave.mapped.logical
        writes = _overlap(first, len(data), len(slave.outputs)) if one.command != Command.LRD else range(0)
        reads = _overlap(first, len(data), len(slave.inputs)) if one.command != Command.LWR else range(0)
        for i in writes:
            slave.outputs[i] = one.data[i - first]
        for i in reads:
            data[i - first] = slave.inputs[i]
        counter += (WRITES_OF_LRW if one.command == Command.LRW else WRITES) if writes else 0
        return replace(one, data=bytes(data), counter=counter + (READS if reads else 0))


def _overlap(first: int, nbytes: int, there: int) -> range:
    return range(max(first, 0), max(max(first, 0), min(first + nbytes, there)))
