"""Who is on the bus, against who is expected."""

import pytest

from fieldbus.errors import RefusedError
from fieldbus.ethercat.options import SlaveOptions
from fieldbus.ethercat.slaves.entries import SlaveFound
from fieldbus.ethercat.slaves.identity import position_of, positions

COUPLER = SlaveFound(0, "EK1100", 2, 0x044C2C52, 0x00110000)
OUTPUTS = SlaveFound(1, "EL2008", 2, 0x07D83052, 0x00100000)
DRIVE = SlaveFound(2, "DRIVE", 0x66F, 0x525100A1, 0x00010000, alias=7)
BUS = [COUPLER, OUTPUTS, DRIVE]


def test_a_slave_is_found_by_position_or_alias():
    options = [SlaveOptions(name="valves", position=1, vendor=2), SlaveOptions(name="axis", alias=7)]
    assert positions(BUS, options, 3) == {"valves": 1, "axis": 2}
    assert positions(BUS, []) == {}


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (
            SlaveOptions(name="axis", position=1, product=0x525100A1),
            r"slave 'axis' at position 1 \(EL2008\): product 0x07D83052 where 0x525100A1 is expected "
            r"\(that one is at position 2: are slaves or cables in another order\?\)",
        ),
        (SlaveOptions(name="axis", position=2, revision=0x20000), "revision 0x00010000 where 0x00020000 is expected"),
        (SlaveOptions(name="axis", position=2, vendor=2), "vendor 0x0000066F where 0x00000002 is expected"),
        (SlaveOptions(name="axis", position=3), "'axis' is expected at position 3, but 3 slaves answer"),
        (SlaveOptions(name="axis", alias=9), "no slave has alias 9; there are 7 at position 2"),
    ],
)
def test_a_wrong_slave_is_refused_with_both_numbers(option, words):
    with pytest.raises(RefusedError, match=words):
        positions(BUS, [option])


def test_all_faults_are_told_at_once():
    options = [SlaveOptions(name="a", position=0, vendor=1), SlaveOptions(name="b", position=5)]
    with pytest.raises(RefusedError, match=r"'a' at position 0.*; slave 'b' is expected at position 5"):
        positions(BUS, options)


def test_two_slaves_with_one_alias_are_told():
    twin = SlaveFound(3, "DRIVE", 0x66F, 0x525100A1, 0x00010000, alias=7)
    with pytest.raises(RefusedError, match="alias 7 have those at positions 2, 3"):
        positions([*BUS, twin], [SlaveOptions(name="axis", alias=7)])


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (BUS[:2], "2 slaves answer, where 3 are expected, the last is EL2008 at position 1: is one missing"),
        ([*BUS, COUPLER], "4 slaves answer, where 3 are expected.*: is one too many"),
        (BUS[:1], "one slave answers, where 3"),
    ],
)
def test_too_few_or_too_many_are_refused_with_both_numbers(found, words):
    with pytest.raises(RefusedError, match=words):
        positions(found, [], 3)


def test_a_tag_names_a_slave_or_its_position():
    assert [position_of(slave, {"axis": 2}, 3) for slave in ("axis", "0", "2")] == [2, 0, 2]
    with pytest.raises(RefusedError, match="no slave at position 3: 3 slaves answer"):
        position_of("3", {}, 3)
    with pytest.raises(RefusedError, match="no slave is called 'axes'; there are axis: name it in a table"):
        position_of("axes", {"axis": 2}, 3)
