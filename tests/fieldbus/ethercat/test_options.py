"""What an engineer says of a slave, and addresses of tags."""

import pytest

from fieldbus.errors import AddressError, ConfigurationError
from fieldbus.ethercat.address import EthercatAddress
from fieldbus.ethercat.options import PdoChoice, Sdo, SlaveOptions, check_names


@pytest.mark.parametrize(
    ("value", "kind", "data"),
    [
        (8, "int8", "08"),
        (-1, "int32", "ffffffff"),
        (1.5, "float32", "0000c03f"),
        (True, "bool", "01"),
        ("abc", "text", "616263"),
        ("00 ff", "bytes", "00ff"),
        (0x1A00, "uint16", "001a"),
    ],
)
def test_an_sdo_is_sent_as_its_type_says(value, kind, data):
    assert Sdo(0x6060, 0, value, kind).data.hex() == data


@pytest.mark.parametrize(
    ("value", "kind", "words"),
    [
        (256, "uint8", "256 is no value of uint8"),
        (1.5, "int8", r"1\.5 is no value of int8"),
        ("8", "int8", "'8' is no value of int8"),
        ("xy", "bytes", "'xy' is no value of bytes"),
        (1, "int7", "unknown type 'int7'; there are bool, int8"),
    ],
)
def test_what_a_type_cannot_hold_is_refused(value, kind, words):
    with pytest.raises(ConfigurationError, match="SDO 0x6060:00: " + words):
        Sdo(0x6060, 0, value, kind)


def test_a_slave_has_a_position_or_an_alias():
    for places in ({}, {"position": 1, "alias": 2}):
        with pytest.raises(ConfigurationError, match=r"'axis': give its position \(counted from 0\) or its alias"):
            SlaveOptions(name="axis", **places)


def test_an_index_tells_the_direction_of_a_pdo():
    assert PdoChoice(0x1601).is_output
    assert not PdoChoice(0x1A00).is_output
    with pytest.raises(ConfigurationError, match="0x6040 is no PDO: 0x1600 to 0x17FF are outputs"):
        PdoChoice(0x6040)


def test_a_watchdog_is_what_its_register_holds():
    with pytest.raises(ConfigurationError, match=r"watchdog_ms 6554 is not between 0 and 6553\.5"):
        SlaveOptions(name="axis", position=0, watchdog_ms=6554)
    with pytest.raises(ConfigurationError, match=r"watchdog_ms 0\.05 is shorter than the 0\.1 that a slave can count"):
        SlaveOptions(name="axis", position=0, watchdog_ms=0.05)  # it would be written as 0: off
    assert SlaveOptions(name="axis", position=0, watchdog_ms=0).watchdog_ms == 0


def test_two_slaves_are_not_one():
    with pytest.raises(ConfigurationError, match="two slaves have the position 1"):
        check_names([SlaveOptions(name="a", position=1), SlaveOptions(name="b", position=1)])


@pytest.mark.parametrize(
    ("text", "address", "place"),
    [
        ("drive:0x6041:00", EthercatAddress("drive", 0x6041, 0), "drive:0x6041:00"),
        ("1:0x7010:1a", EthercatAddress("1", 0x7010, 0x1A), "1:0x7010:1A"),
        ("drive : Statusword", EthercatAddress("drive", entry="Statusword"), "drive:Statusword"),
    ],
)
def test_an_address_is_a_slave_and_an_entry(text, address, place):
    assert EthercatAddress.parse(text) == address
    assert address.place == place


@pytest.mark.parametrize("text", ["", "drive", "drive:", ":0x6041:00", "drive:0x6041", "drive:0x6041:0G"])
def test_what_is_no_address_is_refused(text):
    with pytest.raises(AddressError):
        EthercatAddress.parse(text)
