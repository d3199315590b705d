"""The simplest slave: some bytes out, the same bytes in; no mailbox. Its EEPROM is the least that a master needs."""

import struct

import numpy as np

from fieldbus.ethercat.simulated.device import Device, EscKind, NativeStep, Pdi
from fieldbus.ethercat.simulated.native import NATIVE
from fieldbus.ethercat.simulated.registers import checksum
from rt_native.memory import Block

_OUT_AT, _IN_AT = 0x1000, 0x1400
_STATES = {1, 2, 4, 8}


def _category(kind: int, content: bytes) -> bytes:
    content += b"\xff" * (len(content) % 2)
    return struct.pack("<HH", kind, len(content) // 2) + content


def _pdo(index: int, manager: int, entries: list[tuple[int, int]]) -> bytes:
    rows = b"".join(struct.pack("<HBBBBH", index, sub, 0, 5, 8, 0) for index, sub in entries)
    return struct.pack("<HBBBBH", index, len(entries), manager, 0, 0, 0) + rows


def eeprom(vendor: int, product: int, revision: int, serial: int, alias: int, nbytes: int, name: str) -> bytes:
    """An EEPROM that says: so many bytes out (sync manager 0) and in (1), no mailbox (ETG.1000.6, clause 5.4)."""
    head = struct.pack("<HHHHHHH", 0x0005, 0, 0, 0, alias, 0, 0)
    fixed = head + struct.pack("<H", checksum(head)) + struct.pack("<IIII", vendor, product, revision, serial)
    fixed = fixed.ljust(124, b"\0") + struct.pack("<HH", 15, 1)  # size: 16 Kbit; version
    strings = bytes([1, len(name)]) + name.encode("ascii")
    general = struct.pack("<BBBBBBBBBBBBhBBH", 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x11).ljust(32, b"\0")
    managers = b"".join(
        struct.pack("<HHBBBB", at, nbytes, control, 0, 1, kind)
        for at, control, kind in ((_OUT_AT, 0x44, 3), (_IN_AT, 0x00, 4))
    )
    places = [(0x7000 + i // 200, 1 + i % 200) for i in range(nbytes)]
    return (
        fixed
        + _category(10, strings)
        + _category(30, general)
        + _category(40, bytes([1, 2]))
        + _category(41, managers)
        + _category(50, _pdo(0x1A00, 1, [(index - 0x1000, sub) for index, sub in places]))
        + _category(51, _pdo(0x1600, 0, places))
        + struct.pack("<H", 0xFFFF)
    ).ljust(2048, b"\xff")


class Mirror(Device):
    """A slave whose inputs are its outputs, `nbytes` each way, up to 200."""

    mailboxes = (-1, -1)

    def __init__(
        self,
        nbytes: int = 2,
        *,
        vendor: int = 0x0000_0B95,
        product: int = 1,
        revision: int = 1,
        serial: int = 0,
        alias: int = 0,
        kind: EscKind | None = None,
    ) -> None:
        self.sii = eeprom(vendor, product, revision, serial, alias, nbytes, "Mirror")
        self.kind = kind or EscKind()
        state = Block(16)
        state.view(np.int64, count=2)[:] = nbytes
        self.step = NativeStep(NATIVE.address("step_mirror"), state, output_manager=0, input_manager=1)

    def al_control(self, esc: Pdi, value: int) -> None:
        """Any state that there is."""
        state = value & 0x0F
        if state in _STATES:
            esc.al_status(state)
        else:
            now = int.from_bytes(esc.read(0x130, 1), "little") & 0x0F
            esc.al_status(now | 0x10, 0x12)

    def watchdog(self, esc: Pdi) -> None:
        """From OP back to SAFE-OP."""
        if int.from_bytes(esc.read(0x130, 1), "little") & 0x0F == 8:
            esc.al_status(0x14, 0x1B)
