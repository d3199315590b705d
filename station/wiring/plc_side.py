"""[servers] of a station file -> servers on a database of all that the station has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from plc_bindings.data.areas import Shown, database
from plc_bindings.data.changes import Changes
from plc_bindings.data.commands import Commands
from plc_bindings.data.model_area import ModelFile
from plc_bindings.data.models import Models
from plc_bindings.errors import BindingError, NameClashError, UnpackableError
from plc_bindings.net.serving import Server, Serving
from plc_bindings.security.access import Record, nothing
from plc_bindings.security.audit import AuditLog
from plc_bindings.security.signing import PublicKey
from plc_bindings.security.updates import Replace, Updates
from plc_bindings.status import CallStatus
from rt_engine.read.source import Source
from rt_native import version
from scheduler.scheduler import Scheduler
from station.errors import StationFileError
from station.file.reading import StationFile
from station.servers import Offer
from station.terms.findings import Finding
from station.terms.lengths import parse_age
from station.wiring.parts import Parts

CONTROL_SOCKET: Final = "control socket"
"""Who changes a model by `rt-engine update`."""


@dataclass(slots=True)
class PlcSide:
    """What PLC clients meet: what there is, and the servers."""

    offer: Offer
    files: dict[str, ModelFile]
    servers: Mapping[str, Server]
    serving: Serving

    def start(self) -> None:
        """Start the servers.

        Raises:
            ServerError: one cannot listen; none does then.
        """
        self.serving.start()

    def stop(self) -> None:
        """Close all connections."""
        self.serving.stop()

    def note_update(self, slot: str, file: str, sha256: str) -> None:
        """A model was replaced. The hash is of what was loaded: the file may be another by now, or gone."""
        known = self.files[slot]
        known.file, known.hash, known.status = file, sha256, CallStatus.OK

    def note_refused(self, slot: str) -> None:
        """A model was not replaced."""
        self.files[slot].refused += 1
        self.files[slot].status = CallStatus.REFUSED


def audit_log(file: StationFile) -> AuditLog:
    """The audit log of a station, not started: it has one whether it has servers or not."""
    table = file.config.station
    return AuditLog(file.beside(table.audit), keep=parse_age(table.audit_keep))


def plc_side(
    file: StationFile,
    parts: Parts,
    scheduler: Scheduler,
    replace: Replace,
    audit: AuditLog,
    told: Record = nothing,
    changes: Changes | None = None,
) -> PlcSide:
    """Everything between a station and PLC clients, not started. `replace` takes a model that a client uploaded.

    `audit` keeps what clients did and were refused; its owner starts it.
    `told`: who else hears of what clients did and were refused; must return at once. `changes`: those of the models, for clients
    to see, to commit and to roll back; None: there are none.

    Raises:
        StationFileError: a model has a type that no PLC has; two names are the same to a PLC.
    """

    def record(who: str, what: str, outcome: str) -> None:
        audit.record(who, what, outcome)
        told(who, what, outcome)

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
            Commands(changes, record),
            lambda: (audit.head.number, audit.head.hash) if audit.head is not None else (0, ""),
        )
        data = database(shown)
    except (UnpackableError, NameClashError) as error:
        raise StationFileError([file.problem(Finding(("servers",), str(error)))]) from error

    offer = Offer(
        station=file.config.station.name,
        database=data,
        models=models,
        attributes=lambda model: parts.slots[model].model.metadata,
        uploads=uploads_of(file, replace, record, audit.record_change),
        audit=record,
        folder=file.path.parent,
    )
    servers: dict[str, Server] = {}
    for name, table in file.config.servers.items():
        try:
            servers[name] = table.make(offer)
        except BindingError as error:
            raise StationFileError([file.problem(Finding(("servers", name), str(error)))]) from error
    return PlcSide(offer, files, servers, Serving(servers, parts.links.values()))


def plc_side_at_rest(file: StationFile, parts: Parts) -> PlcSide:
    """The same of a station that does not run: to look at, not to start."""
    return plc_side(file, parts, Scheduler(parts.tasks), _never, audit_log(file))


def _never(slot: str, model: Source, who: str) -> int:
    raise AssertionError("nothing runs: no client can upload")


def uploads_of(file: StationFile, replace: Replace, record: Record, record_change: Record) -> Updates | None:
    """What takes model files that clients upload; None when no model may be replaced so."""
    slots = [name for name, table in file.config.models.items() if table.remote_update]
    if not slots:
        return None
    keys = [PublicKey.parse(text) for text in file.config.station.keys]
    serials = file.beside(f"{file.config.station.name}.serials.json")
    return Updates(keys, slots, replace, serials, record, record_change)
