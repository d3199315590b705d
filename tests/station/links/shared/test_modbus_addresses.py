"""Modbus addresses of a station file."""

import pytest

from station.links.shared.modbus_addresses import Address, parse_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("holding 40", Address("holding", 40)),
        ("input:12 CDAB", Address("input", 12, order="CDAB")),
        ("Holding 40 cdab", Address("holding", 40, order="CDAB")),
        ("coil 3", Address("coil", 3)),
        ("holding 7.15", Address("holding", 7, bit=15)),
        ("unit 2 holding 40", Address("holding", 40, unit=2)),
        ("Unit 0 input:7.3 CDAB", Address("input", 7, 3, "CDAB", 0)),
    ],
)
def test_parse(text, address):
    """Table, register, bit and order are read."""
    assert parse_address(text) == address


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("40001", "is no Modbus address"),
        ("holdng 3", 'did you mean "holding"'),
        ("holding 3 ACBD", "allowed: ABCD, BADC, CDAB, DCBA"),
        ("holding 65536", "beyond 65535"),
        ("coil 3.1", "only a register"),
        ("holding 3.16", "0 to 15"),
        ("unit 256 holding 3", "units go from 0 to 255"),
        ("unit holding 3", r"\[unit N\] TABLE REGISTER"),
        ("2 holding 3", 'for example "holding 40 CDAB" or "unit 2 input 7"'),
    ],
)
def test_refused(text, reason):
    """A wrong address says which part is wrong and what is allowed."""
    with pytest.raises(ValueError, match=reason):
        parse_address(text)


def test_text_names_all_registers():
    """Two float32 take four registers; a bit takes a sixteenth of one."""
    assert parse_address("holding 40").text("float32", 2) == "holding 40..43"
    assert len(parse_address("holding 40").span("float32", 2)) == 64
    assert parse_address("holding 7.3").text("bool", 1) == "holding 7.3"
    assert len(parse_address("holding 7.3").span("bool", 1)) == 1
