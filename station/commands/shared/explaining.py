"""How a command tells a user what happened: lines, problems of a station file, errors with an exit code."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NoReturn

import typer

from rt_native.files import make_folder
from station.errors import ExitCode

if TYPE_CHECKING:
    from pathlib import Path

    from rt_native.terminal import Terminal
    from station.errors import Problem


MOST_NAME_BYTES = 255
"""Of a file's name, on Linux."""


def say(console: Terminal, text: str, style: str = "") -> None:
    """Print a line as it is, but for what would steer a terminal (names come from files).

    A screen or log that cannot be written is no reason for a running station to end.
    """
    with suppress(OSError):
        console.print(text, style=style, soft_wrap=True, highlight=False, markup=False)


def print_problems(console: Terminal, problems: tuple[Problem, ...]) -> None:
    """Print what is wrong with a station file."""
    for problem in problems:
        say(console, str(problem), "red" if problem.severity == "error" else "yellow")


def check_outputs(*inputs: Path | None, files: Mapping[str, Path | None]) -> None:
    """See before the work begins whether files can be written: option -> file. None may be a file that is read.

    The folder of a file is made if it is not there.

    Raises:
        typer.BadParameter: one cannot; with what stands in the way.
    """
    for option, path in files.items():
        if path is None:
            continue
        if os.path.isdir(path):
            why = "it is a folder; name a file in it"
        elif (made := make_folder(path.parent)) is not None:
            why = made
        elif len(os.fsencode(path.name)) > MOST_NAME_BYTES:
            why = f"its name is longer than {MOST_NAME_BYTES} bytes; choose a shorter one"
        elif not os.access(path if path.exists() else path.parent, os.W_OK):
            why = "it may not be written; choose another place"
        elif path.exists() and any(p is not None and p.exists() and p.samefile(path) for p in inputs):
            why = "it is read by this command; choose another name"
        else:
            continue
        raise typer.BadParameter(f"{path}: {why}", param_hint=option)


@contextmanager
def explained(console: Terminal) -> Iterator[None]:
    """Errors that a user can mend become a message and an exit code; all others stay tracebacks."""
    from station.errors import (
        AlreadyRunningError,
        FleetError,
        NotRunningError,
        RefusedError,
        RolloutError,
        ScanError,
        ServiceError,
        StationFileError,
        StoreError,
        UnsafeSocketError,
    )

    def give_up(error: Exception, code: ExitCode) -> NoReturn:
        say(console, sentence(error), "red")
        raise typer.Exit(code) from error

    try:
        yield
    except StationFileError as error:
        print_problems(console, error.problems)
        raise typer.Exit(ExitCode.BAD_FILE) from error
    except (AlreadyRunningError, NotRunningError) as error:
        give_up(error, ExitCode.NOT_RUNNING)
    except RefusedError as error:
        give_up(error, ExitCode.REFUSED)
    except (FleetError, RolloutError, ScanError, ServiceError, StoreError, UnsafeSocketError) as error:
        give_up(error, ExitCode.FAILED)
    except Exception as error:
        if _is_one_of(error, *_FAILURES):
            give_up(error, ExitCode.FAILED)
        if scarce := _scarce(error):
            say(console, scarce, "red")
            raise typer.Exit(ExitCode.FAILED) from error
        if _is_one_of(
            error, "rt_engine.errors.EngineError", "scheduler.errors.SchedulerError", "plc_bindings.errors.BindingError"
        ):
            give_up(error, ExitCode.BAD_FILE)
        if _is_one_of(error, "rt_native.errors.NativeError"):
            give_up(error, ExitCode.NO_KERNELS)
        raise


def sentence(error: Exception) -> str:
    """What an error says to somebody at the command line: shapes that are missing, as options."""
    gaps = getattr(error, "gaps", None)
    if not gaps:
        return str(error)
    options = " ".join(f"--shape {name}={','.join(map(str, shape))}" for name, shape in gaps.items())
    return f"{error.why}; bind them with numbers: {options}"  # type: ignore[attr-defined]  # it comes with gaps


def _scarce(error: Exception) -> str:
    """What the computer has too little of, and what would help; empty: the error means something else."""
    if isinstance(error, MemoryError):
        return _SCARCE[errno.ENOMEM]
    if isinstance(error, OSError) and error.errno in _SCARCE:
        return f"{error.strerror}: {_SCARCE[error.errno]}"
    if isinstance(error, RuntimeError) and "start new thread" in str(error):
        return f"{error}: {_SCARCE[errno.EAGAIN]}"
    return ""


_FAILURES = (
    "plc_bindings.errors.ServerError",
    "fieldbus.errors.ConfigurationError",
    "fieldbus.errors.DeviceError",
    "fieldbus.errors.ResourceError",
)
_FEW_FILES = "too few files may be open: `ulimit -n` says how many; allow more, or LimitNOFILE= in a systemd unit"
_SCARCE = {
    errno.EMFILE: _FEW_FILES,
    errno.ENFILE: _FEW_FILES,
    errno.ENOMEM: "there is too little memory: free some, or allow more (`ulimit -v`, MemoryMax= in a systemd unit)",
    errno.EAGAIN: "too few threads are allowed: `ulimit -u` says how many; allow more, or TasksMax= in a systemd unit",
}


def _is_one_of(error: Exception, *bases: str) -> bool:
    """Is it an error of the engine, the scheduler or the native toolchain? Imports none of them."""
    return any(f"{kind.__module__}.{kind.__qualname__}" in bases for kind in type(error).__mro__)
