"""The EEPROM's bytes are those of ETG.2010."""

import struct
from dataclasses import replace

from fieldbus.ethercat.simulated.sii import (
    ClockMode,
    Details,
    FmmuUse,
    Identity,
    Mailbox,
    Manager,
    Protocol,
    Purpose,
    Sii,
    SiiEntry,
    SiiPdo,
)
from fieldbus.ethercat.slaves.sii import parse_sii

ENTRY = SiiEntry(0x6040, 0, "Controlword", 6, 16)
SII = Sii(
    Identity(product=0x44, revision=3, serial=7, vendor=0x11),
    "A drive",
    order_code="D1",
    group="Drives",
    alias=0x1234,
    mailboxes=(Mailbox(0x1000, 128), Mailbox(0x1080, 96)),
    protocols=Protocol.COE,
    details=Details.SDO | Details.COMPLETE_ACCESS,
    has_lrw=False,
    current_ma=-70,
    fmmus=(FmmuUse.OUTPUTS, FmmuUse.INPUTS, FmmuUse.MAILBOX_STATE),
    managers=(Manager(0x1000, 128, 0x26, Purpose.MAILBOX_OUT), Manager(0x1100, 2, 0x64, Purpose.OUTPUTS)),
    rx_pdos=(SiiPdo(0x1600, "Out", (ENTRY, SiiEntry(0, 0, "", 0, 8)), 2),),
    tx_pdos=(SiiPdo(0x1A00, "In", (), 0xFF),),
    clock_modes=(ClockMode("DC", 0x300, 1_000_000, -5 & 0xFFFFFFFF),),
)


def categories(image):
    """Type -> data."""
    found, at = {}, 0x80
    while (type_ := struct.unpack_from("<H", image, at)[0]) != 0xFFFF:
        size = struct.unpack_from("<H", image, at + 2)[0]
        found[type_] = image[at + 4 : at + 4 + 2 * size]
        at += 4 + 2 * size
    return found


def test_the_reader_of_eeproms_has_no_doubts():
    """What scans real slaves reads the same, and finds the checksum right."""
    read = parse_sii(SII.image())
    assert read.doubts == () and (read.alias, read.vendor, read.product) == (0x1234, 0x11, 0x44)
    assert (read.name, read.order, read.group, read.has_lrw, read.has_dc) == ("A drive", "D1", "Drives", False, True)
    assert [(pdo.index, pdo.sync_manager, len(pdo.entries)) for pdo in read.pdos] == [(0x1600, 2, 2), (0x1A00, None, 0)]


def test_fixed_words_lie_where_masters_read_them():
    image = SII.image()
    assert struct.unpack_from("<H", image, 8)[0] == 0x1234
    assert struct.unpack_from("<IIII", image, 16) == (0x11, 0x44, 3, 7)
    assert struct.unpack_from("<HHHHH", image, 0x30) == (0x1000, 128, 0x1080, 96, 4)
    assert len(image) == 2048 and struct.unpack_from("<HH", image, 0x7C) == (15, 1)


def test_categories_say_what_they_were_given():
    found = categories(SII.image())
    assert list(found) == [10, 30, 40, 41, 50, 51, 60]
    assert found[10][:9] == b"\x07\x07A drive"[:9]
    general = found[30]
    assert len(general) == 32 and general[5] == 0x21 and general[11] == 2
    assert struct.unpack_from("<h", general, 12)[0] == -70
    assert found[40] == bytes([1, 2, 3, 0xFF])
    assert found[41][:8] == bytes([0, 0x10, 128, 0, 0x26, 0, 1, 1])
    assert found[51][:4] == bytes([0x00, 0x16, 2, 2]) and found[51][8:11] == bytes([0x40, 0x60, 0])
    assert found[51][13] == 16 and found[51][16:24] == bytes([0, 0, 0, 0, 0, 8, 0, 0])
    assert found[50] == bytes([0x00, 0x1A, 0, 0xFF, 0, found[50][5], 0, 0])
    assert struct.unpack_from("<I", found[60])[0] == 1_000_000


def test_a_slave_of_few_words_has_few_categories():
    plain = Sii(Identity(product=1), "Coupler")
    assert list(categories(plain.image())) == [10, 30]
    assert len(replace(plain, name="x" * 255).image()) == 2048
