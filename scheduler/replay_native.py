"""The clock that plays a recording: the cycle of production (`scheduler.cycle_native`) runs on it, and repeats what was recorded.

    tasks_run    sleep_until --> replay_sleep    the cycle that was: `compare`, then `keep`
                                                 the next record: `put_inputs`, and what was told from outside then
                 cycle: now --> replay_now       what the recorded cycle was told, in the same order
                                                 before inputs are read: what a checkpoint says that was written in the cycle

Windows, turns, monitors, fallbacks, steps and guards are so the very code that ran, and know nothing of it. Where a run of records
ends, the next begins at its checkpoint. Another version is offered as by any change; what a change carries over is in a checkpoint.

Two NaN are equal: their bits are no number's, and processors choose them.
"""

from rt_engine.recording.record_block import HEAD, Flag
from rt_engine.run.blocks import BLOCK, READER, STATE, STATES_HEAD
from rt_engine.run.state_native import reset_states
from rt_native.counting import add_to
from rt_native.lang import (
    atomic_store,
    call1,
    copy_bytes,
    export,
    inline,
    load_f64,
    load_i64,
    load_u8,
    store_i64,
)
from rt_native.memory import offsets
from scheduler.kept_native import states_bytes, states_from
from scheduler.monitor_block import MONITOR
from scheduler.replay_block import CHECK, OTHER, PLACE, REGION, REPLAY, RUN, VERSION, Kind, Use, What
from scheduler.slice_block import END, GO_ON, SLICE
from scheduler.slices_native import drop
from scheduler.status import TaskStatus
from scheduler.task_block import STATS, TASK, Control

