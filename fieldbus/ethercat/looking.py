"""A bus as it is found, for people: who is on it and what each exchanges; and how its slaves are.

`look` brings slaves to PRE-OP and back to INIT, and clears their error counters, as every master that starts does. `examine` only
reads registers: nothing on the bus changes by it.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from fieldbus.errors import DeviceError, NoAnswerError
from fieldbus.ethercat.health import BLOCKS, NEEDED, Health, health_of
from fieldbus.ethercat.master import Master
from fieldbus.ethercat.protocol import AlState, Register
from fieldbus.ethercat.slaves.entries import SlaveFound, read_identity
from fieldbus.ethercat.slaves.slave import Slave, look_at_entries, look_at_names
from fieldbus.ethercat.slaves.states import drive, go, statuses
from fieldbus.ethercat.wire.interface import check_interface
from fieldbus.ethercat.wire.wire import Datagram, Node, Wire

_HAS_CLOCK = 1 << 2
_TELLS = 0x02
"""Bit of the CoE details: it has the service "SDO information"."""


def look(
    interface: str, tell: Callable[[str], object] = lambda text: None, with_names: bool = True
) -> list[SlaveFound]:
    """Who is on the bus, and what each exchanges.

    Args:
        tell: gets what is being done, for people.
        with_names: ask object dictionaries for names and types that EEPROMs do not have.

    Raises:
        DeviceError: the interface cannot be used, nobody answers, or an EEPROM says what cannot be so; with what would help.
        ConfigurationError: pysoem is missing; with the command that installs it.
    """
    master = Master(interface)
    tell(f"counting slaves on {interface}")
    master.open()
    try:
        master.scan()
        master.check()
        tell(f"{len(master.slaves)} slaves: asking what they exchange")
        return [_whole(master.wire, slave, with_names) for slave in master.slaves]
    finally:
        with suppress(Exception):
            master.down()
        master.close()


def _whole(wire: Wire, slave: Slave, with_names: bool) -> SlaveFound:
    """All that is known of a slave; why that is not more is among its doubts: the others are looked at all the same."""
    doubts: tuple[str, ...] = ()
    try:
        drive([go(wire, slave.node, AlState.PREOP, slave.label)])
        look_at_entries(slave)
    except DeviceError as error:
        doubts = (str(error),)
    features = wire.read(slave.node, Register.FEATURES, 2)
    (status,) = statuses(wire, [slave.node])
    serial = slave.found.serial
    if slave.has_coe and not doubts:
        wanted = with_names and slave.sii.coe_details & _TELLS
        if wanted and any(not (e.label and e.data_type) for e in slave.found.entries if not e.is_gap):
            with suppress(DeviceError):  # they are names only
                look_at_names(slave)
        with suppress(Exception):  # it is told to people only
            serial = serial or read_identity(slave.device)[3] or 0
    return replace(
        slave.found,
        serial=serial,
        has_dc=bool(features[0] & _HAS_CLOCK),
        state=status.state if status else 0,
        al_status=status.code if status else 0,
        doubts=(*slave.found.doubts, *doubts),
    )


def examine(interface: str) -> list[Health]:
    """How the slaves of a bus are; nothing is written to them.

    Raises:
        DeviceError: the interface cannot be used, nobody answers, or some did only at first.
    """
    check_interface(interface)
    wire = Wire(interface)
    try:
        count = wire.count()
        if not count:
            raise NoAnswerError(
                f"no slave answers on {interface}: is the cable plugged in, in the first slave's IN port, and has that one power?"
            )
        return [_health(wire, position) for position in range(count)]
    finally:
        wire.close()


def _health(wire: Wire, position: int) -> Health:
    node = Node.at(position)
    answers = wire.ask([Datagram(node.reads, node.address, register, bytes(size)) for register, size in BLOCKS.items()])
    blocks = {register: a.data for register, a in zip(BLOCKS, answers, strict=True) if a is not None and a.counter}
    if missing := NEEDED - set(blocks):
        raise NoAnswerError(
            f"slave {position} does not answer any more (register 0x{min(missing):04X}): is a cable loose?"
        )
    return health_of(position, blocks)
