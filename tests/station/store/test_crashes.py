"""Wherever an update of the store is ended, or its disk refuses it, one of the two versions is there, whole: by strace's list."""

import subprocess
import sys

import pytest

from tests import ROOT, need
from tests.station.store.crashes import NO_TRACE

pytestmark = pytest.mark.peer("strace")


def crashes(*options):
    """Some of the places, in a process with one thread; all of them: `python -m tests.station.store.crashes`."""
    command = [sys.executable, "-m", "tests.station.store.crashes", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode == NO_TRACE:
        need.lacking("the right to trace processes", "allow ptrace, in a container by --cap-add=SYS_PTRACE")
    assert not done.stderr, done.stderr
    return done.returncode, done.stdout


def test_one_of_the_two_versions_is_there():
    code, said = crashes("--part", "79")
    assert code == 0 and said.endswith("\n0 wrong\n"), said
    assert said.count(" tried: ") == 4 * 9


def test_without_an_fsync_it_is_found_out():
    code, said = crashes("--unsynced", "--scenario", "update", "--only", "power", "--part", "7")
    assert code == 1 and "old behind ['done COMMITTED'], not [('new', 'new')]" in said, said
