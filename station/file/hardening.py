"""Doors that a good station leaves open: what `check --hardening` lists, each with the requirement it falls short of.

Nothing here is an error: a station on a bench may be as open as it likes. Requirements are of IEC 62443-4-2 (CR) and of Annex I,
part I, number 2 of the Cyber Resilience Act (CRA); docs/hardening.md has all of them, also those that no program can look up.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rt_native.trust import unsafe
from station.file.reading import StationFile

MOST_FILES: Final = 1000
"""Of the station's folder that are looked at for keys."""
_MOST_KEY_BYTES: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Door:
    """Something that is open: where in the station file, what, what closes it, which requirement asks for that."""

    where: str
    what: str
    helps: str
    rule: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}; {self.helps} ({self.rule})"


def open_doors(file: StationFile) -> tuple[Door, ...]:
    """All that are open, in the order of `LOOKS`."""
    return tuple(door for look in LOOKS for door in look(file))


def _servers(file: StationFile) -> Iterator[Door]:
    """Servers that other computers reach."""
    for name, table in file.config.servers.items():
        if not table.is_reached:
            continue
        where = f"servers.{name}"
        if not table.encrypts:
            helps = "encrypt it (cert_file, key_file, tls; another type of server), or keep it in a network of its own"
            yield Door(where, "who listens on the wire reads all of it", helps, "CR 3.1, CR 4.1; CRA e, f")
        if not table.asks_who:
            helps = "ask for tokens, users or certificates, or keep it in a network of its own"
            yield Door(
                where,
                "who reaches it is let in, whoever he is, if only his address is allowed",
                helps,
                "CR 1.1, CR 1.2; CRA d",
            )


def _writable(file: StationFile) -> Iterator[Door]:
    for name, table in file.config.servers.items():
        for pattern in table.writable:
            if not pattern.strip("*."):
                helps = "name what its clients need"
                yield Door(f"servers.{name}.writable", f'"{pattern}" is everything', helps, "CR 2.1, CR 7.7; CRA b, j")


def _store(file: StationFile) -> Iterator[Door]:
    if not file.config.station.store:
        helps = 'store = "store"'
        yield Door("station.store", "no version outlives the end of the station", helps, "CR 7.4; CRA c, h")


def _folders(file: StationFile) -> Iterator[Door]:
    """Who can write there can do everything."""
    for path in (file.path, file.path.parent):
        if found := unsafe(path):
            yield Door("station", f"{found.path} {found.why}", found.mend, "CR 3.4, CR 2.1; CRA f")


def _keys(file: StationFile) -> Iterator[Door]:
    """Secrets in the station's folder: servers' keys that others can read, and the key that signs models."""
    for path in sorted(file.path.parent.iterdir())[:MOST_FILES]:
        data = _pem(path)
        if b"PRIVATE KEY-----" not in data:
            continue
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            helps = f"chmod 600 {path.name}"
            yield Door("station", f"{path.name} is a private key that others can read", helps, "CR 1.5, CR 1.9; CRA d")
        if _public_of(data) in file.config.station.keys:
            helps = "keep it with who signs: rt-engine sign runs on any computer"
            yield Door(
                "station.keys", f"{path.name} signs models, and lies on the station", helps, "CR 1.5, CR 3.4; CRA f"
            )


def _pem(path: Path) -> bytes:
    """The content of a small file of our own folder; nothing of what is no file, or cannot be read."""
    try:
        if not path.is_file() or path.stat().st_size > _MOST_KEY_BYTES or not os.access(path, os.R_OK):
            return b""
        return path.read_bytes()
    except OSError:
        return b""


def _public_of(pem: bytes) -> str:
    """The line for `keys` of the key in a file; "": it is none that signs."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    from plc_bindings.security.signing import PrivateKey, PublicKey

    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return ""
    return PublicKey.of(key).text if isinstance(key, PrivateKey) else ""


LOOKS: Final[tuple[Callable[[StationFile], Iterator[Door]], ...]] = (_servers, _writable, _store, _folders, _keys)
