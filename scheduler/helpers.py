"""Helper threads of a task: real-time threads on cores of their own, which work on the records of its model that are cut for them.

    tick    task    sleep ------> cycle: read, model, guard, write ------> sleep
            helper  sleep ------> spin: pieces of the model, until the cycle is over ------> sleep

Each sleeps to the tick by itself: nobody is woken in the cycle (`rt_engine.run.team_native`). Their priority is one below the
task's, and they never share its core: one that spins there would keep the task from its own cycle.
"""

import os
import threading
from typing import TYPE_CHECKING

from rt_engine.run.distance import NEAR_NS, farthest_ns
from rt_engine.run.native import KERNELS
from rt_engine.run.team import Helpers, Team
from rt_native.faults import leave_signals
from rt_native.histogram import Histogram
from scheduler.clock import Clock, system_clock
from scheduler.errors import SchedulerError
from scheduler.rights import MORE_CORES, Grant, use_cpu, use_exact_timers, use_fifo
from scheduler.task import Task

if TYPE_CHECKING:
    from rt_engine import Context

START_PATIENCE_S = 5.0
NEAR_CORES = "take cores that share a last-level cache (`lscpu -e`, column L3)"
CALLED = ("help_task", "fan_out", "begin_run")
"""Exports by which helpers work, whatever models come."""


class TaskHelpers:
    """The helpers of one task. Contexts join before the task runs them; threads live from `start` to `stop`."""

    def __init__(self, task: Task, clock: Clock) -> None:
        self._task, self._clock = task, clock
        # Now, not in a thread of a helper: the compiler would have its priority, its core and its blocked signals.
        KERNELS.need(CALLED)
        is_real = clock.sleep == system_clock().sleep
        line_ns = farthest_ns(task.cpu, task.helper_cpus) if is_real else NEAR_NS
        self.team = Team(task.threads, patience_ns=task.period_ns, awake_ns=task.period_ns, line_ns=line_ns)
        self._is_too_far = False
        for name, value in (("clock", clock.state), ("clock_sleep", clock.sleep), ("clock_now", clock.now)):
            self.team.fields[name] = value
        self._threads: list[threading.Thread] = []
        self._sleeping: Helpers | None = None
        self.grants: tuple[Grant, ...] = ()
        self.others: frozenset[int] = frozenset()
        """Cores that other tasks were given: a helper that may choose spins on none of them."""

    @property
    def waits(self) -> Histogram:
        """Nanoseconds that the task waited for pieces which helpers had begun."""
        return self.team.waits

    def admit(self, context: "Context") -> None:
        """Let helpers work on what a context of the task runs; a model that is too short for cores that far apart stays on one."""
        self._is_too_far = not self.team.admit(context) and self.team.is_too_far(context)

    def start(self) -> None:
        """Start the threads; returns when they are prepared. On a clock that is no system's they sleep until a run begins.

        Raises:
            SchedulerError: a thread of the last run has not ended.
        """
        if any(thread.is_alive() for thread in self._threads):
            raise SchedulerError(
                f"a helper thread of task {self._task.name!r} has not ended: it hangs in a piece of the model"
            )
        self.team.fields["stop"] = self.team.fields["due_ns"] = 0
        if self._clock.sleep != system_clock().sleep:
            self._sleeping = Helpers(self.team)
            return
        others = sorted(os.sched_getaffinity(0) - {self._task.cpu} - self.others)
        wanted, room = self._task.threads - 1, max(len(others) - (self._task.cpu is None), 0)
        # A core that is named may be isolated, and so not among the others.
        count = wanted if self._task.helper_cpus else min(wanted, room)
        ready = [threading.Event() for _ in range(count)]
        found: list[tuple[Grant, ...]] = [()] * count
        self._threads = [
            threading.Thread(
                target=self._main,
                args=(number, others, number < room, found, event),
                name=f"rt-{self._task.name}-{number}",
                daemon=True,
            )
            for number, event in enumerate(ready)
        ]
        for thread in self._threads:
            thread.start()
        for event in ready:
            event.wait(START_PATIENCE_S)
        self.grants = (
            *(() if count == wanted else (_no_core(wanted, room),)),
            *((_too_far(self._task, self.team.line_ns),) if self._is_too_far else ()),
            *(grant for one in found for grant in one),
        )

    def _main(
        self, number: int, others: list[int], has_room: bool, found: list[tuple[Grant, ...]], ready: threading.Event
    ) -> None:
        leave_signals()
        if others:
            os.sched_setaffinity(0, others)
        cpus, priority = self._task.helper_cpus, self._task.priority - 1
        core = use_cpu(cpus[number]) if cpus else None
        found[number] = (
            use_exact_timers(),
            use_fifo(priority) if priority else _no_priority(),
            *([core] if core is not None else []),
        )
        run = KERNELS.function("help_task")
        ready.set()
        if has_room or (core is not None and core.granted):  # else it would spin on the task's core
            run(self.team.address, number)

    def stop(self) -> None:
        """End the threads: each does so within a tenth of a second, or when it has done its piece."""
        if self._sleeping is not None:
            self._sleeping.stop()
            self._sleeping = None
        self.team.fields["stop"] = 1
        for thread in self._threads:
            if thread.is_alive():  # not one that the system gave no thread for
                thread.join(START_PATIENCE_S)
        self._threads = [thread for thread in self._threads if thread.is_alive()]


def _no_core(wanted: int, room: int) -> Grant:
    """Of a task whose helpers find no core beside those of tasks: it does their pieces."""
    why = f"{room} of {wanted} helpers have a core beside the tasks'; the task does the pieces of the others itself"
    how = f"{MORE_CORES}, or ask for fewer threads"
    return Grant("helper cores", False, why, how)


def _too_far(task: Task, line_ns: float) -> Grant:
    """Of a task whose model is too short for the distance of its cores."""
    why = (
        f"a cache line takes {line_ns:,.0f} ns to a helper's core and back: to share the model of task {task.name!r} would take "
        "longer than to run it on one core, so it stays there"
    )
    how = f"{NEAR_CORES}, or leave `threads` out"
    return Grant(f"helpers of task {task.name}", False, why, how)


def _no_priority() -> Grant:
    """Of a task of the lowest real-time priority: none is left below it."""
    why = "the task has priority 1, and a helper one less, which is none: every other program may delay it"
    return Grant("SCHED_FIFO of helpers", False, why, "give the task a priority of 2 or more")
