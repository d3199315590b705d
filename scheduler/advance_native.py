"""One cycle of a run that takes several (drawn in `scheduler.slices_native`): begun where it is due, and as many pieces as fit.

A slice ends with its time, or where what comes behind the model needs the rest of the cycle.
"""

import scheduler.deadlines as deadlines
from rt_engine.recording.record_block import Flag
from rt_engine.run.blocks import BLOCK, NEVER, SLICES
from rt_engine.run.slices_native import MORE, begin
from rt_engine.run.state_native import restore_states, save_states
from rt_engine.run.team_native import await_until
from rt_engine.status import Status
from rt_native.counting import add_to
from rt_native.lang import call5, inline, load_i64, store_i64
from rt_native.memory import offsets
from scheduler.inputs_native import gather
from scheduler.slice_block import END, LIVE, SLICE
from scheduler.slices_native import is_under_way, slice_of
from scheduler.slow_native import is_turn
from scheduler.tapping_native import raise_flag
from scheduler.task_block import STATS, TASK
from scheduler.time_native import measured, shift_of

_T, _N, _L = offsets(TASK), offsets(STATS), offsets(SLICE)
_EVERY, _NEXT, _PERIOD, _STATS, _CLOCK, _NOW = (
    _T.every_ns, _T.next_turn_ns, _T.period_ns, _T.stats, _T.clock, _T.clock_now
)  # fmt: skip
_EXECUTE, _SLICE, _RESERVE, _TOLD, _BEGUN, _CYCLES, _LONGEST = (
    _L.execute, _L.slice_ns, _L.reserve_ns, _L.told, _L.begun_ns, _L.cycles, _L.longest_ns
)  # fmt: skip
_LAST_CYCLES, _MOST_CYCLES, _LAST_NS, _MOST_NS = _L.last_cycles, _L.most_cycles, _L.last_ns, _L.most_ns
_RUNS, _LATE, _OVERRUNS = _N.runs, _N.late_runs, _N.slice_overruns
_SLICES, _RAN, _BEHIND = offsets(BLOCK).slices, offsets(SLICES).ran_ns, offsets(SLICES).behind_ns
_MORE, _LIVE, _END, _NEVER, _ENDED = MORE, LIVE, END, NEVER, int(Flag.RUN_ENDED)
_TEAM, _HELPER_LATE = _T.team, int(Status.HELPER_LATE)

next_in_row = inline(deadlines.next_in_row)


@inline
def advance(task, block, tick):  # type: ignore[no-untyped-def]
    """The run of this cycle goes on; its status where it is done, else MORE. MORE, too, where none is under way and none is due."""
    sliced = slice_of(task)
    if is_turn(task, tick):
        take_place(task, block, tick)
        if not is_under_way(block):
            begin_run(task, sliced, block, tick)
    if not is_under_way(block):
        return _MORE
    add_to(sliced + _CYCLES, 1)
    status = spend(task, sliced, block, tick, 0)
    if status != _MORE:
        note_run(task, sliced, block)
    return status


@inline
def take_place(task, block, tick):  # type: ignore[no-untyped-def]
    """A turn has come, and with it the next one's place in the row. A run that is not done then is late, unless all are turns."""
    every = load_i64(task + _EVERY)
    is_late = is_under_way(block) and every > load_i64(task + _PERIOD)
    add_to(load_i64(task + _STATS) + _LATE, 1 if is_late else 0)
    store_i64(task + _NEXT, next_in_row(load_i64(task + _NEXT), tick, every))


@inline
def begin_run(task, sliced, block, tick):  # type: ignore[no-untyped-def]
    """A run begins, on this cycle's inputs."""
    gather(task, block)
    save_states(block)
    begin(load_i64(block + _SLICES))
    store_i64(sliced + _BEGUN, tick)
    store_i64(sliced + _CYCLES, 0)


@inline
def spend(task, sliced, block, tick, is_second):  # type: ignore[no-untyped-def]
    """A slice of a block's run; gives MORE, or the run's status. A replay says which cycle ends it.

    A second version behind the outputs begins nothing that would not fit: it may not cost the live one a tick. Nor may helpers: what
    they have begun is awaited until the rest of the cycle is needed, and no longer.
    """
    told, execute = load_i64(sliced + _TOLD), load_i64(sliced + _EXECUTE)
    now, clock = load_i64(task + _NOW), load_i64(task + _CLOCK)
    if told != _LIVE:
        return call5(execute, block, now, clock, _NEVER, 1) if told == _END else _MORE
    begun, most = measured(task), load_i64(sliced + _SLICE)
    left = tick + shift_of(task) + load_i64(task + _PERIOD) - load_i64(sliced + _RESERVE) - begun
    if load_i64(task + _TEAM) != 0:
        await_until(load_i64(task + _TEAM), left)
    is_whole = -1 if is_second != 0 else (1 if left >= most else 0)
    store_i64(load_i64(block + _SLICES) + _BEHIND, max(left - most, 0))
    status = call5(execute, block, now, clock, begun + min(most, left), is_whole)
    if status == _HELPER_LATE:  # the model is not at fault: its next run begins where this one did
        restore_states(block)
    took = measured(task) - begun
    if is_second == 0:  # what is counted is of the live version
        store_i64(sliced + _LONGEST, max(load_i64(sliced + _LONGEST), took))
        add_to(load_i64(task + _STATS) + _OVERRUNS, 1 if took > most else 0)
    return status


@inline
def note_run(task, sliced, block):  # type: ignore[no-untyped-def]
    """A run is done: how many cycles, and how long, it took."""
    raise_flag(task, _ENDED)
    cycles, ran = load_i64(sliced + _CYCLES), load_i64(load_i64(block + _SLICES) + _RAN)
    add_to(load_i64(task + _STATS) + _RUNS, 1)
    store_i64(sliced + _LAST_CYCLES, cycles)
    store_i64(sliced + _MOST_CYCLES, max(load_i64(sliced + _MOST_CYCLES), cycles))
    store_i64(sliced + _LAST_NS, ran)
    store_i64(sliced + _MOST_NS, max(load_i64(sliced + _MOST_NS), ran))
