"""Runs tasks: a thread for each, or for several of one core, and one grid of ticks for all."""

import atexit
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rt_engine.recording.layout import TaskLayout
from rt_native.histogram import Histogram
from scheduler.checks import check_task, check_together
from scheduler.clock import Clock, system_clock
from scheduler.deadlines import common_period, tick_at_or_after
from scheduler.errors import RingError, SchedulerError
from scheduler.grid import Grid
from scheduler.instead_memory import own_slot
from scheduler.kept import Kept
from scheduler.maxima import Maxima
from scheduler.rights import CpuLatency, Grant, lock_memory, no_quota, throttling
from scheduler.ring import Ring
from scheduler.runner import TaskRunner
from scheduler.second import SecondStats, Terms
from scheduler.stats import TaskStats
from scheduler.status import State
from scheduler.supervisor import Supervisor
from scheduler.tap import TapTerms, layout_of
from scheduler.task import Task
from scheduler.task_block import Control
from scheduler.threads import TaskThread, shared
from scheduler.trace import Cycle, Latched, Range
from scheduler.watch import TaskWatch, check_terms

if TYPE_CHECKING:
    from rt_engine import Context, Model, ModelSlot, UpdateResult
    from rt_engine.reader import NextTick
    from rt_engine.run.blocks import Mode
    from rt_engine.slot import SlotReader
    from rt_engine.slot_change import SlotChange

START_DELAY_NS = 5_000_000
"""From the moment when all threads are ready to tick 0."""
STACK_BYTES = 1 << 20
START_PATIENCE_S = 10.0
STOP_PATIENCE_S = 1.0
MAX_COMMON_PERIOD_NS = 1_000_000_000
UPDATE_MARGIN_S = 0.005


