"""A number that survives a restart."""

import pytest

from plc_bindings.mqtt.remembered import Remembered


def test_the_next_process_counts_on(tmp_path):
    file = tmp_path / "number"
    assert Remembered(file, 255, 255).value == 255
    Remembered(file, 255, 255).keep(7)
    assert Remembered(file, 255, 255).value == 7
    assert [path.name for path in tmp_path.iterdir()] == ["number"] and file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", [b"", b"x", b"256", b"-1", b"1.5", b"9" * 100, b"\xff\n"])
def test_what_is_no_such_number_is_none(tmp_path, text):
    file = tmp_path / "number"
    file.write_bytes(text)
    assert Remembered(file, 3, 255).value == 3


def test_where_nothing_can_be_written_it_is_kept_in_memory(tmp_path):
    for file in (None, tmp_path / "missing" / "number"):
        number = Remembered(file, 3, 255)
        number.keep(4)
        assert number.value == 4
