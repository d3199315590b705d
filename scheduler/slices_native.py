"""A model whose run is spread over several cycles: is one under way, and what gives it up.

    tick       0      1      2      3      4      5      6             slice = "300 us"
    records    0..37  38..74 75..99 0..36  37..73 74..99 0..38         as many as fit (`scheduler.advance_native`)
    inputs     x0                   x3                   x6            latched when a run begins; versions change there, too
    outputs    -      -      y(x0)  y(x0)  y(x0)  y(x3)  y(x3)         all at once, when it is done; states move on there
    step, guard, outputs to devices: in every cycle

A run is given up where its inputs are not to be trusted any more: in a cycle with bad inputs, in a pause, at a reset of the states,
and with the version that was found bad. Its states are then as they were before it. The next good cycle begins another.
"""

from rt_engine.run.blocks import BLOCK, READER, SLICES
from rt_engine.run.state_native import restore_states
from rt_native.counting import add_to
from rt_native.lang import inline, load_i64, store_i64
from rt_native.memory import offsets
from scheduler.slice_block import SLICE
from scheduler.status import TaskStatus
from scheduler.task_block import STATS, TASK

_T, _N, _L = offsets(TASK), offsets(STATS), offsets(SLICE)
_SLICED, _READER, _STATS, _FAULT, _EVERY, _PERIOD = (
    _T.sliced, _T.reader, _T.stats, _T.turn_fault, _T.every_ns, _T.period_ns
)  # fmt: skip
_ACTIVE, _SLICES, _UNDER_WAY = offsets(READER).active, offsets(BLOCK).slices, offsets(SLICES).is_under_way
_BEGUN, _GIVEN_UP = _L.begun_ns, _N.given_up_runs
_NO_RESULT = int(TaskStatus.NO_RESULT)


@inline
def slice_of(task):  # type: ignore[no-untyped-def]
    """SLICE of a task; 0 where its model runs whole, in one cycle."""
    return load_i64(task + _SLICED)


@inline
def is_under_way(block):  # type: ignore[no-untyped-def]
    """Is a run of a block under way?"""
    slices = load_i64(block + _SLICES)
    return slices != 0 and load_i64(slices + _UNDER_WAY) != 0


@inline
def is_mid_run(task):  # type: ignore[no-untyped-def]
    """Is a run of the task's model under way, which another cycle began?"""
    return slice_of(task) != 0 and is_under_way(load_i64(load_i64(task + _READER) + _ACTIVE))


@inline
def drop(block):  # type: ignore[no-untyped-def]
    """Let go of a block's run; its states are as before it. Gives 1 where one was under way."""
    if not is_under_way(block):
        return 0
    store_i64(load_i64(block + _SLICES) + _UNDER_WAY, 0)
    restore_states(block)
    return 1


@inline
def drop_run(task):  # type: ignore[no-untyped-def]
    """Let go of the run of the task's model, and count that; what was published stays."""
    if slice_of(task) != 0:
        dropped = drop(load_i64(load_i64(task + _READER) + _ACTIVE))
        add_to(load_i64(task + _STATS) + _GIVEN_UP, dropped)


@inline
def give_up(task):  # type: ignore[no-untyped-def]
    """The same; and until the next run is done, there is no result that could be published."""
    if slice_of(task) != 0:
        drop_run(task)
        store_i64(task + _FAULT, _NO_RESULT)


@inline
def way_of(task, tick):  # type: ignore[no-untyped-def]
    """From the result of this tick to the next: from turn to turn, or as long as the run has taken that is done now."""
    sliced, every = slice_of(task), load_i64(task + _EVERY)
    return every if sliced == 0 else max(every, tick - load_i64(sliced + _BEGUN) + load_i64(task + _PERIOD))
