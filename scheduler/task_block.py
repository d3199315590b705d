"""What a task's native code and Python agree on, as NumPy dtypes. One block per task, laid out by `scheduler.binding`:

    TASK --> sources  SOURCE[n]   input channels, each latched once per cycle
         |   inputs   INPUT[n]    a run: from a source's cells to `values`, a ring (windows) and a tensor
         |   outputs  OUTPUT[n]   a run: from a tensor to `raw`, guarded to `last`, to a sink's cells
         |   sinks    SINK[n]     output channels, each published once per cycle
         |   values   float64[]   newest value of each input element     what the user's step reads
         |   raw      float64[]   the model's outputs before the guard   what the user's step may change
         |   last     float64[]   outputs as published
         |   low, high, max_rate, safe   float64[]   what the guard wants of each output
         |   input_ranges, output_ranges   RANGES    what each value was since the last reset
         |   step     STEP_HEADER, then the state of the user's step
         |   stats    STATS
         |   trace    TRACE       cycles worth remembering, for who asks later what happened
         |   maxima   MAXIMA      the longest of every interval (`scheduler.maxima_block`), or 0
         |   sliced   SLICE       of a model whose runs are spread over several cycles (`scheduler.slice_block`), or 0
         |   tap      TAP         where each cycle is recorded (`scheduler.tap_block`), or 0
         |   reader   READER      which version of the model runs (rt_engine.run.blocks); while there are two: SECOND (second_block)
         +-> wakeup, execution    histograms (rt_native.histogram)

A run is what lies in a row, cells as elements, with equal scaling and windows, whatever entries of the task it comes from
(`scheduler.runs`): it is moved as a whole. What is said of single values lies in arrays beside it, in the order of the entries.

All addresses are absolute, except tensors: a model version has its own, found through the block that is run
(`rt_engine.run.blocks.BLOCK.tensors`), at the byte offset that INPUT.tensor and OUTPUT.tensor give.
"""

from enum import IntEnum

import numpy as np

from rt_engine.kernels.interface.dtypes import DType
from rt_engine.recording.record_block import CLOCKS
from rt_native.structs import words
from scheduler.stats import COUNTED


class Control(IntEnum):
    """What a task is told."""

    RUN = 0
    PAUSE = 1
    STOP = 2


class Owner(IntEnum):
    """Who may write a task's output channels (`TASK.owner`); see `scheduler.outputs_native`."""

    TASK = 0
    WRITING = 1
    REVOKED = 2


class OnOverrun(IntEnum):
    """Overrun policies."""

    SKIP = 0
    HOLD = 1
    SAFE = 2


class OnFault(IntEnum):
    """Guard policies; HOLD and SAFE are the numbers of `status.Action`."""

    PASS = 0
    HOLD = 1
    SAFE = 2


class OnState(IntEnum):
    """What a task does when a state of its model is NaN or infinite; HOLD and SAFE are the numbers of `status.Action`."""

    PASS = 0
    HOLD = 1
    SAFE = 2
    RESET = 3
    RESTORE = 4


MOST_WRONG = 10
"""After so many cycles in a row with NaN or infinity from model or step its state is reset, where `OnState.RESET` is wanted."""

NO_TENSOR = -1


TASK = np.dtype(
    [
        # line 0: told from outside, atomically
        *words("control", "reset", "owner", "state", "reset_state"),
        # when ticks are due: `scheduler.grid`
        *words("grid", "shift_ns", "leads"),
        # constants
        *words("epoch_ns", "period_ns", "on_overrun", "watchdog", "on_nan", "on_bad_input"),
        *words("on_bad_state", "max_hold_ns", "reset_source", "reset_cell", "step_initial", "step_bytes"),
        *words("clock", "clock_now", "clock_sleep"),
        *words("execute", "reader", "step", "step_state"),
        *words("sources", "source_count", "inputs", "input_count", "outputs", "output_count", "sinks", "sink_count"),
        *words("values", "value_count", "raw", "last", "raw_count"),
        *words("low", "high", "max_rate", "safe", "is_limited", "input_ranges", "output_ranges"),
        *words("stats", "wakeup", "execution", "trace"),
        *words("exchanges", "exchange_count", "exchange_phase", "exchange_area", "io_ns"),
        *words("monitor", "fallback", "late", "tap"),
        # the cycle's own
        *words("told"),
        *words("tick_ns", "tripped", "on_time", "bad_source", "bad_age_ns", "bad_value", "came_ns"),
        *words("inputs_seen", "outputs_seen"),
        *words("held_since_ns", "model_wrong", "step_wrong", "reset_before", "restored"),
        # of a model that runs every so many cycles: `scheduler.slow_native`
        *words("every_ns", "is_linear", "ramp_from", "ramp_to", "next_turn_ns", "turn_ns", "turn_fault"),
        # what a record of this cycle says besides: `scheduler.tap_native`
        *words("flags", "reads"),
        ("readings", "<i8", CLOCKS),
        # who wants the longest of every interval: `scheduler.maxima_block`
        *words("maxima"),
        # of a model whose runs are spread over several cycles: `scheduler.slice_block`
        *words("way_ns", "sliced"),
        # of a model that several cores run together: `rt_engine.run.team_block.TEAM`, or 0
        *words("team"),
    ]
)
"""One task. `grid`: its scheduler's GRID; `shift_ns`: what that said when this cycle was waited for: ticks are so much later on the
machine's clock; `leads`: the EXCHANGE whose clock moves it, as this task carries it out, or 0.
`tick_ns` is the tick of the newest cycle, 0 before the first. `told`: what `control` was when this cycle began: for all of it, so that
it can be repeated.

`bad_source`: the newest input channel that was bad, `bad_age_ns` how old its values were, 0: its quality was bad.
`came_ns`: when the first of those inputs had come that this cycle is the first to see, 0: none is new.
`exchanges`: addresses of the exchanges with devices that are the task's (`fieldbus.exchange`), each phase takes up to `io_ns`.
`monitor`, `fallback`, `late`: `scheduler.monitor_block.MONITOR`, `scheduler.fallback_block.FALLBACK` and `LATE`, or 0.
`bad_value`: where in `values`, or in `raw`, the first NaN or infinity of the newest cycle with one was.
`is_limited`: 1 if an output has a finite `max_rate` (per second). `inputs_seen`, `outputs_seen`: cycles in the ranges.
`reset_source`: the SOURCE of the cell whose rising edge resets states, or 0; `reset_before`: was it other than 0 in the cycle before?
`model_wrong`, `step_wrong`: in how many cycles in a row the model, or the step, gave NaN or infinity.
`restored`: in how many cycles in a row a state of the model was NaN or infinite.
`held_since_ns`: the tick since which the outputs' policy is HOLD, -1 where it is not.
`every_ns`: from one turn of the model to the next, 0 where it runs in each cycle; `next_turn_ns`: the tick of the next, 0: at once;
`turn_ns`: of the newest, 0 before the first; `turn_fault`: what was wrong with the model then. `ramp_from`, `ramp_to`, `is_linear`:
float64[], float64[], int64[]: of each output, where it goes from and to between two turns, and whether in a line.
`way_ns`: how long a line goes from one result to the next: `every_ns`, but where a run took longer. `sliced`: the SLICE, or 0.
`flags`: `rt_engine.recording.record_block.Flag`. `reads`: how often this cycle asked its clock for what it acts on; `readings`: what
it was told. A tick that is done again has only those of its second time.
`maxima`: `scheduler.maxima_block.MAXIMA`, or 0.
"""

