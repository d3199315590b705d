"""The exchange with devices: a loop over transactions that knows no protocol beyond them.

    begin    take what is READY; gather outputs
    go       encode the next request and send it
    receive  bytes -> frames -> is it the expected answer? -> decode (`answers_native`) -> go
    finish   publish inputs and outputs, count, give back

On a bus all requests of the phase leave at once, several in a frame (`packets_native`).

A phase does this for several exchanges at once: all first requests leave before any answer is awaited. It makes no other
system calls than send, recv, ppoll and, when the keeper has to be woken, write.
"""

from fieldbus.exchange.answers_native import advance, receive
from fieldbus.exchange.asking_native import gather_all, go, leave_out, send_rest
from fieldbus.exchange.block import (
    AREA_BYTES,
    EXCHANGE,
    MOST_TOGETHER,
    POLL_BYTES,
    TIMESPEC_BYTES,
    TRANSACTION,
    Event,
    Flag,
    Phase,
    State,
)
from fieldbus.exchange.frames_native import (
    is_line,
    transaction_at,
)
from fieldbus.exchange.line_native import (
    doubt,
)
from fieldbus.exchange.moves_native import forget_kept
from fieldbus.exchange.notes_native import fail, tell, wake
from fieldbus.exchange.packets_native import (
    begin_packets,
    is_bus,
    lose_packets,
    receive_packets,
    step_packets,
)
from fieldbus.exchange.ports_native import (
    publish_age,
    publish_inputs,
    publish_outputs,
)
from rt_native.atomics import atomic_replace
from rt_native.counting import add_to
from rt_native.histogram_native import add as count_time
from rt_native.lang import (
    CLOCK_MONOTONIC,
    atomic_load,
    atomic_store,
    call2,
    call5,
    clock_nanosleep,
    export,
    inline,
    load_i64,
    load_u16,
    now_ns,
    stack,
    store_i32,
    store_i64,
)
from rt_native.memory import offsets
from rt_native.sockets import POLLIN, ppoll

_X, _T = offsets(EXCHANGE), offsets(TRANSACTION)
_STATE, _STOP, _ME, _CARRY_OUT, _WANTED, _PUBLISHING, _FD = (
    _X.state, _X.stop, _X.me, _X.carry_out, _X.wanted, _X.publishing, _X.fd
)  # fmt: skip
_CYCLE, _TIMEOUT, _ANSWER_NS, _SILENT, _ANY_NUMBER = (
    _X.cycle_ns, _X.timeout_ns, _X.answer_ns, _X.silent_ns, _X.any_number
)  # fmt: skip
_LATE_NUMBER, _HAS_READ, _UNSENT, _QUIET_BY = _X.late_number, _X.has_read, _X.unsent, _X.quiet_by_ns
_BUFFER, _COUNT, _WRITES, _ROUND_TRIP = _X.buffer, _X.count, _X.writes, _X.round_trip
_RECEIVED, _POSITION, _END, _PENDING, _SEND_AT = _X.received, _X.position, _X.end, _X.pending, _X.send_at_ns
_GIVE_UP, _HEARD, _BEGAN, _IS_SAFE, _FAULT, _HEALTH = (
    _X.give_up_ns, _X.heard_ns, _X.began_ns, _X.is_safe, _X.fault, _X.health
)  # fmt: skip
_IS_LATE, _IS_CUT, _CYCLES, _READS = _X.is_late, _X.is_cut, _X.cycles, _X.reads
_WRITES_DONE, _ERRORS, _SAFE_WRITES = _X.writes_done, _X.errors, _X.safe_writes
_FLAGS, _KEEPS = _T.flags, _T.keeps
_KEEP_COUNT, _QUALITY, _IS_FRESH, _ASKED, _MISSES = _T.keep_count, _T.quality, _T.is_fresh, _T.asked_ns, _T.misses
_CLOCK_SHIFT = _X.clock_shift
_POLL = POLL_BYTES
_TIMESPEC = TIMESPEC_BYTES
_MINE_AT = _TIMESPEC + POLL_BYTES * MOST_TOGETHER
_AREA = AREA_BYTES
_KEEPER, _READY, _BUSY = int(State.KEEPER), int(State.READY), int(State.BUSY)
_READS_PHASE, _WRITES_PHASE = int(Phase.READS), int(Phase.WRITES)
_WRITES_FLAG, _UNANSWERED = int(Flag.WRITES), int(Flag.UNANSWERED)
_MISSED, _FAILED, _SILENT_EVENT, _NOT_SENT, _NOISE = (
    int(Event[name]) for name in ("MISSED", "FAILED", "SILENT", "NOT_SENT", "NOISE")
)
_GOOD, _STALE, _BAD, _NONE = 0, 1, 2, -1
_NEVER = (1 << 63) - 1
_SECOND, _SLICE, _WHILE_WANTED, _ABSOLUTE = 1_000_000_000, 100_000_000, 200_000, 1
_AGAIN = 1_000_000
"""So soon a line is looked at again that has not taken a whole request."""


