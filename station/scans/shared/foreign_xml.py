"""XML files of other programs, read as if somebody hostile had written them.

A document type is refused as a whole: with it go entities that swell (billion laughs), and those that name other files. What Python's
own parser does about them depends on the expat that it was built with.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from station.errors import ScanError

MOST_BYTES: Final = 64 << 20
MOST_ELEMENTS: Final = 1_000_000
DEEPEST: Final = 64


class _Builder:
    """Elements as they come, within limits; names without their namespace."""

    def __init__(self) -> None:
        self._tree, self._deep, self._left = TreeBuilder(), 0, MOST_ELEMENTS

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._deep, self._left = self._deep + 1, self._left - 1
        if self._deep > DEEPEST or self._left < 0:
            raise ValueError("it is nested, or long, beyond all such files")
        self._tree.start(_local(name), {_local(key): value for key, value in attributes.items()})

    def end(self, name: str) -> None:
        self._deep -= 1
        self._tree.end(_local(name))

    def data(self, text: str) -> None:
        self._tree.data(text)

    def root(self) -> Element:
        return self._tree.close()


def _local(name: str) -> str:
    return name.rpartition("}")[2].rpartition(":")[2]


def _no_document_type(*declaration: object) -> None:
    raise ValueError(
        "it has a document type (<!DOCTYPE ...>), which such files have no need of, and which hides attacks"
    )


def read_xml(path: Path) -> Element:
    """The file's root; raises `ScanError`, with what is wrong and where."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ScanError(f"{path} is longer than {MOST_BYTES >> 20} MiB: that is no file of a bus")
        return parse(path.read_bytes())
    except expat.ExpatError as error:
        raise ScanError(
            f"{path} is no XML: line {error.lineno}, column {error.offset + 1}: {expat.ErrorString(error.code)}"
        ) from error
    except (ValueError, LookupError) as error:
        raise ScanError(f"{path} is refused: {error}") from error
    except OSError as error:
        raise ScanError(f"{path} cannot be read: {error.strerror}") from error


def parse(data: bytes) -> Element:
    """The root; raises `ValueError` for what is refused, `ExpatError` for what is no XML."""
    builder = _Builder()
    parser = expat.ParserCreate()
    parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
    parser.StartDoctypeDeclHandler = _no_document_type
    parser.StartElementHandler, parser.EndElementHandler = builder.start, builder.end
    parser.CharacterDataHandler = builder.data
    parser.Parse(data, True)
    return builder.root()


# --- what is in it --------------------------------------------------------------------------------------------------------


def number_of(text: str, what: str, low: int, high: int, base: int = 10) -> int:
    """A number as such files write it: `#x1600`, `0x1600`, `-1`, or in `base`; raises `ScanError` with `what`.

    An unsigned one that is written as negative (XML schemas have `int` for them) is taken as its bits.
    """
    plain = text.strip().lower()
    sign, digits = (-1, plain[1:]) if plain.startswith("-") else (1, plain)
    if found := re.fullmatch(r"(?:#x|0x)([0-9a-f]+)", digits):
        digits, base = found[1], 16
    if not re.fullmatch(r"[0-9a-f]{1,18}" if base == 16 else r"[0-9]{1,18}", digits):
        raise ScanError(f'{what}: "{text}" is no number')
    value = sign * int(digits, base)
    if value < 0 <= low:
        value += high + 1
    if not low <= value <= high:
        raise ScanError(f"{what}: {text} is not between {low} and {high}")
    return value


def bytes_of(text: str, what: str) -> bytes:
    """Hexadecimal digits, with or without space between them; raises `ScanError`."""
    try:
        return bytes.fromhex("".join(text.split()))
    except ValueError:
        raise ScanError(f'{what}: "{text[:40]}" is not made of hexadecimal digits, two for a byte') from None


def text_in(parent: Element, name: str) -> str | None:
    """The text of a child; None: there is none."""
    child = parent.find(name)
    return None if child is None else (child.text or "").strip()
