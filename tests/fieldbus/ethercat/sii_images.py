"""EEPROM images made by hand, from the tables of ETG.2010: what the parser is judged by shares nothing with it."""

import struct

GENERAL = struct.pack("<BBBBBBBBBBBBhBB", 1, 0, 2, 3, 0, 0x0F, 0, 0, 0, 0, 0, 0, 100, 0, 0).ljust(32, b"\0")


def image(*categories, alias=0, identity=(2, 0x07D83052, 0x00110000, 0), protocols=0, checksum=None):
    """An EEPROM with these categories, (type, data)."""
    head = struct.pack("<4H", 0x0104, 0, 0, 0) + struct.pack("<3H", alias, 0, 0)
    check = _crc(head) if checksum is None else checksum
    fixed = head + bytes([check, 0]) + struct.pack("<4I", *identity)
    fixed = fixed.ljust(0x38, b"\0") + struct.pack("<H", protocols)
    body = b"".join(
        struct.pack("<HH", kind, (len(data) + 1) // 2) + data + b"\0" * (len(data) % 2) for kind, data in categories
    )
    return fixed.ljust(128, b"\0") + body + b"\xff\xff"


def _crc(data):
    """CRC-8 bit by bit, as a division: polynomial 0x107, the first byte's bits inverted."""
    value = int.from_bytes(bytes([data[0] ^ 0xFF]) + data[1:] + b"\0", "big")
    for bit in range(8 * (len(data) + 1) - 1, 7, -1):
        if value >> bit & 1:
            value ^= 0x107 << (bit - 8)
    return value


def strings(*texts):
    """The category of strings."""
    return 10, bytes([len(texts)]) + b"".join(bytes([len(text)]) + text for text in map(str.encode, texts))


def general(has_lrw=True):
    """The category "general": group, order and name are strings 1, 2 and 3."""
    return 30, GENERAL[:11] + bytes([0 if has_lrw else 2]) + GENERAL[12:]


def managers(*kinds):
    """Sync managers for these purposes."""
    return 41, b"".join(
        struct.pack("<HHBBBB", 0x1000 + 0x80 * i, 0x80, 0x26, 0, 1, kind) for i, kind in enumerate(kinds)
    )


def pdo(index, manager, name, *entries):
    """A PDO with entries (index, subindex, string, data type, bits)."""
    head = struct.pack("<HBBBBH", index, len(entries), manager, 0, name, 0)
    return head + b"".join(struct.pack("<HBBBBH", i, sub, text, kind, bits, 0) for i, sub, text, kind, bits in entries)


def digital():
    """A terminal with four digital outputs, as EL2004 has them: no mailbox, a PDO for each channel, one name for all."""
    names = strings(
        "DigOut",
        "EL2004",
        "EL2004 4Ch. Dig. Output 24V, 0.5A",
        "Channel 1",
        "Channel 2",
        "Channel 3",
        "Channel 4",
        "Output",
    )
    pdos = b"".join(pdo(0x1600 + i, 0, 4 + i, (0x7000 + 16 * i, 1, 8, 1, 1)) for i in range(4))
    return image(names, general(), (40, b"\x01\x00"), managers(3), (51, pdos), identity=(2, 0x07D43052, 0x00120000, 0))


def drive():
    """A drive with a mailbox: outputs at sync manager 2, inputs at 3, a gap, a text, and a PDO that is not assigned."""
    names = strings(
        "Drives", "D1", "Drive one", "Outputs", "Inputs", "Controlword", "Target position", "Statusword", "Flag", "Text"
    )
    rx = pdo(0x1600, 2, 4, (0x6040, 0, 6, 6, 16), (0x607A, 0, 7, 4, 32))
    tx = pdo(
        0x1A00, 3, 5, (0x6041, 0, 8, 6, 16), (0x2000, 1, 9, 1, 1), (0x2000, 2, 9, 0x31, 2), (0, 0, 0, 0, 5),
        (0x6064, 0, 0, 4, 32), (0x2001, 0, 10, 9, 64),
    )  # fmt: skip
    spare = pdo(0x1A01, 0xFF, 0, (0x606C, 0, 0, 4, 32))
    clock = 60, bytes(24)
    return image(
        names, general(), managers(1, 2, 3, 4), (50, tx + spare), (51, rx), clock,
        alias=7, identity=(0x1234, 0xABCD, 1, 99), protocols=0x04,
    )  # fmt: skip
