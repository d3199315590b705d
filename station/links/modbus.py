"""Links of types "modbus-tcp", "modbus-tls" and "modbus-rtu": Modbus devices."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from station.links import NS, DeviceLinkTable, other_port
from station.links.shared.hosts import no_host, plain_host
from station.links.shared.modbus_addresses import (
    BIT_TABLES,
    LAST_REGISTER,
    WRITABLE_TABLES,
    Address,
    as_in_manuals,
    parse_address,
)
from station.terms.durations import format_duration
from station.terms.findings import Finding, no_file
from station.terms.tables import Duration, Order, TagTable

if TYPE_CHECKING:
    from fieldbus.modbus.address import ModbusAddress
    from fieldbus.modbus.link import ModbusLink as ModbusDevice
    from fieldbus.modbus.link import Rtu, Tcp, Tls
    from fieldbus.tags import Tag

ORDER = 10
REQUEST_BYTES = 8
ANSWER_BYTES = 5
SILENCE_BYTES = 7
"""Of a request to read, of its answer without values, and 3.5 characters before each: the serial line's specification."""
BITS_OF_A_BYTE = 11


class _ModbusLink(DeviceLinkTable):
    address_form = '"TABLE REGISTER [ORDER]", for example "holding 40"'

    unit: int = Field(default=1, ge=0, le=255, description="Unit (slave) number of the device.")
    order: Order = Field(
        default="ABCD", description="Byte order of values wider than a register, unless a tag's address says otherwise."
    )
    gap: int = Field(default=0, ge=0, le=120, description="Read over holes of at most so many registers.")
    single_writes: bool = Field(default=True, description="Write a lone register with function code 5 or 6.")
    fc23: bool = Field(
        default=False, description="Read and write in one request (function code 23); the device must support it."
    )

    def address_faults(self, tag: TagTable) -> Iterator[str]:
        """No such place, or not for this tag."""
        try:
            address = parse_address(tag.address)
        except ValueError as error:
            yield str(error)
            return
        if tag.direction == "out" and address.table not in WRITABLE_TABLES:
            yield f'table "{address.table}" cannot be written; an output is in {" or ".join(WRITABLE_TABLES)}'
        if address.table in BIT_TABLES and tag.type != "bool":
            yield f'table "{address.table}" holds bits; type must be "bool", got "{tag.type}"'
        if address.bit is not None and (tag.type != "bool" or tag.count != 1):
            yield f'one bit of a register is one value of type "bool", got {tag.count} of "{tag.type}"'
        if address.last(tag.type, tag.count) > LAST_REGISTER:
            yield f"{address.text(tag.type, tag.count)} goes beyond {LAST_REGISTER}"

    def findings(self, name: str, tags: Mapping[str, TagTable], folder: Path) -> Iterator[Finding]:
        """Two tags may not share a register; only an input may read back exactly what an output writes."""
        for tag_name, tag in tags.items():
            place = _address(tag)
            if place is not None and (hint := as_in_manuals(place)):
                yield Finding(("tags", tag_name, "address"), hint, "warning")
        tables: dict[str, list[tuple[str, TagTable, Address]]] = defaultdict(list)
        for tag_name, tag in tags.items():
            address = _address(tag)
            if address is not None:
                tables[address.table].append((tag_name, tag, address))
        for entries in tables.values():
            for (tag_name, tag, address), (other_name, other, other_address) in combinations(entries, 2):
                span, other_span = address.span(tag.type, tag.count), other_address.span(other.type, other.count)
                shared = span.start < other_span.stop and other_span.start < span.stop
                read_back = tag.direction != other.direction and span == other_span and tag.type == other.type
                if shared and not read_back:
                    here, there = other_address.text(other.type, other.count), address.text(tag.type, tag.count)
                    yield Finding(("tags", other_name, "address"), f"{here} overlaps {there} of tag {tag_name}")

    def place(self, tag: TagTable) -> tuple[Hashable, range] | None:
        """Registers, or bits."""
        address = _address(tag)
        if address is None:
            return None
        return (*self.wire(), self.unit, address.table), address.span(tag.type, tag.count)

    @abstractmethod
    def wire(self) -> tuple[Hashable, ...]:
        """What carries the requests: the same for all links on it."""

    def address(self, tag: TagTable) -> ModbusAddress:
        """Registers or bits."""
        from fieldbus.modbus.address import ModbusAddress
        from fieldbus.tags import Order

        place = parse_address(tag.address)
        order = Order(place.order or self.order)
        return ModbusAddress(place.table, place.register, order, self.unit, place.bit)  # type: ignore[arg-type]

    def make(self, name: str, tags: Sequence[Tag], folder: Path) -> ModbusDevice:
        """A Modbus client."""
        from fieldbus.modbus.link import ModbusLink as ModbusDevice

        return ModbusDevice(
            name,
            tags,
            self.transport(folder),
            self.cycle_s,
            self.timeout_s,
            gap=self.gap,
            read_write=self.fc23,
            single_writes=self.single_writes,
        )

    @abstractmethod
    def transport(self, folder: Path) -> Tcp | Tls | Rtu:
        """What carries the requests."""


