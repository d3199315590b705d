"""Links of types "modbus-tcp", "modbus-tls" and "modbus-rtu": Modbus devices."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from fieldbus.modbus.protocol import READ_BITS, READ_REGISTERS, WRITE_BITS, WRITE_MOST
from station.links import NS, DeviceLinkTable, LinkTable, NativeLinkTable, Saying, other_port
from station.links.shared.hosts import no_host, plain_host
from station.links.shared.modbus_addresses import (
    BIT_TABLES,
    LAST_REGISTER,
    REGISTERS_OF_TYPE,
    WRITABLE_TABLES,
    Address,
    parse_address,
)
from station.links.shared.modbus_checks import BROADCAST, as_manuals_count, broadcasts, kept_words, overlaps
from station.links.shared.next_steps import MODBUS, MODBUS_SERIAL
from station.links.shared.urls import modbus_rtu_keys, modbus_tcp_keys
from station.terms.durations import format_duration
from station.terms.findings import Finding, no_file
from station.terms.tables import Duration, Order, TagTable

if TYPE_CHECKING:
    from fieldbus.modbus.address import ModbusAddress
    from fieldbus.modbus.habits import Habits
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
    address_form = '"[unit N] TABLE REGISTER [ORDER]", for example "holding 40"'
    next_steps = MODBUS

    unit: int = Field(
        default=1, ge=0, le=255, description="Unit (slave) number of the device, unless a tag's address says another."
    )
    order: Order = Field(
        default="ABCD", description="Byte order of values wider than a register, unless a tag's address says otherwise."
    )
    gap: int = Field(default=0, ge=0, le=120, description="Read over holes of at most so many registers.")
    single_writes: bool = Field(default=True, description="Write a lone register with function code 5 or 6.")
    fc23: bool = Field(
        default=False, description="Read and write in one request (function code 23); the device must support it."
    )
    mask_writes: bool = Field(
        default=False,
        description="The device combines the bits of a register that are outputs with its others (function code 22).",
    )
    other_bits: Literal["keep", "zero"] = Field(
        default="keep",
        description="The other bits of a register of which bits are outputs: read and written back, or written 0.",
    )
    max_read: int = Field(
        default=READ_REGISTERS, ge=1, le=READ_REGISTERS, description="Most registers that the device gives at once."
    )
    max_write: int = Field(
        default=WRITE_MOST, ge=1, le=WRITE_MOST, description="Most registers that the device takes at once."
    )
    max_bits: int = Field(
        default=READ_BITS, ge=1, le=READ_BITS, description="Most coils or discrete inputs of one request."
    )
    connect_pause_ns: Duration | None = Field(
        default=None, alias="connect_pause", description="The device hears nothing so long after it was connected to."
    )
    request_pause_ns: Duration | None = Field(
        default=None, alias="request_pause", description="Quiet that the device needs between an answer and a request."
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
        most, key = (self.max_write, "max_write") if tag.direction == "out" else (self.max_read, "max_read")
        if address.table not in BIT_TABLES and REGISTERS_OF_TYPE[tag.type] > most:
            yield f"a {tag.type} takes {REGISTERS_OF_TYPE[tag.type]} registers, which are asked for at once; {key} = {most} is less"

    def placed(self, tags: Mapping[str, TagTable]) -> dict[str, tuple[TagTable, Address]]:
        """Of each tag whose address can be read: where it is, unit and all."""
        found = ((name, tag, _address(tag)) for name, tag in tags.items())
        return {
            name: (tag, replace(address, unit=self._unit(address)))
            for name, tag, address in found
            if address is not None
        }

    def findings(self, name: str, tags: Mapping[str, TagTable], folder: Path) -> Iterator[Finding]:
        """Tags that share a register, words of many owners, and a cycle shorter than its pauses."""
        placed = self.placed(tags)
        yield from as_manuals_count(placed)
        yield from overlaps(placed)
        if not self.mask_writes and "other_bits" not in self.model_fields_set:
            yield from kept_words(name, placed)
        least_ns = self.least_ns(tags.values())
        if least_ns > self.cycle_ns:
            message = (
                f"{format_duration(self.cycle_ns)} is too short for this {self.too_slow(format_duration(least_ns, 2))}"
            )
            yield Finding(("links", name, "cycle"), message, "warning")

    def least_ns(self, tags: Iterable[TagTable]) -> int:
        """Time that one exchange takes at least: the pauses."""
        return self.requests(tags) * (self.request_pause_ns or 0)

    def requests(self, tags: Iterable[TagTable]) -> int:
        """How many an exchange has at least: one for each unit, table and direction."""
        found = ((tag.direction, address) for tag in tags if (address := _address(tag)) is not None)
        return len({(self._unit(address), address.table, direction) for direction, address in found})

    def too_slow(self, least: str) -> str:
        """What needs so long, and why."""
        return f"device: with its pauses one exchange takes at least {least}"

    def place(self, tag: TagTable) -> tuple[Hashable, range] | None:
        """Registers, or bits."""
        address = _address(tag)
        if address is None:
            return None
        return (*self.wire(), self._unit(address), address.table), address.span(tag.type, tag.count)

    @abstractmethod
    def wire(self) -> tuple[Hashable, ...]:
        """What carries the requests: the same for all links on it."""

    def address(self, tag: TagTable) -> ModbusAddress:
        """Registers or bits."""
        from fieldbus.modbus.address import ModbusAddress
        from fieldbus.tags import Order

        place = parse_address(tag.address)
        order = Order(place.order or self.order)
        return ModbusAddress(place.table, place.register, order, self._unit(place), place.bit)  # type: ignore[arg-type]

    def make(self, name: str, tags: Sequence[Tag], folder: Path) -> ModbusDevice:
        """A Modbus client."""
        from fieldbus.modbus.link import ModbusLink as ModbusDevice
        from fieldbus.modbus.plan import Options

        options = Options(
            gap=self.gap,
            read_write=self.fc23,
            single_writes=self.single_writes,
            mask_writes=self.mask_writes,
            keep_bits=self.other_bits == "keep",
            max_read=self.max_read,
            max_write=self.max_write,
            max_read_bits=self.max_bits,
            max_write_bits=min(self.max_bits, WRITE_BITS),
        )
        where, habits = self.transport(folder), self.habits()
        exchange = self.exchange if isinstance(self, NativeLinkTable) else "own-thread"
        return ModbusDevice(
            name, tags, where, self.cycle_s, self.timeout_s, options=options, habits=habits, exchange=exchange
        )

    def habits(self) -> Habits:
        """What the device does otherwise than specified."""
        from fieldbus.modbus.habits import Habits

        return Habits(
            connect_pause_s=(self.connect_pause_ns or 0) / NS, request_pause_s=(self.request_pause_ns or 0) / NS
        )

    @abstractmethod
    def transport(self, folder: Path) -> Tcp | Tls | Rtu:
        """What carries the requests."""

    def instead(self, first: str) -> str:
        """How one link speaks to several devices."""
        return (
            f'One link speaks to several units: write link = "{first}" in the tags of this one, and its unit in their '
            f'addresses, for example address = "unit {self.unit} holding 40"'
        )

    def _unit(self, address: Address) -> int:
        return self.unit if address.unit is None else address.unit

    def _written(self, tags: Iterable[TagTable]) -> list[int]:
        """The units of outputs."""
        found = [address for tag in tags if tag.direction == "out" and (address := _address(tag)) is not None]
        return sorted({self._unit(address) for address in found})


class _ModbusIpLink(_ModbusLink):
    any_transaction_id: bool = Field(
        default=False, description="Take answers whose transaction id is the device's own, as some gateways give them."
    )
    any_unit: bool = Field(default=False, description="Take answers that name another unit than was asked.")

    if TYPE_CHECKING:
        host: str
        port: int

    def wire(self) -> tuple[Hashable, ...]:
        """The device's place in the network."""
        return plain_host(self.host), self.port

    def describe(self) -> str:
        """`modbus-tcp 192.168.10.5:502`."""
        return f"{self.type} {self.host}:{self.port}"  # type: ignore[attr-defined]

    def device_names(self, tags: Iterable[TagTable]) -> list[str]:
        """`modbus 192.168.10.5:502 unit 1`."""
        return [f"modbus {plain_host(self.host)}:{self.port} unit {unit}" for unit in self._written(tags)]

    def held_alone(self) -> Hashable:
        """A connection, which many gateways have one of."""
        return ("modbus", *self.wire())

    def second(self, first: str, holder: LinkTable) -> Saying | None:
        """Two units behind one address are a gateway; links of different cycles are two for a reason."""
        if not isinstance(holder, _ModbusLink) or holder.unit == self.unit or holder.cycle_ns != self.cycle_ns:
            return None
        where = f"link {first} goes to {self.host}:{self.port} too, and many gateways take one connection only"
        return f"{where}. {self.instead(first)}", "warning"

    def habits(self) -> Habits:
        """Also: numbers of its own."""
        return replace(super().habits(), any_transaction_id=self.any_transaction_id, any_unit=self.any_unit)


