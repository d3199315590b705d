"""Modbus addresses of a station file."""

import re

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
        ("holding 0x28", Address("holding", 40)),
        ("unit 2 INPUT 0XFF.3 CDAB", Address("input", 255, 3, "CDAB", 2)),
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


@pytest.mark.parametrize(
    ("text", "write"),
    [
        ("40001", 'what manuals call 40001 is "holding 0"'),
        ("400001", 'what manuals call 400001 is "holding 0"'),
        ("465536", 'what manuals call 465536 is "holding 65535"'),
        ("00017", 'what manuals call 00017 is "coil 16"'),
        ("10001", 'what manuals call 10001 is "discrete 0"'),
        ("30010", 'what manuals call 30010 is "input 9"'),
        ("40001.3", 'what manuals call 40001 is "holding 0.3"'),
        ("unit 2 40003 CDAB", 'what manuals call 40003 is "unit 2 holding 2 CDAB"'),
        ("4x0001", 'what manuals call 4x0001 is "holding 0"'),
        ("4X17 cdab", 'what manuals call 4X17 is "holding 16 cdab"'),
        ("3x0010", 'what manuals call 3x0010 is "input 9"'),
        ("1x1", 'what manuals call 1x1 is "discrete 0"'),
        ("0x0010", 'as a hexadecimal number it is 16: "holding 16", or another table; in manuals .* it is "coil 9"'),
        ("0x1F", 'as a hexadecimal number it is 31: "holding 31", or another table$'),
        ("holding 10h", 'write "holding 16"'),
        ("input 16#1F", 'write "input 31"'),
        ("HR0", 'write "holding 0"$'),
        ("HR 5", 'write "holding 5"; where the manual counts from 1, "holding 4"'),
        ("IR 5", 'write "input 5"; where the manual counts from 1, "input 4"'),
        ("DI:5", 'write "discrete 5"; where'),
        ("CO 5", 'write "coil 5"; where'),
        ("HR40001", 'what manuals call 40001 is "holding 0"'),
        ("%MW0", 'on Schneider\'s controllers %MW0 is "holding 0"; elsewhere'),
        ("%M5", 'on Schneider\'s controllers %M5 is "coil 5"'),
        ("%MD4", "a controller's own name; its manual says which Modbus register"),
        ("holding register 40", 'write "holding 40"'),
        ("Holding Registers 40001", 'what manuals call 40001 is "holding 0"'),
        ("holding40", 'write "holding 40"'),
        ("holding[40].2", 'write "holding 40.2"'),
        ("coils 3", 'write "coil 3"'),
        ("discrete input 3", 'write "discrete 3"'),
        ("FC3 40", 'write "holding 40"'),
        ("fc04:40", 'write "input 40"'),
        ("40", 'say which table: "holding 40", or input, coil, discrete'),
        *[
            (text, r"write \"\[unit N\] TABLE")
            for text in ("D100", "holding -1", "", "49999999", "4x0", "4x99999", "00000", "x" * 5000)
        ],
    ],
)
def test_what_manuals_and_other_tools_write_is_refused_with_what_is_meant(text, write):
    """The number that is meant, with unit, bit and order; where two may be meant, both; of what is not known, the form."""
    with pytest.raises(ValueError, match=f"is no Modbus address; {write}"):
        parse_address(text)


def test_what_is_proposed_is_an_address():
    """Whatever follows "write" or "is", in quotes, can be written."""
    for text in ("40001.3", "unit 2 40003 CDAB", "HR 5", "holding register 40", "%MW7", "0x0010", "FC3 40", "40"):
        with pytest.raises(ValueError, match="is no Modbus address") as refused:
            parse_address(text)
        proposed = re.findall(r'"([^"]+)"', str(refused.value))[1:]
        assert proposed
        assert all(parse_address(address) for address in proposed)


def test_text_names_all_registers():
    """Two float32 take four registers; a bit takes a sixteenth of one."""
    assert parse_address("holding 40").text("float32", 2) == "holding 40..43"
    assert len(parse_address("holding 40").span("float32", 2)) == 64
    assert parse_address("holding 7.3").text("bool", 1) == "holding 7.3"
    assert len(parse_address("holding 7.3").span("bool", 1)) == 1
