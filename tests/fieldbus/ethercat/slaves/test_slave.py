"""How a slave is told what it exchanges."""

from types import SimpleNamespace

import pytest

from fieldbus.errors import RefusedError
from fieldbus.ethercat.options import PdoChoice
from fieldbus.ethercat.slaves.entries import found_by_sii
from fieldbus.ethercat.slaves.sii import parse_sii
from fieldbus.ethercat.slaves.slave import Slave, assign
from tests.fieldbus.ethercat import sii_images as images
from tests.fieldbus.ethercat.slaves.test_entries import MAPPED, AbortError, Objects


class Device(Objects):
    """A slave as pysoem has it; `fixed`: objects that it refuses to have written."""

    def __init__(self, values, fixed=()):
        super().__init__(dict(values))
        self.fixed, self.written = fixed, []

    def sdo_write(self, index, subindex, data, complete):
        if index in self.fixed:
            raise AbortError(0x06010002)
        self.written.append((index, subindex, int.from_bytes(data, "little")))
        self.values[index, subindex] = data


def told(device, *pdos):
    sii = parse_sii(images.drive())
    assign(Slave(found_by_sii(0, sii), sii, 0x1001, device, option=SimpleNamespace(name="d")), pdos)
    return device.written


SAME = PdoChoice(0x1601, ((0x6040, 0, 16), (0x60FF, 0, 32)))


def test_what_is_so_already_is_not_written():
    """A slave whose PDOs are fixed is not asked to change them."""
    assert told(Device(MAPPED, fixed=(0x1601, 0x1C12)), SAME) == []
    assert told(Device(MAPPED, fixed=(0x1601,)), PdoChoice(0x1601)) == []


def test_a_pdo_is_changed_while_it_is_assigned_to_nothing():
    """Assignment off, what is in it, assignment on; the other direction is left alone."""
    written = told(Device(MAPPED), PdoChoice(0x1601, ((0x6040, 0, 16),)))
    assert written == [
        (0x1C12, 0, 0), (0x1601, 0, 0), (0x1601, 1, 0x60400010), (0x1601, 0, 1),
        (0x1C12, 0, 0), (0x1C12, 1, 0x1601), (0x1C12, 0, 1),
    ]  # fmt: skip


def test_another_assignment():
    """PDOs as they are, others of them."""
    assert told(Device(MAPPED), PdoChoice(0x1A02)) == [(0x1C13, 0, 0), (0x1C13, 1, 0x1A02), (0x1C13, 0, 1)]


def test_a_refusal_says_which_object():
    """With the abort code in words."""
    with pytest.raises(RefusedError, match=r"0x1601.*can only be read"):
        told(Device(MAPPED, fixed=(0x1601,)), PdoChoice(0x1601, ((0x6040, 0, 16),)))
