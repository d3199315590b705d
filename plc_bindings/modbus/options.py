"""How a Modbus server listens and what it calls itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from fieldbus.tags import Order
from plc_bindings.modbus.pdu import Identity


@dataclass(frozen=True, slots=True)
class Tcp:
    """Modbus TCP. Port 0: a free one."""

    host: str = "127.0.0.1"
    port: int = 502


@dataclass(frozen=True, slots=True)
class Tls:
    """Modbus in TLS: clients must have a certificate that `ca` signed. PEM files."""

    certificate: str
    key: str
    ca: str
    host: str = "127.0.0.1"
    port: int = 802


@dataclass(frozen=True, slots=True)
class Rtu:
    """A serial line. `silence_s`: half a frame is forgotten when nothing has come for so long."""

    device: str
    baudrate: int = 19200
    parity: Literal["N", "E", "O"] = "E"
    stopbits: int = 1
    silence_s: float = 0.03


@dataclass(frozen=True, slots=True)
class ModbusOptions:
    """One server. Over TCP and TLS units 0 and 255 are this server too, as the implementation guide has it."""

    transport: Tcp | Tls | Rtu = field(default_factory=Tcp)
    unit: int = 1
    order: Order = Order.ABCD
    identity: Identity = field(default_factory=Identity)
    idle_s: float = 600.0
    """A connection without a request for so long is closed."""
    stuck_s: float = 10.0
    """A client that does not fetch its answers for so long is disconnected."""
