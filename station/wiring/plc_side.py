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
from plc_bindings.data.recorder_area import RecorderShown
from plc_bindings.errors import BindingError, NameClashError, UnpackableError
from plc_bindings.net.serving import Server, Serving
from plc_bindings.security.access import Record, nothing
from plc_bindings.security.audit import AuditLog
from plc_bindings.security.signing import PublicKey
from plc_bindings.security.updates import Reached, Replace, Signed, Updates
from plc_bindings.status import CallStatus
from rt_engine.change import ChangeState
from rt_engine.read.source import Source
from rt_native import version
from scheduler.scheduler import Scheduler
from station.errors import StationFileError, StoreError
from station.file.reading import StationFile
from station.page.source import Source as Page
from station.servers import Offer
from station.store.store import Store
from station.terms.findings import Finding
from station.terms.lengths import parse_age
from station.wiring.parts import Parts

CONTROL_SOCKET: Final = "control socket"
"""Who changes a model by `rt-engine update`."""
TAKEN: Final = frozenset({ChangeState.SHADOW, ChangeState.TRIAL, ChangeState.COMMITTED, ChangeState.ROLLED_BACK})
"""States of a version whose serial number counts: it has passed the gate."""


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


@dataclass(frozen=True, slots=True)
class Behind:
    """What stands behind the servers.

    Args:
        replace: takes a version of a model that a client uploaded.
        signed: the newest signed version of a slot that the station keeps.
        changes: those of the models, for clients to see, to commit and to roll back; None: there are none.
        told: who hears, beside the audit log, of what clients did and were refused; must return at once.
        page: what people see in a browser.
        recorder: what clients see of the recorder; None: there is none that runs.
    """

    replace: Replace
    signed: Signed
    changes: Changes | None = None
    told: Record = nothing
    page: Page | None = None
    recorder: RecorderShown | None = None


def signed_in(store: Store | None) -> Signed:
    """The newest signed version of a slot that was taken, by a station with this store."""

    def signed(slot: str) -> tuple[int, str]:
        try:
            rows = store.versions(slot) if store is not None else ()
        except StoreError as error:
            raise ValueError(str(error)) from error
        known = ((row.version.serial, row.version.sha256) for row in rows if row.state in TAKEN)
        return max(((serial, sha256) for serial, sha256 in known if serial is not None), default=(-1, ""))

    return signed


def plc_side(file: StationFile, parts: Parts, scheduler: Scheduler, audit: AuditLog, behind: Behind) -> PlcSide:
    """Everything between a station and PLC clients, not started.

    `audit` keeps what clients did and were refused; its owner starts it.

    Raises:
        StationFileError: a model has a type that no PLC has; two names are the same to a PLC.
    """

    def record(who: str, what: str, outcome: str) -> None:
        audit.record(who, what, outcome)
        behind.told(who, what, outcome)

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
            Commands(behind.changes, record),
            lambda: (audit.head.number, audit.head.hash) if audit.head is not None else (0, ""),
            behind.recorder or (RecorderShown() if file.config.recorder is not None else None),
        )
        data = database(shown)
    except (UnpackableError, NameClashError) as error:
        raise StationFileError([file.problem(Finding(("servers",), str(error)))]) from error

    offer = Offer(
        station=file.config.station.name,
        database=data,
        models=models,
        attributes=lambda model: parts.slots[model].model.metadata,
        uploads=uploads_of(file, behind, record, audit.record_change),
        audit=record,
        folder=file.path.parent,
        page=behind.page,
        record_change=audit.record_change,
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
    return plc_side(file, parts, Scheduler(parts.tasks), audit_log(file), Behind(_never, signed_in(None)))


def _never(slot: str, model: Source, who: str, signature: bytes) -> Reached:
    raise AssertionError("nothing runs: no client can upload")


def uploads_of(file: StationFile, behind: Behind, record: Record, record_change: Record) -> Updates | None:
    """What takes model files that clients upload; None when no model may be replaced so."""
    slots = [name for name, table in file.config.models.items() if table.remote_update]
    if not slots:
        return None
    keys = [PublicKey.parse(text) for text in file.config.station.keys]
    serials = file.beside(file.config.station.audit).with_name(f"{file.config.station.name}.serials.json")
    return Updates(keys, slots, behind.replace, serials, record, record_change, kept=behind.signed)
