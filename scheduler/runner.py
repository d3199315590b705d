"""One task: its memory, what it is told, and its counters read from outside. Its thread is a `scheduler.threads.TaskThread`."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rt_engine.run.slicing import forget
from rt_native.histogram import Histogram
from scheduler.binding import TaskMemory
from scheduler.clock import Clock
from scheduler.grid import Grid
from scheduler.helpers import TaskHelpers
from scheduler.instead_memory import Instead, SlotOf, own_slot
from scheduler.latching import latch
from scheduler.maxima import Maxima
from scheduler.native import NATIVE
from scheduler.rights import Grant
from scheduler.second import SecondStats, Terms
from scheduler.stats import COUNTED, Latency, SliceStats, TaskStats, Usage
from scheduler.status import Action, State
from scheduler.tap import Tap, TapTerms
from scheduler.task import Input, Output, Task
from scheduler.task_block import NOTES, Control
from scheduler.threads import TaskThread
from scheduler.trace import Cycle, Latched, Range, ranges
from scheduler.watch import TaskWatch

if TYPE_CHECKING:
    from rt_engine import Context, Model, ModelSlot
    from rt_engine.run.blocks import Mode
    from rt_engine.run.slicing import Sliced
    from rt_engine.slot import SlotReader

_SNAPSHOT_TRIES = 1000
_COPY_TRIES = 10
_RESET_PATIENCE_S = 1.0


class TaskRunner:
    """Owns the memory of one task."""

    def __init__(
        self,
        task: Task,
        slot: "ModelSlot | None",
        clock: Clock,
        slot_of: SlotOf = own_slot,
        terms: TapTerms | None = None,
        grid: Grid | None = None,
    ) -> None:
        """It ticks when `grid` does, which is that of its scheduler; None: a grid of its own."""
        self.task, self.slot, self._clock = task, slot, clock
        model = slot.model if slot else None
        self._instead = Instead(task, model, sum(entry.count for entry in task.outputs), slot_of)
        self._helpers = TaskHelpers(task, clock) if slot and task.threads > 1 else None
        self._reader = slot.reader(self._prepared) if slot else None
        self.memory = TaskMemory(task, model, self._reader, clock, self._instead)
        self.memory.task["team"] = self._helpers.team.address if self._helpers else 0
        self.tap = Tap(task, self.memory, terms) if terms else None
        self._watch: TaskWatch | None = None
        self._maxima: Maxima | None = None
        self._grid = grid or Grid(clock)
        self._follow_grid()
        self._revoke = NATIVE.function("task_revoke")
        self.thread = TaskThread([self])
        """Its own, unless a scheduler lets it share one."""

    def _prepared(self, model: "Model", context: "Context") -> None:
        """What the task wants of every version of its model."""
        self._instead.prepare(model, context, self._helpers.team.line_ns if self._helpers else 0.0)
        if self._helpers is not None:
            self._helpers.admit(context)

    @property
    def slots(self) -> "tuple[ModelSlot, ...]":
        """The slots of all models of the task, its own first."""
        return (*([self.slot] if self.slot else []), *(slot for _, slot in self._instead.readers))

    @property
    def _readers(self) -> "list[SlotReader]":
        """Its views of those slots."""
        return [*([self._reader] if self._reader else []), *(reader for reader, _ in self._instead.readers)]

    @property
    def instead(self) -> Instead:
        """Its monitor, fallback and smaller model."""
        return self._instead

    @property
    def grants(self) -> tuple[Grant, ...]:
        """What was asked of the system for its thread."""
        return (*self.thread.grants, *(self._helpers.grants if self._helpers else ()))

    @property
    def waits(self) -> Histogram | None:
        """Of a task with helpers: nanoseconds that it waited for what they had begun."""
        return self._helpers.waits if self._helpers else None

    # --- its thread ---------------------------------------------------------------------------------------------------

    def start(self, ready: Callable[[], object]) -> None:
        """Start its thread, with all tasks of it; it calls `ready` when it is prepared, and then begins to cycle."""
        self.thread.start(ready)

    def run_here(self) -> int:
        """Cycle in the calling thread until told to stop; gives the number of cycles."""
        return self.thread.run_here()

    def prepare(self) -> None:
        """As new: counters, windows, states. Before the first tick, so that no update takes it for a task that does not run."""
        self.memory.clear()
        if self.tap:
            self.tap.begin()
        for reader in self._readers:
            reader.reset()
        if self._reader is not None and self.task.slice_ns:
            for context in self._reader.arrangement.contexts:
                forget(context.block_address)
        self.pick_versions(True)
        if self._helpers is not None:
            self._helpers.start()

    def end(self) -> None:
        """Its thread has ended, or hangs: so do those of its helpers."""
        if self._helpers is not None:
            self._helpers.stop()

    def pick_versions(self, running: bool) -> None:
        """Does it take new versions of its model at its ticks?"""
        for reader in self._readers:
            reader.running = running

    # --- from outside -------------------------------------------------------------------------------------------------

    def tell(self, control: Control) -> None:
        """Set what the task shall do from its next cycle on."""
        self.memory.task["control"] = control

    def _follow_grid(self) -> None:
        """Its ticks are those of the grid; a task whose exchange has a clock shifts it."""
        row = self.memory.task
        for link in self.task.exchanges:
            link.period_ns = self.task.period_ns
        row["grid"] = self._grid.address
        row["leads"] = next((link.exchange.address for link in self.task.exchanges if link.has_clock), 0)

    def keep_maxima(self, maxima: Maxima) -> None:
        """Count its cycles there, too. Before it runs."""
        self._maxima = maxima
        self.memory.task["maxima"] = maxima.address

    def leave_cores(self, cpus: frozenset[int]) -> None:
        """Its helpers stay off these cores, unless it names theirs. Before it runs."""
        if self._helpers is not None:
            self._helpers.others = cpus

    def set_epoch(self, epoch_ns: int) -> None:
        """Where tick 0 of the grid lies."""
        self.memory.task["epoch_ns"] = epoch_ns

    @property
    def is_alive(self) -> bool:
        """Does its thread still run?"""
        return self.thread.is_alive

    def join(self, timeout_s: float) -> bool:
        """Wait for the thread; True if it has ended, or was never had."""
        return self.thread.join(timeout_s)

    def revoke(self) -> bool:
        """Take the outputs from a task that hangs and make them safe; False if it writes just now, so does not hang."""
        return self._revoke(self.memory.address, self._clock.now_ns()) != 0

    def release(self) -> None:
        """Give the model's context back to its slot, and let go of the ring."""
        if self.tap:
            self.tap.close()
        if self._reader and self.slot:
            self.slot.release(self._reader)
            self._reader = None
        while self._instead.readers:
            reader, slot = self._instead.readers.pop()
            slot.release(reader)

    def reads(self, reader: "SlotReader") -> bool:
        """Is it this task's view of the slot whose model it runs?"""
        return reader is self._reader

    @property
    def takes_ns(self) -> int:
        """A task that runs comes so soon to a tick in which it takes another version: its period, or two runs in slices."""
        sliced = self._instead.sliced(self._reader.context) if self._reader else None
        return self.task.period_ns * (2 * sliced.cycles if sliced else 1)

    def watch(self, number: int, active: "Context", second: "Context", mode: "Mode", terms: Terms) -> TaskWatch:
        """What this task has at hand while there are two versions of its model."""
        sliced, live = self._instead.sliced(second), self._instead.sliced(active)
        never = sliced.never_beside(self._rest_ns(live)) if sliced and live else ""
        self._watch = TaskWatch(self.task, self.memory, number, active, second, mode, terms, never)
        return self._watch

    def _rest_ns(self, live: "Sliced") -> int:
        """What a model in slices leaves of a cycle at most: of one in which its run ends, or in which none is under way."""
        assert self.memory.slice is not None
        whole = self.task.period_ns - int(self.memory.slice["reserve_ns"][0])
        return whole if self.task.every > live.cycles else whole - live.shortest_ns

    def second(self) -> SecondStats | None:
        """What was seen in its newest shadow or trial."""
        return self._watch.stats() if self._watch else None

    @property
    def state(self) -> State:
        """Where in its life the task is."""
        return State(int(self.memory.task["state"][0]))

    @property
    def tick_ns(self) -> int:
        """The tick of the newest cycle."""
        return int(self.memory.task["tick_ns"][0])

    def reset_stats(self, wait: bool = True) -> None:
        """Start all counters anew. A running task does it itself, at the end of its current cycle."""
        if not self.is_alive:
            counters = self.memory.stats
            for name in counters.dtype.names or ():
                if name not in ("status", "action", "version"):
                    counters[name] = np.zeros(1, counters.dtype[name])
            self.memory.wakeup.reset()
            self.memory.execution.reset()
            if self.waits is not None:
                self.waits.reset()
            self.memory.forget_trace()
            for histogram in self._reactions():
                histogram.reset()
            return
        self.memory.task["reset"] = 1
        if self.waits is not None:
            self.waits.reset()
        for histogram in self._reactions():
            histogram.reset()
        if not wait:
            return
        until = time.monotonic() + _RESET_PATIENCE_S + 2 * self.task.period_s
        while self.memory.task["reset"][0] and self.is_alive and time.monotonic() < until:
            time.sleep(0.0005)

    def reset_state(self) -> None:
        """Put the states of model and step back to where they began; a running task does it in its next cycle."""
        if self.is_alive:
            self.memory.task["reset_state"] = 1
        else:
            found = self.memory.clear_step()
            for reader in self._readers:
                found += reader.reset()
            self.memory.stats["state_resets"] += 1 if found else 0

    def stats(self) -> TaskStats:
        """All counters, of one moment between two cycles."""
        s = self.counters()
        return TaskStats(
            name=self.task.name,
            state=self.state,
            status=s["status"],
            action=Action(s["action"]),
            last_fault=s["last_fault"],
            period_ns=self.task.period_ns,
            first_due_ns=s["first_due_ns"],
            due_ns=s["due_ns"],
            overruns_in_a_row=s["overruns_in_a_row"],
            model_version=s["version"],
            switches=self._reader.switches if self._reader else 0,
            switched_ns=self._reader.switched_ns if self._reader else 0,
            usage=self._usage(s),
            wakeup=Latency.of(self.memory.wakeup),
            execution=Latency.of(self.memory.execution),
            reaction=Latency.of(self.reaction()),
            monitor=self._instead.stats(self._reader),
            slices=self._slices(),
            barrier=None if self.waits is None else Latency.of(self.waits),
            **{statistic.name: s[statistic.name] for statistic in COUNTED},
        )

    def _slices(self) -> SliceStats | None:
        if self.memory.slice is None or self._reader is None:
            return None
        row = self.memory.slice[0]
        names = ("slice_ns", "last_cycles", "most_cycles", "last_ns", "most_ns", "longest_ns")
        sliced = self._instead.sliced(self._reader.context)
        slice_ns, cycles, most_cycles, run_ns, most_run_ns, longest_ns = (int(row[name]) for name in names)
        complaint = sliced.complaint if sliced else ""
        return SliceStats(slice_ns, cycles, most_cycles, run_ns, most_run_ns, longest_ns, complaint)

    def monitored(self) -> tuple[float, float]:
        """See `Scheduler.monitored`."""
        return self._instead.monitored()

    def reaction(self) -> Histogram:
        """Of all links that send this task's outputs natively, together."""
        return Histogram.sum(self._reactions())

    def _reactions(self) -> list[Histogram]:
        return [channel.reaction for channel in self.task.channels_written if channel.reaction is not None]

    def counters(self) -> dict[str, Any]:
        """The counters alone (`scheduler.task_block.STATS`), of one moment between two cycles: no system call, no histogram.

        Copied while the cycle was not writing them (a sequence lock).
        """
        stats: NDArray[Any] = self.memory.stats
        copy = stats.copy()
        for _ in range(_SNAPSHOT_TRIES):
            before = int(stats["sequence"][0])
            copy = stats.copy()
            if before % 2 == 0 and int(stats["sequence"][0]) == before:
                break
        return dict(zip(copy.dtype.names or (), copy[0].item(), strict=True))

    def latched(self) -> Latched | None:
        """See `Scheduler.latched`."""
        reader = self._reader
        if reader is None or not self.is_alive or self.task.slice_ns:  # in the middle of a run tensors are of two runs
            return None
        return latch(lambda: reader.context, self.counters, lambda: self.tick_ns, self._grid.clock, self.task.period_ns)

    def notes(self, since: int) -> tuple[int, list[Cycle]]:
        """(How many cycles were noted since the start, those from number `since` on that are still there, in their order)."""
        trace = self.memory.trace[0]
        noted = int(trace["noted"])
        rows = trace["notes"].copy()
        first = max(since, int(trace["noted"]) - NOTES + 1)  # what was overwritten while it was copied is left out
        return noted, [Cycle.of(rows[number % NOTES]) for number in range(first, noted)]

    def worst(self) -> list[Cycle]:
        """The cycles that were complete latest after their tick, the latest first."""
        cycles = [Cycle.of(row) for row in self.memory.trace[0]["worst"].copy()]
        return sorted((c for c in cycles if c.tick_ns), key=lambda cycle: -cycle.complete_ns)

    def ranges(self) -> dict[str, Range]:
        """Tag -> least, mean and greatest value in this task's cycles."""
        found = self._ranges(self.task.inputs, "inputs_seen", self.memory.input_ranges)
        for name, one in self._ranges(self.task.outputs, "outputs_seen", self.memory.output_ranges).items():
            found[name] = found[name] | one if name in found else one
        return found

    def _ranges(
        self, entries: Sequence[Input | Output], seen: str, arrays: Mapping[str, NDArray[Any]]
    ) -> dict[str, Range]:
        """Copied while no cycle widened them, as far as there is such a time."""
        for _ in range(_COPY_TRIES):
            copy = {name: array.copy() for name, array in arrays.items()}
            count = int(self.memory.task[seen][0])
            if all(np.array_equal(array, copy[name]) for name, array in arrays.items()):
                break
        return ranges(entries, count, copy)

    def _usage(self, stats: dict[str, Any]) -> Usage:
        start = Usage(*stats["usage_start"])
        if start == Usage():
            return start
        if self.state == State.RUNNING:
            now = read_usage(self.thread.native_id)
            if now is not None:
                return now - start
        end = Usage(*stats["usage_end"])
        return end - start if end != Usage() else Usage()


def read_usage(thread_id: int) -> Usage | None:
    """Page faults and context switches of a thread of this process, from /proc; None if it has ended."""
    folder = Path(f"/proc/self/task/{thread_id}")
    try:
        # proc(5): the fields after the name in parentheses begin with the third; minflt is the 10th, majflt the 12th
        fields = (folder / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        switches = dict(
            line.split(":\t", 1)
            for line in (folder / "status").read_text(encoding="utf-8").splitlines()
            if "ctxt_switches" in line
        )
    except OSError:
        return None
    return Usage(
        int(fields[7]),
        int(fields[9]),
        int(switches["voluntary_ctxt_switches"]),
        int(switches["nonvoluntary_ctxt_switches"]),
    )
