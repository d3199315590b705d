"""What can go wrong with a station; and what the shell sees of it, `ExitCode`.

StationError
├── StationFileError     the station file is wrong; carries every problem, each with its line
├── AlreadyRunningError  the station runs already, or another one writes to one of its devices
├── FleetError           the workers that are to replay recordings are not reached, or there are none
├── NotRunningError      no station answers on the control socket
├── RefusedError         the running station refused a request, with its reason
├── RolloutError         a rollout cannot begin or go on: the broker, another commander, another rollout, the journal
├── ScanError            a device that is to be scanned is not reached, or says nothing that is understood
├── ServiceError         what makes a station a service cannot be written or run here
├── StoreError           the store of versions cannot be opened, read or written; what was to be kept is not
├── UnsafeFolderError    a folder that must be ours alone is somebody else's, or open to others
└── UnsafeSocketError    the control socket's place is taken, or could be changed by somebody else
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to mend in a station file: where it is (line 0: the file itself), what is wrong, what is allowed."""

    file: Path
    line: int
    key: str
    message: str
    severity: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        where = f"{self.key}: " if self.key else ""
        line = f":{self.line}" if self.line else ""
        return f"{self.file}{line}: {self.severity}: {where}{self.message}"


class StationError(Exception):
    """Base of all errors of this package."""


class StationFileError(StationError):
    """The station file cannot be used; `problems` holds all that is wrong with it, in the order of its lines."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda p: p.line))
        super().__init__("\n".join(str(problem) for problem in self.problems))


class AlreadyRunningError(StationError):
    """Another process runs the station, or one that writes to one of its devices."""


class FleetError(StationError):
    """The workers that are to replay recordings are not reached, or there are none; with what would help."""


class NotRunningError(StationError):
    """Nobody answers on the control socket."""


class RefusedError(StationError):
    """The running station understood the request and refused it."""


class RolloutError(StationError):
    """A rollout cannot begin, or not go on: the broker is not reached, another one commands, the journal cannot be written."""


class ScanError(StationError):
    """A device that is to be scanned is not reached, or says nothing that is understood; with what would help."""


class ServiceError(StationError):
    """What makes a station a service of systemd cannot be written or run here."""


class StoreError(StationError):
    """The store of versions cannot be opened, read or written; with what it means for the change that was under way."""


class UnsafeFolderError(StationError):
    """A folder that must be ours alone is somebody else's, or open to others."""


class UnsafeSocketError(StationError):
    """Where the control socket belongs is something else, or a folder that somebody else can change."""


class ExitCode(IntEnum):
    """What the shell sees of any command. 2 is also what a wrong command line gives."""

    OK = 0
    FAILED = 1  # it ran and something did not work: see `station.show.verdict` for a run, `station.show.doctor` for a machine
    USAGE = 2  # wrong command line
    BAD_FILE = 3  # station file or model cannot be used; every problem is printed with its line
    NOT_RUNNING = 4  # no station answers; or one runs already, or writes to the same device
    REFUSED = 5  # the running station refused the update; the old model goes on
    NO_KERNELS = 6  # compiled code is missing and cannot or must not be compiled here, or is not safe to run
