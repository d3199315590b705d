"""A fault in native code of a task: the process ends, and says in which thread it was."""

import os
import subprocess
import sys
from contextlib import suppress

import pytest

from tests import ROOT

TASK = """
import resource, time
from rt_native.faults import tell_faults
from scheduler import Output, Scheduler, Task
from scheduler.steps import Step
from tests.scheduler.fakes import channel

resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
tell_faults()
step = Step.from_address(1, name="nowhere")
with Scheduler([Task(name="t", period_s=0.002, step=step, outputs=(Output(tensor=None, channel=channel(["y"], "out")),))]):
    time.sleep(30)
"""
LINK = """
import ctypes, resource, threading
from rt_native.faults import leave_signals, tell_faults

def run_here():
    leave_signals()
    ctypes.CFUNCTYPE(ctypes.c_int64)(1)()

resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
tell_faults()
thread = threading.Thread(target=run_here)
thread.start()
thread.join()
"""


@pytest.mark.parametrize("program", [TASK, LINK])
def test_a_fault_of_native_code_is_told_with_the_thread_that_made_it(program: str) -> None:
    """With the signal of its own fault blocked, the kernel ends it without a word."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, cwd=ROOT)
    assert done.returncode == -11, done.stderr
    current = done.stderr.partition("Current thread")[2].splitlines()
    assert "Fatal Python error: Segmentation fault" in done.stderr and "in run_here" in current[1], done.stderr


def test_a_fault_ends_the_process_though_nobody_reads_its_errors() -> None:
    """Who waits for a reader in the handler of the fault never ends: other threads would drive devices on without it."""
    reads, writes = os.pipe()
    os.set_blocking(writes, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writes, b" " * 4096)
    os.set_blocking(writes, True)
    done = subprocess.Popen([sys.executable, "-c", LINK], stderr=writes, cwd=ROOT)
    try:
        assert done.wait(60) == -11
    finally:
        done.kill()
        done.wait()
        os.close(reads)
        os.close(writes)
