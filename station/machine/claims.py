"""Names of which one process of this computer has each: for what must not be done twice at a time.

A claim is an abstract Unix socket. No folder, environment or user makes a difference to it, nobody can remove it, and it is
free when its process has ended, however that ended. Who holds one is told by the kernel. `ss -xl` shows them:

    @rt-engine/station/3f2a9c...                          a station file that runs
    @rt-engine/name/cell-4/3f2a9c...                      its name, for who does not know the file
    @rt-engine/socket//run/user/1000/rt-engine/cell.sock  where it answers
    @rt-engine/device/modbus 192.168.10.5:502 unit 1      a device that it writes to

They are those of a network namespace: two containers with networks of their own do not see each other's.
"""

from __future__ import annotations

import os
import pwd
import socket
import struct
from dataclasses import dataclass
from errno import EADDRINUSE
from hashlib import sha256
from pathlib import Path
from typing import Final, Literal

Kind = Literal["station", "name", "socket", "device"]

WAITING: Final = 4096
"""Who looks who holds a claim waits in its queue until it is accepted; so many can."""
LOOK_S: Final = 1.0
MOST_BYTES: Final = 107
"""Of a socket's address, on Linux; an abstract one's begins with a NUL."""
_CREDENTIALS: Final = struct.Struct("3i")  # struct ucred: pid, uid, gid
_DIGITS: Final = 32


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a claim, or is at the other end of a Unix socket. -1: it does not say; `pid` 0: it cannot be seen from here."""

    pid: int
    uid: int

    @property
    def may_ask_us(self) -> bool:
        """Is it of our own user, or root's?"""
        return self.uid in (0, os.getuid())

    @property
    def hears_us(self) -> bool:
        """Is it of our own user, or are we root?"""
        return os.getuid() in (0, self.uid)

    @property
    def user(self) -> str:
        """The user's name, or number."""
        try:
            return pwd.getpwuid(self.uid).pw_name
        except (KeyError, OverflowError, ValueError):
            return str(self.uid)

    def __str__(self) -> str:
        if self.uid < 0:
            return "another process"
        return f"process {self.pid} of user {self.user}" if self.pid > 0 else f"a process of user {self.user}"


NOT_SAID: Final = Holder(-1, -1)


def address(kind: Kind, text: str) -> str:
    """The socket's address; a text that is too long for one, or not ASCII, stands there as its hash."""
    whole = f"\0rt-engine/{kind}/{text}"
    if whole.isascii() and len(whole) <= MOST_BYTES:
        return whole
    return f"\0rt-engine/{kind}/{sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:_DIGITS]}"


def claim(kind: Kind, text: str) -> socket.socket | None:
    """Hold a name until the socket is closed; None: somebody holds it, see `holder`.

    Raises:
        OSError: the system gives no socket.
    """
    claimed = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        claimed.bind(address(kind, text))
        claimed.listen(WAITING)
        claimed.setblocking(False)
    except OSError as error:
        claimed.close()
        if error.errno == EADDRINUSE:
            return None
        raise
    return claimed


def holder(kind: Kind, text: str) -> Holder | None:
    """Who holds a name; None: nobody."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(LOOK_S)
        try:
            probe.connect(address(kind, text))
        except ConnectionRefusedError:
            return None
        except OSError:  # its queue is full
            return NOT_SAID
        return peer(probe)


def peer(connected: socket.socket) -> Holder:
    """Who is at the other end of a Unix socket."""
    pid, uid, _ = _CREDENTIALS.unpack(connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    return Holder(pid, uid)


def drain(claimed: socket.socket) -> None:
    """Let go those who looked who holds it."""
    for _ in range(WAITING):
        try:
            claimed.accept()[0].close()
        except OSError:
            return


def claimed_texts(kind: Kind) -> list[str]:
    """What is claimed of a kind, by anybody; nothing where the system does not tell."""
    try:
        lines = Path("/proc/net/unix").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    found = (line.partition(f" @rt-engine/{kind}/") for line in lines)
    return sorted({text for _, is_one, text in found if is_one})
