"""What is granted, and what is said when it is not."""

import ctypes
import os
import resource
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from scheduler import rights
from scheduler.rights import CpuLatency, Grant, lock_memory, throttling, use_cpu, use_exact_timers
from tests import ROOT
from tests.processes import open_files

_PR_CAPBSET_DROP = 24


def without_rights() -> None:
    """In the child, before it starts Python: no capability can be had any more, and no limits above the usual ones."""
    libc = ctypes.CDLL(None)
    for capability in range(64):
        libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
    resource.setrlimit(resource.RLIMIT_RTPRIO, (0, 0))
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (65536, 65536))


def test_without_rights_tasks_run_and_say_what_is_missing() -> None:
    """In a process without real-time rights the task ticks; each missing grant has its reason and how to grant it."""
    program = """
        import time
        from scheduler import Scheduler, Task
        until = time.monotonic() + 60
        with Scheduler([Task(name="t", period_s=0.001)]) as scheduler:
            while scheduler.stats()["t"].cycles <= 30 and time.monotonic() < until:
                time.sleep(0.01)
        s = scheduler.stats()["t"]
        print(s.cycles, s.cycles + s.missed == (s.due_ns - s.first_due_ns) // s.period_ns)
        for grant in scheduler.rights:
            print(grant)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        preexec_fn=without_rights,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    first, *grants = done.stdout.splitlines()
    assert int(first.split()[0]) > 30
    assert first.endswith("True")
    said = {line.split(":")[0]: line for line in grants}
    assert "NOT granted: Operation not permitted" in said["SCHED_FIFO 80"]
    assert "ulimit" in said["SCHED_FIFO 80"]
    assert "LimitRTPRIO=99" in said["SCHED_FIFO 80"]
    assert "--cap-add=SYS_NICE --ulimit rtprio=99" in said["SCHED_FIFO 80"]
    assert "NOT granted" in said["locked memory"]
    assert "memlock" in said["locked memory"]
    assert "timer slack 1 ns: granted" in said["timer slack 1 ns"]  # needs no right


def test_a_grant_in_words() -> None:
    """Granted: what for. Not granted: why, and how to grant it."""
    assert str(Grant("x", True, "it helps")) == "x: granted (it helps)"
    assert str(Grant("x", False, "no; it helps", "do y")) == "x: NOT granted: no; it helps. To grant it: do y"


def test_a_core_that_does_not_exist_is_not_granted() -> None:
    """An impossible core: not granted, the possible ones are named, and the thread stays where it was."""
    before = os.sched_getaffinity(0)
    for cpu in (1000, 10**20):  # the second is no number that the system call takes
        grant = use_cpu(cpu)
        assert not grant.granted
        assert str(sorted(before)) in grant.how_to_grant
    assert os.sched_getaffinity(0) == before


def test_cpu_latency_is_held_and_released(tmp_path: Path) -> None:
    """Held: 0 us written to the device, which stays open; released: closed. A missing device is not granted."""
    device = tmp_path / "cpu_dma_latency"
    device.write_bytes(b"")
    latency = CpuLatency(str(device))
    assert latency.hold().granted
    assert device.read_bytes() == bytes(4)
    assert str(device) in dict(open_files()).values()
    latency.release()
    assert str(device) not in dict(open_files()).values()
    refused = CpuLatency(str(tmp_path / "none")).hold()
    assert not refused.granted
    assert "/dev/cpu_dma_latency" in refused.how_to_grant


def test_exact_timers_are_set() -> None:
    """The kernel tells the slack of the thread that asked: 1 ns."""
    assert use_exact_timers().granted
    assert ctypes.CDLL(None).prctl(30, 0, 0, 0, 0) == 1  # PR_GET_TIMERSLACK


def test_locked_memory_does_not_grow_the_process() -> None:
    """A fresh mapping is not made resident by the lock, only by being touched."""
    import mmap

    grant = lock_memory()
    if not grant.granted:
        pytest.skip(str(grant))
    before = resident_kib()
    area = mmap.mmap(-1, 64 << 20)
    assert resident_kib() - before < 32 << 10
    area.close()
    ctypes.CDLL(None).munlockall()


def resident_kib() -> int:
    line = next(s for s in Path("/proc/self/status").read_text().splitlines() if s.startswith("VmRSS"))
    return int(line.split()[1])


def test_throttling_tells_the_share() -> None:
    """The grant quotes the kernel's own setting."""
    runtime = int(Path("/proc/sys/kernel/sched_rt_runtime_us").read_text())
    grant = throttling()
    if runtime < 0:
        assert grant.granted
    else:
        share = 100 * runtime // int(Path("/proc/sys/kernel/sched_rt_period_us").read_text())
        assert f"{share} %" in grant.why


@pytest.mark.parametrize(("users", "has"), [("0 0 4294967295", True), ("0 1000 1\n1 100000 65536", False)])
def test_a_capability_within_a_namespace_of_users_is_none(tmp_path, users, has):
    """A rootless engine gives CAP_SYS_NICE, and the kernel refuses SCHED_FIFO all the same."""
    itself = tmp_path / "proc/self"
    itself.mkdir(parents=True)
    (itself / "status").write_text(f"CapEff:\t{1 << 23:016x}\n")
    (itself / "uid_map").write_text(f"  {users}\n")
    assert rights._has_capability(23, tmp_path) is has
