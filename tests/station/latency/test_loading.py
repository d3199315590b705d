"""Loads end: when they are told to, with their parent however it dies, and by themselves."""

import os
import signal
import subprocess
import sys

import pytest

from station.latency.loading import Loading, named
from station.latency.loads import loads
from tests.processes import is_running, open_files
from tests.waiting import wait_for

PARENT = """\
import sys, time
from station.latency.loading import Loading, named
with Loading(named("io,network"), [{core}], 60) as loading:
    print(*loading.pids, flush=True)
    time.sleep(60)
"""


def works(pid):
    """Does it write its file without a name, or talk to itself?"""
    opened = [name for _, name in open_files(pid)]
    return any("(deleted)" in name for name in opened) or sum("socket" in name for name in opened) >= 3


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_loads_end_when_their_parent_is_killed(number):
    """A parent that has no time to end them."""
    core = min(os.sched_getaffinity(0))
    parent = subprocess.Popen([sys.executable, "-c", PARENT.format(core=core)], stdout=subprocess.PIPE, text=True)
    pids = [int(word) for word in parent.stdout.readline().split()]
    assert len(pids) == 2
    wait_for(lambda: all(map(works, pids)))
    parent.send_signal(number)
    parent.wait()
    wait_for(lambda: not any(map(is_running, pids)))


def test_loads_end_at_exit_and_leave_nothing(tmp_path):
    """All kinds at once; each says what it is."""
    kinds = named("all")
    with Loading(kinds, sorted(os.sched_getaffinity(0))[:1], 60) as loading:
        pids = loading.pids
        assert len(pids) == len(kinds)
    assert not any(map(is_running, pids))
    assert [loaded.name for loaded in loading.loaded()] == list(loads())
    assert all(loaded.what and not loaded.failed for loaded in loading.loaded())


def test_a_load_that_ends_early_is_told():
    """Somebody killed it: the measurement says that it was not loaded all the time."""
    with Loading(named("timer"), sorted(os.sched_getaffinity(0))[:1], 60) as loading:
        os.kill(loading.pids[0], signal.SIGKILL)
        wait_for(lambda: not loading.pids)
    assert "ended early" in loading.loaded()[0].failed


@pytest.mark.parametrize("name", list(loads()))
def test_a_load_ends_when_it_is_told_to(name):
    """In this process: a few turns of its work."""
    turns = iter([True, True, False, False])
    loads()[name].work(None, lambda: next(turns, False))


def test_names():
    """In the order of the folder; unknown ones are refused with those that there are."""
    assert [load.name for load in named("io, cpu")] == ["cpu", "io"]
    assert len(named("all")) == len(loads()) >= 5
    with pytest.raises(ValueError, match='no load "disk"; there are cpu, memory'):
        named("disk")
