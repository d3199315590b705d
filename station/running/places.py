"""Where a station's control socket is, by its name; does anybody answer there?"""

from __future__ import annotations

import os
import socket
from pathlib import Path

from station.errors import UnsafeFolderError, UnsafeSocketError
from station.machine.claims import MOST_BYTES
from station.machine.folders import own_folder, temporary


def socket_path(station: str) -> Path:
    """Where the control socket of a station of this user is; its folder is made, and is closed to everybody else.

    Raises:
        UnsafeSocketError: the folder is not ours alone.
        OSError: it cannot be made.
    """
    place = socket_place(station)
    try:
        own_folder(place.parent)
    except UnsafeFolderError as error:
        helps = (
            "set RuntimeDirectoryMode=0700 in its unit"
            if _service_folder()
            else "set XDG_RUNTIME_DIR to one of your own"
        )
        raise UnsafeSocketError(f"{error}: remove it, or {helps}") from error
    return place


def socket_place(station: str) -> Path:
    """The same, whether there is such a folder or not: of a service, its own; of a user, of the session, else in /tmp."""
    service, session = _service_folder(), os.environ.get("XDG_RUNTIME_DIR")
    if service:
        return Path(service) / f"{station}.sock"
    return (Path(session) / "rt-engine" if session else temporary("/tmp")) / f"{station}.sock"


def _service_folder() -> str:
    """systemd's `RuntimeDirectory` of this service; the first, if there are several."""
    return os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]


def answers(path: Path) -> bool:
    """Does anybody listen there?"""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


def too_long(path: Path) -> str:
    """Why no socket can have this path; empty: one can."""
    if len(os.fsencode(path)) <= MOST_BYTES:
        return ""
    return (
        f"{path} is longer than the {MOST_BYTES} bytes that a socket's path can have; give a shorter one with --socket"
    )