_R, _H, _T, _N = offsets(REPLAY), offsets(HEAD), offsets(TASK), offsets(STATS)
_BEGUN, _IN_CYCLE, _WHAT_IF, _REMEMBER_AT, _INSIDE, _INSIDE_AT = (
    _R.is_begun, _R.is_in_cycle, _R.is_what_if, _R.remember_at, _R.inside, _R.inside_at
)  # fmt: skip
_TASK, _STATS, _READER, _LATE, _MONITOR, _PERIOD = _R.task, _R.stats, _R.reader, _R.late, _R.monitor, _R.period_ns
_RECORD, _INDEX, _END, _RECORDS, _SIZE = _R.record, _R.index, _R.end, _R.records, _R.size
_RUNS, _RUN, _RUN_COUNT, _CHECKS, _CHECK, _CHECK_COUNT = (
    _R.runs, _R.run, _R.run_count, _R.checks, _R.check, _R.check_count
)  # fmt: skip
_SOURCES, _SOURCE_COUNT, _REGIONS, _REGION_COUNT, _VERSIONS, _VERSION_COUNT = (
    _R.sources, _R.source_count, _R.regions, _R.region_count, _R.versions, _R.version_count
)  # fmt: skip
_OTHERS, _OTHER_COUNT, _OTHER_SIZE = _R.others, _R.other_count, OTHER.itemsize
_O = offsets(OTHER)
_OTHER_READER, _OTHER_AT, _OTHER_NUMBER, _OTHER_BLOCK, _OTHER_OFFER = (
    _O.reader, _O.at, _O.number, _O.block, _O.offer
)  # fmt: skip
_RAW, _LAST, _COUNT, _RAW_AT, _PUBLISHED_AT = _R.raw, _R.last, _R.count, _R.raw_at, _R.published_at
_KEPT, _KEPT_SIZE, _MORE = _R.kept, _R.kept_size, _R.more
_CYCLES, _EQUAL, _DIFFERED = _R.cycles, _R.equal, _R.differed
_WHAT, _PLACE, _WANTED, _GOT, _PIECE = _R.what, _R.place, _R.wanted, _R.got, _R.piece
_FIRST_PIECE, _FIRST_INDEX, _FIRST_WHAT, _FOUND_BYTES = _R.first_piece, _R.first_index, _R.first_what, 32
_RUN_SIZE, _CHECK_SIZE, _PLACE_SIZE, _REGION_SIZE, _VERSION_SIZE = (
    RUN.itemsize, CHECK.itemsize, PLACE.itemsize, REGION.itemsize, VERSION.itemsize
)  # fmt: skip
_RUN_FIRST, _RUN_END = offsets(RUN).first, offsets(RUN).end
_CHECK_INDEX, _CHECK_USE, _CHECK_VERSION, _CHECK_EPOCH, _CHECK_AT = (
    offsets(CHECK).index, offsets(CHECK).use, offsets(CHECK).version, offsets(CHECK).epoch_ns, offsets(CHECK).address
)  # fmt: skip
_SLOT, _AT, _BYTES = offsets(PLACE).slot, offsets(PLACE).at, offsets(PLACE).nbytes
_G = offsets(REGION)
_WHERE, _FROM, _REGION_BYTES, _KIND, _COPIES, _NEEDS_AT, _IS_COMPARED, _NAME = (
    _G.address, _G.at, _G.nbytes, _G.kind, _G.copies, _G.needs_at, _G.is_compared, _G.name
)  # fmt: skip
_NUMBER, _BLOCK, _OFFER = offsets(VERSION).number, offsets(VERSION).block, offsets(VERSION).offer
_CLOCK, _CLOCK_COUNT, _FLAGS, _VERSION, _STATUS, _ACTION, _TICK, _DUE, _MISSED, _MONITOR_VALUE = (
    _H.clock, _H.reads, _H.flags, _H.version, _H.status, _H.action, _H.tick_ns, _H.due_ns, _H.missed, _H.monitor
)  # fmt: skip
_READS, _CONTROL, _RESET_STATE, _TASK_TICK, _EPOCH, _SHIFT, _WAKEUP = (
    _T.reads, _T.control, _T.reset_state, _T.tick_ns, _T.epoch_ns, _T.shift_ns, _H.wakeup_ns
)  # fmt: skip
_STATS_DUE, _STATS_STATUS, _STATS_ACTION = _N.due_ns, _N.status, _N.action
_ACTIVE, _NEXT, _NEEDS, _BLOCK_VERSION, _STATES = (
    offsets(READER).active, offsets(READER).next, offsets(BLOCK).needs_ns, offsets(BLOCK).version, offsets(BLOCK).states
)  # fmt: skip
_STATE_AT, _STATE_BYTES, _STATE_SIZE, _STATES_HEAD = (
    offsets(STATE).address, offsets(STATE).nbytes, STATE.itemsize, STATES_HEAD
)  # fmt: skip
_VALUE = offsets(MONITOR).value
_RENEWED, _BACK, _SMALLER = int(Flag.RENEWED), int(Flag.TAKEN_BACK | Flag.HELD_BACK), int(Flag.SMALLER)
_RUNNING, _PAUSE, _STOP, _PAUSED = int(Control.RUN), int(Control.PAUSE), int(Control.STOP), int(TaskStatus.PAUSED)
_BEGIN, _VERIFY, _SWITCH, _TAKE_BACK = int(Use.BEGIN), int(Use.VERIFY), int(Use.SWITCH), int(Use.TAKE_BACK)
_IS_WINDOW, _IS_STATE, _IS_FIXED = int(Kind.WINDOW), int(Kind.STATE), int(Kind.FIXED)
_NOTHING, _TICK_WRONG, _STATE_WRONG, _RAW_WRONG, _STATUS_WRONG, _ACTION_WRONG, _PUBLISHED_WRONG, _MONITOR_WRONG = (
    int(What[name]) for name in ["NOTHING", "TICK", "STATE", "RAW", "STATUS", "ACTION", "PUBLISHED", "MONITOR"]
)
_MISSED_WRONG = int(What.MISSED)
_SLICED, _TOLD, _END_RUN, _GO_ON = _R.sliced, offsets(SLICE).told, END, GO_ON
_RUN_ENDED, _RUN_DROPPED = int(Flag.RUN_ENDED), int(Flag.RUN_DROPPED)
_NEVER, _ALWAYS, _NO = 1 << 62, -(1 << 62), -1


