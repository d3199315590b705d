"""Assigning and mapping PDOs, as a master does it, and what is refused (ETG.1000.6, 5.6.7.4)."""

import numpy as np
import pytest

from fieldbus.ethercat.protocol import AlState
from fieldbus.ethercat.simulated.objects import Abort, AbortCode, Access, Dictionary, Type, variable
from fieldbus.ethercat.simulated.process_data import INPUTS, OUTPUTS, PdoMap, ProcessData

PREOP = AlState.PREOP


@pytest.fixture
def process():
    objects = Dictionary(np.zeros(200, np.int64))
    for index, type_, right in ((0x6040, Type.UINT16, Access.RX), (0x607A, Type.INT32, Access.RX),
                                (0x6041, Type.UINT16, Access.TX), (0x6099, Type.BOOL, Access.TX)):  # fmt: skip
        objects.add(variable(index, f"{index:04X}", type_, Access.RW | right))
    objects.add(variable(0x2000, "No PDO", Type.UINT8, Access.RW))
    maps = (
        PdoMap(0x1600, "Out", ((0x6040, 0), (0x607A, 0)), is_fixed=False),
        PdoMap(0x1601, "Fixed", ((0x6040, 0),), is_assigned=False),
        PdoMap(0x1A00, "In", ((0x6099, 0), 7, (0x6041, 0))),
    )
    return ProcessData(objects, maps, most_bytes=8)


def write(process, index, *writes):
    """(subindex, value) one after the other, as SDOs."""
    for subindex, value in writes:
        nbytes = 1 if subindex == 0 else process.dictionary.objects[index].entries[1].bits // 8
        process.dictionary.write(index, subindex, value.to_bytes(nbytes, "little"), PREOP)


def code_of(function, *arguments):
    """With which code this is refused."""
    with pytest.raises(Abort) as refused:
        function(*arguments)
    return refused.value.code


def test_the_image_is_that_of_the_assigned_pdos(process):
    assert (process.nbytes(OUTPUTS), process.nbytes(INPUTS)) == (6, 3)
    assert [(p.index, p.bit, p.bits) for p in process.placed(OUTPUTS)] == [(0x6040, 0, 16), (0x607A, 16, 32)]
    assert [(p.index, p.bit, p.bits) for p in process.placed(INPUTS)] == [(0x6099, 0, 1), (0, 1, 7), (0x6041, 8, 16)]


def test_another_assignment_takes_three_steps(process):
    write(process, OUTPUTS, (0, 0), (1, 0x1601), (0, 1))
    assert process.nbytes(OUTPUTS) == 2
    process.reset()
    assert process.nbytes(OUTPUTS) == 6


def test_a_mapping_is_changed_where_the_device_lets_it(process):
    assert code_of(write, process, 0x1600, (0, 0)) == AbortCode.WRONG_STATE  # it is assigned
    write(process, OUTPUTS, (0, 0))
    write(process, 0x1600, (0, 0), (1, 0x60400010), (2, 0x00000008), (0, 2))
    write(process, OUTPUTS, (1, 0x1600), (0, 1))
    assert process.nbytes(OUTPUTS) == 3
    assert code_of(write, process, 0x1A00, (0, 0)) == AbortCode.READ_ONLY


@pytest.mark.parametrize(
    ("index", "writes", "code"),
    [
        (OUTPUTS, ((1, 0x1601),), AbortCode.SUBINDEX_0_MUST_BE_0),
        (OUTPUTS, ((0, 0), (1, 0x1A00)), AbortCode.NOT_MAPPABLE),
        (OUTPUTS, ((0, 0), (1, 0x1609)), AbortCode.NOT_MAPPABLE),
        (OUTPUTS, ((0, 3),), AbortCode.TOO_HIGH),
        (0x1600, ((0, 0), (1, 0x50000010)), AbortCode.NO_OBJECT),
        (0x1600, ((0, 0), (1, 0x60400110)), AbortCode.NO_SUBINDEX),
        (0x1600, ((0, 0), (1, 0x60410010)), AbortCode.NOT_MAPPABLE),
        (0x1600, ((0, 0), (1, 0x20000008)), AbortCode.NOT_MAPPABLE),
        (0x1600, ((0, 0), (1, 0x60400008)), AbortCode.LENGTH),
        (0x1600, ((0, 0), (1, 0x607A0020), (2, 0x607A0020), (3, 0x60400010), (0, 3)), AbortCode.PDO_TOO_LONG),
    ],
)
def test_what_cannot_be_assigned_or_mapped_is_refused(process, index, writes, code):
    if index != OUTPUTS:
        write(process, OUTPUTS, (0, 0))
    assert code_of(write, process, index, *writes) == code


def test_the_eeprom_tells_the_same_pdos(process):
    out = process.sii_pdos(OUTPUTS, 2)
    assert [(pdo.index, pdo.manager, sum(e.bits for e in pdo.entries)) for pdo in out] == [
        (0x1600, 2, 48),
        (0x1601, 0xFF, 16),
    ]
