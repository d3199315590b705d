"""What an engineer says of a slave beyond what it says of itself."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from fieldbus.errors import ConfigurationError
from fieldbus.tags import TYPES

OUTPUT_PDOS = range(0x1600, 0x1800)
INPUT_PDOS = range(0x1A00, 0x1C00)
"""Indexes of PDOs (ETG.1000.6, clause 5.6.7.4)."""
WATCHDOG_TICK_NS = 100_000
"""Of the process data watchdog, with the divider as it comes out of reset (2498)."""
LEAST_WATCHDOG_MS, MOST_WATCHDOG_MS = WATCHDOG_TICK_NS / 1e6, 0xFFFF * WATCHDOG_TICK_NS / 1e6


@dataclass(frozen=True, slots=True)
class Sdo:
    """A value that is written to an object in PRE-OP. `type`: one of a tag's, "text", or "bytes" as hexadecimal digits.

    `complete`: subindex 0 or 1 and all behind it at once (complete access).
    """

    index: int
    subindex: int
    value: float | str | bool
    type: str
    complete: bool = False

    def __post_init__(self) -> None:
        assert self.data is not None

    @property
    def place(self) -> str:
        """`0x6060:00`."""
        return f"0x{self.index:04X}:{self.subindex:02X}"

    @property
    def data(self) -> bytes:
        """As it is sent; raises `ConfigurationError` for a value that its type cannot hold."""
        try:
            if self.type == "text":
                return str(self.value).encode("latin-1")
            if self.type == "bytes":
                return bytes.fromhex(str(self.value))
            number = TYPES[self.type]
            if isinstance(self.value, str):
                raise ValueError
            value = float(self.value) if number.is_float else int(self.value)
            if not number.is_float and value != self.value:
                raise ValueError
            return struct.pack("<" + number.char, bool(value) if number.char == "?" else value)
        except KeyError:
            kinds = ", ".join((*TYPES, "text", "bytes"))
            raise ConfigurationError(f"SDO {self.place}: unknown type {self.type!r}; there are {kinds}") from None
        except (ValueError, OverflowError, struct.error):
            raise ConfigurationError(f"SDO {self.place}: {self.value!r} is no value of {self.type}") from None


@dataclass(frozen=True, slots=True)
class PdoChoice:
    """A PDO that the slave is to exchange. `entries`, where they are given, are what is put into it: (index, subindex, bits)."""

    index: int
    entries: tuple[tuple[int, int, int], ...] = ()

    def __post_init__(self) -> None:
        if self.index not in OUTPUT_PDOS and self.index not in INPUT_PDOS:
            raise ConfigurationError(
                f"0x{self.index:04X} is no PDO: 0x1600 to 0x17FF are outputs, 0x1A00 to 0x1BFF inputs"
            )

    @property
    def is_output(self) -> bool:
        """Does the master send it?"""
        return self.index in OUTPUT_PDOS


@dataclass(frozen=True, slots=True, kw_only=True)
class SlaveOptions:
    """A slave that the station file names. What is None is not looked at, or left as it is.

    Attributes:
        name: in addresses of tags, and for people.
        position: on the bus, counted from 0; or
        alias: the number in its EEPROM or on its switch.
        pdos: those that it is to exchange, instead of its own choice.
        sdos: written in PRE-OP, in this order, before PDOs are assigned.
        watchdog_ms: so long without outputs, and the slave switches them off by itself; 0: never.
        dc: is it to have the pulse (SYNC0) of its distributed clock? None: where it says that it acts on it (0x1C32:01).
    """

    name: str
    position: int | None = None
    alias: int | None = None
    vendor: int | None = None
    product: int | None = None
    revision: int | None = None
    sdos: tuple[Sdo, ...] = ()
    pdos: tuple[PdoChoice, ...] = ()
    watchdog_ms: float | None = None
    dc: bool | None = None

    def __post_init__(self) -> None:
        if (self.position is None) == (self.alias is None):
            raise ConfigurationError(
                f"slave {self.name!r}: give its position (counted from 0) or its alias, one of them"
            )
        if self.watchdog_ms is not None and not 0 <= self.watchdog_ms <= MOST_WATCHDOG_MS:
            raise ConfigurationError(
                f"slave {self.name!r}: watchdog_ms {self.watchdog_ms:g} is not between 0 and {MOST_WATCHDOG_MS:g}"
            )
        if self.watchdog_ms and self.watchdog_ms < LEAST_WATCHDOG_MS:
            raise ConfigurationError(
                f"slave {self.name!r}: watchdog_ms {self.watchdog_ms:g} is shorter than the {LEAST_WATCHDOG_MS:g} that a slave "
                "can count"
            )


def check_names(options: Sequence[SlaveOptions]) -> None:
    """Names, positions and aliases are each one slave's; raises `ConfigurationError`."""
    for what in ("name", "position", "alias"):
        values = [getattr(option, what) for option in options]
        for value in values:
            if value is not None and values.count(value) > 1:
                raise ConfigurationError(f"two slaves have the {what} {value!r}")
