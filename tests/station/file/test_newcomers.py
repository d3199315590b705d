"""Mistakes of who programs PLCs and sees a station file for the first time: one message each, which says what to write."""

import pytest

from station.errors import StationFileError
from station.file.reading import read_station

GOOD = """\
[links.plant]
type = "modbus-tcp"
host = "192.168.10.5"

[tags]
level = { address = "input 0" }
valve = { address = "holding 0", direction = "out", low = 0, high = 100 }

[tasks.c]
cycle = "10 ms"
inputs = ["level"]
outputs = ["valve"]
step = { type = "pid", gain = 2, setpoint = 40 }
"""
CASES = {
    "a type of a PLC": ('"input 0"', '"input 0", type = "REAL"', 6, '"REAL" is not allowed; did you mean "float32"?'),
    "a long word": ('direction = "out"', 'direction = "output"', 7, '"output" is not allowed; did you mean "out"?'),
    "a host with its port": ("192.168.10.5", "192.168.10.5:503", 3, 'write "192.168.10.5", and port = 503'),
    "a URL": ("192.168.10.5", "tcp://192.168.10.5", 3, "its name or its address alone"),
    "an address that is none": ("192.168.10.5", "192.168.10.500", 3, "four numbers from 0 to 255"),
    "two of one name": ("valve =", "level =", 7, "stands only once"),
    "a negative time": ('"10 ms"', '"-10 ms"', 10, "a duration must be greater than zero"),
    "capitals": ('"pid"', '"PID"', 13, "did you mean 'pid'?"),
    "a ready step as a text": (
        'step = { type = "pid", gain = 2, setpoint = 40 }',
        'step = "pid"',
        13,
        'a ready step is a table: { type = "pid", ... }',
    ),
    "half a key": (
        'cycle = "10 ms"\n',
        'cycle = "10 ms"\nguard = { on_bad_in = "hold" }\n',
        11,
        'did you mean "on_bad_input"?',
    ),
    "half a key of two": (
        'cycle = "10 ms"\n',
        'cycle = "10 ms"\nguard = { on_bad = "hold" }\n',
        11,
        'did you mean "on_bad_',
    ),
    "a setpoint that is a tag": ("setpoint = 40", 'setpoint = "level"', 13, 'must be a number, got "level"'),
    "a matrix without rows": (
        'type = "pid", gain = 2, setpoint = 40',
        'type = "linear", matrix = [0.5]',
        13,
        "must be an array, got 0.5",
    ),
    "a matrix of texts": (
        'type = "pid", gain = 2, setpoint = 40',
        'type = "linear", matrix = [["a"]]',
        13,
        'must be a number, got "a"',
    ),
    "no rise": ('type = "pid", gain = 2, setpoint = 40', 'type = "ramp", up = 0', 13, "must be greater than 0, got 0"),
}


@pytest.mark.parametrize("case", CASES)
def test_one_mistake_is_one_message(case, tmp_path):
    """With its line, what to write, and nothing that only follows from it."""
    old, new, line, words = CASES[case]
    path = tmp_path / "station.toml"
    path.write_text(GOOD.replace(old, new), encoding="utf-8")
    with pytest.raises(StationFileError) as caught:
        read_station(path)
    found = [(p.line, p.message) for p in caught.value.problems if p.severity == "error"]
    followed = 1 if case == "a long word" else 0  # the task has no output then
    assert len(found) == 1 + followed, found
    assert found[0][0] == line
    assert words in found[0][1]


@pytest.mark.parametrize("host", ["plc-4", "plc.example", "::1", "fe80::1", "127.0.0.1", "10.1"])
def test_hosts_are_names_and_addresses(host, tmp_path):
    """None of these is refused."""
    path = tmp_path / "station.toml"
    path.write_text(GOOD.replace("192.168.10.5", host), encoding="utf-8")
    read_station(path)
