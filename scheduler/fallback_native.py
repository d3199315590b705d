"""Who computes where the model is not to be trusted, or has no time; and how outputs go over from one to the other.

    cycle     begin_instead    versions of the other slots for this tick
              in_time          the block that computes: the model's, or the smaller one's where the time left does not suffice
    compute   stand_in         the fallback's numbers -> `raw`, before the step sees them
    write     fallback_action  what is published then
              blend            `raw` begins where the published values are, and is its source's own after `blend`

A source is whose numbers are published: the model's (a smaller one's are the model's too), the fallback's, none where outputs are
held or safe. A fallback, and a smaller model, that did not compute in the cycle before begin with their initial state.
"""

from rt_engine.run.blocks import BLOCK, READER
from rt_engine.run.slot_native import is_condemned, pick
from rt_engine.run.state_native import reset_states, states_finite
from rt_native.counting import add_to
from rt_native.lang import call1, fill_bytes, inline, load_f64, load_i64, store_f64, store_i64
from rt_native.memory import offsets
from scheduler.fallback_block import FALLBACK, LATE, Source, Use
from scheduler.inputs_native import gather
from scheduler.monitor_block import MONITOR
from scheduler.outputs_native import not_finite, scatter
from scheduler.slices_native import is_mid_run
from scheduler.slow_native import is_turn, turn_again
from scheduler.status import Action, TaskStatus
from scheduler.task_block import STATS, TASK, OnFault
from scheduler.time_native import now, shift_of

_T, _F, _L, _N = offsets(TASK), offsets(FALLBACK), offsets(LATE), offsets(STATS)
_FALLBACK, _LATE, _MONITOR, _EXECUTE, _STATS, _PERIOD, _ON_NAN = (
    _T.fallback, _T.late, _T.monitor, _T.execute, _T.stats, _T.period_ns, _T.on_nan
)  # fmt: skip
_RAW, _LAST, _COUNT = _T.raw, _T.last, _T.raw_count
_USE, _READER, _HOLD_NS, _BLEND, _BUMPS = _F.use, _F.reader, _F.hold_ns, _F.blend_ns, _F.bumps
_STANDS, _STOOD, _SOURCE, _BLEND_FROM = _F.stands, _F.stood, _F.source, _F.blend_from_ns
_LATE_READER, _RESERVE, _IS_LATE = _L.reader, _L.reserve_ns, _L.is_late
_MONITOR_READER, _ACTIVE, _NEEDS = offsets(MONITOR).reader, offsets(READER).active, offsets(BLOCK).needs_ns
_FALLBACKS, _SMALLER = _N.fallbacks, _N.smaller_models
_SLOT, _STEP, _HOLD_USE, _SAFE_USE = int(Use.SLOT), int(Use.STEP), int(Use.HOLD), int(Use.SAFE)
_NONE, _MODEL, _OTHER = int(Source.NONE), int(Source.MODEL), int(Source.FALLBACK)
_LIVE, _HOLD, _SAFE, _STAND_IN = int(Action.LIVE), int(Action.HOLD), int(Action.SAFE), int(Action.FALLBACK)
_OK, _PASS, _FIRST_OF_TASKS = int(TaskStatus.OK), int(OnFault.PASS), 100
_SPOKEN, _NAN_OUTPUT, _BAD_STATE, _STEP_FAILED, _NO_RESULT = (
    int(TaskStatus[name]) for name in ["MONITOR", "NAN_OUTPUT", "BAD_STATE", "STEP_FAILED", "NO_RESULT"]
)


@inline
def take_version(task, reader, tick):  # type: ignore[no-untyped-def]
    """Let another slot of the task take the version of this tick, whether it computes or not; but not in the middle of a run."""
    if reader == 0:
        return 0
    return load_i64(reader + _ACTIVE) if is_mid_run(task) else pick(reader, tick)


@inline
def renew_version(task, reader, tick, is_live):  # type: ignore[no-untyped-def]
    """The same for one whose numbers are live: another version has a turn at once, as what lies between two is of the one before."""
    before = load_i64(reader + _ACTIVE) if reader != 0 else 0
    block = take_version(task, reader, tick)
    if block != before and is_live != 0:
        turn_again(task)
    return block


