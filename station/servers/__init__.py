"""Kinds of servers: one file each, found by being in this folder.

A kind is a table of the station file that answers all that a station asks of a server, so that nobody else names it:

    class EchoServer(NetworkServerTable):
        type: Literal["echo"]
        port: int = Field(default=7, description="TCP port.")

        def place(self): ...                  where it is, for people: "echo at 192.168.10.2:7"
        def findings(self, name, folder): ... what is wrong with it
        def make(self, offer): ...            the `plc_bindings` server itself, imported here: only who uses it needs it

    TABLES = (EchoServer,)
    ORDER = 30          its own place among the others, in messages, schema and documentation

A kind may also have columns in `rt-engine symbols`, and blocks of Structured Text that call it.
"""

from __future__ import annotations

import ipaddress
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from rt_native.found import modules
from station.terms.findings import Finding, Step
from station.terms.tables import Array, Table

if TYPE_CHECKING:
    from plc_bindings.data.database import Database
    from plc_bindings.data.models import Models
    from plc_bindings.net.serving import Server
    from plc_bindings.security.access import Access, Limits, Record
    from plc_bindings.security.updates import Updates
    from plc_bindings.st.project import Project
    from station.page.source import Source

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


def _unheard(who: str, what: str, outcome: str, **more: str | int) -> None:
    """A log of changes that keeps nothing."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What a station has for clients, whatever they speak. `attributes`: a model's own; `folder`: the station file's; `page`: what
    people see in a browser, None of a station that does not run."""

    station: str
    database: Database
    models: Models
    attributes: Callable[[str], Mapping[str, str]]
    uploads: Updates | None
    audit: Record
    folder: Path
    page: Source | None = None
    record_change: Callable[..., None] = _unheard
    """(who, what, outcome, and keys for programs) of what was changed, for the log of changes."""


@dataclass(frozen=True, slots=True)
class Columns:
    """What `rt-engine symbols` says of a value to the clients of a kind.

    Args:
        names: headings in a CSV file, where the columns stand `before` another.
        headings: on a screen.
        cells: what stands below `headings`, of what stands below `names`.
    """

    names: tuple[str, ...]
    headings: tuple[str, ...]
    cells: Callable[[tuple[str, ...]], tuple[str, ...]] = lambda values: values
    before: str = "comment"


@dataclass(frozen=True, slots=True)
class Listing:
    """Where clients find the values: name -> one text for each of the columns. `remarks`: what they cannot reach, and why."""

    places: Mapping[str, tuple[str, ...]]
    remarks: tuple[str, ...] = ()


class ServerTable(Table, ABC):
    """`[servers.NAME]` of any kind. `type` names the kind."""

    takes_uploads: ClassVar[bool] = False
    """Can its clients send a model, to replace a running one?"""
    wants_records: ClassVar[bool] = False
    """Does it show every cycle of the tasks? Then they are there for it without a recorder, too (`station.running.recording`)."""
    columns: ClassVar[Columns | None] = None
    flavour: ClassVar[str] = ""
    """Of the Structured Text whose blocks call such a server; empty: there is none."""

    writable: Annotated[tuple[str, ...], Array] = Field(
        default=(),
        description='What clients may write: names as `rt-engine symbols` lists them, `*` for any part: "Tags.*", '
        '"Tasks.axis.Reset". Nothing by default.',
    )
    requests_per_second: int = Field(default=5000, ge=1, le=1_000_000, description="Of one client, at most.")

    @abstractmethod
    def place(self) -> str:
        """Where it is, as a PLC's programmer has to know it: `ads at 192.168.10.2:48898, ...`."""

    @abstractmethod
    def make(self, offer: Offer) -> Server:
        """The server, not started; raises `BindingError` when it cannot show what there is."""

    @property
    def endpoint(self) -> tuple[str, int] | None:
        """Address and port that no other server may have; None: it needs none."""
        return None

    def findings(self, name: str, folder: Path) -> Iterator[Finding]:
        """What is wrong with the server `name`, given the station file's folder."""
        yield from ()

    def name_findings(self, name: str, station: str, models: Collection[str]) -> Iterator[Finding]:
        """What is wrong with the names of the station and of its models, for those who meet them through the server `name`."""
        yield from ()

    @property
    def is_reached(self) -> bool:
        """Do other computers reach it?"""
        return False

    @property
    def encrypts(self) -> bool:
        """Is all that it says kept from who listens on the wire?"""
        return True

    @property
    def asks_who(self) -> bool:
        """Does a client have to show who he is, beyond his address?"""
        return True

    @property
    def model_patterns(self) -> tuple[str, ...]:
        """Patterns of the models that it names, each the name of one at least."""
        return ()

    def limits(self) -> Limits:
        """How much one client may have."""
        from plc_bindings.security.access import Limits

        return Limits(requests_per_second=self.requests_per_second)

    def access(self, audit: Record) -> Access:
        """Who may come, and how much."""
        from plc_bindings.security.access import Access

        return Access(writable=self.writable, limits=self.limits(), audit=audit)

    @classmethod
    def listing(cls, database: Database, models: Models) -> Listing:
        """What stands in its `columns`: symbols, and what calls of the models take and give."""
        return Listing({})

    def callee(self, offer: Callable[[], Offer], models: Collection[str]) -> Any:
        """What blocks of its `flavour` know of the server when they call these models; raises `BindingError`."""
        raise NotImplementedError

    def blocks(self, project: Project, callee: Any) -> dict[str, str]:
        """File name -> Structured Text."""
        raise NotImplementedError

    def unreachable(self) -> str:
        """Why a PLC elsewhere does not reach it by what its blocks know; empty: it does."""
        return ""