# --- the begin of a phase ---------------------------------------------------------------------------------------------


@inline
def begin(exchange, phase, now):  # type: ignore[no-untyped-def]
    """Take the exchange for one phase; gives 0 if it is the keeper's, or another runner's."""
    if atomic_replace(exchange + _STATE, _READY, _BUSY) == 0:
        return 0
    writes, count = load_i64(exchange + _WRITES), load_i64(exchange + _COUNT)
    first = writes if phase == _READS_PHASE else 0
    end = writes if phase == _WRITES_PHASE else count
    store_i64(exchange + _POSITION, first)
    store_i64(exchange + _IS_LATE, 1)
    store_i64(exchange + _IS_CUT, 0)
    store_i64(exchange + _END, end)
    store_i64(exchange + _FAULT, 0)
    store_i64(exchange + _BEGAN, now)
    for number in range(first, end):
        transaction = transaction_at(exchange, number)
        store_i64(transaction + _IS_FRESH, 0)
        forget_kept(exchange, load_i64(transaction + _KEEPS), load_i64(transaction + _KEEP_COUNT))
    if phase != _READS_PHASE:
        gather_all(exchange, now)
    if is_bus(exchange):
        begin_packets(exchange)
    store_i64(exchange + _QUIET_BY, max(now, load_i64(exchange + _SEND_AT)) + load_i64(exchange + _ANSWER_NS))
    return 1


# --- answers that do not come --------------------------------------------------------------------------------------------


@inline
def give_up(exchange, now):  # type: ignore[no-untyped-def]
    """No answer in time: stale, and asked again in the next cycle; nothing at all for too long: the connection is gone."""
    pending = load_i64(exchange + _PENDING)
    if load_i64(exchange + _UNSENT) != 0:
        fail(exchange, _NOT_SENT, 0, load_i64(exchange + _BUFFER), 0)
        return
    no_number = load_i64(exchange + _ANY_NUMBER) != 0  # what comes later could not be told from what is asked next
    is_silent = now - load_i64(exchange + _HEARD) >= load_i64(exchange + _SILENT)
    lives = not is_line(exchange) and load_i64(exchange + _HEARD) >= load_i64(exchange + _BEGAN)
    transaction = transaction_at(exchange, pending)
    add_to(transaction + _MISSES, 1)
    if no_number or (is_silent and not lives):
        fail(exchange, _SILENT_EVENT, 0, load_i64(exchange + _BUFFER), load_i64(exchange + _RECEIVED))
        return
    store_i64(transaction + _QUALITY, max(load_i64(transaction + _QUALITY), _STALE))
    add_to(exchange + _ERRORS, 1)
    instead = load_i64(exchange + _LATE_NUMBER)
    tell(exchange, _MISSED, pending, load_i64(exchange + _BUFFER), load_i64(exchange + _RECEIVED), instead)
    advance(exchange, pending, now)
    if not is_line(exchange):
        leave_out(exchange, transaction, now)
    else:
        doubt(exchange, pending, now)
        if now - load_i64(exchange + _BEGAN) > load_i64(exchange + _TIMEOUT) >> 2:
            worst_of(exchange, now)
            publish(exchange, now)  # with many units that are gone the end of the phase is far


@inline
def never_quiet(exchange, now):  # type: ignore[no-untyped-def]
    """Nothing could be asked: somebody else talks on the line. It is tried again in the next cycle."""
    if load_i64(exchange + _UNSENT) != 0:
        fail(exchange, _NOT_SENT, 0, load_i64(exchange + _BUFFER), 0)
    elif now - load_i64(exchange + _HEARD) >= load_i64(exchange + _SILENT):
        fail(exchange, _SILENT_EVENT, 0, load_i64(exchange + _BUFFER), load_i64(exchange + _RECEIVED))
    else:
        add_to(exchange + _ERRORS, 1)
        tell(exchange, _NOISE, _NONE, load_i64(exchange + _BUFFER), load_i64(exchange + _RECEIVED), 0)
        store_i64(exchange + _POSITION, load_i64(exchange + _END))


@export
def exchange_age(exchange, now):  # type: ignore[no-untyped-def]
    """Tell subscribers how old their inputs are, while the exchange is the keeper's; gives 0 if somebody else publishes just now."""
    if atomic_replace(exchange + _PUBLISHING, 0, 1) == 0:
        return 0
    publish_age(exchange, now)
    atomic_store(exchange + _PUBLISHING, 0)
    return 1


