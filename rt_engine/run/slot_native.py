"""The one place where a task changes to a new model version."""

from rt_engine.run.blocks import READER, SLOT
from rt_engine.run.state_native import copy_states, reset_states, states_finite
from rt_native.lang import atomic_exchange, atomic_load, export, inline, load_i64, store_i64
from rt_native.memory import offsets

_R, _S = offsets(READER), offsets(SLOT)
_SLOT, _ACTIVE, _NEXT, _TAKEN, _SWITCHES, _CARRY, _DROPPED, _ACTIVATION = (
    _R.slot,
    _R.active,
    _R.next,
    _R.taken_ns,
    _R.switches,
    _R.carry,
    _R.dropped,
    _S.activation_ns,
)


@inline
def carry_state(reader, taken):
    """The states of the version that ran go over to the one that takes its place; a NaN or an infinity does not: it begins anew."""
    running, dropped = load_i64(reader + _ACTIVE), 0
    if load_i64(reader + _CARRY) != 0:
        if states_finite(running):
            copy_states(taken, running)
        else:
            reset_states(taken)
            dropped = 1
    store_i64(reader + _DROPPED, dropped)


@inline
def pick(reader, tick_ns):
    """The block to run in the tick that was due at `tick_ns`: the pending version from its activation time on."""
    if atomic_load(reader + _NEXT) != 0 and tick_ns >= atomic_load(load_i64(reader + _SLOT) + _ACTIVATION):
        taken = atomic_exchange(reader + _NEXT, 0)
        if taken != 0:  # zero: the update was withdrawn at this very moment
            carry_state(reader, taken)
            store_i64(reader + _TAKEN, tick_ns)
            store_i64(reader + _SWITCHES, load_i64(reader + _SWITCHES) + 1)
            atomic_exchange(reader + _ACTIVE, taken)
    return load_i64(reader + _ACTIVE)


@export
def slot_pick(reader, tick_ns):
    """See `pick`."""
    return pick(reader, tick_ns)


@export
def slot_withdraw(reader):
    """Take back the version that is offered to a reader; gives its block, or 0 if it has been taken."""
    return atomic_exchange(reader + _NEXT, 0)