class NetworkServerTable(ServerTable):
    """A server that listens at an address."""

    host: str = Field(default="127.0.0.1", description="Address to listen at; by default this computer alone.")
    allow: Annotated[tuple[str, ...], Array] = Field(
        default=(),
        description='Who may connect, "192.168.10.5" or "192.168.10.0/24". Required unless `host` is this computer.',
    )
    connections: int = Field(default=32, ge=1, le=1000, description="At the same time, at most.")

    if TYPE_CHECKING:
        port: int

    @property
    def address(self) -> str:
        """`192.168.10.2:502`, `[::1]:502`."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def endpoint(self) -> tuple[str, int] | None:
        """Where it listens; None: at any free port, or at what is no address."""
        return (self.host, self.port) if self.port and _ip_of(self.host) else None

    @property
    def is_reached(self) -> bool:
        """From anywhere but this computer."""
        ip = _ip_of(self.host)
        return ip is not None and not ip.is_loopback

    @property
    def encrypts(self) -> bool:
        """Not by itself."""
        return False

    @property
    def asks_who(self) -> bool:
        """Not by itself: an address is what a client says of itself."""
        return False

    def findings(self, name: str, folder: Path) -> Iterator[Finding]:
        """A server that other computers reach says who may come."""
        path, ip = ("servers", name), _ip_of(self.host)
        if ip is None:
            yield Finding((*path, "host"), f'"{self.host}" is no IP address; this computer alone: "127.0.0.1"')
            return
        yield from self.address_findings(path, ip)
        for index, network in enumerate(self.allow):
            try:
                if ipaddress.ip_network(network).prefixlen == 0:
                    yield Finding((*path, "allow", index), f"{network} is everybody: name those who need it", "warning")
            except ValueError as error:
                yield Finding((*path, "allow", index), f'{error}; write "192.168.10.5" or "192.168.10.0/24"')
        if not ip.is_loopback and not self.allow:
            message = f'{self.host} is reached by other computers: say which may connect, allow = ["192.168.10.5"]'
            yield Finding(path, message)

    def address_findings(self, path: tuple[Step, ...], ip: IpAddress) -> Iterator[Finding]:
        """What is wrong with the addresses of the kind's own protocol."""
        yield from ()

    def unreachable(self) -> str:
        """Why a PLC elsewhere does not reach it by what its blocks know; empty: it does."""
        host = ipaddress.ip_address(self.host)
        if not host.is_loopback:
            return ""
        return (
            f"the server listens at {host}: only a PLC on this computer reaches it; others need its `host`, and `allow`"
        )

    def limits(self) -> Limits:
        """How much one client may have."""
        return replace(super().limits(), connections=self.connections, connections_per_address=self.connections)

    def access(self, audit: Record) -> Access:
        """Who may come, and how much."""
        from plc_bindings.security.access import Access

        return Access(self.allow, writable=self.writable, limits=self.limits(), audit=audit)


def _ip_of(host: str) -> IpAddress | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


@cache
def server_tables() -> tuple[type[ServerTable], ...]:
    """The tables of all kinds."""
    return tuple(table for module in modules(__name__, __path__) for table in module.TABLES)