@inline
def publish(exchange, now):  # type: ignore[no-untyped-def]
    """Give subscribers their inputs, unless the keeper publishes just now: a channel has one writer."""
    if atomic_replace(exchange + _PUBLISHING, 0, 1) != 0:
        publish_inputs(exchange, now)
        atomic_store(exchange + _PUBLISHING, 0)


# --- the end of a phase -----------------------------------------------------------------------------------------------


@inline
def worst_of(exchange, now):  # type: ignore[no-untyped-def]
    """Age every transaction; gives the quality of the worst."""
    timeout, worst = load_i64(exchange + _TIMEOUT), _GOOD
    for number in range(load_i64(exchange + _COUNT)):
        transaction = transaction_at(exchange, number)
        if load_i64(transaction + _FLAGS) & _UNANSWERED == 0:
            quality = load_i64(transaction + _QUALITY)
            if quality == _GOOD and load_i64(transaction + _IS_FRESH) == 0:
                quality = _STALE
            if quality == _STALE and now - load_i64(transaction + _ASKED) > timeout:
                quality = _BAD
            store_i64(transaction + _QUALITY, quality)
            worst = max(worst, quality)
    return worst


@inline
def are_written(exchange):  # type: ignore[no-untyped-def]
    """Has every request that writes been sent in this phase, and been confirmed if it is?"""
    missing = 0
    for number in range(load_i64(exchange + _WRITES)):
        transaction = transaction_at(exchange, number)
        if load_i64(transaction + _FLAGS) & _WRITES_FLAG != 0:
            missing |= 1 - load_i64(transaction + _IS_FRESH)
    return missing == 0


@inline
def finish(exchange, phase, now):  # type: ignore[no-untyped-def]
    """Publish, count, and give the exchange back."""
    if is_bus(exchange):
        lose_packets(exchange)  # that are still under way at the end of the time that a phase has
    worst = worst_of(exchange, now)
    complete = load_i64(exchange + _POSITION) == load_i64(exchange + _END) and load_i64(exchange + _FAULT) == 0
    if phase != _READS_PHASE and load_i64(exchange + _WRITES) > 0 and complete and are_written(exchange):
        add_to(exchange + _WRITES_DONE, 1)
        add_to(exchange + _SAFE_WRITES, load_i64(exchange + _IS_SAFE))
        publish_outputs(exchange, now)
    if phase != _WRITES_PHASE:
        publish(exchange, now)
        if complete and worst == _GOOD:
            add_to(exchange + _READS, 1 if load_i64(exchange + _COUNT) > load_i64(exchange + _WRITES) else 0)
            count_time(load_i64(exchange + _ROUND_TRIP), now - load_i64(exchange + _BEGAN))
    if phase != _WRITES_PHASE:
        store_i64(exchange + _HAS_READ, 1)
    if worst != load_i64(exchange + _HEALTH) and phase != _READS_PHASE and load_i64(exchange + _HAS_READ) != 0:
        store_i64(exchange + _HEALTH, worst)
        wake(exchange)
    if load_i64(exchange + _FAULT) != 0:
        atomic_store(exchange + _STATE, _KEEPER)
        wake(exchange)
    else:
        atomic_store(exchange + _STATE, _READY)


@inline
def is_under_way(exchange):  # type: ignore[no-untyped-def]
    """Is there still something to ask, or an answer to await?"""
    return (
        load_i64(exchange + _FAULT) == 0
        and load_i64(exchange + _IS_CUT) == 0
        and load_i64(exchange + _POSITION) < load_i64(exchange + _END)
    )


@inline
def step(exchange, now):  # type: ignore[no-untyped-def]
    """Do what time brings; gives when it has to be looked at again if nothing comes."""
    if is_bus(exchange):
        return step_packets(exchange, now)
    if atomic_load(exchange + _WANTED) != 0:
        store_i64(exchange + _IS_CUT, 1)
        return now
    if load_i64(exchange + _UNSENT) != 0:
        send_rest(exchange)
    if load_i64(exchange + _PENDING) != _NONE and now >= load_i64(exchange + _GIVE_UP):
        give_up(exchange, now)
    go(exchange, now)
    again = load_i64(exchange + _GIVE_UP)
    if load_i64(exchange + _PENDING) == _NONE:
        again = load_i64(exchange + _SEND_AT)
        if is_line(exchange) and now >= load_i64(exchange + _QUIET_BY) and is_under_way(exchange):
            never_quiet(exchange, now)
    return min(again, now + _AGAIN) if load_i64(exchange + _UNSENT) != 0 else again


@inline
def take_what_came(exchange, now):  # type: ignore[no-untyped-def]
    """Answers, whole or in parts."""
    if is_bus(exchange):
        receive_packets(exchange, now)
    else:
        receive(exchange, now)


