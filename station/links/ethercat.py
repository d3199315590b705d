"""Links of type "ethercat": the slaves on a network interface."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from fieldbus.errors import ConfigurationError, FieldbusError
from station.links import DeviceLinkTable, NativeLinkTable, Saying
from station.links.shared.drives import DriveTable, tags_of_drives
from station.links.shared.next_steps import ETHERCAT
from station.terms.findings import Finding
from station.terms.tables import Array, Duration, Name, Table, TagTable

if TYPE_CHECKING:
    from fieldbus.ethercat.link import EthercatLink as EthercatDevice
    from fieldbus.ethercat.options import PdoChoice, Sdo, SlaveOptions
    from fieldbus.tags import Address, Tag

ORDER = 25
MOST_NAME = 15
Number32 = Annotated[int, Field(ge=0, le=0xFFFFFFFF)]
Index = Annotated[int, Field(ge=1, le=0xFFFF)]
_ENTRY = re.compile(r"0[xX]([0-9A-Fa-f]{1,4}):(?:0[xX])?([0-9A-Fa-f]{1,2}):(\d{1,2})")


class EthercatSdo(Table):
    """An entry of `sdos`: an object that is written before the slave leaves PRE-OP."""

    index: Index = Field(description="Index of the object, for example 0x6060.")
    subindex: int = Field(default=0, ge=0, le=255, description="Its subindex.")
    value: int | float | str | bool = Field(description="What is written; texts are for the types text and bytes.")
    type: Literal[
        "bool",
        "int8",
        "int16",
        "int32",
        "int64",
        "uint8",
        "uint16",
        "uint32",
        "uint64",
        "float32",
        "float64",
        "text",
        "bytes",
    ] = Field(description='Type of the object; "bytes": hexadecimal digits, for whatever has no type here.')
    complete: bool = Field(
        default=False, description="The whole object at once, from this subindex on (complete access)."
    )

    def made(self) -> Sdo:
        """Raises `ConfigurationError`: the type cannot hold the value."""
        from fieldbus.ethercat.options import Sdo

        value = int(self.value) if isinstance(self.value, float) and self.value.is_integer() else self.value
        return Sdo(self.index, self.subindex, value, self.type, self.complete)


class EthercatPdo(Table):
    """An entry of `pdos` with what is to be in it."""

    index: Index = Field(description="0x1600 to 0x17FF: outputs; 0x1A00 to 0x1BFF: inputs.")
    entries: Annotated[tuple[str, ...], Array] = Field(
        default=(),
        description='What is put into it, "0xINDEX:SUB:BITS" each: "0x6041:00:16"; left out: it stays as it is.',
    )

    def made(self) -> PdoChoice:
        """Raises `ConfigurationError`."""
        from fieldbus.ethercat.options import PdoChoice

        entries = []
        for text in self.entries:
            found = _ENTRY.fullmatch(text)
            if found is None:
                raise ConfigurationError(
                    f'"{text}" is no entry of a PDO; write index, subindex and bits: "0x6041:00:16"'
                )
            entries.append((int(found[1], 16), int(found[2], 16), int(found[3])))
        return PdoChoice(self.index, tuple(entries))


class EthercatSlave(Table):
    """`[links.NAME.slaves.SLAVE]`: a slave with a name; who it must be, and how it is set up. All but its place may be left out."""

    position: int | None = Field(
        default=None, ge=0, le=65535, description="Its place on the bus, counted from 0; or `alias`."
    )
    alias: int | None = Field(
        default=None,
        ge=1,
        le=65535,
        description="The number in its EEPROM or on its switch, wherever on the bus it is.",
    )
    vendor: Number32 | None = Field(default=None, description="Expected vendor; another one is refused.")
    product: Number32 | None = Field(default=None, description="Expected product code; another one is refused.")
    revision: Number32 | None = Field(default=None, description="Expected revision; another one is refused.")
    sdos: Annotated[tuple[EthercatSdo, ...], Array] = Field(
        default=(), description="Objects that are written in PRE-OP."
    )
    pdos: Annotated[tuple[Index | EthercatPdo, ...], Array] = Field(
        default=(),
        description="PDOs that it exchanges instead of its own choice: `[0x1600, 0x1A00]`, or tables with `entries` of your own.",
    )
    watchdog_ns: Duration | None = Field(
        default=None,
        alias="watchdog",
        description="So long without outputs, and it switches them off by itself; left out: as it comes, as a rule 100 ms.",
    )

    dc: bool | None = Field(
        default=None,
        description="Is it to have the pulse (SYNC0) of its distributed clock? Left out: where it says that it acts on it "
        "(0x1C32:01).",
    )

    def made(self, name: str) -> SlaveOptions:
        """Raises `ConfigurationError`."""
        from fieldbus.ethercat.options import PdoChoice, SlaveOptions

        return SlaveOptions(
            name=name,
            position=self.position,
            alias=self.alias,
            vendor=self.vendor,
            product=self.product,
            revision=self.revision,
            sdos=tuple(sdo.made() for sdo in self.sdos),
            pdos=tuple(pdo.made() if isinstance(pdo, EthercatPdo) else PdoChoice(pdo) for pdo in self.pdos),
            watchdog_ms=None if self.watchdog_ns is None else self.watchdog_ns / 1e6,
            dc=self.dc,
        )


class EthercatLink(NativeLinkTable, DeviceLinkTable):
    """EtherCAT slaves: a network interface, which belongs to the link alone."""

    address_form = '"SLAVE:ENTRY", for example "drive:0x6041:00"'
    is_shared = False
    gives_outputs_back = False
    is_the_fastest_tasks = True
    is_reserved_to_read = True
    free_words = "stop that first: a bus has one master"
    libraries = ("fieldbus.ethercat.drives.drives", "fieldbus.ethercat.clock.clock_memory")
    rights = ("CAP_NET_RAW", "CAP_NET_ADMIN")
    next_steps = ETHERCAT
    stand_ins: ClassVar[Mapping[str, object]] = {"interface": "eth1"}
    parts: ClassVar[Mapping[str, type[Table]]] = {
        "[links.NAME.slaves.SLAVE], type ethercat": EthercatSlave,
        "[links.NAME.drives.AXIS], type ethercat": DriveTable,
        "An entry of sdos": EthercatSdo,
        "An entry of pdos": EthercatPdo,
    }
    first = ('interface = "eth1"', "{1}:0x6000:01")
    scheme = "ethercat"

    @classmethod
    def of_url(cls, rest: str) -> str:
        """`INTERFACE`."""
        if not rest or len(rest) > MOST_NAME or "/" in rest:
            raise ValueError("write ethercat://INTERFACE, for example ethercat://eth1")
        return f'interface = "{rest}"'

    type: Literal["ethercat"]
    interface: str = Field(
        min_length=1,
        max_length=MOST_NAME,
        pattern=r"^[^/\s]+$",
        description="Network interface, as `ip link` shows it.",
    )
    cycle_ns: Duration = Field(default="1 ms", alias="cycle", description="How often all slaves are read and written.")  # type: ignore[assignment]
    timeout_ns: Duration = Field(  # type: ignore[assignment]
        "50 ms",
        alias="timeout",
        description="A slave silent for so long is lost; an output older than this is sent as its safe value.",
    )
    slave_count: int | None = Field(
        default=None, ge=1, le=199, description="How many slaves there must be; left out: as many as answer."
    )
    clock: bool = Field(
        default=True,
        description="Wake-ups follow the distributed clock, where a slave has its pulse; with exchange in a task's cycle the ticks "
        "of all tasks do. false: no slave has the pulse.",
    )
    sync0_shift_ns: Duration | None = Field(
        default=None,
        alias="sync0_shift",
        description="When in a cycle the pulse comes, after frames pass the first clock of the bus; left out: as measured.",
    )
    slaves: dict[Name, EthercatSlave] = Field(
        default={},
        description="Slaves with names, by which tags and people call them; others are taken as they are found.",
    )

    drives: dict[Name, DriveTable] = Field(
        default={}, description="Axes: drives of profile CiA 402. Each brings tags that begin with its name."
    )

    @classmethod
    def own_tags(cls, name: str, table: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """Those of its drives."""
        return tags_of_drives(name, table.get("drives"))

    def describe(self) -> str:
        """`ethercat eth1`."""
        return f"ethercat {self.interface}"

    def findings(self, name: str, tags: Mapping[str, TagTable], folder: Path) -> Iterator[Finding]:
        """Slaves that contradict themselves or each other; is the package there?"""
        from fieldbus.ethercat.options import check_names
        from fieldbus.ethercat.wire.soem import INSTALL

        made = []
        for slave, table in self.slaves.items():
            try:
                made.append(table.made(slave))
            except FieldbusError as error:
                yield Finding(("links", name, "slaves", slave), str(error))
        try:
            check_names(made)
        except FieldbusError as error:
            yield Finding(("links", name, "slaves"), str(error))
        if importlib.util.find_spec("pysoem") is None:
            yield Finding(("links", name, "type"), f"EtherCAT needs the package pysoem: {INSTALL}", "warning")
        if not self.exclusive:
            message = "a bus has one master: it is this link's alone, whatever is written here"
            yield Finding(("links", name, "exclusive"), message, "warning")
        yield from self._watchdogs(name)
        yield from self._drive_faults(name, tags)

    def _drive_faults(self, name: str, tags: Mapping[str, TagTable]) -> Iterator[Finding]:
        """Drives that contradict themselves or each other, or that have no slave; tags of theirs that the file has, too."""
        from fieldbus.ethercat.drives.drive import drive_tags

        made = []
        for axis, table in self.drives.items():
            path = ("links", name, "drives", axis)
            try:
                made.append(table.made(axis))
            except FieldbusError as error:
                yield Finding(path, str(error))
            yield from (Finding((*path, "slave"), message) for message in self._slave_faults(str(table.slave)))
        try:
            drive_tags(made)
        except FieldbusError as error:
            yield Finding(("links", name, "drives"), str(error))
        for tag, raw in tags_of_drives(name, {axis: self.drives[axis] for axis in self.drives}).items():
            if tag in tags and tags[tag] != TagTable.model_validate(raw):
                axis = tag.rpartition(".")[0]
                message = f"drive {axis} brings this tag itself; leave it out: unit, scale and limits are keys of drives.{axis}"
                yield Finding(("tags", tag), message)

    def _watchdogs(self, name: str) -> Iterator[Finding]:
        for slave, table in self.slaves.items():
            if table.watchdog_ns is not None and table.watchdog_ns < 2 * self.cycle_ns:
                message = "it is shorter than two cycles: one late frame, and the slave switches its outputs off"
                yield Finding(("links", name, "slaves", slave, "watchdog"), message, "warning")

    def address_faults(self, tag: TagTable) -> Iterator[str]:
        """Not of the form, or a slave that nobody named."""
        from fieldbus.ethercat.address import EthercatAddress

        try:
            address = self.address(tag)
        except FieldbusError as error:
            yield str(error)
            return
        if isinstance(address, EthercatAddress):
            yield from self._slave_faults(address.slave)

    def _slave_faults(self, slave: str) -> Iterator[str]:
        if slave not in self.slaves and not slave.isdecimal():
            there = f"there are {', '.join(self.slaves)}" if self.slaves else "none has a name"
            yield f'no slave is called "{slave}"; {there}: name it in a table `slaves.{slave}`, or write its position, from 0'

    held_words = "and a bus has one master: this one never gets the interface"

    def held_alone(self) -> Hashable | None:
        """The interface."""
        return "ethercat", self.interface

    def second(self, first: str, holder: object) -> Saying | None:
        """One bus, one master."""
        return (
            f"link {first} has the interface {self.interface}, {self.held_words}; put its tags on link {first}",
            "error",
        )

    def place(self, tag: TagTable) -> tuple[Hashable, range] | None:
        """An entry of a slave, as it is written."""
        return (self.interface, tag.address.strip().lower()), range(1)

    def device_names(self, tags: Iterable[TagTable]) -> list[str]:
        """`ethercat eth1`."""
        return [f"ethercat {self.interface}"]

    def reserved(self, tags: Iterable[TagTable]) -> Sequence[str]:
        """The interface, also of who only reads: there is one master."""
        return self.device_names(tags)

    def address(self, tag: TagTable) -> Address:
        """An entry of a slave, or a part of a drive: `AXIS.position`."""
        from fieldbus.ethercat.address import EthercatAddress

        axis, _, part = tag.address.rpartition(".")
        if axis in self.drives and ":" not in tag.address:
            return self.drives[axis].made(axis).address(part)
        return EthercatAddress.parse(tag.address)

    def make(self, name: str, tags: Sequence[Tag], folder: Path) -> EthercatDevice:
        """A master of the bus."""
        from fieldbus.ethercat.link import EthercatLink as EthercatDevice
        from fieldbus.ethercat.wire.soem import library

        library()
        return EthercatDevice(
            name,
            tags,
            self.interface,
            self.cycle_s,
            self.timeout_s,
            slaves=[table.made(slave) for slave, table in self.slaves.items()],
            slave_count=self.slave_count,
            drives=[table.made(axis) for axis, table in self.drives.items()],
            exchange=self.exchange,
            has_clock=self.clock,
            shift_s=None if self.sync0_shift_ns is None else self.sync0_shift_ns / 1e9,
        )


TABLES = (EthercatLink,)
