"""The text of a node id is read once, strictly, and written back the same."""

import pytest

from fieldbus.errors import AddressError
from fieldbus.opcua.address import parse

GOOD = [
    "ns=2;s=Line.Speed",
    "nsu=http://example.org/line;s=Line.Speed",
    "nsu=http://example.org/line;index=3;s=Line;x=1",
    "ns=4;i=4294967295",
    "ns=1;g=09087e75-8e5e-499b-954f-f2a9603db28a",
    "ns=1;b=M/RbKBsRVkePCePcx24oRA==",
    "i=2258",
    "ns=2;path=Line/3:Speed",
]


@pytest.mark.parametrize("text", GOOD)
def test_a_node_is_read_and_written_back(text):
    assert parse(text).text == text == parse(f"  {text} ").place


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is no node"),
        ("Line.Speed", "is no node"),
        ("ns=2", "is no node"),
        ("ns=x;s=a", "is no node"),
        ("ns=70000;s=a", "65535"),
        ("ns=2;i=4294967296", "a number"),
        ("ns=2;i=x", "a number"),
        ("ns=2;g=1234", "GUID"),
        ("ns=2;b=%%", "base64"),
        ("ns=2;path=a//b", "names with one /"),
        ("ns=2;s=", "is no node"),
    ],
)
def test_what_is_none_is_refused_with_the_form(text, words):
    with pytest.raises(AddressError, match=words):
        parse(text)


def test_a_path_is_names_of_its_namespace_or_of_their_own():
    assert parse("ns=2;path=Line/3:Speed/a&/b").names == [(None, "Line"), (3, "Speed"), (None, "a/b")]
