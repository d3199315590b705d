"""What a scan of a Modbus device found, as values."""

from __future__ import annotations

from dataclasses import dataclass, field

from fieldbus.modbus.scan.asking import Asker
from fieldbus.modbus.scan.blocks import BIT_TABLES, Table
from fieldbus.modbus.scan.identity import Identity
from fieldbus.modbus.scan.units import Units
from fieldbus.modbus.scan.values import Found
from station.scans.shared.modbus_target import Target

Settings = tuple[int, str, int]
"""Of a serial line: baud rate, parity, stop bits."""


@dataclass(frozen=True, slots=True)
class Unit:
    """One unit, and what of it can be read."""

    number: int
    tables: tuple[Table, ...]
    identity: Identity = field(default_factory=lambda: Identity({}))

    @property
    def readable(self) -> tuple[Table, ...]:
        """The tables that have something."""
        return tuple(table for table in self.tables if table.blocks)


@dataclass(frozen=True, slots=True)
class Hit:
    """A place of a unit that has the value that was looked for."""

    unit: int
    found: Found


@dataclass(frozen=True, slots=True)
class Manners:
    """How a device has to be treated, as far as a scan shows it. 0 and False: as specified."""

    max_read: int = 0
    max_bits: int = 0
    pause_s: float = 0.0
    deaf_s: float = 0.0
    usual_s: float = 0.0
    any_transaction_id: bool = False
    any_unit: bool = False
    echo: bool = False
    busy: int = 0
    hung: int = 0


@dataclass(frozen=True, slots=True)
class Device:
    """Everything that was found."""

    target: Target
    settings: Settings | None
    units: tuple[Unit, ...]
    numbers: Units
    manners: Manners
    hits: tuple[Hit, ...] = ()


def manners_of(asker: Asker, units: tuple[Unit, ...]) -> Manners:
    """What the questions showed."""
    limits: dict[bool, list[int]] = {True: [], False: []}
    for table in (table for unit in units for table in unit.tables if table.is_limited):
        limits[table.name in BIT_TABLES].append(table.most)
    odd = asker.wire.oddities
    return Manners(
        max_read=min(limits[False], default=0),
        max_bits=min(limits[True], default=0),
        pause_s=asker.pause_s if asker.needs_pause else 0.0,
        deaf_s=asker.deaf_s,
        usual_s=asker.usual_s,
        any_transaction_id=bool(odd.numbers),
        any_unit=bool(odd.units),
        echo=odd.has_echo,
        busy=asker.busy,
        hung=asker.hung,
    )
