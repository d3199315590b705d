"""XML files of others, hostile ones too."""

import pytest

from station.errors import ScanError
from station.scans.shared.foreign_xml import DEEPEST, bytes_of, number_of, parse, read_xml

LAUGHS = (
    b'<!DOCTYPE lolz [<!ENTITY a "lol">'
    + b"".join(b'<!ENTITY %c "%s">' % (c + 1, b"&%c;" % c * 10) for c in b"abcdefghi")
    + b"]><masters>&j;</masters>"
)
HOSTILE = {
    "billion laughs": LAUGHS,
    "a file of ours": b'<!DOCTYPE m [<!ENTITY x SYSTEM "file:///etc/passwd">]><masters>&x;</masters>',
    "a file of another computer": b'<!DOCTYPE m SYSTEM "http://192.0.2.1/x.dtd"><masters/>',
    "a parameter entity": b'<!DOCTYPE m [<!ENTITY % x SYSTEM "file:///dev/random"> %x;]><masters/>',
    "a swelling default": b'<!DOCTYPE m [<!ATTLIST masters a CDATA "b">]><masters/>',
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_a_document_type_is_refused(data, tmp_path):
    """Whatever it declares, before anything of it is expanded or fetched."""
    path = tmp_path / "bus.xml"
    path.write_bytes(data)
    with pytest.raises(ScanError, match="document type"):
        read_xml(path)


def test_limits(tmp_path):
    """Elements within elements without end, and files that are none, are refused; each says where."""
    with pytest.raises(ValueError, match="nested"):
        parse(b"<a>" * (DEEPEST + 1))
    path = tmp_path / "bus.xml"
    for data, words in (
        (b"<masters>\n<slave", "line 2, column 1"),
        (b"", "no element found"),
        (b"\xff\xfe\0x", "is no XML"),
        (b"<a>&x;</a>", "entity"),
        (b'<?xml version="1.0" encoding="x"?><a/>', "is no XML|refused"),
    ):
        path.write_bytes(data)
        with pytest.raises(ScanError, match=words):
            read_xml(path)
    with pytest.raises(ScanError, match="cannot be read"):
        read_xml(tmp_path / "none.xml")
    with pytest.raises(ScanError, match="cannot be read"):
        read_xml(tmp_path)


def test_names_without_their_namespace():
    """Some tools write one, most do not."""
    root = parse(b'<x:a xmlns:x="urn:y" x:k="1"><x:b>t<!-- no --> u</x:b></x:a>')
    assert (root.tag, root.get("k"), root.find("b").text) == ("a", "1", "t u")


@pytest.mark.parametrize(
    ("text", "base", "expected"),
    [
        ("16", 10, 16),
        ("16", 16, 0x16),
        ("#x1A00", 10, 0x1A00),
        ("0x1a00", 10, 0x1A00),
        (" 7 ", 10, 7),
        ("-1", 10, 0xFFFF),
        ("6C40", 16, 0x6C40),
    ],
)
def test_numbers(text, base, expected):
    """Decimal, hexadecimal, and negative ones as their bits."""
    assert number_of(text, "x", 0, 0xFFFF, base) == expected


@pytest.mark.parametrize("text", ["", "x", "1.5", "0x", "65536", "--1", "1_0", "-65537", "9" * 30, "٣"])
def test_what_is_no_number(text):
    """It says what it is of."""
    with pytest.raises(ScanError, match="the thing"):
        number_of(text, "the thing", 0, 0xFFFF)


def test_bytes():
    """With or without space between them."""
    assert bytes_of("0a 00\n05", "x") == bytes_of("0A0005", "x") == b"\x0a\0\5"
    with pytest.raises(ScanError, match="two for a byte"):
        bytes_of("0a0", "x")
