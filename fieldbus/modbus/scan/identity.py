"""What a device says that it is: MODBUS Application Protocol V1.1b3, 6.21 (FC 43 / 14) and 6.13 (FC 17)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fieldbus.errors import DeviceError
from fieldbus.modbus.protocol import ENCAPSULATED
from fieldbus.modbus.scan.asking import REPORT_SERVER, Asker

IDENTIFICATION: Final = 14
BASIC, REGULAR = 1, 2
NAMES: Final = {
    0: "vendor",
    1: "product code",
    2: "revision",
    3: "vendor's page",
    4: "product",
    5: "model",
    6: "application",
}
_MOST_ANSWERS: Final = 8
_HEAD: Final = 6  # type, code, conformity, more follows, next object, count


@dataclass(frozen=True, slots=True)
class Identity:
    """Object's name -> its text; and what FC 17 gave, as text."""

    objects: dict[str, str]
    report: str = ""

    def __str__(self) -> str:
        words = [self.objects[name] for name in NAMES.values() if self.objects.get(name)]
        return ", ".join(dict.fromkeys(words)) or self.report


def identify(asker: Asker, unit: int) -> Identity:
    """Ask for both; nothing where a device has neither."""
    objects = _objects(asker, unit, REGULAR) or _objects(asker, unit, BASIC)
    try:
        body = asker.ask(unit, REPORT_SERVER, b"", silent_tries=1, passing_tries=3)
    except DeviceError:
        return Identity(objects)
    return Identity(objects, readable(body[1:]))


def _objects(asker: Asker, unit: int, code: int) -> dict[str, str]:
    found: dict[str, str] = {}
    start = 0
    for _ in range(_MOST_ANSWERS):
        try:
            body = asker.ask(unit, ENCAPSULATED, bytes([IDENTIFICATION, code, start]), silent_tries=1, passing_tries=3)
        except DeviceError:
            return found
        found.update(objects_in(body))
        if len(body) < _HEAD or not body[3] or body[4] <= start:
            break
        start = body[4]
    return found


def objects_in(body: bytes) -> dict[str, str]:
    """The objects of one answer, also of one that ends too early: 6.21."""
    found: dict[str, str] = {}
    at = _HEAD
    for _ in range(body[5] if len(body) >= _HEAD else 0):
        if at + 2 > len(body):
            break
        number, size = body[at], body[at + 1]
        found[NAMES.get(number, f"object {number}")] = readable(body[at + 2 : at + 2 + size])
        at += 2 + size
    return found


def readable(data: bytes) -> str:
    """Bytes that may be text, as text without what no screen shows; else as numbers."""
    text = data.decode("utf-8", "replace")
    shown = "".join(c for c in text if c.isprintable() and c != "\ufffd").strip()
    return shown if 2 * len(shown) >= len(text) else data.hex(" ")
