"""EEPROMs of slaves, read through the registers of their ESCs: many at once, in lockstep.

    0x0500   1: the slave's own processor has it; 0: we; 2: taken from it by force
    0x0502   status and command: bit 15 busy, bits 14 and 13 errors, bit 6 reads 8 bytes at once, 0x0100 read
    0x0504   word address, 32 bits
    0x0508   what was read: 4 or 8 bytes

Beckhoff's ESC data sheet, section II, chapter 2.14.
"""

import struct
import time
from collections.abc import Callable, Sequence
from typing import Final

from fieldbus.errors import NoAnswerError
from fieldbus.ethercat.protocol import Command, Register
from fieldbus.ethercat.slaves.sii import FIXED_BYTES, words_needed
from fieldbus.ethercat.wire.wire import Datagram, Node, Wire

_READ, _NOTHING = 0x0100, 0x0000
_BUSY, _ERRORS, _EIGHT = 0x8000, 0x6000, 0x0040
_WAIT_S: Final = 0.05
"""A read takes 1 ms or less."""
_LEAST_LOOKS: Final = 4
"""A machine that stands still is no EEPROM that does not answer."""
_PAUSE_S: Final = 0.0002
_STATUS_BYTES: Final = 14
"""From the command to the end of the data."""
_LEAST_BYTES, _MOST_BYTES = 4096, 1 << 16
"""An EEPROM without an end mark is read so far."""
IDENTITY_WORD: Final = 8
IDENTITY_BYTES: Final = 16
"""Vendor, product, revision, serial number."""


def read_images(wire: Wire, nodes: Sequence[Node], is_stopped: Callable[[], bool] = bool) -> list[bytes]:
    """What is in these EEPROMs, until their end marks; raises `NoAnswerError`."""
    images = [b""] * len(nodes)
    hold(wire, nodes)
    try:
        while not is_stopped():
            short = [i for i, image in enumerate(images) if len(image) < min(2 * words_needed(image), _size(image))]
            if not short:
                return images
            parts = read_words(wire, [nodes[i] for i in short], [len(images[i]) // 2 for i in short])
            for i, part in zip(short, parts, strict=True):
                images[i] += part
        raise NoAnswerError("stopped while EEPROMs were read")
    finally:
        release(wire, nodes)


def _size(image: bytes) -> int:
    """How long the EEPROM is: word 62 says so, in units of 1024 bits less one; not all makers write it."""
    said = 128 * (int.from_bytes(image[124:126], "little") + 1) if len(image) >= FIXED_BYTES else FIXED_BYTES
    return min(max(said, _LEAST_BYTES), _MOST_BYTES)


def read_identity(wire: Wire, node: Node) -> tuple[int, int, int, int]:
    """Vendor, product, revision and serial number; raises `NoAnswerError`."""
    hold(wire, [node])
    try:
        data = b""
        while len(data) < IDENTITY_BYTES:
            data += read_words(wire, [node], [IDENTITY_WORD + len(data) // 2])[0]
    finally:
        release(wire, [node])
    vendor, product, revision, serial = struct.unpack_from("<4I", data)
    return vendor, product, revision, serial


def hold(wire: Wire, nodes: Sequence[Node]) -> None:
    """Take them from the slaves' processors; errors of before are cleared."""
    for value in (b"\2", b"\0"):
        wire.write_each(nodes, Register.EEPROM_CONFIG, value)
    wire.write_each(nodes, Register.EEPROM_CONTROL, struct.pack("<H", _NOTHING))


def release(wire: Wire, nodes: Sequence[Node]) -> None:
    """Give them back: some slaves want theirs on the way to PRE-OP."""
    wire.write_each(nodes, Register.EEPROM_CONFIG, b"\1")


def read_words(wire: Wire, nodes: Sequence[Node], words: Sequence[int]) -> list[bytes]:
    """4 or 8 bytes of each, from word address `words` on; raises `NoAnswerError`."""
    asked = [struct.pack("<HI", _READ, word) for word in words]
    wire.ask([Datagram(n.writes, n.address, Register.EEPROM_CONTROL, a) for n, a in zip(nodes, asked, strict=True)])
    found: list[bytes | None] = [None] * len(nodes)
    until_s, looks = time.monotonic() + _WAIT_S, 0
    while None in found:
        looks += 1
        waiting = [i for i, data in enumerate(found) if data is None]
        answers = wire.read_each([nodes[i] for i in waiting], Register.EEPROM_CONTROL, _STATUS_BYTES)
        for i, answer in zip(waiting, answers, strict=True):
            found[i] = _data_of(answer, nodes[i])
        if None in found:
            if time.monotonic() > until_s and looks >= _LEAST_LOOKS:
                raise NoAnswerError(f"{_whose(nodes[found.index(None)])} does not answer")
            time.sleep(_PAUSE_S)
    return [data for data in found if data is not None]


def _data_of(answer: bytes | None, node: Node) -> bytes | None:
    """What was read; None: not yet."""
    if answer is None:
        return None
    (status,) = struct.unpack_from("<H", answer)
    if status & _BUSY:
        return None
    if status & _ERRORS:
        raise NoAnswerError(f"{_whose(node)} cannot be read (status 0x{status:04X})")
    return answer[6:14] if status & _EIGHT else answer[6:10]


def _whose(node: Node) -> str:
    """An EEPROM, for people."""
    by_position = node.reads == Command.APRD
    where = f"at position {-node.address & 0xFFFF}" if by_position else f"with station address 0x{node.address:04X}"
    return f"the EEPROM of the slave {where}"
