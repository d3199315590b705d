"""The one place where a task changes to another arrangement of model versions, and falls back from one that is found bad.

offered      next --(a tick of its time)--> take:  states go over, active, arrangement, watch
found bad    the change has a verdict    --> fall_back:  active is what the arrangement falls to, nothing is carried
"""

from rt_engine.run.blocks import ARRANGEMENT, CHANGE, READER
from rt_engine.run.state_native import copy_states, reset_states, states_finite
from rt_native.atomics import atomic_replace
from rt_native.lang import atomic_exchange, atomic_load, atomic_store, call1, export, inline, load_i64, store_i64
from rt_native.memory import offsets

_R, _A, _C = offsets(READER), offsets(ARRANGEMENT), offsets(CHANGE)
_ACTIVE, _NEXT, _ARRANGEMENT, _WATCH, _TAKEN, _SWITCHES, _SWITCHED, _DROPPED = (
    _R.active,
    _R.next,
    _R.arrangement,
    _R.watch,
    _R.taken_ns,
    _R.switches,
    _R.switched_ns,
    _R.dropped,
)
_TO_RUN, _CARRY_TO, _FALL_TO, _CHANGE, _WATCHED = _A.active, _A.carry_to, _A.fall_to, _A.change, _A.watch
_ACTIVATION, _VERDICT, _TICK, _TASK, _PLACE = _C.activation_ns, _C.verdict, _C.tick_ns, _C.task, _C.place


@inline
def carry_state(running, to):
    """The states of the version that ran go over to `to`; gives 1 if they held a NaN or an infinity, so that it begins anew."""
    if states_finite(running):
        copy_states(to, running)
        return 0
    reset_states(to)
    return 1


@inline
def switch(reader, block, tick_ns):
    """Another block runs from this tick on; none is a switch to itself."""
    if block != load_i64(reader + _ACTIVE):
        store_i64(reader + _SWITCHES, load_i64(reader + _SWITCHES) + 1)
        store_i64(reader + _SWITCHED, tick_ns)
        store_i64(reader + _ACTIVE, block)


@inline
def take(reader, offered, tick_ns):
    """Run what is offered. That is seen from outside when its states are copied: the arrangement is written last."""
    to, dropped = load_i64(offered + _CARRY_TO), 0
    if to != 0:
        dropped = carry_state(load_i64(reader + _ACTIVE), to)
    store_i64(reader + _DROPPED, dropped)
    store_i64(reader + _TAKEN, tick_ns)
    store_i64(reader + _WATCH, load_i64(offered + _WATCHED))
    switch(reader, load_i64(offered + _TO_RUN), tick_ns)
    atomic_exchange(reader + _ARRANGEMENT, offered)


@inline
def is_condemned(reader):
    """Has the change a verdict, and this reader still runs the version that it is about?"""
    arrangement = load_i64(reader + _ARRANGEMENT)
    if arrangement == 0:
        return False
    fall_to = load_i64(arrangement + _FALL_TO)
    if fall_to == 0 or fall_to == load_i64(reader + _ACTIVE):
        return False
    return atomic_load(load_i64(arrangement + _CHANGE) + _VERDICT) != 0


@inline
def fall_back(reader, tick_ns):
    """The version before is active again, with its own states; gives its block."""
    block = load_i64(load_i64(reader + _ARRANGEMENT) + _FALL_TO)
    store_i64(reader + _WATCH, 0)
    switch(reader, block, tick_ns)
    return block


@inline
def condemn(reader, verdict, tick_ns, task, place):
    """Find the version bad that runs: for all readers of the change, once. Who is first says why."""
    change = load_i64(load_i64(reader + _ARRANGEMENT) + _CHANGE)
    if atomic_replace(change + _VERDICT, 0, verdict) != 0:
        store_i64(change + _TASK, task)
        store_i64(change + _PLACE, place)
        atomic_store(change + _TICK, tick_ns)


@inline
def pick(reader, tick_ns):
    """The block to run in the tick that was due at `tick_ns`: of what is offered from its time on, unless that was found bad."""
    offered = atomic_load(reader + _NEXT)
    # an offer that was withdrawn stays in memory, so that it can be looked at here, and none has its address
    if (
        offered != 0
        and tick_ns >= atomic_load(load_i64(offered + _CHANGE) + _ACTIVATION)
        and atomic_replace(reader + _NEXT, offered, 0) != 0
    ):
        take(reader, offered, tick_ns)
    if is_condemned(reader):
        fall_back(reader, tick_ns)
    return load_i64(reader + _ACTIVE)


@export
def slot_pick(reader, tick_ns):
    """See `pick`."""
    return pick(reader, tick_ns)


@export
def slot_activate(change, clock_now, clock, epoch, every, margin):
    """Let a change's offers be taken from the first tick of a grid on that is `margin` ahead; `every` 0: from that moment on.

    Gives that tick. Or 0, if it has come meanwhile: then not everybody may have seen it in time.
    """
    soon = call1(clock_now, clock) + margin
    tick = soon
    if every > 0:
        first = max(soon, epoch)
        tick = epoch + (first - epoch + every - 1) // every * every
    atomic_exchange(change + _ACTIVATION, tick)
    return tick if call1(clock_now, clock) < tick else 0


@export
def slot_withdraw(reader):
    """Take back the arrangement that is offered to a reader; gives its address, or 0 if it has been taken."""
    return atomic_exchange(reader + _NEXT, 0)
