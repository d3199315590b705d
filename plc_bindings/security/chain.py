"""A hash chain of JSON lines: no line that others follow can be changed, removed, inserted or moved unseen.

    {"time": T, "who": W, "what": X, "outcome": O, "number": 17, "previous": H16, "hash": H17}
    {"time": T, "who": W, "what": X, "outcome": O, "number": 18, "previous": H17, "hash": H18}

H18 = SHA-256 (hex) of the record without its `hash` as canonical JSON: keys sorted, `,` and `:` without spaces, ASCII
(DEL too as an escape: not every Python writes it so).
`previous` of record 1 is 64 zeros, or the SHA-256 of all that the log held before it had a chain (`old`: how many bytes).

    "cut"      the SHA-256 of what lies between the record before and this one: a line that a power failure has cut
    "dropped"  a file that was older than the log is kept; `through`, `head`: number and hash of its last record

The files of a log, oldest first: `audit.changes.jsonl.1`, `.2`, ..., `audit.changes.jsonl`. Who can write them can cut the end
off, or write all anew: that is seen only by whoever knows a `hash` from before (`verify(path, head)`).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rt_native.files import open_file
from rt_native.text import json_safe

OWN_KEYS: Final = ("number", "previous", "hash", "old", "cut", "dropped", "through", "head")
"""Keys that the chain itself uses."""
_HASH: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Head:
    """The newest record of a chain: who keeps this elsewhere can tell later that nothing was cut off."""

    number: int
    hash: str


START: Final = Head(0, "0" * 64)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a log. `entry`: the record, if it is one of a chain; `is_sound`: its hash is that of its content."""

    file: str
    at: int
    raw: bytes
    entry: Mapping[str, Any] | None
    is_sound: bool

    @property
    def head(self) -> Head:
        """Number and hash, as the record states them."""
        assert self.entry is not None
        return Head(self.entry["number"], self.entry["hash"])

    @property
    def time(self) -> str:
        """When the record was made, as it states it; empty: it is none."""
        return str(self.entry.get("time", "")) if self.entry is not None else ""


def sha256(data: bytes) -> str:
    """In hex."""
    return hashlib.sha256(data).hexdigest()


def link(entry: Mapping[str, Any], head: Head) -> tuple[bytes, Head]:
    """`entry` as the record after `head`: its line with the end of the line, and the new head."""
    body = {**entry, "number": head.number + 1, "previous": head.hash}
    record = {**body, "hash": _hash_of(body)}
    return _rendered(record), Head(record["number"], record["hash"])


def parse(raw: bytes) -> Mapping[str, Any] | None:
    """A line as a record of a chain; None: it is none."""
    try:
        entry = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    if not isinstance(entry, dict) or not all(type(value) in (str, int) for value in entry.values()):
        return None
    if type(entry.get("number")) is not int or entry["number"] < 1:
        return None
    hashes = (entry.get("previous"), entry.get("hash"))
    return entry if all(isinstance(text, str) and _HASH.fullmatch(text) for text in hashes) else None


def files(path: Path) -> tuple[Path, ...]:
    """The files of the log that is written at `path`, oldest first."""
    return (*(older for _, older in rotated(path)), *([path] if path.exists() else []))


def rotated(path: Path) -> list[tuple[int, Path]]:
    """(number, file) of those that are written no more, oldest first."""
    form = re.compile(re.escape(path.name) + r"\.([0-9]{1,9})", re.ASCII)
    found = ((form.fullmatch(other.name), other) for other in path.parent.iterdir()) if path.parent.is_dir() else ()
    return sorted((int(match[1]), other) for match, other in found if match)


def lines(path: Path) -> list[Line]:
    """All lines of the log that is written at `path`, oldest first; it may be written, and rotated, meanwhile.

    Raises:
        OSError: a file cannot be read.
    """
    while True:
        names = files(path)
        try:
            found = [line for name in names for line in lines_of(name)]
        except FileNotFoundError:
            continue
        if files(path) == names:
            return found


def lines_of(file: Path) -> list[Line]:
    """The lines of one file of a log.

    Raises:
        OSError: it cannot be read.
    """
    entries = ((at, raw, parse(raw)) for at, raw in enumerate(_split(_content(file)), start=1))
    return [Line(file.name, at, raw, entry, entry is not None and _is_sound(entry, raw)) for at, raw, entry in entries]


def end_of(file: Path) -> tuple[Head | None, bytes]:
    """(the newest record of one file, what lies behind it); (None, all of it) when it has no record. Only the end is parsed.

    Raises:
        OSError: the file cannot be read.
    """
    rest: list[bytes] = []
    for raw in reversed(_split(_content(file))):
        if (entry := parse(raw)) is not None:
            return Head(entry["number"], entry["hash"]), b"".join(reversed(rest))
        rest.append(raw)
    return None, b"".join(reversed(rest))


def is_cut(rest: bytes) -> bool:
    """Can a power failure have left this behind the newest record? It ends within a line, or a part of it was never written."""
    return bool(rest) and (not rest.endswith(b"}\n") or b"\0" in rest)


def _content(file: Path) -> bytes:
    with open_file(file) as opened:
        return opened.read()


def _split(data: bytes) -> list[bytes]:
    """At line feeds only."""
    parts = [part + b"\n" for part in data.split(b"\n")]
    parts[-1] = parts[-1][:-1]
    return [part for part in parts if part]


def _is_sound(entry: Mapping[str, Any], raw: bytes) -> bool:
    """Byte for byte as it was written: a key that is there twice, or a space, is a change too."""
    body = {key: value for key, value in entry.items() if key != "hash"}
    return raw.rstrip(b"\n") + b"\n" == _rendered(entry) and _hash_of(body) == entry["hash"]


def _rendered(record: Mapping[str, Any]) -> bytes:
    return (json_safe(json.dumps(record)) + "\n").encode()


def _hash_of(body: Mapping[str, Any]) -> str:
    return sha256(json_safe(json.dumps(body, sort_keys=True, separators=(",", ":"))).encode())
