"""What is known of a slave, asked as pysoem's slaves can be."""

import pytest

from fieldbus.errors import GarbageError
from fieldbus.ethercat.finding import find_slave, read_eeprom
from fieldbus.ethercat.sii import parse_sii
from tests.fieldbus.ethercat import sii_images as images
from tests.fieldbus.ethercat.test_entries import MAPPED, Objects


class Slave(Objects):
    """A slave as pysoem has it, with an EEPROM and registers."""

    state, al_status = 2, 0

    def __init__(self, eeprom, values=(), features=0):
        super().__init__(dict(values))
        self.eeprom, self.features, self.asked = eeprom, features, 0

    def eeprom_read(self, word):
        self.asked += 1
        return self.eeprom[2 * word : 2 * word + 4]

    def _fprd(self, register, size):
        return {8: self.features}[register].to_bytes(size, "little")

    @property
    def od(self):
        raise RuntimeError("it does not tell")


def test_a_terminal():
    """Its EEPROM says all; it is read up to its end mark."""
    slave = Slave(images.digital() + b"\xaa" * 4000)
    found = find_slave(2, slave)
    assert (found.position, found.name, found.has_coe, found.has_dc, found.has_lrw) == (2, "EL2004", False, False, True)
    assert len(found.entries) == 4
    assert slave.asked <= len(images.digital()) // 4 + 2


def test_a_drive():
    """CoE says what is assigned; a dictionary that fails costs names only; registers say what the ESC has."""
    found = find_slave(0, Slave(images.drive(), MAPPED, features=0x204))
    assert [e.pdo for e in found.entries if e.direction == "out"] == [0x1601, 0x1601]
    assert (found.serial, found.state, found.has_dc, found.has_lrw) == (99, 2, True, False)


def test_a_serial_number_that_only_coe_has():
    """0x1018:04 counts where the EEPROM has none."""
    eeprom = images.image(identity=(1, 2, 3, 0), protocols=4)
    assert find_slave(0, Slave(eeprom, {(0x1018, 4): b"\x39\x05\0\0"})).serial == 1337


def test_an_eeprom_without_end():
    """Reading stops where no EEPROM is longer, or at what it cannot have."""
    whole = images.drive()
    assert parse_sii(read_eeprom(lambda word: whole[2 * word : 2 * word + 4])).order == "D1"
    with pytest.raises(GarbageError, match="more than"):
        read_eeprom(lambda word: b"\x01\x00\xff\x7f")
