"""What a device says that it is, by function codes 43 and 17."""

import pytest

from fieldbus.modbus.scan.identity import identify, objects_in, readable
from tests.fieldbus.modbus.scan.devices import Device, asker_of, words

UNITS = {1: {"holding": words(0, 1)}}


def told(**options: object) -> str:
    return str(identify(asker_of(Device(UNITS, **options)), 1))  # type: ignore[arg-type]


def test_objects_that_come_one_by_one():
    """ "More follows" is followed; the order is vendor, product code, revision."""
    assert told(objects={0: b"ACME", 1: b"PM-5", 2: b"2.1"}) == "ACME, PM-5, 2.1"


def test_the_report_where_there_are_no_objects():
    """FC 17, as text."""
    assert told(report=b"Pump 7\xff") == "Pump 7"


def test_nothing():
    """A device with neither says nothing, and that is no error."""
    assert told() == ""


@pytest.mark.parametrize("cut", range(14))
def test_an_answer_that_ends_too_early(cut):
    """Whatever its end: the whole objects, or a part, and no error."""
    body = bytes([14, 1, 1, 0, 0, 2, 0, 2]) + b"AB" + bytes([1, 1]) + b"C"
    assert set(objects_in(body[:cut])) <= {"vendor", "product code"}


def test_bytes_that_are_no_text():
    """As numbers; what would steer a terminal is left out."""
    assert readable(b"\x01\x02\x03\xff") == "01 02 03 ff"
    assert readable(b"AC\x1b[2JME") == "AC[2JME"
