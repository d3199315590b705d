"""Threads of tasks: prepares one, enters the native loop (`tasks_run` of `scheduler.cycle_native`), and is there to be waited for.

tasks      a: cpu 2, 1 ms, 80    b: cpu 2, 1 ms, 80    c: cpu 2, 1 ms, 60    d: 1 ms, any core
threads    a, b: a cycle of each at every tick         c                     d
"""

import threading
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from rt_native.faults import leave_signals
from rt_native.memory import Block
from scheduler.binding import TaskMemory
from scheduler.native import NATIVE
from scheduler.rights import Grant, use_cpu, use_exact_timers, use_fifo
from scheduler.task import Task


class Runner(Protocol):
    """What a thread needs of each of its tasks (`scheduler.runner.TaskRunner`)."""

    task: Task
    memory: TaskMemory

    def prepare(self) -> None:
        """As new, before the first tick."""

    def pick_versions(self, running: bool) -> None:
        """Does it take new versions of its model at its ticks?"""

    def revoke(self) -> bool:
        """Take its outputs and make them safe."""

    def end(self) -> None:
        """Its thread has ended, or hangs."""


class TaskThread:
    """The thread of some tasks of one period: at each tick it runs a cycle of each, the most urgent first."""

    def __init__(self, runners: Sequence[Runner]) -> None:
        self.runners = tuple(sorted(runners, key=lambda runner: -runner.task.priority))
        self._table = Block(8 * len(self.runners))
        self._table.view(np.int64, 0, len(self.runners))[:] = [runner.memory.address for runner in self.runners]
        self._run, self._prefault = NATIVE.function("tasks_run"), NATIVE.function("task_prefault_stack")
        self._thread: threading.Thread | None = None
        self.native_id = 0
        self.grants: tuple[Grant, ...] = ()

    @property
    def name(self) -> str:
        """That of its most urgent task."""
        return self.runners[0].task.name

    def start(self, ready: Callable[[], object]) -> None:
        """Start the thread; it calls `ready` when it is prepared, and then begins to cycle."""
        for runner in self.runners:
            runner.prepare()
        self._thread = threading.Thread(target=self._main, args=(ready,), name=f"rt-{self.name}", daemon=True)
        self._thread.start()

    def _main(self, ready: Callable[[], object]) -> None:
        leave_signals()
        self.native_id = threading.get_native_id()
        first = self.runners[0].task
        grants = [use_exact_timers(), use_fifo(first.priority)]
        if first.cpu is not None:
            grants.append(use_cpu(first.cpu))
        self.grants = tuple(grants)
        self._prefault()
        try:
            ready()
        except threading.BrokenBarrierError:  # another thread could not be had: nothing runs
            self._pick_versions(False)
            return
        self.run_here()

    def run_here(self) -> int:
        """Cycle in the calling thread until told to stop; gives the number of cycles of all its tasks."""
        self._pick_versions(True)
        try:
            return self._run(self._table.address, len(self.runners))
        finally:
            self._pick_versions(False)

    def _pick_versions(self, running: bool) -> None:
        for runner in self.runners:
            runner.pick_versions(running)

    @property
    def is_alive(self) -> bool:
        """Does it still run?"""
        return self._thread is not None and self._thread.is_alive()

    def join(self, timeout_s: float) -> bool:
        """Wait for it; True if it has ended, or was never had."""
        if self._thread is not None and self._thread.is_alive():
            self._thread.join(timeout_s)
        for runner in self.runners:
            runner.end()
        if self.is_alive:
            return False
        self._pick_versions(False)
        return True

    def revoke(self) -> None:
        """Take the outputs of all its tasks and make them safe: one that hangs holds the others."""
        for runner in self.runners:
            runner.revoke()


def shared(tasks: Sequence[Task]) -> list[list[Task]]:
    """Which tasks share a thread: those that name the same one; of the others those of equal core, period and priority.

    On one core a thread of equal priority (SCHED_FIFO) waits for the other's cycle to end anyway. It does not while the other
    waits for a device: a task with exchanges of its own shares a thread only where it is named.
    """
    groups: dict[object, list[Task]] = {}
    for number, task in enumerate(tasks):
        key: object = number
        if task.thread is not None:
            key = task.thread
        elif task.cpu is not None and not task.exchanges:
            key = (task.cpu, task.period_ns, task.priority)
        groups.setdefault(key, []).append(task)
    return list(groups.values())