@export
def replay_now(replay):  # type: ignore[no-untyped-def]
    """What the recorded cycle was told; between two cycles the tick that is waited for has come."""
    if load_i64(replay + _IN_CYCLE) == 0:
        return load_i64(load_i64(replay + _STATS) + _STATS_DUE)
    reads, record = load_i64(load_i64(replay + _TASK) + _READS), load_i64(replay + _RECORD)
    if reads == load_i64(replay + _REMEMBER_AT):
        store_i64(replay + _REMEMBER_AT, _NO)
        remember(replay, load_i64(replay + _INSIDE), load_i64(replay + _INSIDE_AT))
    return load_i64(record + _CLOCK + 8 * min(reads, load_i64(record + _CLOCK_COUNT) - 1))


@export
def replay_sleep(replay, until_ns):  # type: ignore[no-untyped-def]
    """Between two cycles: look at the one that was, prepare the next. The first call comes before the task begins."""
    if load_i64(replay + _BEGUN) == 0:
        store_i64(replay + _BEGUN, 1)
        return 0
    if load_i64(replay + _IN_CYCLE) != 0:
        store_i64(replay + _IN_CYCLE, 0)
        finish(replay)
    if until_ns >= load_i64(load_i64(replay + _STATS) + _STATS_DUE):  # not a slice of a long sleep
        if to_next(replay) != 0:
            prepare(replay)
        else:
            atomic_store(load_i64(replay + _TASK) + _CONTROL, _STOP)
    return 0


@inline
def to_next(replay):  # type: ignore[no-untyped-def]
    """Go to the next record that can be repeated; 0 where there is none."""
    index = load_i64(replay + _INDEX) + 1
    while index >= load_i64(replay + _END):
        run = load_i64(replay + _RUN)
        if run < load_i64(replay + _RUN_COUNT):
            row = load_i64(replay + _RUNS) + _RUN_SIZE * run
            index = load_i64(row + _RUN_FIRST)
            store_i64(replay + _END, load_i64(row + _RUN_END))
            store_i64(replay + _RUN, run + 1)
        elif call1(load_i64(replay + _MORE), replay) == 0:
            return 0
    store_i64(replay + _INDEX, index)
    store_i64(replay + _RECORD, load_i64(replay + _RECORDS) + load_i64(replay + _SIZE) * index)
    return 1


@inline
def prepare(replay):  # type: ignore[no-untyped-def]
    """Everything as the recorded cycle found it. When its tick was due on the clock: so long before it woke as it was late."""
    task, stats, record = load_i64(replay + _TASK), load_i64(replay + _STATS), load_i64(replay + _RECORD)
    flags, reads = load_i64(record + _FLAGS), load_i64(record + _CLOCK_COUNT)
    store_i64(replay + _WHAT, _NOTHING)
    store_i64(replay + _INSIDE_AT, 0)
    use_checks(replay)
    put_inputs(replay, record)
    store_i64(stats + _STATS_DUE, load_i64(record + _DUE))
    store_i64(task + _SHIFT, load_i64(record + _CLOCK) - load_i64(record + _WAKEUP) - load_i64(record + _DUE))
    atomic_store(task + _CONTROL, _PAUSE if load_i64(record + _STATUS) == _PAUSED else _RUNNING)
    atomic_store(task + _RESET_STATE, 1 if flags & _RENEWED != 0 and flags & _BACK == 0 else 0)
    put_slice(replay, flags)
    put_version(replay, record, flags)
    store_i64(task + _READS, 0)
    store_i64(replay + _REMEMBER_AT, reads - 3 if load_i64(replay + _INSIDE_AT) != 0 else _NO)
    store_i64(replay + _IN_CYCLE, 1)