@inline
def await_answers(polls, waiting, left):  # type: ignore[no-untyped-def]
    """Sleep until something comes, at most `left` nanoseconds; gives how many descriptors have something."""
    timespec = polls - _TIMESPEC
    store_i64(timespec, left // _SECOND)
    store_i64(timespec + 8, left % _SECOND)
    return ppoll(polls, waiting, timespec, 0)


@inline
def phase_of(table, count, phase, limit_ns, area):  # type: ignore[no-untyped-def]
    """One phase of `count` exchanges; ends when all are done, or at `limit_ns`."""
    timespec, polls, mine = area, area + _TIMESPEC, area + _MINE_AT
    now = now_ns(timespec)
    for i in range(count):
        exchange = load_i64(table + 8 * i)
        store_i64(mine + 8 * i, begin(exchange, phase, now))
        if load_i64(mine + 8 * i) != 0 and load_i64(exchange + _PENDING) != _NONE:
            receive(exchange, now)  # an earlier phase's answer may lie there, though its time is over by now
    while True:
        next_ns, waiting = limit_ns, 0
        for i in range(count):
            exchange = load_i64(table + 8 * i)
            if load_i64(mine + 8 * i) != 0 and is_under_way(exchange):
                next_ns = min(next_ns, step(exchange, now))
                if is_under_way(exchange):
                    store_i32(polls + waiting * _POLL, load_i64(exchange + _FD))
                    store_i32(polls + waiting * _POLL + 4, POLLIN)
                    waiting += 1
        if waiting == 0 or now >= limit_ns:  # what was begun too late is sent nevertheless
            break
        ready = await_answers(polls, waiting, max(next_ns - now, 0))
        now = now_ns(timespec)
        if ready > 0:
            at = polls
            for i in range(count):
                exchange = load_i64(table + 8 * i)
                if load_i64(mine + 8 * i) != 0 and is_under_way(exchange):
                    if load_u16(at + 6) != 0:
                        take_what_came(exchange, now)
                    at += _POLL
    for i in range(count):
        exchange, now = load_i64(table + 8 * i), now_ns(timespec)
        if phase != _WRITES_PHASE:
            add_to(exchange + _CYCLES, 1)
        if load_i64(mine + 8 * i) != 0:
            finish(exchange, phase, now)
        elif phase != _WRITES_PHASE and atomic_load(exchange + _STATE) == _KEEPER:
            exchange_age(exchange, now)


@export
def exchange_phase(table, count, phase, limit_ns, area):  # type: ignore[no-untyped-def]
    """One phase of the exchanges whose addresses are in `table` (at most `MOST_TOGETHER`), until all are done or it is `limit_ns`.

    `area` is `AREA_BYTES` of the caller's own.
    """
    phase_of(table, count, phase, limit_ns, area)
    return 0


@inline
def next_begin(exchange, due, now):  # type: ignore[no-untyped-def]
    """When the next cycle begins that is due at `due`, or as a clock shifts it. One that is late begins at once: no burst.

    With a clock it is the newest that has come, so that the ones after it are in phase.
    """
    shift, cycle = load_i64(exchange + _CLOCK_SHIFT), load_i64(exchange + _CYCLE)
    if shift == 0:
        return max(due, now)
    due += call2(shift, exchange, due)
    return due + max(now - due, 0) // cycle * cycle


@export
def exchange_run(exchange):  # type: ignore[no-untyped-def]
    """Exchange every cycle until told to stop. A late cycle moves the next: no burst."""
    timespec = area = stack(_AREA)
    carry_out, cycle = load_i64(exchange + _CARRY_OUT), load_i64(exchange + _CYCLE)
    due = now_ns(timespec)
    while atomic_load(exchange + _STOP) == 0:
        call5(carry_out, exchange + _ME, 1, 0, _NEVER, area)
        now = now_ns(timespec)
        due = next_begin(exchange, due + cycle, now)
        while atomic_load(exchange + _STOP) == 0 and (now < due or atomic_load(exchange + _WANTED) != 0):
            until = min(due, now + _SLICE) if now < due else now + _WHILE_WANTED
            store_i64(timespec, until // _SECOND)
            store_i64(timespec + 8, until % _SECOND)
            clock_nanosleep(CLOCK_MONOTONIC, _ABSOLUTE, timespec, 0)
            now = now_ns(timespec)
    return 0


@export
def exchange_take(exchange):  # type: ignore[no-untyped-def]
    """Make the exchange the keeper's, if it is nobody's or his already; gives 1 if it is."""
    if atomic_load(exchange + _STATE) == _KEEPER:
        return 1
    return atomic_replace(exchange + _STATE, _READY, _KEEPER)
