"""A record that several threads work on: the one that runs the model, and its helpers. What they share is drawn in `team_block`.

    fan_out      publish -> take pieces from below -> wait for those that helpers have begun       a kernel, in place of the record's
    run_chain    records one after the other                                                       a kernel, of a piece that is several
    pass_over    go on behind them                                                                 a kernel, in place of the second
    begin_run    does no helper hold a piece of an earlier run? then the first record              a kernel, in place of the first
    help_task    sleep until the task's tick -> take pieces from above until its cycle is over     the thread of a helper

Outside of tasks helpers are those of `run.helpers_native`. Between a task's ticks nothing here makes a system call, takes a lock or
allocates; all waiting ends by the clock.
"""

from rt_engine.kernels.interface.record import ARENA_HEADER, JUMP, RECORD
from rt_engine.run.team_block import HELPER, TEAM
from rt_engine.status import Status
from rt_native.atomics import atomic_replace
from rt_native.counting import add_to
from rt_native.histogram_native import add
from rt_native.lang import (
    atomic_exchange,
    atomic_load,
    atomic_store,
    call1,
    call2,
    export,
    flush_denormals,
    inline,
    load_i64,
    now_ns,
    restore_float_mode,
    stack,
    store_i64,
)
from rt_native.memory import offsets
from rt_native.spinning import pause

_T, _H, _R = offsets(TEAM), offsets(HELPER), offsets(RECORD)
_CLAIMS, _ARENA, _PIECES, _LEFT, _UNTIL = _T.claims, _T.arena, _T.pieces, _T.left_ns, _T.until_ns
_HELPERS, _PATIENCE, _STOP, _DUE, _AWAKE = _T.helpers, _T.patience_ns, _T.stop, _T.due_ns, _T.awake_ns
_CLOCK, _CLOCK_SLEEP, _CLOCK_NOW, _WAKE = _T.clock, _T.clock_sleep, _T.clock_now, _T.wake
_FAN_OUTS, _TAKEN_BACK, _ALONE, _LATE, _RESTING, _WAITS = (
    _T.fan_outs, _T.taken_back, _T.alone, _T.late, _T.resting, _T.waits
)  # fmt: skip
_BUSY, _HELPER_ARENA, _FAILED, _DONE = _H.busy, _H.arena, _H.failed, _H.pieces
_AWAITED = _T.awaited
_TEAM_BYTES, _HELPER_BYTES, _SIZE = TEAM.itemsize, HELPER.itemsize, RECORD.itemsize
_TEAM_OF, _COUNT, _DISTANCE, _KERNEL = offsets(ARENA_HEADER).spare, _R.size, _R.size + 8, _R.spare
_HELPER_LATE = int(Status.HELPER_LATE)
_JUMP = JUMP
_LOOKS = 32  # between two looks at the clock
_NAP = 100_000_000  # a longer sleep is cut, so that a helper of a slow task ends soon


@inline
def low_of(claims):
    """The first piece that nobody has."""
    return (claims >> 8) & 255


@inline
def high_of(claims):
    """The piece behind the last one that nobody has."""
    return claims & 255


@inline
def run_piece(arena, piece):
    """Its kernel's address is in the record."""
    return call2(load_i64(piece + _KERNEL), arena, piece)


@inline
def helper_at(team, number):
    """Address of a HELPER."""
    return team + _TEAM_BYTES + number * _HELPER_BYTES


# --- the thread that runs the model --------------------------------------------------------------------------------------