@inline
def put_inputs(replay, record):  # type: ignore[no-untyped-def]
    """Values, times and qualities of the input channels, as they were latched."""
    row = load_i64(replay + _SOURCES)
    for _ in range(load_i64(replay + _SOURCE_COUNT)):
        copy_bytes(load_i64(row + _SLOT), record + load_i64(row + _AT), load_i64(row + _BYTES))
        row += _PLACE_SIZE


@inline
def put_slice(replay, flags):  # type: ignore[no-untyped-def]
    """Of a model in slices: whether its run ended in the cycle, or was given up before it, the machine decided."""
    sliced = load_i64(replay + _SLICED)
    if sliced != 0:
        store_i64(sliced + _TOLD, _END_RUN if flags & _RUN_ENDED != 0 else _GO_ON)
        if flags & _RUN_DROPPED != 0:
            drop(load_i64(load_i64(replay + _READER) + _ACTIVE))


@inline
def drop_all(replay):  # type: ignore[no-untyped-def]
    """A checkpoint lies between two runs: none is under way."""
    row = load_i64(replay + _VERSIONS)
    for _ in range(load_i64(replay + _VERSION_COUNT)):
        drop(load_i64(row + _BLOCK))
        row += _VERSION_SIZE


@inline
def put_version(replay, record, flags):  # type: ignore[no-untyped-def]
    """The version that ran; whether it had the time, was decided by what it needs there.

    It is offered where it became live by a change, so that the cycle does what belongs to that. Where a trial was taken back, the
    checkpoint says what that did.
    """
    reader = load_i64(replay + _READER)
    if reader != 0:
        row = version_row(replay, load_i64(record + _VERSION))
        block = load_i64(row + _BLOCK)
        if block != load_i64(reader + _ACTIVE):
            if flags & _BACK != 0:
                store_i64(reader + _ACTIVE, block)
            else:
                store_i64(reader + _NEXT, load_i64(row + _OFFER))
        if load_i64(replay + _LATE) != 0:
            store_i64(block + _NEEDS, _NEVER if flags & _SMALLER != 0 else _ALWAYS)


@inline
def version_row(replay, version):  # type: ignore[no-untyped-def]
    """Its VERSION; the first's where it is not known, which no plan lets happen."""
    first = load_i64(replay + _VERSIONS)
    row, found = first, first
    for _ in range(load_i64(replay + _VERSION_COUNT)):
        if load_i64(row + _NUMBER) == version:
            found = row
        row += _VERSION_SIZE
    return found


# --- checkpoints -------------------------------------------------------------------------------------------------------


@inline
def use_checks(replay):  # type: ignore[no-untyped-def]
    """Use the checkpoints of this record that were written before its cycle, and note the one that was written in it.

    A what-if goes on as it is, but where it begins.
    """
    number, what_if = load_i64(replay + _CHECK), load_i64(replay + _WHAT_IF)
    row = load_i64(replay + _CHECKS) + _CHECK_SIZE * number
    while number < load_i64(replay + _CHECK_COUNT) and load_i64(row + _CHECK_INDEX) == load_i64(replay + _INDEX):
        use, address = load_i64(row + _CHECK_USE), load_i64(row + _CHECK_AT)
        if use == _BEGIN:
            drop_all(replay)
            reader = load_i64(replay + _READER)
            if reader != 0:
                store_i64(reader + _ACTIVE, load_i64(version_row(replay, load_i64(row + _CHECK_VERSION)) + _BLOCK))
            store_i64(load_i64(replay + _TASK) + _EPOCH, load_i64(row + _CHECK_EPOCH))
            put_others(replay, address, _ACTIVE, _OTHER_BLOCK)
            remember(replay, use, address)
        elif what_if == 0 and use == _VERIFY:
            compare_regions(replay, address)
            remember(replay, use, address)
        elif what_if == 0:
            store_i64(replay + _INSIDE, use)
            store_i64(replay + _INSIDE_AT, address)
            if use == _SWITCH:
                put_others(replay, address, _NEXT, _OTHER_OFFER)
        row += _CHECK_SIZE
        number += 1
    store_i64(replay + _CHECK, number)