class Scheduler:
    """Cyclic tasks on real-time threads. A context manager: starts on entry, stops (outputs safe) on exit.

    Args:
        tasks: what to run. Tasks with the same `ModelSlot` share its model.
        clock: the system's, unless a test brings its own.
        taps: name of a task -> where its cycles are recorded.
        maxima: name of a task -> what keeps the longest of its every interval.

    Raises:
        TaskError: a task does not fit its model or its channels, or two tasks contradict each other.
        RingError: what a tap writes to cannot be made; none is left behind.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        *,
        clock: Clock | None = None,
        taps: Mapping[str, TapTerms] | None = None,
        maxima: Mapping[str, Maxima] | None = None,
    ) -> None:
        check_together(tasks)
        for task in tasks:
            check_task(task, _model_of(task))
        self._clock = clock or system_clock()
        self._time = Grid(self._clock)
        slots: dict[int, ModelSlot] = {}
        slot_of = partial(own_slot, slots=slots)
        self._runners: dict[str, TaskRunner] = {}
        try:
            for t in tasks:
                slot = None if t.model is None else slot_of(t.model)
                self._runners[t.name] = TaskRunner(t, slot, self._clock, slot_of, (taps or {}).get(t.name), self._time)
        except RingError:
            self._undo()
            raise
        for task in tasks:
            self._runners[task.name].leave_cores(frozenset().union(*(t.cpus for t in tasks if t is not task)))
        for name, kept in (maxima or {}).items():
            self._runners[name].keep_maxima(kept)
        self._threads: list[TaskThread] = []
        for group in shared(tasks):
            runners = [self._runners[task.name] for task in group]
            self._threads.append(TaskThread(runners))
            for runner in runners:
                runner.thread = self._threads[-1]
        self._supervisor = Supervisor(list(self._runners.values()))
        self._latency = CpuLatency()
        self._grants: tuple[Grant, ...] = ()
        self._epoch_ns = 0
        self._running = False

    @property
    def tasks(self) -> tuple[Task, ...]:
        """What it runs."""
        return tuple(r.task for r in self._runners.values())

    @property
    def rings(self) -> dict[str, Ring]:
        """Task -> where its cycles are recorded, of those that have a tap; until `close`. One thread may take from each."""
        return {name: runner.tap.ring for name, runner in self._runners.items() if runner.tap}

    def layouts(self) -> dict[str, TaskLayout]:
        """Task -> what its records and checkpoints have, or would have with a tap."""
        return {
            name: runner.tap.ring.layout if runner.tap else layout_of(runner.task, Kept(runner.memory).regions)
            for name, runner in self._runners.items()
        }

    @property
    def is_running(self) -> bool:
        """Between `start` and `stop`."""
        return self._running

    @property
    def epoch_ns(self) -> int:
        """Tick 0 of every task; 0 before the first start."""
        return self._epoch_ns

    @property
    def shift_ns(self) -> int:
        """Ticks are due so much later on CLOCK_MONOTONIC than their numbers, now: 0 where no bus clock leads them."""
        return self._time.shift_ns

    def now_ns(self) -> int:
        """The time as ticks have it: CLOCK_MONOTONIC, less the shift."""
        return self._time.now_ns()

    def _undo(self) -> None:
        """Let go of what was made, and leave no ring behind."""
        for ring in self.rings.values():
            ring.remove()
        for runner in self._runners.values():
            runner.release()

    # --- life ---------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start every task; returns when all threads are prepared and the first ticks are a few milliseconds away.

        Raises:
            SchedulerError: it runs already, or a thread of the last run has not ended.
        """
        if self._running:
            raise SchedulerError("the scheduler is running already; stop it first")
        for name, runner in self._runners.items():
            if runner.is_alive:
                raise SchedulerError(f"the thread of task {name!r} has not ended: it hangs in its model or step")
        self._grants = (lock_memory(), self._latency.hold(), throttling(), no_quota())
        ready = threading.Barrier(len(self._threads) + 1, action=self._begin, timeout=START_PATIENCE_S)
        self._running = True
        atexit.register(self.stop)
        try:
            self._start_threads(ready.wait)
            ready.wait()
            self._supervisor.start()
        except BaseException as error:
            ready.abort()
            self.stop()  # what runs already, if anything
            if isinstance(error, threading.BrokenBarrierError):
                raise SchedulerError(f"a task's thread was not ready within {START_PATIENCE_S:g} s") from error
            raise

    def _start_threads(self, ready: Callable[[], object]) -> None:
        previous = threading.stack_size(STACK_BYTES)
        try:
            for thread in self._threads:
                thread.start(ready)
        except RuntimeError as error:
            raise SchedulerError(f"the system gave no thread for a task: {error}; see 'ulimit -u'") from error
        finally:
            threading.stack_size(previous)

    def _begin(self) -> None:
        self._epoch_ns = self.now_ns() + START_DELAY_NS
        for runner in self._runners.values():
            runner.set_epoch(self._epoch_ns)

    def stop(self) -> None:
        """Stop every task; their outputs are safe when this returns, also those of a task that hangs.

        Interrupted (Ctrl-C), it can be called again, and is at the end of the process.
        """
        if not self._running:
            return
        for runner in self._runners.values():
            runner.tell(Control.STOP)
        self._supervisor.stop()
        for thread in self._threads:
            if not thread.join(STOP_PATIENCE_S):
                thread.revoke()
        self._latency.release()
        self._running = False
        atexit.unregister(self.stop)

    def close(self) -> None:
        """Stop, give the contexts back to the model slots, let go of the rings; this scheduler is not started again."""
        self.stop()
        for runner in self._runners.values():
            runner.release()

    def __enter__(self) -> "Scheduler":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # --- while running ------------------------------------------------------------------------------------------------

    @property
    def rights(self) -> tuple[Grant, ...]:
        """What was asked of the system, whether it was granted, and if not, how to grant it."""
        per_task = {grant: None for runner in self._runners.values() for grant in runner.grants}
        return (*self._grants, *(ring.locked for ring in self.rings.values() if ring.locked), *per_task)

    def stats(self) -> dict[str, TaskStats]:
        """Task name -> counters."""
        return {name: runner.stats() for name, runner in self._runners.items()}

    @property
    def thread_ids(self) -> dict[str, int]:
        """Task -> the kernel's number of its thread; while they run."""
        return {name: runner.thread.native_id for name, runner in self._runners.items()}

    def counters(self, task: str) -> dict[str, Any]:
        """The native counters of one task (`scheduler.task_block.STATS`), of one moment; cheaper than `stats`."""
        return self._runners[task].counters()

    def monitored(self, task: str) -> tuple[float, float]:
        """(Newest value of a task's monitor, the largest since the start or the last reset); zeros before its first look."""
        return self._runners[task].monitored()

    def state(self, task: str) -> State:
        """Where in its life a task is."""
        return self._runners[task].state

    def histograms(self, task: str) -> tuple[Histogram, Histogram]:
        """(wake-up, execution) of a task: live histograms, in nanoseconds."""
        memory = self._runners[task].memory
        return memory.wakeup, memory.execution

    def reaction(self, task: str) -> Histogram:
        """Nanoseconds from when inputs of a task came to when outputs computed from them were sent: as counted until now.

        Only links whose exchange is native tell; empty without them.
        """
        return self._runners[task].reaction()

    def latched(self, task: str) -> Latched | None:
        """What the model of a task was given in its newest cycle. None: it has none, runs it in slices, or never rests long enough."""
        return self._runners[task].latched()

    def notes(self, task: str, since: int) -> tuple[int, list[Cycle]]:
        """(How many cycles of a task were noted since the start, those from number `since` on that are still there).

        Noted are cycles that missed a tick, or whose action, or its cause, is another than in the cycle before.
        """
        return self._runners[task].notes(since)

    def worst(self, task: str) -> list[Cycle]:
        """The cycles of a task that were complete latest after their tick, the latest first."""
        return self._runners[task].worst()

    def ranges(self) -> dict[str, Range]:
        """Tag -> least, mean and greatest value in the cycles of all tasks that use it."""
        found: dict[str, Range] = {}
        for runner in self._runners.values():
            for name, one in runner.ranges().items():
                found[name] = found[name] | one if name in found else one
        return found

    def reset_stats(self, task: str | None = None, wait: bool = True) -> None:
        """Start the counters of a task, or of all, anew; a running task does so at the end of its current cycle."""
        for name, runner in self._runners.items():
            if task in (None, name):
                runner.reset_stats(wait)

    def reset_state(self, task: str | None = None) -> None:
        """Put what a task, or all, remember back to where it began: the model's state and the step's. Windows stay.

        A running task does it in its next cycle; `TaskStats.state_resets` counts.
        """
        for name, runner in self._runners.items():
            if task in (None, name):
                runner.reset_state()

    def pause(self, task: str) -> None:
        """Let a task tick on with safe outputs, its model not run."""
        self._runners[task].tell(Control.PAUSE)

    def resume(self, task: str) -> None:
        """End a pause."""
        self._runners[task].tell(Control.RUN)

    # --- model updates ------------------------------------------------------------------------------------------------

    def next_common_tick(self, slot: "ModelSlot | None" = None, margin_s: float = UPDATE_MARGIN_S) -> int:
        """When every task of a slot (all tasks, if None) has a tick, at least `margin_s` ahead. Nanoseconds, as `now_ns`.

        Where ticks coincide less than once a second, or nothing runs, it is just `margin_s` ahead: then each task
        changes at its own first tick after that.
        """
        soon = self.now_ns() + round(margin_s * 1e9)
        every = self._grid(self._periods(slot))
        return tick_at_or_after(max(soon, self._epoch_ns), self._epoch_ns, every) if every else soon

    def _periods(self, slot: "ModelSlot | None") -> list[int]:
        periods = [r.task.period_ns for r in self._runners.values() if slot is None or slot in r.slots]
        if not periods:
            raise SchedulerError(f"no task of this scheduler runs the model slot {slot.name!r}" if slot else "no task")
        return periods

    def _longest_s(self, *slots: "ModelSlot") -> float:
        """After so long every task of these slots has come to a tick in which it takes what is offered, and the time of one more."""
        return max((r.takes_ns for r in self._runners.values() if not set(slots).isdisjoint(r.slots)), default=0) * 1e-9

    def _grid(self, periods: Sequence[int]) -> int:
        """From one tick that tasks of such periods have in common to the next; 0 where that is no use."""
        common = common_period(tuple(periods)) if periods else 0
        return common if self._running and common <= MAX_COMMON_PERIOD_NS else 0

    def _next_tick(self, periods: Sequence[int], margin_s: float) -> "NextTick":
        """The next that all have in common, as native code finds it."""
        from rt_engine.reader import NextTick

        clock = self._time.clock
        return NextTick(clock.now, clock.state, self._epoch_ns, self._grid(periods), round(margin_s * 1e9))

    def update(
        self, slot: "ModelSlot", model: "Model", *, margin_s: float = UPDATE_MARGIN_S, timeout_s: float = 5.0
    ) -> "UpdateResult":
        """Replace the model of a slot in all its tasks at one tick; returns when all have taken it.

        A task may take `timeout_s` more than its period.

        Raises:
            InterfaceError, UpdateError: see `rt_engine.ModelSlot.update`.
        """
        periods = self._periods(slot)
        longest_s = self._longest_s(slot)
        return slot.update(model, at=partial(self._next_tick, periods, margin_s), timeout_s=timeout_s + longest_s)

    def change(
        self,
        models: "Mapping[ModelSlot, Model]",
        terms: Mapping[str, Terms] | None = None,
        *,
        margin_s: float = UPDATE_MARGIN_S,
        timeout_s: float = 5.0,
        versions: "Mapping[ModelSlot, int] | None" = None,
    ) -> "SlotChange":
        """New versions for one or several slots, prepared for all their tasks; nothing has changed yet (`scheduler.second`).

        Args:
            models: slot -> its new model. A slot that no task runs has its step at once.
            terms: task -> what the new version must keep to in it.
            margin_s: a step is taken at the tick that all tasks have in common, at least so far ahead.
            timeout_s: a task may take so much more than its period for a step.
            versions: the numbers of the new ones, by slot, as who keeps them has them; left out: one more than any was.

        Raises:
            InterfaceError: a model does not fit its slot.
            UpdateError: a slot has a change under way.
            SchedulerError: the terms name a task, or an output of one, that there is not.
        """
        from rt_engine.slot_change import SlotChange

        terms = dict(terms or {})
        for name, term in terms.items():
            if name not in self._runners:
                raise SchedulerError(f"terms of a change name {name!r}: there is no such task")
            check_terms(self._runners[name].task, term)
        of = [runner for runner in self._runners.values() if runner.slot in models]
        numbers = {runner.task.name: number for number, runner in enumerate(of)}

        def watching(reader: "SlotReader", active: "Context", second: "Context", mode: "Mode") -> TaskWatch | None:
            runner = next((runner for runner in of if runner.reads(reader)), None)
            if runner is None:
                return None
            name = runner.task.name
            return runner.watch(numbers[name], active, second, mode, terms.get(name, Terms()))

        periods = [r.task.period_ns for r in self._runners.values() if any(slot in models for slot in r.slots)]
        longest_s = self._longest_s(*models)
        at = partial(self._next_tick, periods, margin_s)
        return SlotChange(models, watching=watching, at=at, timeout_s=timeout_s + longest_s, numbers=versions)

    def second(self, task: str) -> SecondStats | None:
        """What was seen of two versions in a task: of the newest shadow or trial; None before the first."""
        return self._runners[task].second()


def _model_of(task: Task) -> "Model | None":
    """The model whose tensors a task names."""
    from rt_engine import ModelSlot

    return task.model.model if isinstance(task.model, ModelSlot) else task.model
