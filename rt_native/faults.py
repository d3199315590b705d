"""What a process says when native code makes a fault: an address that is none, a call of what is gone, an abort of a library.

    a thread of Python        has a mask as it began
    a thread of native code   `leave_signals`: all signals are for others, but those of its own faults

The kernel ends a process whose thread has its own fault blocked, and nobody is told where it was.
"""

import faulthandler
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
    """A fault ends this process with where each of its threads was, on standard error, if that is there."""
    if not faulthandler.is_enabled() and sys.__stderr__ is not None:
        with suppress(OSError, ValueError):
            faulthandler.enable(sys.__stderr__)