SOURCE = np.dtype(words("channel", "max_age_ns", "slot", "seen"))
"""An input channel; `slot` is the address of what was latched in this cycle, `seen` the number of that write."""

RANGES = ("least", "greatest", "total", "lost")
"""Of each value, in the unit of its tag: four arrays in a row, of float64, `lost` of int64. All that was finite since the
first cycle or the last reset; `lost`: how many of the cycles it was not. +inf and -inf before the first."""

INPUT = np.dtype(
    [
        *words("source", "cell", "count", "number", "values"),
        *words("tensor", "dtype", "first", "spacing"),
        ("scale", "<f8"),
        ("offset", "<f8"),
        ("low", "<f8"),
        ("high", "<f8"),
        *words("window", "stride_ns", "ring", "filled", "position", "next_sample_ns"),
        *words("is_direct", "is_kept"),
    ]
)
"""`count` cells, scaled, into a tensor: element `first + t * spacing + i` is cell i of sample t, oldest sample first.

`low`, `high`: what scaled values are kept within. `ring` has room for twice the window: each sample is written twice, so that
the last `window` always lie in a row.
`is_direct`: its window is this cycle's value, so it has no ring; `is_kept`: somebody reads `values`.
"""

OUTPUT = np.dtype(
    [
        *words("sink", "cell", "count", "number", "raw"),
        *words("tensor", "dtype", "first"),
        ("scale", "<f8"),
        ("offset", "<f8"),
    ]
)
"""`count` elements of a tensor, scaled, guarded, into cells of an output channel."""

SINK = np.dtype(words("channel", "slot"))
"""An output channel; `slot` is the address of what is filled in this cycle."""

STEP_HEADER = np.dtype([*words("elapsed_ns", "period_ns", "resumed", "published", "tick_ns"), ("spare", "<i8", 3)])
"""What the cycle says to a step, in the bytes before its state, new before each call.

`elapsed_ns` since the step last ran, `period_ns` the first time; `resumed`: 1 where the newest outputs are not what it gave in
the cycle before; `published`: the address of the newest outputs; `tick_ns` is the cycle's own: the tick of the last call.
"""

USAGE = np.dtype(words("minor_faults", "major_faults", "voluntary", "involuntary"))
"""Page faults and context switches of the thread, since it began (getrusage)."""

STATS = np.dtype(
    [
        *words("sequence"),  # odd while the cycle writes; readers repeat
        *words("first_due_ns", "due_ns", "overruns_in_a_row", *(statistic.name for statistic in COUNTED)),
        *words("status", "action", "last_fault", "version"),
        ("usage_start", USAGE),
        ("usage_end", USAGE),
    ]
)
"""Counters of one task. `cycles + missed` ticks have come since `first_due_ns`; `due_ns` is the next."""

CYCLE = np.dtype(
    words("tick_ns", "action", "status", "blame", "age_ns", "wakeup_ns", "execution_ns", "missed", "switched")
)
"""What one cycle did. See `scheduler.trace.Cycle`."""

NOTES, WORST = 64, 8

TRACE = np.dtype(
    [
        *words("noted"),  # cycles noted since the start; the newest `NOTES` are there, number n at n % NOTES
        ("notes", CYCLE, NOTES),
        *words("action", "status", "blame", "version"),  # of the newest cycle; `action` -1 before the first
        *words("bar_ns"),  # the least completion among the worst
        ("worst", CYCLE, WORST),
    ]
)
"""`notes`: cycles that missed a tick, or whose action, or the cause of it, is another than in the cycle before.
`worst`: those that were complete latest after their tick (wake-up and execution), in no order."""

TYPES = tuple(t for t in DType if t.plc)
"""Types of tensor elements that a task can fill and read: those that a PLC has."""
