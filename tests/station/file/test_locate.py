"""Lines of TOML key paths."""

import tomllib

import pytest

from station.file.locate import Lines
from tests import ROOT

TEXT = '''# a comment = [ not a table
[station]
name = "a # b"

[links.'p.q']
type = "x" # = ]
text = """first
"quoted" = 3
"""""

tags.x = { link = "p", n = [1, # one
  2, { q = "]", w.e = 2 },
] }

[[row]]
a = 1
[[row]]
a = 1979-05-27 07:32:00
[row.sub]
c = 'C:\\'
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("station",), 2),
        (("station", "name"), 3),
        (("links", "p.q", "type"), 6),
        (("links", "p.q", "text"), 7),
        (("links", "p.q", "tags", "x", "link"), 11),
        (("links", "p.q", "tags", "x", "n", 0), 11),
        (("links", "p.q", "tags", "x", "n", 1), 12),
        (("links", "p.q", "tags", "x", "n", 2, "w", "e"), 12),
        (("row", 0, "a"), 16),
        (("row", 1, "a"), 18),
        (("row", 1, "sub", "c"), 20),
    ],
)
def test_line_of_a_key(path, line):
    """Every key, array element and table is found where it stands, whatever strings and comments hold."""
    assert Lines(TEXT).of(path) == line


def test_a_missing_key_is_at_its_table():
    """A key that the file does not have is reported at the nearest table above it."""
    assert Lines(TEXT).of(("station", "report")) == 2
    assert Lines(TEXT).of(("nowhere", "at", "all")) == 1


def _paths(value, path=()):
    yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _paths(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _paths(inner, (*path, index))


@pytest.mark.parametrize("text", [TEXT, (ROOT / "pyproject.toml").read_text()])
def test_scanner_finds_exactly_the_paths_of_tomllib(text):
    """The scanner and tomllib agree on which keys a file has."""
    assert set(_paths(tomllib.loads(text))) - {()} == set(Lines(text)._lines)
