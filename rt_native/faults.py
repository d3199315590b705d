"""What a process says when native code makes a fault: an address that is none, a call of what is gone, an abort of a library.

    a thread of Python        has a mask as it began
    a thread of native code   `leave_signals`: all signals are for others, but those of its own faults

The kernel ends a process whose thread has its own fault blocked, and nobody is told where it was.
"""

import faulthandler
import os
import signal
import sys
from contextlib import suppress
from typing import Final

OWN: Final = frozenset({signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT})
"""What the kernel, or libc, sends to the thread that made the fault."""


def leave_signals() -> None:
    """The calling thread takes no signal that is meant for the process."""
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals() - OWN)


def tell_faults() -> None:
    """A fault ends this process with where each of its threads was, on standard error, if that is there and takes it."""
    if not faulthandler.is_enabled() and sys.__stderr__ is not None:
        with suppress(OSError, ValueError):
            faulthandler.enable(_unheld(sys.__stderr__.fileno()))


def _unheld(file: int) -> int:
    """The same place, opened once more: a write there waits for nobody. Itself where it cannot be (a socket).

    A terminal that is stopped, or a pipe that nobody reads, would hold the thread for ever, and the process would go on around it.
    """
    with suppress(OSError):
        return os.open(f"/proc/self/fd/{file}", os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    return file
