"""A record is linked to the one before; its line is byte for byte what was written."""

import hashlib
import json

import pytest

from plc_bindings.security import chain
from plc_bindings.security.chain import START, Head, link, parse


def test_a_hash_is_that_of_the_canonical_json_of_the_record_without_it():
    """Whoever has no rt-engine can compute it: keys sorted, no spaces, ASCII; text of others cannot end a line."""
    line, head = link({"who": "Jörg\n\x7f", "what": "model", "times": 2}, Head(16, "ab" * 32))
    record = json.loads(line)
    plain = f'{{"number":17,"previous":"{"ab" * 32}","times":2,"what":"model","who":"J\\u00f6rg\\n\\u007f"}}'
    assert record["hash"] == head.hash == hashlib.sha256(plain.encode()).hexdigest()
    assert (record["number"], head.number, line.count(b"\n"), b"\x7f" in line) == (17, 17, 1, False)


@pytest.mark.parametrize(
    ("old", "new"), [(b'"who"', b'"who" '), (b'{"who": "a"', b'{"who": "b", "who": "a"'), (b'"a"', b'"\\u0061"')]
)
def test_a_line_that_means_the_same_but_reads_otherwise_is_not_sound(tmp_path, old, new):
    """Another space, a key twice, an escape where none was: a person would read something else."""
    path = tmp_path / "log"
    line, _ = link({"who": "a"}, START)
    path.write_bytes(line)
    assert chain.lines_of(path)[0].is_sound
    path.write_bytes(line.replace(old, new))
    (found,) = chain.lines_of(path)
    assert found.entry["who"] == "a" and not found.is_sound


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\0\0\0\n",
        b'{"time": "2026',
        b"[" * 100_000,
        b'{"number": 1}',
        b'{"number": true, "previous": "%s", "hash": "%s"}' % (b"0" * 64, b"0" * 64),
        b'{"number": 0, "previous": "%s", "hash": "%s"}' % (b"0" * 64, b"0" * 64),
        b'{"number": 1, "previous": "%s", "hash": "0"}' % (b"0" * 64),
        b'{"number": 1, "previous": "%s", "hash": "%s", "x": [[]]}' % (b"0" * 64, b"0" * 64),
        b'{"number": %s}' % (b"9" * 5000),
    ],
)
def test_what_is_no_record_is_none(raw):
    assert parse(raw) is None


def test_files_are_in_the_order_of_their_numbers(tmp_path):
    path = tmp_path / "log"
    for name in ("log", "log.10", "log.9", "log.1", "log.x", "log.1.2", "other.3"):
        (tmp_path / name).touch()
    assert [file.name for file in chain.files(path)] == ["log.1", "log.9", "log.10", "log"]
    assert chain.files(tmp_path / "no" / "where") == ()