class ModbusTcpLink(NativeLinkTable, _ModbusIpLink):
    """A Modbus TCP device."""

    first = ('host = "192.168.10.5"', "holding {1}")
    scheme = "modbus"

    @classmethod
    def of_url(cls, rest: str) -> str:
        """`HOST[:PORT][/UNIT]`."""
        return modbus_tcp_keys(rest)

    type: Literal["modbus-tcp"]
    host: str = Field(description="Name or address of the device.")
    port: int = Field(default=502, ge=1, le=65535, description="TCP port.")

    def findings(self, name: str, tags: Mapping[str, TagTable], folder: Path) -> Iterator[Finding]:
        """Also: what is no host, and another protocol's port."""
        if why := no_host(self.host):
            yield Finding(("links", name, "host"), why)
        yield from other_port(("links", name, "port"), self.port, "Modbus TCP")
        yield from super().findings(name, tags, folder)

    def transport(self, folder: Path) -> Tcp:
        """A TCP connection."""
        from fieldbus.modbus.link import Tcp

        return Tcp(self.host, self.port)


class ModbusTlsLink(_ModbusIpLink):
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


class ModbusRtuLink(NativeLinkTable, _ModbusLink):
    """A Modbus device on a serial line."""

    cycle_ns: Duration = Field(default="50 ms", alias="cycle", description="How often the device is read and written.")  # type: ignore[assignment]
    timeout_ns: Duration = Field(default="1 s", alias="timeout", description="A device silent for so long is lost.")  # type: ignore[assignment]
    answer_ns: Duration = Field(default="100 ms", alias="answer", description="Ask again after so long.")  # type: ignore[assignment]

    first = ('device = "/dev/ttyUSB0"', "holding {1}")
    scheme = "modbus-rtu"

    @classmethod
    def of_url(cls, rest: str) -> str:
        """`/dev/PORT[/UNIT]`."""
        return modbus_rtu_keys(rest)

    is_shared = False
    next_steps = MODBUS_SERIAL

    type: Literal["modbus-rtu"]
    device: str = Field(description="Serial port, for example /dev/ttyUSB0.")
    baudrate: int = Field(default=19200, ge=300, le=4_000_000, description="Bits per second.")
    parity: Literal["N", "E", "O"] = "E"
    stopbits: Literal[1, 2] = 1

    echo: bool = Field(default=False, description="The adapter hears what it sends: that is no answer.")
    broadcast_pause_ns: Duration = Field(
        default="100 ms",  # type: ignore[assignment]
        alias="broadcast_pause",
        description="Quiet after an output to unit 0, which every device takes and none answers.",
    )

    def wire(self) -> tuple[Hashable, ...]:
        """The serial port, whatever link leads there."""
        return (os.path.realpath(self.device),)

    def held_alone(self) -> Hashable | None:
        """A port has one master."""
        return ("serial port", *self.wire())

    def second(self, first: str, holder: LinkTable) -> Saying:
        """Both devices belong on one link."""
        return (
            f"{self.device} is the port of link {first} already, and a serial port has one master: this link would never be up. "
            f"{self.instead(first)}",
            "error",
        )

    def findings(self, name: str, tags: Mapping[str, TagTable], folder: Path) -> Iterator[Finding]:
        """Also: broadcasts."""
        yield from super().findings(name, tags, folder)
        yield from broadcasts(self.placed(tags), self.other_bits == "keep" and not self.mask_writes)

    def least_ns(self, tags: Iterable[TagTable]) -> int:
        """Time on the line: for each unit, table and direction one request, its answer, and the silences; and the pauses."""
        tags = list(tags)
        nbytes = self.requests(tags) * (REQUEST_BYTES + ANSWER_BYTES + SILENCE_BYTES)
        for tag in tags:
            address = _address(tag)
            if address is not None:
                nbytes += len(address.span(tag.type, tag.count)) // 8
        told = BROADCAST in self._written(tags)
        return super().least_ns(tags) + nbytes * BITS_OF_A_BYTE * NS // self.baudrate + told * self.broadcast_pause_ns

    def too_slow(self, least: str) -> str:
        """The line."""
        return f"line: at {self.baudrate} baud one exchange takes at least {least}"

    def habits(self) -> Habits:
        """Also: echoes and broadcasts."""
        return replace(super().habits(), echo=self.echo, broadcast_pause_s=self.broadcast_pause_ns / NS)

    def describe(self) -> str:
        """`modbus-rtu /dev/ttyUSB0 unit 1`."""
        return f"{self.type} {self.device} unit {self.unit}"

    def device_names(self, tags: Iterable[TagTable]) -> list[str]:
        """The port, whatever link leads there; a serial line has one master, whatever unit it speaks to."""
        return [f"serial port {os.path.realpath(self.device)}"]

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
