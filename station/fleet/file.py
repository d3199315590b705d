"""`fleet.toml`: what one who commands a fleet has."""

from __future__ import annotations

import getpass
import socket
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import Field, ValidationError

from plc_bindings.errors import SigningError
from plc_bindings.security.signing import PublicKey
from rt_native.files import open_file
from station.errors import Problem, StationFileError
from station.fleet.sealed import load_signer
from station.fleet.table import FleetBrokerTable
from station.terms.findings import Finding, dotted
from station.terms.tables import Array

if TYPE_CHECKING:
    from plc_bindings.security.audit import AuditLog
    from station.fleet.session import CommandOptions

MOST_BYTES: Final = 1 << 20


class FleetTable(FleetBrokerTable):
    """A fleet file."""

    key: str = Field(description="The commander's private key (`rt-engine keygen`), relative to this file.")
    keys: Annotated[tuple[str, ...], Array] = Field(default=(), description="Public keys of other commanders.")
    folder: str = Field(default="commander", description="Folder of journal, audit log and the stations' keys.")


@dataclass(frozen=True, slots=True)
class FleetFile:
    """A fleet file that was read."""

    table: FleetTable
    folder: Path
    """Where it is: what it names is relative to it."""

    def options(self) -> CommandOptions:
        """For a commander. Raises SigningError."""
        from station.fleet.session import CommandOptions

        who = f"{getpass.getuser()} at {socket.gethostname()}"
        keys = tuple(PublicKey.parse(text) for text in self.table.keys)
        key = load_signer(self.folder / self.table.key)
        place = self.folder / self.table.folder
        return CommandOptions(self.table.options("", self.folder), place, key, who, keys, self.table.topic)

    def audit(self) -> AuditLog:
        """The commander's audit log, not started. Raises OSError."""
        from plc_bindings.security.audit import AuditLog
        from station.store.files import FOLDER_MODE

        place = self.folder / self.table.folder
        place.mkdir(FOLDER_MODE, parents=True, exist_ok=True)
        return AuditLog(place / "audit.jsonl")


def read_fleet(path: Path) -> FleetFile:
    """Read a fleet file. Raises StationFileError, with all that is wrong with it."""

    def refuse(*findings: Finding) -> StationFileError:
        return StationFileError([Problem(path, 0, dotted(one.path), one.message, one.severity) for one in findings])

    try:
        with open_file(path) as file:
            tree = tomllib.loads(file.read(MOST_BYTES).decode())
        table = FleetTable.model_validate(tree)
    except OSError as error:
        raise refuse(Finding((), f"{error.strerror or error}; it says where the broker is: docs/rollout.md")) from error
    except ValidationError as error:
        raise refuse(*(Finding(one["loc"], one["msg"]) for one in error.errors(include_url=False))) from error
    except (ValueError, RecursionError) as error:
        raise refuse(Finding((), f"is no TOML: {error}")) from error
    findings = [one for one in table.broker_findings((), path.parent) if one.severity == "error"]
    try:
        for text in table.keys:
            PublicKey.parse(text)
    except SigningError as error:
        findings.append(Finding(("keys",), str(error)))
    if findings:
        raise refuse(*findings)
    return FleetFile(table, path.parent)
