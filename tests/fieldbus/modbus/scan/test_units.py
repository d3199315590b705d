"""Which units are there: on a line, behind a gateway, of a device that answers to any number."""

import pytest

from fieldbus.modbus.scan.units import Presence, Units, find_units, presence
from tests.fieldbus.modbus.scan.devices import Device, asker_of, words

HERE = {"holding": words(0, 10)}


def units_of(device: Device, numbers: range = range(1, 248), is_line: bool = False) -> Units:
    return find_units(asker_of(device), numbers, is_line)


@pytest.mark.parametrize("is_line", [True, False])
def test_silent_numbers_are_not_there(is_line):
    """Units that answer, also with a refusal, are found; the others are silent."""
    device = Device({3: HERE, 17: {"input": words(500, 2)}, 247: HERE})
    assert units_of(device, is_line=is_line) == Units((3, 17, 247))


@pytest.mark.parametrize("code", [10, 11])
def test_a_gateway_says_who_is_not_there(code):
    """Exceptions 10 and 11 mean: no such unit."""
    assert units_of(Device({5: HERE}, stranger=code)) == Units((5,), is_gateway=True)


def test_a_gateway_that_says_not_now():
    """Every third answer is exception 11, also of a unit that is there: asked again, it is found."""
    found = units_of(Device({5: HERE}, stranger=11, busy_every=3, busy_code=11), range(1, 17))
    assert found.here == (5,)


def test_a_device_that_answers_to_any_number():
    """It is told by numbers that nobody gives; then 1 does, and no others are asked."""
    device = Device({1: HERE}, any_unit=True)
    assert units_of(device) == Units((1,), any_number=True)
    assert len(device.asked) < 20


def test_on_a_serial_line_each_number_is_its_own():
    """Three unlikely units may well be three devices there."""
    assert units_of(Device({91: HERE, 173: HERE, 247: HERE}), is_line=True).here == (91, 173, 247)


def test_a_unit_that_only_fails():
    """Exception 4 from each table: pymodbus answers so for units that it does not have. It is told apart."""
    assert units_of(Device({1: HERE}, stranger=4), range(1, 5)) == Units((1,), failing=(2, 3, 4))


def test_a_busy_unit_is_there():
    """Exception 6 comes from somebody."""
    assert presence(asker_of(Device({}, stranger=6)), 9, True) is Presence.HERE


def test_a_unit_that_is_silent_for_a_wrong_address():
    """Few units are asked for more than one thing."""
    device = Device({9: {"input": words(0, 4)}}, silent_at=(1, 2))
    assert units_of(device, range(7, 10)).here == (9,)
    assert units_of(device).here == ()


def test_ctrl_c_keeps_the_units_that_were_found():
    """Those before it; without any it is what it always is."""
    device = Device({3: HERE, 90: HERE})

    def tell(text: str) -> None:
        if text == f"unit {stop_at}":
            raise KeyboardInterrupt

    stop_at = 40
    assert find_units(asker_of(device), range(1, 248), True, tell).here == (3,)
    stop_at = 2
    with pytest.raises(KeyboardInterrupt):
        find_units(asker_of(device), range(1, 248), True, tell)


def test_a_unit_that_answers_late_is_asked_again():
    """Its answer came while another was asked: whose it was is known, and it is found with more patience."""
    device = Device({7: HERE, 9: HERE}, most=0)
    asker = asker_of(device)
    asker.wire.oddities.late_units.add(7)
    device.units, late = {9: HERE}, {7: HERE, 9: HERE}

    def tell(text: str) -> None:
        if text == "unit 7, which answered late":
            device.units = late

    assert find_units(asker, range(1, 248), True, tell).here == (7, 9)
    assert asker.timeout_s >= 1.0
