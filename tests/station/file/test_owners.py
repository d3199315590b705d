"""Which task exchanges with a link in its cycle, and what is said where that is not clear."""

import pytest

from station.errors import StationFileError
from station.file.owners import owner_of
from station.file.reading import read_station

STATION = """
[station]
name = "n"
[links.io]
type = "modbus-tcp"
host = "127.0.0.1"
cycle = "1 ms"
timeout = "100 ms"
{link}
[tags]
x = {{ address = "holding 0", type = "float32" }}
u = {{ address = "holding 10", type = "float32", direction = "out" }}
v = {{ address = "holding 12", type = "float32", direction = "out" }}
[tasks.a]
cycle = "1 ms"
inputs = ["x"]
outputs = ["u"]
step = {{ type = "linear", matrix = [[1.0]] }}
{more}
"""
WRITES_TOO = """
[tasks.b]
cycle = "2 ms"
inputs = ["x"]
outputs = ["v"]
step = { type = "linear", matrix = [[1.0]] }
"""
IN_CYCLE = 'exchange = "in-cycle"\n'


def messages(tmp_path, link, more=""):
    """(owner, what is wrong with the file)."""
    file = tmp_path / "station.toml"
    file.write_text(STATION.format(link=link, more=more))
    try:
        return owner_of(read_station(file).config, "io"), ""
    except StationFileError as error:
        return None, str(error)


def test_the_only_task_that_uses_a_link_has_it(tmp_path):
    """Nothing has to be said."""
    assert messages(tmp_path, IN_CYCLE) == ("a", "")


@pytest.mark.parametrize(
    ("link", "more", "said"),
    [
        (
            IN_CYCLE,
            WRITES_TOO,
            'needs one task that reads and writes the device: a, b use it; say which: task = "NAME"',
        ),
        (IN_CYCLE + 'task = "c"', "", 'unknown task "c"'),
        ('task = "a"', "", 'only with exchange = "in-cycle" a task exchanges with the link'),
        (IN_CYCLE + "fc23 = true", "", "would send each output a cycle later; leave it out"),
    ],
    ids=["two writers", "no such task", "a thread of its own", "fc23"],
)
def test_what_is_not_clear_is_said(tmp_path, link, more, said):
    """Each message names what to write instead."""
    assert said in messages(tmp_path, link, more)[1]


def test_the_key_decides_between_two(tmp_path):
    """Where two write, `task` says which of them exchanges."""
    assert messages(tmp_path, IN_CYCLE + 'task = "b"', WRITES_TOO) == ("b", "")
