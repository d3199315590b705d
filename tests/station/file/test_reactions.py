"""What `check` says of the time from an input's arrival to its output."""

from station.file.reactions import expected
from station.file.reading import read_station
from tests.station.stations import write_station

NATIVE = """
[station]
name = "n"
[links.io]
type = "modbus-tcp"
host = "127.0.0.1"
cycle = "1 ms"
timeout = "100 ms"
{extra}
[tags]
x = {{ address = "holding 0", type = "float32" }}
u = {{ address = "holding 10", type = "float32", direction = "out" }}
[tasks.t]
cycle = "{cycle}"
inputs = ["x"]
outputs = ["u"]
step = {{ type = "linear", matrix = [[1.0]] }}
"""


def reactions(tmp_path, cycle="1 ms", extra=""):
    file = tmp_path / "station.toml"
    file.write_text(NATIVE.format(cycle=cycle, extra=extra))
    return list(expected(read_station(file).config))


def test_two_clocks_are_waited_for(tmp_path):
    """A link with a thread of its own: a cycle of each, and the advice that makes it one."""
    (reaction,) = reactions(tmp_path, "2 ms")
    assert str(reaction) == "t -> io: at most 3 ms: the task's cycle, 2 ms, and the link's, 1 ms"
    assert 'exchange = "in-cycle" in [links.io]' in reaction.advice


def test_in_the_cycle_it_is_one(tmp_path):
    """The task's own cycle, and nothing to be said."""
    (reaction,) = reactions(tmp_path, extra='exchange = "in-cycle"')
    assert (reaction.most_ns, reaction.advice) == (1_000_000, "")
    assert str(reaction) == "t -> io: at most 1 ms: read, computed and written within the task's cycle, 1 ms"


def test_another_task_is_not_told_what_the_file_says_already(tmp_path):
    """The link is in a task's cycle, not in this one's: its output waits for both, and the advice would change nothing."""
    other = """
v = { address = "holding 12", type = "float32", direction = "out" }
[tasks.slow]
cycle = "10 ms"
inputs = ["x"]
outputs = ["v"]
step = { type = "linear", matrix = [[1.0]] }
[tasks.t]"""
    file = tmp_path / "station.toml"
    text = NATIVE.format(cycle="1 ms", extra='exchange = "in-cycle"\ntask = "t"')
    file.write_text(text.replace("[tasks.t]", other, 1))
    told = {reaction.task: (reaction.most_ns, reaction.advice) for reaction in expected(read_station(file).config)}
    assert told == {"t": (1_000_000, ""), "slow": (11_000_000, "")}


def test_a_slow_link_gets_no_advice(tmp_path):
    """Where the device is slower than the task, the thread of its own is right."""
    (reaction,) = reactions(tmp_path, cycle="500 us")
    assert (reaction.most_ns, reaction.advice) == (1_500_000, "")


def test_a_simulation_has_its_cycle_too(tmp_path):
    """Every cyclic link, whatever its kind; no advice that it cannot take."""
    config = read_station(write_station(tmp_path)).config
    assert all(not reaction.advice and reaction.most_ns > 0 for reaction in expected(config))
