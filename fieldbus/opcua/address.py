"""Where a tag lies in an OPC UA server: the text of a node id, with what a station needs beside it. Pure.

    ns=2;s=Line.Speed                                 a node of the namespace that has index 2 today
    nsu=http://example.org/line;s=Line.Speed          of the namespace with this URI, whatever its index is: better
    nsu=http://example.org/line;index=3;s=Line.Temps  elements of an array from index 3 on, as many as the tag's count
    nsu=http://example.org/line;path=Line/Speed       the way from Objects; names of another namespace are written 4:Name

The identifier comes last, so that it may hold anything: `s=` text, `i=` a number, `g=` a GUID, `b=` bytes in base64
(OPC 10000-6, 5.3.1.10).
"""

from __future__ import annotations

import base64
import binascii
import re
import uuid
from dataclasses import dataclass, replace
from typing import Final, Literal

from fieldbus.errors import AddressError
from fieldbus.tags import Address

Kind = Literal["s", "i", "g", "b", "path"]
FORM: Final = '"nsu=URI;s=NAME" or "ns=2;s=NAME"'
MOST_NAMESPACES: Final = 65535
_FORM: Final = re.compile(
    r"(?:ns=(?P<ns>\d{1,5});|nsu=(?P<nsu>[^;]+);)?(?:index=(?P<index>\d{1,9});)?(?P<kind>path|[sigb])=(?P<id>.+)",
    re.DOTALL,
)
_NAME: Final = re.compile(r"(?:(\d{1,5}):)?(.+)", re.DOTALL)
_SLASH: Final = re.compile(r"(?<!&)/")


@dataclass(frozen=True, slots=True)
class NodeAddress(Address):
    """A node: `namespace` is the index or the URI, `index` the first element of an array, None: the node as it is."""

    namespace: int | str
    kind: Kind
    identifier: str
    index: int | None = None

    @property
    def text(self) -> str:
        """As a station file has it."""
        space = f"nsu={self.namespace};" if isinstance(self.namespace, str) else f"ns={self.namespace};"
        index = "" if self.index is None else f"index={self.index};"
        return f"{space if self.namespace != 0 else ''}{index}{self.kind}={self.identifier}"

    @property
    def place(self) -> str:
        """The same: there is no shorter one."""
        return self.text

    @property
    def first(self) -> NodeAddress:
        """The first element of an array."""
        return replace(self, index=0)

    @property
    def names(self) -> list[tuple[int | None, str]]:
        """Of a path: (the index of a name's own namespace, None: that of the address; the name), from Objects on."""
        found = (_NAME.fullmatch(part) for part in _SLASH.split(self.identifier))
        return [(int(m[1]) if m[1] else None, m[2].replace("&/", "/")) for m in found if m is not None]


def parse(text: str) -> NodeAddress:
    """Raises `AddressError`, with what is wrong."""
    found = _FORM.fullmatch(text.strip())
    if found is None:
        raise AddressError(f'"{text}" is no node; write {FORM}')
    kind: Kind = found["kind"]  # type: ignore[assignment]  # the pattern has no others
    namespace: int | str = found["nsu"] or int(found["ns"] or 0)
    if isinstance(namespace, int) and namespace > MOST_NAMESPACES:
        raise AddressError(f'"{text}": namespaces have indices up to {MOST_NAMESPACES}')
    if why := _WRONG[kind](found["id"]):
        raise AddressError(f'"{text}": {why}')
    return NodeAddress(namespace, kind, found["id"], int(found["index"]) if found["index"] else None)


def _no_number(text: str) -> str:
    return "" if text.isdecimal() and int(text) < 1 << 32 else "i= is a number from 0 to 4294967295"


def _no_guid(text: str) -> str:
    try:
        uuid.UUID(text)
    except ValueError:
        return "g= is a GUID, like 09087e75-8e5e-499b-954f-f2a9603db28a"
    return ""


def _no_base64(text: str) -> str:
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return "b= is bytes in base64"
    return ""


def _no_path(text: str) -> str:
    return "" if all(_SLASH.split(text)) else "path= is names with one / between, from Objects on"


_WRONG: Final = {"s": lambda _: "", "i": _no_number, "g": _no_guid, "b": _no_base64, "path": _no_path}
