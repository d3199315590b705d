"""What all connections of an ADS server share: who it is, the database, the models, the tables that clients upload."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from fieldbus.ads.frames import net_id
from fieldbus.ads.protocol import PLC_PORT, TCP_PORT
from plc_bindings.ads.tables import Tables
from plc_bindings.calls.pace import Paces
from plc_bindings.data.database import Database
from plc_bindings.data.models import Models
from plc_bindings.security.access import Access
from rt_native.version import VERSION


@dataclass(frozen=True, slots=True)
class AdsOptions:
    """Where an ADS server is found."""

    host: str = "127.0.0.1"
    port: int = TCP_PORT
    net_id: str = ""
    """Its AMS NetId; empty: the address that a client connects to, and .1.1."""
    ams_port: int = PLC_PORT
    name: str = "rt-engine"
    version: tuple[int, int, int] = VERSION
    idle_s: float = 600.0
    """A connection without a request and without a notification for so long is closed."""


class Uploads(Protocol):
    """Model updates that come over ADS, for one connection: signed files, in pieces."""

    def begin(self, model: str, size: int, signature: bytes) -> int:
        """Begin an upload; gives a status."""

    def data(self, offset: int, data: bytes) -> int:
        """Take a part of the file; gives a status."""

    def activate(self, model: str) -> tuple[int, int, str]:
        """Check the signature, load, and replace the model; (status, version, message). Takes long: in a thread."""

    def abort(self) -> None:
        """Forget what was uploaded."""


@dataclass(slots=True)
class Device:
    """Shared by all sessions of a server. Servers' thread only."""

    database: Database
    models: Models
    options: AdsOptions
    access: Access
    attributes: Callable[[str], Mapping[str, str]] = lambda model: {}
    uploads: Callable[[str], Uploads] | None = None
    tables: Tables = field(init=False)
    name: bytes = field(init=False)
    _net_id: bytes | None = field(init=False)
    paces: Paces = field(default_factory=Paces)

    def __post_init__(self) -> None:
        self._net_id = net_id(self.options.net_id) if self.options.net_id else None
        self.tables = Tables(self.database)
        self.name = struct.pack("<BBH16s", *self.options.version, self.options.name.encode()[:15])

    def net_id(self, host: str) -> bytes:
        """AMS NetId for a client that has connected to the address `host`; zeros: an IPv6 address gives none."""
        if self._net_id is not None:
            return self._net_id
        try:
            return net_id(f"{host.removeprefix('::ffff:')}.1.1")
        except ValueError:
            return bytes(6)
