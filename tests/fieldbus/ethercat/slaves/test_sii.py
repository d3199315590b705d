"""EEPROM images -> what a slave says of itself. Layout: ETG.2010, ETG.1000.6 clause 5.4."""

import random

import pytest

from fieldbus.errors import GarbageError
from fieldbus.ethercat.slaves.sii import FIXED_BYTES, INPUTS, OUTPUTS, crc8, parse_sii, words_needed
from tests.fieldbus.ethercat import sii_images as images


def test_identity_and_names():
    """Vendor, product, revision, serial, alias and the three names are where ETG.2010 has them."""
    sii = parse_sii(images.drive())
    assert (sii.vendor, sii.product, sii.revision, sii.serial, sii.alias) == (0x1234, 0xABCD, 1, 99, 7)
    assert (sii.group, sii.order, sii.name) == ("Drives", "D1", "Drive one")
    assert sii.has_coe
    assert sii.has_dc
    assert sii.has_lrw
    assert not sii.doubts


def test_names_cannot_steer_a_terminal():
    """Nor a log, nor a file: what cannot be seen is escaped where it is read."""
    sii = parse_sii(images.image(images.strings("g", "\x1b[2J\nx", "a\u202eb"), images.general()))
    assert (sii.order, sii.name) == (r"\x1b[2J\x0ax", r"a\u202eb")


def test_a_slave_without_mailbox():
    """A digital terminal has neither CoE nor a clock."""
    sii = parse_sii(images.digital())
    assert not sii.has_coe
    assert not sii.has_dc
    assert sii.fmmus == (1, 0)


def test_a_slave_without_lrw():
    """The flag of the category "general" is told."""
    assert not parse_sii(images.image(images.strings("g", "o", "n"), images.general(has_lrw=False))).has_lrw


def test_sync_managers_and_pdos():
    """Sync managers with their purposes; PDOs with theirs, and one that is assigned to none."""
    sii = parse_sii(images.drive())
    assert [manager.kind for manager in sii.sync_managers] == [1, 2, OUTPUTS, INPUTS]
    assert sii.sync_managers[2].start == 0x1100
    assert [(pdo.index, pdo.is_output, pdo.sync_manager) for pdo in sii.pdos] == [
        (0x1600, True, 2), (0x1A00, False, 3), (0x1A01, False, None),
    ]  # fmt: skip
    entry = sii.pdos[0].entries[1]
    assert (entry.index, entry.subindex, entry.bits, entry.name, entry.data_type) == (
        0x607A,
        0,
        32,
        "Target position",
        4,
    )


def test_categories_of_one_type_are_one():
    """A slave that has its outputs in two categories has all of them."""
    two = [(51, images.pdo(0x1600 + i, 0, 0, (0x7000 + i, 1, 0, 1, 1))) for i in range(2)]
    assert [pdo.index for pdo in parse_sii(images.image(*two)).pdos] == [0x1600, 0x1601]


def test_checksum():
    """It is the rest of a division by x^8 + x^2 + x + 1; a wrong one is a doubt, no refusal."""
    assert crc8(b"") == 0xFF
    sii = parse_sii(images.image(checksum=1))
    assert "checksum 0x01" in sii.doubts[0]
    assert not parse_sii(images.image()).doubts


@pytest.mark.parametrize("data", [b"", b"\0" * 127, b"\0" * 128, b"\xff" * 4096])
def test_an_eeprom_that_is_empty_or_short(data):
    """Nothing can be said of a slave without identity."""
    with pytest.raises(GarbageError):
        parse_sii(data)


def test_what_is_cut_off_is_told():
    """A category that is longer than the EEPROM, a PDO with more entries than there are, a string that is none, no end."""
    whole = images.drive()
    assert "the EEPROM ends" in parse_sii(whole[: FIXED_BYTES + 20]).doubts[0]
    lying = bytearray(images.pdo(0x1600, 0, 9, (0x7000, 1, 0, 1, 1)))
    lying[2] = 200
    sii = parse_sii(images.image((51, bytes(lying))))
    assert sii.pdos[0].entries[0].index == 0x7000
    assert any("200 entries, but 1" in doubt for doubt in sii.doubts)
    assert any("string 9" in doubt for doubt in sii.doubts)
    assert any("no end mark" in doubt for doubt in parse_sii(whole[:-2]).doubts)


def test_words_needed_leads_to_the_end_mark():
    """Who reads a bit at a time needs few steps, and never a word behind the end mark."""
    whole = images.drive()
    rest, have, steps = whole + b"\x55" * 1000, 64, 0
    while (need := words_needed(rest[: 2 * have])) > have:
        have, steps = need, steps + 1
    assert 2 * have == len(whole)
    assert steps < 20


def test_no_image_ends_otherwise_than_by_a_refusal():
    """Three thousand damaged images: an answer or `GarbageError`, and bounded."""
    chance = random.Random(1)
    for number in range(3000):
        data = bytearray(images.drive() if number % 2 else images.digital())
        for _ in range(chance.randint(1, 20)):
            data[chance.randrange(FIXED_BYTES if number % 3 else 0, len(data))] = chance.choice(
                (0, 1, 0xFF, chance.randrange(256))
            )
        if number % 5 == 0:
            del data[chance.randrange(100, len(data)) :]
        try:
            sii = parse_sii(bytes(data))
        except GarbageError:
            continue
        assert len(sii.doubts) < 200
        assert words_needed(bytes(data)) >= 0
