"""What the kernel counts, read from files that a test made; where there are none, nothing, and no error."""

import struct

import pytest

from station.latency.sources import Counter, Scene, read_all, sources
from station.machine.computer import Computer

STAT = "7 (burner) x) R 1 " + " ".join(map(str, range(3, 38))) + " {priority} {policy} 0"
FILES = {
    "proc/interrupts": "     CPU0 CPU1\n 36:  1  900  PCI-MSI 1-edge  disk\nLOC:  5 6 Local timer interrupts\nERR:  0\n",
    "proc/softirqs": "     CPU0 CPU1\n NET_RX:  3 4\n",
    "proc/stat": "cpu  1 0 0 0 0 0 0 5 0 0\ncpu0 1 0 0 0 0 0 0 2 0 0\ncpu1 1 0 0 0 0 0 0 3 0 0\n",
    "proc/self/task/42/stat": "42 (rt-axis) S " + " ".join(map(str, range(40))),
    "proc/self/task/42/status": "Name:\taxis\nvoluntary_ctxt_switches:\t9\nnonvoluntary_ctxt_switches:\t4\n",
    "proc/self/task/42/schedstat": "100 77 3\n",
    "proc/7/task/7/stat": STAT.format(priority=95, policy=1),
    "proc/7/task/7/schedstat": "123456 1 1\n",
    "proc/8/task/8/stat": STAT.format(priority=10, policy=1),
    "proc/8/task/8/schedstat": "9 1 1\n",
    "proc/6/task": "a process that ends while we look: no folder any more\n",
    "proc/9/task/9/stat": STAT.format(priority=0, policy=0),
    "proc/9/task/9/schedstat": "9 1 1\n",
    "sys/devices/system/cpu/cpu1/thermal_throttle/core_throttle_count": "6\n",
    "sys/devices/system/cpu/cpu1/cpufreq/scaling_cur_freq": "1200000\n",
    "sys/devices/system/cpu/cpu1/cpuidle/state0/latency": "2\n",
    "sys/devices/system/cpu/cpu1/cpuidle/state1/latency": "133\n",
    "sys/devices/system/cpu/cpu1/cpuidle/state1/name": "C6\n",
    "sys/devices/system/cpu/cpu1/cpuidle/state1/usage": "8\n",
}


@pytest.fixture
def scene(tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "dev/cpu/1").mkdir(parents=True)
    (tmp_path / "dev/cpu/1/msr").write_bytes(bytes(0x34) + struct.pack("<Q", 0xF_0000_0011))
    return Scene(Computer(tmp_path), (1,), {"axis": 42})


@pytest.mark.parametrize(
    ("counter", "value"),
    [
        (Counter("interrupt", "cpu1", "36 disk"), 900),
        (Counter("interrupt", "cpu1", "LOC Local timer interrupts"), 6),
        (Counter("softirq", "cpu1", "NET_RX"), 4),
        (Counter("steal", "cpu1", "ms"), 30),
        (Counter("fault", "axis", "minor page faults"), 6),
        (Counter("fault", "axis", "major page faults"), 8),
        (Counter("preempted", "axis", "times"), 4),
        (Counter("waited", "axis", "ns"), 77),
        (Counter("rival", "", "burner) x (FIFO 95, pid 7)"), 123456),
        (Counter("smi", "cpu1", "count"), 17),
        (Counter("throttle", "cpu1", "core_throttle_count"), 6),
        (Counter("frequency", "cpu1", "MHz below"), -1200),
        (Counter("sleep", "cpu1", "C6"), 8),
    ],
)
def test_a_counter_is_read(scene, counter, value):
    assert read_all(scene)[counter] == value


def test_only_what_concerns_the_tasks_is_read(scene):
    """No other core, no thread of lower priority, no shallow sleep."""
    found = read_all(scene)
    assert not [c for c in found if c.where == "cpu0"]
    assert len([c for c in found if c.source == "rival"]) == 1
    assert len([c for c in found if c.source == "sleep"]) == 1


def test_a_machine_without_these_files_has_nothing(tmp_path):
    assert read_all(Scene(Computer(tmp_path), (0,), {"axis": 1})) == {}


def test_files_in_an_unknown_form_are_left_out(scene, tmp_path):
    """What the others tell stays."""
    (tmp_path / "proc/stat").write_text("cpu1 1 0 0 0 0 0 0 many 0 0\n")
    found = read_all(scene)
    assert not [c for c in found if c.source == "steal"]
    assert [c for c in found if c.source == "interrupt"]


@pytest.mark.parametrize("source", sources(), ids=lambda source: source.name)
def test_each_says_what_it_tells_and_what_would_grant_it(source):
    assert source.what
    assert source.lacks
