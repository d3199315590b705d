"""A model that runs every N cycles of its task: when is its turn, and what its outputs are between two turns.

    tick       0     1     2     3     4     5     6     7     8          every = 4
    model      y0                      y1                      y2
    hold       y0    y0    y0    y0    y1    y1    y1    y1    y2         at once
    linear     y0    y0    y0    y0    1/4   2/4   3/4   y1    1/4        from y0 to y1, then from y1 to y2: there when the next comes
    step, guard, outputs: in every cycle

Turns keep to their row: one that comes late because a tick was missed does not move the next. The row begins anew, at once, after a
cycle whose inputs were bad, or whose windows were not full, so that the newest sample of a window is always the one of a turn.

A fault of the model at its turn is the fault of all cycles until the next one. A version that becomes live has a turn at once, so
that nothing of the one before is published any more.
"""

import scheduler.deadlines as deadlines
from rt_native.lang import copy_bytes, inline, load_f64, load_i64, store_f64, store_i64
from rt_native.memory import offsets
from rt_native.vector import load_f64x, select, splat_f64x, store_f64x
from scheduler.lanes_native import LANES
from scheduler.slices_native import slice_of, way_of
from scheduler.status import Action
from scheduler.task_block import STATS, TASK

_T = offsets(TASK)
_EVERY, _NEXT, _TURN, _FAULT = _T.every_ns, _T.next_turn_ns, _T.turn_ns, _T.turn_fault
_WAY = _T.way_ns
_FROM, _TO, _IS_LINEAR, _RAW, _RAW_COUNT = _T.ramp_from, _T.ramp_to, _T.is_linear, _T.raw, _T.raw_count
_PERIOD, _TICK, _STATS, _ACTION = _T.period_ns, _T.tick_ns, _T.stats, offsets(STATS).action
_EIGHT, _LIVE, _STAND_IN = LANES, int(Action.LIVE), int(Action.FALLBACK)

next_in_row = inline(deadlines.next_in_row)


@inline
def is_turn(task, tick):  # type: ignore[no-untyped-def]
    """Does the model run in this cycle? Always, where it runs in each."""
    return tick >= load_i64(task + _NEXT)


@inline
def begin_turn(task, tick):  # type: ignore[no-untyped-def]
    """The model runs now; when is its next turn?"""
    every = load_i64(task + _EVERY)
    if every != 0:
        store_i64(task + _NEXT, next_in_row(load_i64(task + _NEXT), tick, every))
    store_i64(task + _FAULT, 0)


@inline
def turn_at_once(task):  # type: ignore[no-untyped-def]
    """The next cycle whose inputs are good is a turn, and the first of a new row."""
    store_i64(task + _NEXT, 0)


@inline
def turn_again(task):  # type: ignore[no-untyped-def]
    """This cycle is a turn, too; the row goes on as it is."""
    following = load_i64(task + _NEXT)
    if following != 0:
        store_i64(task + _NEXT, following - load_i64(task + _EVERY))


@inline
def note_fault(task, fault):  # type: ignore[no-untyped-def]
    """The model's own fault at its turn counts until the next; gives it."""
    store_i64(task + _FAULT, fault)
    return fault


@inline
def fault_of_turn(task):  # type: ignore[no-untyped-def]
    """What was wrong with the model at its newest turn."""
    return load_i64(task + _FAULT)


@inline
def share(task, tick):  # type: ignore[no-untyped-def]
    """How far the way from one turn's outputs to the next's is gone at this tick, up to 1."""
    gone = tick - load_i64(task + _TURN) + load_i64(task + _PERIOD)
    way = load_i64(task + _WAY)
    return 1.0 if gone >= way else gone / way


@inline
def aim(task, tick):  # type: ignore[no-untyped-def]
    """`raw`, just computed, is where outputs go until the next turn; gives the first of the way in `raw`.

    The way begins where they are, of outputs that go in a line; after a cycle that was not live all are there at once. So they are
    after one of a fallback beside a model in slices, whose numbers are new in each cycle.
    """
    if load_i64(task + _EVERY) != 0:
        before = load_i64(task + _TICK)
        action = load_i64(load_i64(task + _STATS) + _ACTION)
        is_on_way = action == _LIVE or (action == _STAND_IN and slice_of(task) == 0)
        goes_on = is_on_way and load_i64(task + _TURN) != 0
        along = share(task, before) if goes_on else 1.0
        raw, start, goal, lines, count = (
            load_i64(task + _RAW), load_i64(task + _FROM), load_i64(task + _TO), load_i64(task + _IS_LINEAR),
            load_i64(task + _RAW_COUNT),
        )  # fmt: skip
        for i in range(count):
            new, old = load_f64(raw + 8 * i), load_f64(goal + 8 * i)
            if goes_on and load_i64(lines + 8 * i) != 0:
                store_f64(start + 8 * i, point(load_f64(start + 8 * i), old, along))
            else:
                store_f64(start + 8 * i, new)
        copy_bytes(goal, raw, 8 * count)
        store_i64(task + _TURN, tick)
        store_i64(task + _WAY, way_of(task, tick))
        between(task, tick)


@inline
def point(start, goal, along):  # type: ignore[no-untyped-def]
    """A point of the way; exactly the goal at its end, and where there is none to go."""
    return goal if along >= 1.0 or start == goal else start + (goal - start) * along


@inline
def between(task, tick):  # type: ignore[no-untyped-def]
    """Where the outputs are at this tick -> `raw`."""
    raw, start, goal, count = (
        load_i64(task + _RAW), load_i64(task + _FROM), load_i64(task + _TO), load_i64(task + _RAW_COUNT)
    )  # fmt: skip
    along = share(task, tick)
    done = 0
    while along < 1.0 and done + _EIGHT <= count:
        first, last = load_f64x(start + 8 * done), load_f64x(goal + 8 * done)
        store_f64x(raw + 8 * done, select(first == last, last, first + (last - first) * splat_f64x(along)))
        done += _EIGHT
    for i in range(done, count):
        store_f64(raw + 8 * i, point(load_f64(start + 8 * i), load_f64(goal + 8 * i), along))
