"""Servers of types "modbus-tcp", "modbus-tls" and "modbus-rtu": for Modbus clients."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from station.servers import Columns, Listing, NetworkServerTable, Offer, ServerTable
from station.servers.shared.certificates import certificate_findings
from station.terms.findings import Finding, no_file
from station.terms.tables import Array, Order

if TYPE_CHECKING:
    from plc_bindings.data.database import Database
    from plc_bindings.data.models import Models
    from plc_bindings.modbus.options import Rtu, Tcp, Tls
    from plc_bindings.modbus.server import ModbusServer
    from plc_bindings.security.access import Access, Record
    from plc_bindings.st.project import Modbus, Project

ORDER = 20


class _ModbusServer(ServerTable):
    columns = Columns(("register", "coil"), ("register", "coil"))

    unit: int = Field(default=1, ge=1, le=247, description="Unit (slave) number of this server.")
    order: Order = Field(default="ABCD", description="Byte order of values wider than a register.")

    def make(self, offer: Offer) -> ModbusServer:
        """A Modbus server."""
        from fieldbus.tags import Order
        from plc_bindings.modbus.options import ModbusOptions
        from plc_bindings.modbus.pdu import Identity
        from plc_bindings.modbus.server import ModbusServer
        from rt_native import version

        identity = Identity(revision=version.TEXT, model=f"byte order {self.order}", application=offer.station)
        options = ModbusOptions(self.transport(offer.folder), self.unit, Order(self.order), identity)
        return ModbusServer(offer.database, offer.models, options, self.access(offer.audit))

    @abstractmethod
    def transport(self, folder: Path) -> Tcp | Tls | Rtu:
        """What carries the requests."""

    @classmethod
    def listing(cls, database: Database, models: Models) -> Listing:
        """Registers and coils."""
        from plc_bindings.modbus.map import RegisterMap

        registers = RegisterMap(database, models)
        return Listing(registers.columns(), (*registers.left_out, *registers.unplaced))


class _ModbusNetworkServer(NetworkServerTable, _ModbusServer):
    flavour = "portable"

    if TYPE_CHECKING:
        type: str

    def place(self) -> str:
        """`modbus-tcp at 192.168.10.2:502, unit 1, byte order ABCD`."""
        return f"{self.type} at {self.address}, unit {self.unit}, byte order {self.order}"

    def callee(self, offer: Callable[[], Offer], models: Collection[str]) -> Modbus:
        """Address, unit, byte order, and the registers of each model."""
        from plc_bindings.data.types import identifier
        from plc_bindings.errors import ExportError
        from plc_bindings.modbus.map import RegisterMap
        from plc_bindings.st.project import Modbus, Registers

        offered = offer()
        registers = RegisterMap(offered.database, offered.models)
        blocks = {block.served.name: block for block in registers.blocks}
        if set(models) - set(blocks):
            why = "; ".join(registers.left_out)
            raise ExportError(f"not every model can be called over Modbus: {why}. Choose the others with --model")
        at = {place.name: place.register for place in registers.places}
        places = {
            name: Registers(at[f"Models.{identifier(name)}.SignatureHash"], block.inputs, block.result)
            for name, block in blocks.items()
        }
        return Modbus(self.host, self.port, self.unit, self.order, places, at["Server.RunningSeconds"])

    def blocks(self, project: Project, callee: Modbus) -> dict[str, str]:
        """For any compiler of IEC 61131-3."""
        from plc_bindings.st.write import portable_files

        return portable_files(project, callee)

    def unreachable(self) -> str:
        """Why a PLC elsewhere does not reach it by what its blocks know; empty: it does."""
        host = ip_address(self.host)
        if host.is_unspecified:
            return f"the server listens at {host}: put the station's address in its place where the blocks connect"
        return super().unreachable()


class ModbusTcpServer(_ModbusNetworkServer):
    """A Modbus TCP server."""

    type: Literal["modbus-tcp"]
    port: int = Field(default=502, ge=0, le=65535, description="TCP port; below 1024 it needs a right.")

    def transport(self, folder: Path) -> Tcp:
        """A TCP port."""
        from plc_bindings.modbus.options import Tcp

        return Tcp(self.host, self.port)


class ModbusTlsServer(_ModbusNetworkServer):
    """A Modbus server behind TLS; clients must have a certificate."""

    type: Literal["modbus-tls"]
    port: int = Field(default=802, ge=0, le=65535, description="TCP port; below 1024 it needs a right.")
    cert_file: str = Field(description="Certificate of this server.")
    key_file: str = Field(description="Its key.")
    ca_file: str = Field(description="Certificate authority that signs the clients' certificates.")
    allow_certificates: Annotated[tuple[str, ...], Array] = Field(
        default=(),
        description="SHA-256 fingerprints or common names of the clients' certificates; left out: any that `ca_file` signed.",
    )

    @property
    def encrypts(self) -> bool:
        """Always."""
        return True

    @property
    def asks_who(self) -> bool:
        """By certificates."""
        return True

    def findings(self, name: str, folder: Path) -> Iterator[Finding]:
        """Also: are there such files, and do they tell clients apart?"""
        for key in ("ca_file", "cert_file", "key_file"):
            yield from no_file(("servers", name, key), folder, getattr(self, key))
        yield from super().findings(name, folder)
        yield from certificate_findings(("servers", name), folder, self.cert_file, self.key_file, self.ca_file)
        if self.cert_file == self.ca_file:
            message = "is the server's own certificate: nobody could be told apart"
            yield Finding(("servers", name, "ca_file"), message, "warning")

    def access(self, audit: Record) -> Access:
        """Who may come, and how much."""
        from plc_bindings.security.access import Access

        return Access(self.allow, (), self.allow_certificates, self.writable, self.limits(), audit)

    def transport(self, folder: Path) -> Tls:
        """A TCP port, and our certificate."""
        from plc_bindings.modbus.options import Tls

        cert, key, ca = (str(folder / name) for name in (self.cert_file, self.key_file, self.ca_file))
        return Tls(cert, key, ca, self.host, self.port)


class ModbusRtuServer(_ModbusServer):
    """A Modbus server on a serial line."""

    type: Literal["modbus-rtu"]
    device: str = Field(description="Serial port, for example /dev/ttyUSB0.")
    baudrate: int = Field(default=19200, ge=300, le=4_000_000, description="Bits per second.")
    parity: Literal["N", "E", "O"] = "E"
    stopbits: Literal[1, 2] = 1

    def place(self) -> str:
        """`modbus-rtu at /dev/ttyUSB0, 19200 baud, parity E, 1 stop bits, unit 1, byte order ABCD`."""
        line = f"{self.baudrate} baud, parity {self.parity}, {self.stopbits} stop bits"
        return f"modbus-rtu at {self.device}, {line}, unit {self.unit}, byte order {self.order}"

    def transport(self, folder: Path) -> Rtu:
        """A serial port."""
        from plc_bindings.modbus.options import Rtu

        return Rtu(self.device, self.baudrate, self.parity, self.stopbits)


TABLES = (ModbusTcpServer, ModbusTlsServer, ModbusRtuServer)