@inline
def put_others(replay, address, to, what):  # type: ignore[no-untyped-def]
    """The task's other models have the versions of a checkpoint: at once, or offered."""
    row = load_i64(replay + _OTHERS)
    for _ in range(load_i64(replay + _OTHER_COUNT)):
        reader, number = load_i64(row + _OTHER_READER), load_i64(address + load_i64(row + _OTHER_AT))
        if number == load_i64(row + _OTHER_NUMBER) and load_i64(reader + _ACTIVE) != load_i64(row + _OTHER_BLOCK):
            store_i64(reader + to, load_i64(row + what))
        row += _OTHER_SIZE


@inline
def remember(replay, use, address):  # type: ignore[no-untyped-def]
    """The task remembers what a checkpoint says, as far as it is to be used. States of another kind of model begin fresh."""
    row = load_i64(replay + _REGIONS)
    for _ in range(load_i64(replay + _REGION_COUNT)):
        where, source, nbytes, kind = (
            load_i64(row + _WHERE), address + load_i64(row + _FROM), load_i64(row + _REGION_BYTES), load_i64(row + _KIND)
        )  # fmt: skip
        if kind == _IS_STATE:
            block = load_i64(where + _ACTIVE)
            if states_bytes(block) == load_i64(address + load_i64(row + _NEEDS_AT)):
                states_from(block, source)
            elif load_i64(replay + _WHAT_IF) != 0:
                reset_states(block)  # of another model, which has seen nothing of what came before
        elif kind != _IS_FIXED and use != _SWITCH and (use != _TAKE_BACK or kind != _IS_WINDOW):
            for copy in range(load_i64(row + _COPIES)):
                copy_bytes(where + copy * nbytes, source, nbytes)
        row += _REGION_SIZE


@inline
def compare_regions(replay, address):  # type: ignore[no-untyped-def]
    """What the task remembers against what a checkpoint says."""
    row = load_i64(replay + _REGIONS)
    for _ in range(load_i64(replay + _REGION_COUNT)):
        where, source, name = load_i64(row + _WHERE), address + load_i64(row + _FROM), load_i64(row + _NAME)
        if load_i64(row + _KIND) == _IS_STATE:
            compare_states(
                replay, load_i64(where + _ACTIVE), source, load_i64(address + load_i64(row + _NEEDS_AT)), name
            )
        elif load_i64(row + _IS_COMPARED) != 0:
            compare_bytes(replay, source, where, load_i64(row + _REGION_BYTES), name)
        row += _REGION_SIZE


@inline
def compare_states(replay, block, source, needs, name):  # type: ignore[no-untyped-def]
    """The states of a block."""
    states, nbytes = load_i64(block + _STATES), states_bytes(block)
    if nbytes != needs:
        note(replay, _STATE_WRONG, name, needs, nbytes)
    else:
        for i in range(load_i64(states) if states != 0 else 0):
            state = states + _STATES_HEAD + _STATE_SIZE * i
            compare_bytes(replay, source, load_i64(state + _STATE_AT), load_i64(state + _STATE_BYTES), name)
            source += load_i64(state + _STATE_BYTES)


