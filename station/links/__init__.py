"""Kinds of links: one file each, found by being in this folder.

A kind is a table of the station file that answers all that a station asks of a link, so that nobody else names it:

    class EchoLink(CyclicLinkTable):
        type: Literal["echo"]
        host: str = Field(description="Name or address of the device.")

        def describe(self): ...                       what people read: "echo 192.168.10.5"
        def findings(self, name, tags, folder): ...   what is wrong with it
        def address(self, tag): ...                   where a tag lies in the device
        def reserved(self): ...                       what no other station may write to meanwhile (`DeviceLinkTable`)
        def make(self, name, tags, folder): ...       the `fieldbus` link itself, imported here: only who uses it needs it

    TABLES = (EchoLink,)
    ORDER = 60          its own place among the others, in messages, schema and documentation
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, Self, get_args

from pydantic import Field

from rt_native.found import modules
from station.terms.findings import Finding, Step
from station.terms.tables import Duration, Table, TagTable

if TYPE_CHECKING:
    from fieldbus.link.link import Link
    from fieldbus.tags import Address, Tag

NS: Final = 1_000_000_000
Saying = tuple[str, Literal["error", "warning"]]
"""A message, and how bad it is."""
PORTS: Final = {
    102: "S7",
    502: "Modbus TCP",
    802: "Modbus over TLS",
    1883: "MQTT",
    4840: "OPC UA",
    8016: "ADS over TLS",
    44818: "EtherNet/IP",
    48898: "ADS over TCP",
}
"""TCP port -> the protocol that it is for."""


class LinkTable(Table, ABC):
    """`[links.NAME]` of any kind. `type` names the kind; `cycle_ns` and `timeout_ns` every kind declares in its own words."""

    confirmed_by: ClassVar[str] = "confirmed by the device"
    """How it is known, at the end, that safe values have arrived."""
    is_called: ClassVar[bool] = False
    """Do clients of the station's servers write and read its tags, instead of a device that it calls?"""
    address_form: ClassVar[str] = ""
    """How a tag's `address` looks, in words; empty: tags need none."""

    next_steps: ClassVar[tuple[tuple[str, str], ...]] = ()
    """What to look at when the device does not answer as it should: words of the reason (a pattern) -> the next step."""
    libraries: ClassVar[tuple[str, ...]] = ()
    """Modules with native libraries that such a link imports when it needs them."""
    rights: ClassVar[tuple[str, ...]] = ()
    """Capabilities that a process with such a link needs, beside those of every station."""
    parts: ClassVar[Mapping[str, type[Table]]] = {}
    """Tables within this one, for the documentation: heading -> table."""
    first: ClassVar[tuple[str, str]] = ("", "")
    """For `rt-engine new`: the keys of a first link beside `type`, as TOML, and the address of its tag number `{0}`, at 32-bit
    register `{1}`; empty: it is not offered."""

    scheme: ClassVar[str] = ""
    """For `rt-engine new --link SCHEME://...`; empty: it has none."""

    @classmethod
    def of_url(cls, rest: str) -> str:
        """The keys of a link beside `type`, as TOML, from what follows `SCHEME://`; raises ValueError, with the form."""
        raise ValueError(f"{cls.scheme}:// is not understood")

    life_sign: str | None = Field(
        default=None,
        description="An input that must change; else the device answers and does not work, and all its inputs are bad.",
    )
    life_sign_timeout_ns: Duration = Field(  # type: ignore[assignment]
        "1 s", alias="life_sign_timeout", description="How long `life_sign` may stay the same."
    )

    if TYPE_CHECKING:
        timeout_ns: int

        @property
        def cycle_ns(self) -> int:
            """How often the device is read and written; 0: it decides itself."""

    @property
    def cycle_s(self) -> float:
        """The same in seconds."""
        return self.cycle_ns / NS

    @property
    def timeout_s(self) -> float:
        """The same in seconds."""
        return self.timeout_ns / NS

    @abstractmethod
    def describe(self) -> str:
        """Where the link goes, for people: `modbus-tcp 192.168.10.5:502`."""

    def address_faults(self, tag: TagTable) -> Iterator[str]:
        """What is wrong with a tag's `address`, or with the tag for being there."""
        yield from ()

    def findings(self, name: str, tags: Mapping[str, TagTable], folder: Path) -> Iterator[Finding]:
        """What is wrong with the link `name` as a whole, given its tags and the station file's folder."""
        yield from ()

    held_words: ClassVar[str] = "which takes one link of a station: this one is never up"
    """What happens to a second link that wants what the first holds alone: it goes on behind "the same device, ..."."""

    def held_alone(self) -> Hashable | None:
        """What only one link of a station can hold at a time; None: nothing."""
        return None

    def second(self, first: str, holder: LinkTable) -> Saying | None:
        """What is said of this link when link `first` holds that already; None: nothing."""
        return f"link {first} goes to the same device, {self.held_words}; put its tags on link {first}", "warning"

    def place(self, tag: TagTable) -> tuple[Hashable, range] | None:
        """The device's memory that a tag takes: which one, the same for all links to it, and where; None: not known."""
        return None

    def address(self, tag: TagTable) -> Address | None:
        """The tag's place in the device. Its `address_faults` have been checked; raises `FieldbusError`."""
        return None

    @classmethod
    def own_tags(cls, name: str, table: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """The tags that the link `name` brings by itself, as a file would have them: `table` is as TOML gives it, unchecked."""
        return {}

    is_reserved_to_read: ClassVar[bool] = False
    """Is what is `reserved` also that of a station which only reads there?"""
    free_words: ClassVar[str] = (
        "stop that first, or, if each of you has addresses of its own there, write exclusive = false in [links.{link}]"
    )
    """What to do when another station has what is reserved."""

    def reserved(self, tags: Iterable[TagTable]) -> Sequence[str]:
        """What only one station may write to at a time, of these tags: the same texts for whoever means that device."""
        return ()

    @abstractmethod
    def make(self, name: str, tags: Sequence[Tag], folder: Path) -> Link:
        """The link, not started; raises `FieldbusError`, or `OSError` for a file that cannot be read."""


class CyclicLinkTable(LinkTable):
    """A link that calls its device every `cycle`."""

    cycle_ns: Duration = Field(default="10 ms", alias="cycle", description="How often the device is read and written.")  # type: ignore[assignment]
    timeout_ns: Duration = Field(  # type: ignore[assignment]
        "100 ms",
        alias="timeout",
        description="A device silent for so long is lost; an output older than this is sent as its safe value.",
    )


class NativeLinkTable(CyclicLinkTable):
    """A link whose exchange is native code: in a real-time thread of its own, or in a task's cycle."""

    is_the_fastest_tasks: ClassVar[bool] = False
    """Where several tasks use it and none is named: does the fastest exchange, and do the others have its newest values?"""

    exchange: Literal["own-thread", "in-cycle"] = Field(
        default="own-thread",
        description="Who reads and writes the device: a real-time thread of the link's own every `cycle`, or a task at its tick.",
    )
    task: str | None = Field(
        default=None,
        description='With exchange = "in-cycle": the task that does; left out: the only one that uses it; of EtherCAT, the fastest.',
    )
    priority: int = Field(default=70, ge=1, le=98, description="SCHED_FIFO priority of the link's own thread.")
    cpu: int | None = Field(default=None, ge=0, le=4095, description="Core of the link's own thread; left out: any.")

    def in_the_cycle_of(self, cycle_ns: int) -> Self:
        """The same link, exchanged with by a task of this cycle."""
        return self.model_copy(update={"cycle_ns": cycle_ns})


class DeviceLinkTable(CyclicLinkTable):
    """A link to a device that others could call too."""

    is_shared: ClassVar[bool] = True
    """Can two programs of this computer call it at the same time?"""
    gives_outputs_back: ClassVar[bool] = True
    """Can an output be read?"""

    exclusive: bool = Field(
        default=True,
        description="Refuse to start while another station here writes to the device; false: each has its own addresses in it.",
    )

    def reserved(self, tags: Iterable[TagTable]) -> Sequence[str]:
        """`device_names`, unless others may write there."""
        return self.device_names(tags) if self.exclusive else ()

    @abstractmethod
    def device_names(self, tags: Iterable[TagTable]) -> Sequence[str]:
        """The devices that these tags are in: the same texts for whoever means them."""


def other_port(path: tuple[Step, ...], port: int, own: str) -> Iterator[Finding]:
    """A warning about a port that belongs to another protocol."""
    whose = PORTS.get(port)
    if whose is not None and whose != own:
        yield Finding(path, f"{port} is the port of {whose}, and this speaks {own}", "warning")


@cache
def link_tables() -> tuple[type[LinkTable], ...]:
    """The tables of all kinds."""
    return tuple(table for module in modules(__name__, __path__) for table in module.TABLES)


def type_of(table: type[Table]) -> str:
    """What a kind is called in a station file."""
    name: str = get_args(table.model_fields["type"].annotation)[0]
    return name