class ModbusTcpLink(_ModbusLink):
    """A Modbus TCP device."""

    first = ('host = "192.168.10.5"', "holding {1}")

    type: Literal["modbus-tcp"]
    host: str = Field(description="Name or address of the device.")
    port: int = Field(default=502, ge=1, le=65535, description="TCP port.")

    def wire(self) -> tuple[Hashable, ...]:
        """The device's place in the network."""
        return plain_host(self.host), self.port

    def findings(self, name: str, tags: Mapping[str, TagTable], folder: Path) -> Iterator[Finding]:
        """Also: what is no host, and another protocol's port."""
        if why := no_host(self.host):
            yield Finding(("links", name, "host"), why)
        yield from other_port(("links", name, "port"), self.port, "Modbus TCP")
        yield from super().findings(name, tags, folder)

    def describe(self) -> str:
        """`modbus-tcp 192.168.10.5:502`."""
        return f"{self.type} {self.host}:{self.port}"

    def device_name(self) -> str:
        """`modbus 192.168.10.5:502 unit 1`."""
        return f"modbus {plain_host(self.host)}:{self.port} unit {self.unit}"

    def transport(self, folder: Path) -> Tcp:
        """A TCP connection."""
        from fieldbus.modbus.link import Tcp

        return Tcp(self.host, self.port)


class ModbusTlsLink(_ModbusLink):
    """A Modbus device behind TLS."""

    type: Literal["modbus-tls"]
    host: str = Field(description="Name or address of the device.")
    port: int = Field(default=802, ge=1, le=65535, description="TCP port.")
    ca_file: str | None = Field(default=None, description="Certificate authority that signed the device's certificate.")
    cert_file: str | None = Field(default=None, description="Our own certificate.")
    key_file: str | None = Field(default=None, description="Key of our own certificate.")
    server_name: str | None = Field(
        default=None, description="Name in the device's certificate, when it is not `host`."
    )

    def wire(self) -> tuple[Hashable, ...]:
        """The device's place in the network."""
        return plain_host(self.host), self.port

    def describe(self) -> str:
        """`modbus-tls 192.168.10.5:802`."""
        return f"{self.type} {self.host}:{self.port}"

    def device_name(self) -> str:
        """`modbus 192.168.10.5:802 unit 1`."""
        return f"modbus {plain_host(self.host)}:{self.port} unit {self.unit}"

    def findings(self, name: str, tags: Mapping[str, TagTable], folder: Path) -> Iterator[Finding]:
        """Also: what is no host, and are there such files?"""
        if why := no_host(self.host):
            yield Finding(("links", name, "host"), why)
        yield from other_port(("links", name, "port"), self.port, "Modbus over TLS")
        for key in ("ca_file", "cert_file", "key_file"):
            yield from no_file(("links", name, key), folder, getattr(self, key))
        yield from super().findings(name, tags, folder)

    def transport(self, folder: Path) -> Tls:
        """A TLS connection."""
        from fieldbus.modbus.link import Tls

        ca, cert, key = (str(folder / f) if f else None for f in (self.ca_file, self.cert_file, self.key_file))
        return Tls(self.host, self.port, ca, cert, key, self.server_name or "")


class ModbusRtuLink(_ModbusLink):
    """A Modbus device on a serial line."""

    cycle_ns: Duration = Field(default="50 ms", alias="cycle", description="How often the device is read and written.")  # type: ignore[assignment]
    timeout_ns: Duration = Field(default="1 s", alias="timeout", description="A device silent for so long is lost.")  # type: ignore[assignment]
    answer_ns: Duration = Field(default="100 ms", alias="answer", description="Ask again after so long.")  # type: ignore[assignment]

    first = ('device = "/dev/ttyUSB0"', "holding {1}")

    type: Literal["modbus-rtu"]
    device: str = Field(description="Serial port, for example /dev/ttyUSB0.")
    baudrate: int = Field(default=19200, ge=300, le=4_000_000, description="Bits per second.")
    parity: Literal["N", "E", "O"] = "E"
    stopbits: Literal[1, 2] = 1

    def wire(self) -> tuple[Hashable, ...]:
        """The serial port."""
        return (self.device,)

    def findings(self, name: str, tags: Mapping[str, TagTable], folder: Path) -> Iterator[Finding]:
        """Also: a cycle that the line is too slow for."""
        yield from super().findings(name, tags, folder)
        least_ns = self.least_ns(tags.values())
        if least_ns > self.cycle_ns:
            message = (
                f"{format_duration(self.cycle_ns)} is too short for this line: at {self.baudrate} baud one exchange takes at "
                f"least {format_duration(least_ns, 2)}"
            )
            yield Finding(("links", name, "cycle"), message, "warning")

    def least_ns(self, tags: Iterable[TagTable]) -> int:
        """Time on the line of one exchange: for each table and direction one request, its answer, and the silences."""
        nbytes: dict[tuple[str, str], int] = defaultdict(lambda: REQUEST_BYTES + ANSWER_BYTES + SILENCE_BYTES)
        for tag in tags:
            address = _address(tag)
            if address is not None:
                nbytes[address.table, tag.direction] += len(address.span(tag.type, tag.count)) // 8
        return sum(nbytes.values()) * BITS_OF_A_BYTE * NS // self.baudrate

    def describe(self) -> str:
        """`modbus-rtu /dev/ttyUSB0 unit 1`."""
        return f"{self.type} {self.device} unit {self.unit}"

    def device_name(self) -> str:
        """The port, whatever link leads there; a serial line has one master, whatever unit it speaks to."""
        return f"serial port {os.path.realpath(self.device)}"

    def transport(self, folder: Path) -> Rtu:
        """A serial port."""
        from fieldbus.modbus.link import Rtu

        return Rtu(self.device, self.baudrate, self.parity, self.stopbits, self.answer_ns / NS)


def _address(tag: TagTable) -> Address | None:
    try:
        return parse_address(tag.address)
    except ValueError:
        return None


TABLES = (ModbusTcpLink, ModbusTlsLink, ModbusRtuLink)
