"""A network for the demo alone: a cable between two virtual interfaces, which nothing of this computer's network sees.

Who is not root becomes so within a network of his own (`unshare --map-root-user --net`), and the demo begins again in it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

from fieldbus.ethercat.simulated.wires import own_network, pair
from rt_native import isolated
from station.demo.processes import DemoError
from station.machine.folders import temporary

MASTER: Final = "bus0"
SLAVES: Final = "slaves0"
UNSHARE: Final = ("unshare", "--map-root-user", "--net")


@contextmanager
def cable() -> Iterator[None]:
    """From MASTER to SLAVES, for this thread and the processes that it starts; gone with them.

    Raises:
        DemoError: this system lets nobody but root have a network of his own; with what would help.
    """
    with ExitStack() as held:
        try:
            held.enter_context(own_network())
        except PermissionError:
            _begin_again()
        held.enter_context(pair(MASTER, SLAVES))
        yield


def _begin_again() -> None:
    """This program once more, in a network of its own, in which it is root. Does not return."""
    help_ = "run it with sudo, or allow it: sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu), \
kernel.unprivileged_userns_clone=1 (Debian)"
    words = f"a simulated bus needs a network of its own, which this system gives to root only: {help_}"
    if os.geteuid() == 0:  # it is in a name space already, or root is none here
        raise DemoError(words)
    try:
        allowed = subprocess.run((*UNSHARE, "true"), capture_output=True, check=False).returncode == 0
    except OSError as error:
        raise DemoError(f"{words} ({error})") from error
    if not allowed:
        raise DemoError(words)
    # Inside, where everybody is user 0, /tmp/rt-engine-0 would be that of the real root.
    os.environ.setdefault("XDG_RUNTIME_DIR", str(temporary("/tmp")))
    sys.stdout.flush()
    os.execvp(UNSHARE[0], [*UNSHARE, *isolated.command("station", *sys.argv[1:])])
