"""[servers] of a station file -> servers on a database of all that the station has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from fieldbus.plc.link import PlcLink
from fieldbus.tags import Order
from plc_bindings.ads.device import AdsOptions
from plc_bindings.ads.server import AdsServer
from plc_bindings.data.areas import ModelFile, Shown, database
from plc_bindings.data.database import Database
from plc_bindings.data.models import Models
from plc_bindings.errors import NameClashError, UnpackableError
from plc_bindings.modbus.map import MapError
from plc_bindings.modbus.options import ModbusOptions, Rtu, Tcp, Tls
from plc_bindings.modbus.pdu import Identity
from plc_bindings.modbus.server import ModbusServer
from plc_bindings.net.serving import Server, Serving
from plc_bindings.security.access import Access, Limits
from plc_bindings.security.audit import AuditLog
from plc_bindings.security.signing import PublicKey
from plc_bindings.security.updates import Replace, Updates
from plc_bindings.status import CallStatus
from rt_engine.read.source import Source
from rt_native import version
from scheduler.scheduler import Scheduler
from station.errors import StationFileError
from station.file.config import AdsServerTable, ModbusRtuServer, ModbusTcpServer, ModbusTlsServer, ServerTable
from station.file.findings import Finding
from station.file.reading import StationFile
from station.wiring.parts import Parts

CONTROL_SOCKET: Final = "control socket"
"""Who changes a model by `rt-engine update`."""


@dataclass(slots=True)
class PlcSide:
    """What PLC clients meet: the database, the models that they call, the servers, the audit log."""

    database: Database
    models: Models
    files: dict[str, ModelFile]
    audit: AuditLog
    servers: Mapping[str, Server]
    serving: Serving

    def start(self) -> None:
        """Start the servers.

        Raises:
            ServerError: one cannot listen; none does then.
        """
        self.audit.start()
        try:
            self.serving.start()
        except BaseException:
            self.audit.stop()
            raise

    def stop(self) -> None:
        """Close all connections; write the rest of the audit log."""
        self.serving.stop()
        self.audit.stop()

    def note_update(self, slot: str, file: str, sha256: str, who: str = CONTROL_SOCKET) -> None:
        """A model was replaced. The hash is of what was loaded: the file may be another by now, or gone."""
        known = self.files[slot]
        known.file, known.hash, known.status = file, sha256, CallStatus.OK
        self.audit.record_change(who, f"model {slot}", f"replaced by {file}, SHA-256 {sha256}")

    def note_refused(self, slot: str, file: str, why: str, who: str = CONTROL_SOCKET) -> None:
        """A model was not replaced."""
        self.files[slot].refused += 1
        self.files[slot].status = CallStatus.REFUSED
        self.audit.record(who, f"model {slot}", f"{file} refused: {why}")


def plc_side(file: StationFile, parts: Parts, scheduler: Scheduler, replace: Replace) -> PlcSide:
    """Everything between a station and PLC clients, not started. `replace` takes a model that a client uploaded.

    Raises:
        StationFileError: a model has a type that no PLC has; two names are the same to a PLC.
    """
    models_of = file.config.models.items()
    files = {n: ModelFile(file.beside(table.file).name, parts.models[n].sha256) for n, table in models_of}
    try:
        models = Models(parts.slots)
        shown = Shown(
            file.config.station.name,
            version.TEXT,
            parts.links,
            models,
            files,
            scheduler,
            parts.image,
            tuple(file.config.tags),
        )
        data = database(shown)
    except (UnpackableError, NameClashError) as error:
        raise StationFileError([file.problem(Finding(("servers",), str(error)))]) from error
    audit = AuditLog(file.beside(file.config.station.audit))
    maker = _Maker(file, data, models, parts, audit, uploads_of(file, replace, audit))
    servers: dict[str, Server] = {}
    for name, table in file.config.servers.items():
        try:
            servers[name] = maker.server(table)
        except MapError as error:
            raise StationFileError([file.problem(Finding(("servers", name), str(error)))]) from error
    links = [link for link in parts.links.values() if isinstance(link, PlcLink)]
    return PlcSide(data, models, files, audit, servers, Serving(servers, links))


def plc_side_at_rest(file: StationFile, parts: Parts) -> PlcSide:
    """The same of a station that does not run: to look at, not to start."""
    return plc_side(file, parts, Scheduler(parts.tasks), _never)


def _never(slot: str, model: Source, who: str) -> int:
    raise AssertionError("nothing runs: no client can upload")


def uploads_of(file: StationFile, replace: Replace, audit: AuditLog) -> Updates | None:
    """What takes model files that clients upload; None when no model may be replaced so."""
    slots = [name for name, table in file.config.models.items() if table.remote_update]
    if not slots:
        return None
    keys = [PublicKey.parse(text) for text in file.config.station.keys]
    serials = file.beside(f"{file.config.station.name}.serials.json")
    return Updates(keys, slots, replace, serials, audit.record)


@dataclass(frozen=True, slots=True)
class _Maker:
    """Makes servers of tables."""

    file: StationFile
    database: Database
    models: Models
    parts: Parts
    audit: AuditLog
    uploads: Updates | None

    def server(self, table: ServerTable) -> Server:
        """The server that a table describes; raises `MapError`."""
        access = make_access(table, self.audit)
        if not isinstance(table, AdsServerTable):
            return ModbusServer(self.database, self.models, modbus_options(table, self.file), access)
        name = self.file.config.station.name
        return AdsServer(
            self.database,
            self.models,
            AdsOptions(table.host, table.port, table.ams_net_id, table.ams_port, name),
            access,
            attributes=self._attributes,
            uploads=self.uploads.client if self.uploads is not None else None,
        )

    def _attributes(self, model: str) -> Mapping[str, str]:
        return self.parts.slots[model].model.metadata


def modbus_options(table: ModbusTcpServer | ModbusTlsServer | ModbusRtuServer, file: StationFile) -> ModbusOptions:
    """How a Modbus server listens, and what it says that it is."""
    transport: Tcp | Tls | Rtu
    match table:
        case ModbusTcpServer():
            transport = Tcp(table.host, table.port)
        case ModbusTlsServer():
            cert, key, ca = (str(file.beside(name)) for name in (table.cert_file, table.key_file, table.ca_file))
            transport = Tls(cert, key, ca, table.host, table.port)
        case ModbusRtuServer():
            transport = Rtu(table.device, table.baudrate, table.parity, table.stopbits)
    identity = Identity(revision=version.TEXT, model=f"byte order {table.order}", application=file.config.station.name)
    return ModbusOptions(transport, table.unit, Order(table.order), identity)


def make_access(table: ServerTable, audit: AuditLog) -> Access:
    """Who may come, and how much."""
    limits = Limits(requests_per_second=table.requests_per_second)
    if not isinstance(table, ModbusRtuServer):
        limits = replace(limits, connections=table.connections, connections_per_address=table.connections)
    if isinstance(table, AdsServerTable):
        limits = replace(limits, handles=table.handles, notifications=table.notifications)
        return Access(table.allow, table.allow_net_ids, (), table.writable, limits, audit.record)
    certificates = table.allow_certificates if isinstance(table, ModbusTlsServer) else ()
    return Access(getattr(table, "allow", ()), (), certificates, table.writable, limits, audit.record)
