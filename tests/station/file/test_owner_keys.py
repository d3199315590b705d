"""What is said of links that a task exchanges with in its cycle, and of its I/O deadline."""

import pytest

from station.errors import StationFileError
from station.file.reading import read_station
from tests.station.file.test_reactions import NATIVE

IN_CYCLE = 'exchange = "in-cycle"\n'


def read(folder, link, task=""):
    """The station file with these keys in its link, and in its task."""
    file = folder / "station.toml"
    file.write_text(NATIVE.format(cycle="1 ms", extra=link).replace('inputs = ["x"]', f'{task}\ninputs = ["x"]'))
    return read_station(file)


@pytest.mark.parametrize(
    ("link", "task", "said"),
    [
        (IN_CYCLE + "priority = 50", "", "links.io.priority: only a link with a thread of its own has it"),
        (IN_CYCLE + "cpu = 1", "", "links.io.cpu: only a link with a thread of its own has it"),
        (
            IN_CYCLE,
            'io_deadline = "3 ms"',
            "io_deadline: must be above 0 and at most the cycle: it is 3 ms, and the cycle is 1 ms",
        ),
        ("", 'io_deadline = "3 ms"', "io_deadline: must be above 0 and at most the cycle"),
        ('task = "t"', "", 'links.io.task: only with exchange = "in-cycle"'),
    ],
)
def test_what_has_no_place_there_is_refused(tmp_path, link, task, said):
    """With the key of the file."""
    with pytest.raises(StationFileError) as refused:
        read(tmp_path, link, task)
    assert said in str(refused.value)


def test_a_deadline_without_a_device_is_a_warning(tmp_path):
    """The task waits for nobody; with a link in its cycle there is nothing to say, up to the whole cycle."""
    (warning,) = read(tmp_path, "", 'io_deadline = "200 us"').warnings
    assert (warning.key, "nothing to wait for" in warning.message) == ("tasks.t.io_deadline", True)
    assert not read(tmp_path, IN_CYCLE, 'io_deadline = "1 ms"').warnings
    assert not read(tmp_path, "priority = 50\ncpu = 0").warnings
