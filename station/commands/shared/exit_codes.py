"""Exit codes of `rt-engine`, the same for every command."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What the shell sees. 2 is also what a wrong command line gives."""

    OK = 0
    FAILED = 1  # it ran and something did not work: see `station.show.verdict` for a run, `station.machine.doctor` for a machine
    USAGE = 2  # wrong command line
    BAD_FILE = 3  # station file or model cannot be used; every problem is printed with its line
    NOT_RUNNING = 4  # no station answers on the control socket, or one already runs where none may
    REFUSED = 5  # the running station refused the update; the old model goes on
