"""The scan of a Modbus device: a line is found, its units, their tables; then where a value lies."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

from fieldbus.errors import ConnectionLostError, DeviceError
from fieldbus.modbus.protocol import ADDRESSES
from fieldbus.modbus.scan.asking import Asker
from fieldbus.modbus.scan.blocks import TABLES, reread, survey
from fieldbus.modbus.scan.identity import identify
from fieldbus.modbus.scan.units import UNITS, Units, find_units
from fieldbus.modbus.scan.values import places, still
from fieldbus.modbus.scan.wire import RtuWire, TcpWire, Wire
from station.errors import AlreadyRunningError, ScanError
from station.scans.shared.modbus_results import Device, Hit, Settings, Unit, manners_of
from station.scans.shared.modbus_target import Serial, Target, Tcp, not_reached

FIRST_UNITS: Final = 10
"""On a serial line whose settings are not known, these are tried with each before the others."""
LISTEN_S: Final = 0.3

Tell = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for, and how gently."""

    units: Sequence[int] = UNITS
    settings: Sequence[Settings] = ()
    within: range = range(ADDRESSES)
    timeout_s: float = 0.5
    pause_s: float = 0.0
    is_shared: bool = False


@dataclass(frozen=True, slots=True)
class Sought:
    """A value that a person sees on the device."""

    value: float
    tolerance: float
    unit: str = ""


@contextmanager
def connected(target: Target, wish: Wish, tell: Tell) -> Iterator[tuple[Asker, Units, Settings | None]]:
    """A way to the device, and the units that answer on it.

    Raises:
        ScanError: there is no way, or nobody answers; with what would help.
        AlreadyRunningError: another master talks on the serial line.
    """
    wires: list[Wire] = []
    try:
        if isinstance(target, Tcp):
            asker, units = _network(target, wish, tell, wires)
            yield asker, units, None
        else:
            asker, units, settings = _line(target, wish, tell, wires)
            yield asker, units, settings
    except ConnectionLostError as error:
        raise ScanError(f"{target}: {error}; did it restart, or is it asked too fast (--pause)?") from error
    except DeviceError as error:
        raise ScanError(f"{target}: {error}; it answered before: --pause and --timeout make it slower") from error
    finally:
        for wire in wires:
            wire.close()


def _network(target: Tcp, wish: Wish, tell: Tell, wires: list[Wire]) -> tuple[Asker, Units]:
    wires.append(TcpWire(target.host, target.port))
    asker = Asker(wires[-1], wish.timeout_s, wish.pause_s)
    tell(f"connecting to {target}")
    try:
        asker.connect()
    except ConnectionLostError as error:
        raise not_reached(target, error) from error
    try:
        units = find_units(asker, wish.units, False, tell)
    except ConnectionLostError as error:
        raise ScanError(
            f"{target}: {error}; does it allow this computer (a list of masters), does another hold its only connection?"
        ) from error
    if not units.here:
        raise ScanError(f"{target} takes connections, and {_silence(asker, wish, units)}")
    return asker, units


def _line(target: Serial, wish: Wish, tell: Tell, wires: list[Wire]) -> tuple[Asker, Units, Settings]:
    """The settings with which somebody answers: first the units that devices mostly have, then the others."""
    rounds = [[n for n in wish.units if n <= FIRST_UNITS], [n for n in wish.units if n > FIRST_UNITS]]
    noise = echoes = 0
    asker, units = None, Units(())
    for numbers in filter(None, rounds):
        for settings in wish.settings:
            wire = RtuWire(target.device, *settings)
            asker = Asker(wire, wish.timeout_s, wish.pause_s)
            try:
                asker.connect()
            except ConnectionLostError as error:
                raise not_reached(target, error) from error
            with closing_unless_found(wire, wires):
                if not wish.is_shared and (heard := wire.listen(LISTEN_S)):
                    raise AlreadyRunningError(_other_master(target, heard))
                units = find_units(asker, numbers, True, _behind(settings_text(settings), tell))
                if units.here:
                    others = [n for n in wish.units if n not in numbers] if numbers is rounds[0] else []
                    more = find_units(asker, others, True, _behind(settings_text(settings), tell))
                    wires.append(wire)
                    return asker, _joined(units, more), settings
            noise, echoes = noise + wire.oddities.noise, echoes + wire.oddities.has_echo
    tried = ", ".join(settings_text(s) for s in wish.settings)
    said = f"{noise} bytes came that are no answer: another baud rate or parity?" if noise else "nothing came"
    if echoes:
        said = "only what was sent came back (an adapter that hears itself)"
    raise ScanError(
        f"{target}: no unit of {ranges(wish.units)} answers at {tried}; {said}; is the device on, are A and B the right "
        "way round, and what do its settings say: --baud, --parity, --units?"
    )