@inline
def is_other_condemned(task):  # type: ignore[no-untyped-def]
    """Are this cycle's numbers those of a fallback, or of a smaller model, whose version a task has found bad meanwhile?"""
    fallback, late, found = load_i64(task + _FALLBACK), load_i64(task + _LATE), False
    if fallback != 0 and load_i64(fallback + _STANDS) != 0 and load_i64(fallback + _READER) != 0:
        found = is_condemned(load_i64(fallback + _READER))
    if late != 0 and load_i64(late + _IS_LATE) != 0 and not found:
        found = is_condemned(load_i64(late + _LATE_READER))
    return found


@inline
def is_any_condemned(task):  # type: ignore[no-untyped-def]
    """Was the version found bad that its monitor runs, or its fallback?"""
    monitor, fallback, found = load_i64(task + _MONITOR), load_i64(task + _FALLBACK), False
    if monitor != 0 and load_i64(monitor + _MONITOR_READER) != 0:
        found = is_condemned(load_i64(monitor + _MONITOR_READER))
    if fallback != 0 and load_i64(fallback + _READER) != 0 and not found:
        found = is_condemned(load_i64(fallback + _READER))
    return found


@inline
def begin_instead(task, tick):  # type: ignore[no-untyped-def]
    """Begin a cycle: nothing stands in yet."""
    monitor, fallback = load_i64(task + _MONITOR), load_i64(task + _FALLBACK)
    if monitor != 0:
        take_version(task, load_i64(monitor + _MONITOR_READER), tick)
    if fallback != 0:
        renew_version(task, load_i64(fallback + _READER), tick, load_i64(fallback + _STANDS))
        store_i64(fallback + _STOOD, load_i64(fallback + _STANDS))
        store_i64(fallback + _STANDS, 0)


@inline
def in_time(task, block, tick):  # type: ignore[no-untyped-def]
    """The block that computes in this cycle: a smaller model's, where what is left of the period is less than the model needs."""
    late = load_i64(task + _LATE)
    if late == 0:
        return block
    before = load_i64(late + _IS_LATE)
    smaller = renew_version(task, load_i64(late + _LATE_READER), tick, before)
    if not is_turn(task, tick):
        return block
    left = tick + shift_of(task) + load_i64(task + _PERIOD) - now(task) - load_i64(late + _RESERVE)
    is_late = 1 if left < load_i64(block + _NEEDS) else 0
    store_i64(late + _IS_LATE, is_late)
    add_to(load_i64(task + _STATS) + _SMALLER, is_late)
    if is_late > before:
        reset_states(smaller)
    return smaller if is_late != 0 else block


@inline
def is_late_cycle(task):  # type: ignore[no-untyped-def]
    """Does the smaller model compute in this cycle?"""
    late = load_i64(task + _LATE)
    return late != 0 and load_i64(late + _IS_LATE) != 0


@inline
def reset_others(task):  # type: ignore[no-untyped-def]
    """The states of all other models of the task back to where they began; gives how many there are."""
    monitor, fallback, late, found = load_i64(task + _MONITOR), load_i64(task + _FALLBACK), load_i64(task + _LATE), 0
    if monitor != 0:
        found += reset_active(load_i64(monitor + _MONITOR_READER))
    if fallback != 0:
        found += reset_active(load_i64(fallback + _READER))
    if late != 0:
        found += reset_active(load_i64(late + _LATE_READER))
    return found


@inline
def reset_active(reader):  # type: ignore[no-untyped-def]
    """The states of the version that a reader runs; 0 without a reader."""
    return reset_states(load_i64(reader + _ACTIVE)) if reader != 0 else 0


@inline
def fallback_use(task):  # type: ignore[no-untyped-def]
    """What is published in the model's place; 0: the task has no fallback."""
    fallback = load_i64(task + _FALLBACK)
    return load_i64(fallback + _USE) if fallback != 0 else 0


@inline
def stand_in(task):  # type: ignore[no-untyped-def]
    """Compute in the model's place; 1 where `raw` holds numbers of the fallback that may go on to the step."""
    fallback, use = load_i64(task + _FALLBACK), fallback_use(task)
    stands = 0
    if use == _STEP:
        fill_bytes(load_i64(task + _RAW), 0, 8 * load_i64(task + _COUNT))
        stands = 1
    elif use == _SLOT:
        stands = run_slot(task, fallback)
    if fallback != 0:
        store_i64(fallback + _STANDS, stands)
    return stands