@inline
def compare_bytes(replay, wanted, got, nbytes, name):  # type: ignore[no-untyped-def]
    """Note the first word, or the first byte of the rest, that is another."""
    for i in range(nbytes // 8):
        if load_i64(wanted + 8 * i) != load_i64(got + 8 * i):
            note(replay, _STATE_WRONG, name, load_i64(wanted + 8 * i), load_i64(got + 8 * i))
    for i in range(nbytes // 8 * 8, nbytes):
        if load_u8(wanted + i) != load_u8(got + i):
            note(replay, _STATE_WRONG, name, load_u8(wanted + i), load_u8(got + i))


# --- what came out -----------------------------------------------------------------------------------------------------


@inline
def note(replay, what, place, wanted, got):  # type: ignore[no-untyped-def]
    """Something of this cycle is another than recorded: the first thing counts."""
    if load_i64(replay + _WHAT) == _NOTHING:
        store_i64(replay + _WHAT, what)
        store_i64(replay + _PLACE, place)
        store_i64(replay + _WANTED, wanted)
        store_i64(replay + _GOT, got)


@inline
def finish(replay):  # type: ignore[no-untyped-def]
    """Compare the cycle that was with its record, count it, keep it."""
    task, stats, record = load_i64(replay + _TASK), load_i64(replay + _STATS), load_i64(replay + _RECORD)
    tick, count = load_i64(task + _TASK_TICK), load_i64(replay + _COUNT)
    compare_word(replay, _TICK_WRONG, record + _TICK, tick)
    compare_floats(replay, _RAW_WRONG, record + load_i64(replay + _RAW_AT), load_i64(replay + _RAW), count)
    compare_word(replay, _STATUS_WRONG, record + _STATUS, load_i64(stats + _STATS_STATUS))
    compare_word(replay, _ACTION_WRONG, record + _ACTION, load_i64(stats + _STATS_ACTION))
    compare_floats(replay, _PUBLISHED_WRONG, record + load_i64(replay + _PUBLISHED_AT), load_i64(replay + _LAST), count)
    monitor = load_i64(replay + _MONITOR)
    if monitor != 0:
        compare_floats(replay, _MONITOR_WRONG, record + _MONITOR_VALUE, monitor + _VALUE, 1)
    missed = (load_i64(stats + _STATS_DUE) - load_i64(record + _DUE)) // load_i64(replay + _PERIOD) - 1
    compare_word(replay, _MISSED_WRONG, record + _MISSED, missed)
    is_same = load_i64(replay + _WHAT) == _NOTHING
    add_to(replay + _CYCLES, 1)
    add_to(replay + (_EQUAL if is_same else _DIFFERED), 1)
    if not is_same and load_i64(replay + _DIFFERED) == 1:
        store_i64(replay + _FIRST_PIECE, load_i64(replay + _PIECE))
        store_i64(replay + _FIRST_INDEX, load_i64(replay + _INDEX))
        copy_bytes(replay + _FIRST_WHAT, replay + _WHAT, _FOUND_BYTES)
    if load_i64(replay + _KEPT) != 0:
        keep(replay, stats, monitor, count)


@inline
def keep(replay, stats, monitor, count):  # type: ignore[no-untyped-def]
    """What came out -> its row (`kept_dtype`)."""
    row = load_i64(replay + _KEPT) + load_i64(replay + _KEPT_SIZE) * load_i64(replay + _INDEX)
    store_i64(row, load_i64(replay + _WHAT))
    store_i64(row + 8, load_i64(stats + _STATS_STATUS))
    store_i64(row + 16, load_i64(stats + _STATS_ACTION))
    store_i64(row + 24, load_i64(monitor + _VALUE) if monitor != 0 else 0)
    copy_bytes(row + 32, load_i64(replay + _RAW), 8 * count)
    copy_bytes(row + 32 + 8 * count, load_i64(replay + _LAST), 8 * count)


@inline
def compare_word(replay, what, at, got):  # type: ignore[no-untyped-def]
    """One number."""
    if load_i64(at) != got:
        note(replay, what, _NO, load_i64(at), got)


@inline
def compare_floats(replay, what, wanted, got, count):  # type: ignore[no-untyped-def]
    """Numbers in a row, bit for bit."""
    for i in range(count):
        if load_i64(wanted + 8 * i) != load_i64(got + 8 * i):
            one, other = load_f64(wanted + 8 * i), load_f64(got + 8 * i)
            if one == one or other == other:
                note(replay, what, i, load_i64(wanted + 8 * i), load_i64(got + 8 * i))
