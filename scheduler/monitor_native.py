"""Is the model to be trusted in this cycle? The monitor looks after the model has computed, before anything of it is used.

    a slot           tensors of the task's model --> those of the monitor's --> execute --> its output       the value
    the envelope     tensors of the task's model, and what training saw of them (`scheduler.envelope_native`)

    value, limit, hysteresis, delay --> speaks, or not (`scheduler.verdicts`)

A value that is NaN, or that there is none of, because the monitor's model failed, counts as infinite.
"""

import math

import scheduler.verdicts as verdicts
from rt_engine.run.blocks import BLOCK, READER, STATE, STATES_HEAD
from rt_engine.run.state_native import reset_states, states_finite
from rt_native.counting import add_to
from rt_native.histogram import NBYTES as HISTOGRAM_BYTES
from rt_native.histogram_native import add as count_time
from rt_native.lang import call1, copy_bytes, fill_bytes, inline, load_f64, load_i64, store_f64, store_i64
from rt_native.memory import offsets
from scheduler.element_native import load_element
from scheduler.envelope_native import envelope_value
from scheduler.monitor_block import MONITOR, WATCHED, Kind
from scheduler.task_block import STATS, TASK
from scheduler.time_native import measured

_T, _M, _W, _N, _S, _B, _R = (
    offsets(TASK), offsets(MONITOR), offsets(WATCHED), offsets(STATS), offsets(STATE), offsets(BLOCK), offsets(READER)
)  # fmt: skip
_MONITOR, _EXECUTE, _STATS = _T.monitor, _T.execute, _T.stats
_READER, _MOVES, _MOVE_COUNT, _OUTPUT, _DTYPE, _ELEMENT = (
    _M.reader, _M.moves, _M.move_count, _M.output, _M.dtype, _M.element
)  # fmt: skip
_LIMIT, _HYSTERESIS, _DELAY, _COST = _M.limit, _M.hysteresis, _M.delay_ns, _M.cost
_VALUE, _LARGEST, _SINCE, _SPEAKS, _LOOKED, _LOOKED_AT = (
    _M.value, _M.largest, _M.over_since_ns, _M.speaks, _M.looked_ns, _M.looked_at
)  # fmt: skip
_KIND, _AT, _TENSOR, _NBYTES, _WATCHED_SIZE = _W.kind, _W.at, _W.tensor, _W.nbytes, WATCHED.itemsize
_TENSORS, _STATES, _ENVELOPE, _ACTIVE = _B.tensors, _B.states, _B.envelope, _R.active
_ADDRESS, _STATE_BYTES, _STATE_SIZE, _HEAD = _S.address, _S.nbytes, STATE.itemsize, STATES_HEAD
_OVER, _VERDICTS = _N.monitor_over, _N.monitor_verdicts
_IS_STATE, _INFINITE = int(Kind.STATE), math.inf

is_over = inline(verdicts.is_over)
over_since = inline(verdicts.over_since)
speaks = inline(verdicts.speaks)


@inline
def hand_over(monitor, block, mine):  # type: ignore[no-untyped-def]
    """Copy what is watched into the monitor's tensors; False if the model has no such state."""
    move, there, good = load_i64(monitor + _MOVES), load_i64(mine + _TENSORS), True
    tensors, states = load_i64(block + _TENSORS), load_i64(block + _STATES)
    for _ in range(load_i64(monitor + _MOVE_COUNT)):
        at, nbytes = load_i64(move + _AT), load_i64(move + _NBYTES)
        source = 0
        if load_i64(move + _KIND) != _IS_STATE:
            source = load_i64(tensors + at)
        elif states != 0 and at < load_i64(states):
            state = states + _HEAD + _STATE_SIZE * at
            if load_i64(state + _STATE_BYTES) == nbytes:
                source = load_i64(state + _ADDRESS)
        if source != 0:
            copy_bytes(load_i64(there + load_i64(move + _TENSOR)), source, nbytes)
        else:
            good = False
        move += _WATCHED_SIZE
    return good


@inline
def model_value(task, monitor, block):  # type: ignore[no-untyped-def]
    """What the monitor's model says; infinity where it says nothing."""
    mine, value = load_i64(load_i64(monitor + _READER) + _ACTIVE), _INFINITE
    if hand_over(monitor, block, mine) and call1(load_i64(task + _EXECUTE), mine) == 0:
        base = load_i64(load_i64(mine + _TENSORS) + load_i64(monitor + _OUTPUT))
        value = load_element(base, load_i64(monitor + _DTYPE), load_i64(monitor + _ELEMENT))
    if not states_finite(mine):
        reset_states(mine)
    return value if value == value else _INFINITE


@inline
def value_of(task, monitor, block):  # type: ignore[no-untyped-def]
    """How little the model's numbers are to be trusted."""
    if load_i64(monitor + _READER) != 0:
        return model_value(task, monitor, block)
    envelope = load_i64(block + _ENVELOPE)
    return envelope_value(envelope, block) if envelope != 0 else _INFINITE


@inline
def look(task, block, tick):  # type: ignore[no-untyped-def]
    """Look at what the model has computed; 1 where the monitor speaks against it. Asked again in a cycle, it does not look again."""
    monitor = load_i64(task + _MONITOR)
    if monitor == 0 or block == 0:
        return 0
    if load_i64(monitor + _LOOKED) == tick and load_i64(monitor + _LOOKED_AT) == block:
        return load_i64(monitor + _SPEAKS)
    began, said, stats = measured(task), load_i64(monitor + _SPEAKS), load_i64(task + _STATS)
    value = value_of(task, monitor, block)
    over = is_over(value, load_f64(monitor + _LIMIT), load_f64(monitor + _HYSTERESIS), said)
    since = over_since(load_i64(monitor + _SINCE), over, tick)
    says = speaks(since, tick, load_i64(monitor + _DELAY))
    add_to(stats + _OVER, 1 if over else 0)
    add_to(stats + _VERDICTS, 1 if says > said else 0)
    store_f64(monitor + _VALUE, value)
    store_f64(monitor + _LARGEST, max(load_f64(monitor + _LARGEST), value))
    store_i64(monitor + _SINCE, since)
    store_i64(monitor + _SPEAKS, says)
    store_i64(monitor + _LOOKED, tick)
    store_i64(monitor + _LOOKED_AT, block)
    count_time(load_i64(monitor + _COST), measured(task) - began)
    return says


@inline
def still_speaks(task):  # type: ignore[no-untyped-def]
    """1 where the monitor spoke when it last looked."""
    monitor = load_i64(task + _MONITOR)
    return load_i64(monitor + _SPEAKS) if monitor != 0 else 0


@inline
def forget_monitor(task):  # type: ignore[no-untyped-def]
    """Start the largest value and the costs anew; what it says goes on."""
    monitor = load_i64(task + _MONITOR)
    if monitor != 0:
        store_f64(monitor + _LARGEST, -_INFINITE)
        fill_bytes(load_i64(monitor + _COST), 0, HISTOGRAM_BYTES)