@contextmanager
def closing_unless_found(wire: Wire, kept: list[Wire]) -> Iterator[None]:
    """The next settings need the port again."""
    try:
        yield
    finally:
        if wire not in kept:
            wire.close()


def _behind(words: str, tell: Tell) -> Tell:
    return lambda text: tell(f"{words}, {text}")


def _joined(one: Units, other: Units) -> Units:
    return Units(tuple(sorted((*one.here, *other.here))), tuple(sorted((*one.failing, *other.failing))))


def _other_master(target: Serial, heard: bytes) -> str:
    return (
        f"{target}: somebody else talks on this line ({heard[:12].hex(' ')} ...), and it has one master: stop that one, "
        "or say --shared, which disturbs it"
    )


def _silence(asker: Asker, wish: Wish, units: Units) -> str:
    if units.failing:
        return f"answers each question with exception 4, server device failure (units {ranges(units.failing)}): is it ready?"
    if units.is_gateway:
        return f"a gateway says that no unit of {ranges(wish.units)} is there: is the serial line behind it right?"
    if asker.wire.oddities.noise:
        return (
            "answers in another protocol than Modbus TCP: is a gateway set to pass on bytes as they are (RTU over TCP)?"
        )
    return (
        f"no unit of {ranges(wish.units)} answers: is Modbus what is spoken on this port, is this computer allowed (a list "
        "of masters), does it need more time (--timeout 2s)?"
    )


def explored(target: Target, wish: Wish, asker: Asker, units: Units, settings: Settings | None, tell: Tell) -> Device:
    """What each unit has. Ctrl-C ends the search, and leaves what was found; raises `DeviceError`."""
    found: list[Unit] = []
    is_stopped = False
    for number in units.here:
        tables = []
        for name in TABLES:
            table = survey(asker, number, name, wish.within, _behind(f"unit {number}", tell))
            tables.append(table)
            is_stopped = is_stopped or table.cut == "stopped"
            if is_stopped:
                break
        found.append(Unit(number, tuple(tables)))
        if is_stopped:
            break
    manners = manners_of(asker, tuple(found))  # before what some devices answer slowly, or never
    if not is_stopped:
        found = list(_identified(asker, found, tell))
    return Device(target, settings, tuple(found), units, replace(manners, hung=asker.hung))


def _identified(asker: Asker, units: Sequence[Unit], tell: Tell) -> Iterator[Unit]:
    """With what each says that it is; one that is silent after such a question is a reason to ask no others."""
    is_silent = False
    for unit in units:
        if not is_silent:
            tell(f"unit {unit.number}, what it is")
            unit = replace(unit, identity=identify(asker, unit.number))
            try:
                asker.still_there(unit.number)
            except DeviceError:
                is_silent = True
                asker.hung += 1
        yield unit


def searched(device: Device, sought: Sought) -> Device:
    """With all places that have the value."""
    hits = [
        Hit(unit.number, found)
        for unit in device.units
        for found in places(unit.tables, sought.value, sought.tolerance, sought.unit)
    ]
    return replace(device, hits=tuple(sorted(hits, key=lambda hit: hit.found.cost)))


def narrowed(device: Device, asker: Asker, sought: Sought, tell: Tell) -> Device:
    """With those places alone that had the value before and have it now; raises `DeviceError`."""
    units, hits = [], []
    for unit in device.units:
        mine = [place for hit in device.hits if hit.unit == unit.number for place in hit.found.places]
        tables = {place.table for place in mine}
        tell(f"unit {unit.number}, again")
        now = tuple(reread(asker, unit.number, table) if table.name in tables else table for table in unit.tables)
        units.append(replace(unit, tables=now))
        hits += [Hit(unit.number, found) for found in still(mine, now, sought.value, sought.tolerance)]
    return replace(device, units=tuple(units), hits=tuple(hits))


def settings_text(settings: Settings) -> str:
    """`19200 8E1`."""
    baudrate, parity, stopbits = settings
    return f"{baudrate} 8{parity}{stopbits}"


def ranges(numbers: Sequence[int]) -> str:
    """1..10, 12."""
    rows: list[list[int]] = []
    for number in sorted(numbers):
        if rows and number == rows[-1][-1] + 1:
            rows[-1].append(number)
        else:
            rows.append([number])
    return ", ".join(f"{row[0]}..{row[-1]}" if len(row) > 1 else str(row[0]) for row in rows)