@export
def fan_out(arena, record):
    """Do the pieces of a record, with whoever helps; gives the status of one that failed, else HELPER_LATE where a helper is late."""
    team, count, first = load_i64(arena + _TEAM_OF), load_i64(record + _COUNT), record + load_i64(record + _DISTANCE)
    if team == 0:
        status = 0
        for number in range(count):
            status = max(status, run_piece(arena, first + number * _SIZE))
        return status
    generation = (load_i64(team + _CLAIMS) >> 16) + 1
    atomic_store(team + _ARENA, arena)
    atomic_store(team + _PIECES, first)
    atomic_exchange(team + _CLAIMS, generation << 16 | count)
    wake(team)
    status, done, claims = 0, 0, atomic_load(team + _CLAIMS)
    while low_of(claims) < high_of(claims):
        if atomic_replace(team + _CLAIMS, claims, claims + 256):
            status = max(status, run_piece(arena, first + low_of(claims) * _SIZE))
            done += 1
        claims = atomic_load(team + _CLAIMS)
    add_to(team + _FAN_OUTS, 1)
    if done == count:
        helpers = load_i64(team + _HELPERS)
        add_to(team + _ALONE, 1)
        add_to(team + _TAKEN_BACK, count - count // (helpers + 1))
        return status
    theirs = wait_for_all(team, generation)
    return status if status != 0 and theirs == _HELPER_LATE else max(status, theirs)


@export
def run_chain(arena, record):
    """Do the records that a piece is, one after the other; gives the status of one that failed."""
    status, first = 0, record + load_i64(record + _DISTANCE)
    for number in range(load_i64(record + _COUNT)):
        status = max(status, run_piece(arena, first + number * _SIZE))
    return status


@export
def pass_over(arena, record):
    """Go on at the record that this one names: those before it have been done."""
    return _JUMP + load_i64(record + _COUNT)


@inline
def wait_for_all(team, generation):
    """Wait for the pieces of this fan-out that helpers have begun; gives what one failed with, else HELPER_LATE where one is late."""
    timespec, status, begun, waited = stack(16), 0, 0, 0
    limit, until = load_i64(team + _LEFT), load_i64(team + _UNTIL)
    for number in range(load_i64(team + _HELPERS)):
        helper = helper_at(team, number)
        looks = 0
        while atomic_load(helper + _BUSY) == generation:
            pause()
            looks += 1
            if looks % _LOOKS == 1:
                time = now_ns(timespec)
                begun = time if begun == 0 else begun
                waited = time - begun
                if waited > limit or time > until:
                    add_to(team + _LATE, 1)
                    store_i64(team + _AWAITED, generation)
                    store_i64(team + _RESTING, load_i64(team + _RESTING) | 1 << number)
                    return status if status != 0 else _HELPER_LATE
        failed = atomic_load(helper + _FAILED)
        if failed >> 16 == generation:  # else it is of a piece that was late, of a run that has ended
            status = max(status, failed & 65535)
    if begun != 0:
        waited = now_ns(timespec) - begun
        add(load_i64(team + _WAITS), waited)
        store_i64(team + _LEFT, max(limit - waited, 0))
    return status


@export
def begin_run(arena, record):
    """Do the record that was the first, unless a helper still works in this arena: then HELPER_LATE, and nothing is touched."""
    team, real = load_i64(arena + _TEAM_OF), record + load_i64(record + _DISTANCE)
    if team != 0:
        wake(team)
        store_i64(team + _LEFT, load_i64(team + _PATIENCE))
        if holds(team, arena):
            return _HELPER_LATE
    return run_piece(arena, real)


@inline
def holds(team, arena):
    """1 if a helper is busy with an arena, and stays so for what is left of the patience; who was late before is not waited for."""
    timespec, begun, resting, patience = stack(16), 0, load_i64(team + _RESTING), load_i64(team + _LEFT)
    until = load_i64(team + _UNTIL)
    for number in range(load_i64(team + _HELPERS)):
        helper, bit = helper_at(team, number), 1 << number
        limit = 0 if resting & bit else patience
        while atomic_load(helper + _BUSY) != 0 and atomic_load(helper + _HELPER_ARENA) == arena:
            pause()
            time = now_ns(timespec)
            begun = time if begun == 0 else begun
            store_i64(team + _LEFT, max(patience - (time - begun), 0))
            if time - begun >= limit or time > until:
                store_i64(team + _RESTING, resting | bit)
                store_i64(team + _AWAITED, 0)
                return 1
        resting = resting & ~bit if atomic_load(helper + _BUSY) == 0 else resting
    store_i64(team + _RESTING, resting)
    return 0


@inline
def await_until(team, left):
    """Of what is run from here on, pieces that helpers have begun are awaited until `left` nanoseconds from now are over."""
    store_i64(team + _LEFT, load_i64(team + _PATIENCE))
    store_i64(team + _UNTIL, now_ns(stack(16)) + left)


@inline
def wake(team):
    """Wake helpers that sleep for good; in a task there is no function for it, and none ever does."""
    function = load_i64(team + _WAKE)
    if function != 0:
        call1(function, team)


# --- helpers -------------------------------------------------------------------------------------------------------------


@inline
def help_now(team, helper):
    """Do what pieces there are; gives how many."""
    claims, done = atomic_load(team + _CLAIMS), 0
    if low_of(claims) >= high_of(claims):
        return 0
    generation = claims >> 16
    arena, first = atomic_load(team + _ARENA), atomic_load(team + _PIECES)
    atomic_store(helper + _HELPER_ARENA, arena)
    atomic_exchange(helper + _BUSY, generation)
    while claims >> 16 == generation and low_of(claims) < high_of(claims):
        if atomic_replace(team + _CLAIMS, claims, claims - 1):
            status = run_piece(arena, first + (high_of(claims) - 1) * _SIZE)
            if status != 0:
                atomic_store(helper + _FAILED, generation << 16 | status)
            done += 1
        claims = atomic_load(team + _CLAIMS)
    add_to(helper + _DONE, done)
    atomic_store(helper + _BUSY, 0)
    return done


@export
def help_once(team, number):
    """Do what pieces there are, once; gives how many. For tests, and for helpers of another make."""
    mode = flush_denormals()
    done = help_now(team, helper_at(team, number))
    restore_float_mode(mode)
    return done


@export
def help_task(team, number):
    """The thread of a task's helper: awake from its tick until its cycle is over, and no longer than `awake_ns`. Gives its pieces."""
    helper, mode, timespec, done = helper_at(team, number), flush_denormals(), stack(16), 0
    clock, sleep, clock_now = load_i64(team + _CLOCK), load_i64(team + _CLOCK_SLEEP), load_i64(team + _CLOCK_NOW)
    served = 0
    while atomic_load(team + _STOP) == 0:
        due = atomic_load(team + _DUE)
        time = call1(clock_now, clock)
        if due == served or due - time > _NAP:  # it was awake for this one; or the task has not begun
            call2(sleep, clock, time + min(max(due - time, _NAP // 1000), _NAP))
        else:
            call2(sleep, clock, due)
            served, begun, looks = due, now_ns(timespec), 0
            while atomic_load(team + _DUE) == due and looks >= 0 and atomic_load(team + _STOP) == 0:
                done += help_now(team, helper)
                pause()
                looks += 1
                if looks % _LOOKS == 0 and now_ns(timespec) - begun > load_i64(team + _AWAKE):
                    looks = -1
    restore_float_mode(mode)
    return done