@inline
def run_slot(task, fallback):  # type: ignore[no-untyped-def]
    """The fallback's model on the inputs of this cycle; 1 where its outputs, and its states, are numbers."""
    mine = load_i64(load_i64(fallback + _READER) + _ACTIVE)
    if load_i64(fallback + _STOOD) == 0:
        reset_states(mine)
    gather(task, mine)
    if call1(load_i64(task + _EXECUTE), mine) != _OK:
        return 0
    scatter(task, mine, load_i64(task + _RAW))
    good = 1
    if not states_finite(mine):
        reset_states(mine)
        good = 0
    return 0 if not_finite(task) > 0 and load_i64(task + _ON_NAN) != _PASS else good


@inline
def stand_on(task):  # type: ignore[no-untyped-def]
    """Between two turns of the model: what stood in for it still does; 0 where nothing did."""
    fallback, stood = load_i64(task + _FALLBACK), 0
    if fallback != 0:
        stood = load_i64(fallback + _STOOD)
        store_i64(fallback + _STANDS, stood)
    return stood


@inline
def stands(task):  # type: ignore[no-untyped-def]
    """Does `raw` hold what stands in for the model?"""
    fallback = load_i64(task + _FALLBACK)
    return fallback != 0 and load_i64(fallback + _STANDS) != 0


@inline
def step_aside(task):  # type: ignore[no-untyped-def]
    """What stood in is of no use either."""
    fallback = load_i64(task + _FALLBACK)
    if fallback != 0:
        store_i64(fallback + _STANDS, 0)


@inline
def is_models(fault):  # type: ignore[no-untyped-def]
    """Is a fault one of what was computed: of the model's numbers, its states, the step? Not of inputs, time, or who paused it."""
    return fault < _FIRST_OF_TASKS or fault in (_SPOKEN, _NAN_OUTPUT, _BAD_STATE, _STEP_FAILED, _NO_RESULT)


@inline
def fallback_action(task, fault):  # type: ignore[no-untyped-def]
    """The action that the fallback is for a fault; -1 where it is none."""
    use, action = fallback_use(task), -1
    if is_models(fault):
        if stands(task):
            action = _STAND_IN
        elif use == _HOLD_USE:
            action = _HOLD
        elif use == _SAFE_USE:
            action = _SAFE
    add_to(load_i64(task + _STATS) + _FALLBACKS, 1 if action >= 0 else 0)
    return action


@inline
def longest_hold(task, fault, most_ns):  # type: ignore[no-untyped-def]
    """How long outputs are held for a fault; `most_ns` where the fallback does not say less."""
    if fallback_use(task) == _HOLD_USE and is_models(fault):
        return load_i64(load_i64(task + _FALLBACK) + _HOLD_NS)
    return most_ns


@inline
def blend(task, action, tick):  # type: ignore[no-untyped-def]
    """Let `raw` begin where the published values are when its source is another than before, and be its own after a while."""
    fallback = load_i64(task + _FALLBACK)
    if fallback == 0:
        return
    source = _MODEL if action == _LIVE else _OTHER if action == _STAND_IN else _NONE
    before, time = load_i64(fallback + _SOURCE), load_i64(fallback + _BLEND)
    store_i64(fallback + _SOURCE, source)
    if time == 0 or source == _NONE:
        return
    raw, last, bumps, count = (
        load_i64(task + _RAW), load_i64(task + _LAST), load_i64(fallback + _BUMPS), load_i64(task + _COUNT)
    )  # fmt: skip
    if source != before:
        store_i64(fallback + _BLEND_FROM, tick - load_i64(task + _PERIOD))
        for i in range(count):
            bump = load_f64(last + 8 * i) - load_f64(raw + 8 * i)
            store_f64(bumps + 8 * i, bump if bump - bump == 0.0 else 0.0)
    elapsed = tick - load_i64(fallback + _BLEND_FROM)
    if elapsed < time:
        left = 1.0 - elapsed / time
        for i in range(count):
            store_f64(raw + 8 * i, load_f64(raw + 8 * i) + load_f64(bumps + 8 * i) * left)
