"""The exchange with devices: a loop over transactions that knows no protocol beyond them.

    begin    take what is READY; gather outputs
    go       encode the next request and send it
    receive  bytes -> frames -> is it the expected answer? -> decode -> go
    finish   publish inputs and outputs, count, give back

A phase does this for several exchanges at once: all first requests leave before any answer is awaited. It makes no other
system calls than send, recv, ppoll and, when the keeper has to be woken, write.
"""

from fieldbus.exchange.block import (
    AREA_BYTES,
    EXCHANGE,
    MOST_TOGETHER,
    NOTE_BYTES,
    POLL_BYTES,
    TIMESPEC_BYTES,
    TRANSACTION,
    Cut,
    Event,
    Flag,
    Phase,
    State,
)
from fieldbus.exchange.frames_native import (
    IMPOSSIBLE,
    LATE,
    MORE,
    OURS,
    checksum,
    is_expected,
    is_for_us,
    length_by_field,
    load_number,
    matches,
    store_number,
    whose,
)
from fieldbus.exchange.line_native import (
    NOWHERE,
    SKIP,
    believe,
    doubt,
    drop,
    find,
    find_echo,
    hears_itself,
    is_doubtful,
    note_time,
    question_of,
    rest,
    stray,
    wait_on,
)
from fieldbus.exchange.moves_native import decode, encode, forget_kept, put_kept
from fieldbus.exchange.ports_native import (
    count_reactions,
    gather,
    publish_age,
    publish_inputs,
    publish_outputs,
)
from fieldbus.exchange.samples_native import are_samples, take_samples
from rt_native.atomics import atomic_replace
from rt_native.histogram_native import add as count_time
from rt_native.lang import (
    CLOCK_MONOTONIC,
    atomic_load,
    atomic_store,
    call5,
    clock_nanosleep,
    copy_bytes,
    export,
    inline,
    load_i64,
    load_u8,
    load_u16,
    now_ns,
    stack,
    store_i32,
    store_i64,
)
from rt_native.memory import offsets
from rt_native.sockets import DONTWAIT, EAGAIN, EINTR, POLLIN, SEND, errno, ppoll, read, recv, send, write

_X, _T = offsets(EXCHANGE), offsets(TRANSACTION)
_SAMPLED_BYTES = _X.sampled_bytes
_STATE, _STOP, _NOTED, _ME, _CARRY_OUT, _WANTED, _PUBLISHING = (
    _X.state, _X.stop, _X.noted, _X.me, _X.carry_out, _X.wanted, _X.publishing
)  # fmt: skip
_FD, _IS_SOCKET, _WAKE_FD, _CYCLE, _TIMEOUT, _ANSWER_NS, _PAUSE, _SILENT = (
    _X.fd, _X.is_socket, _X.wake_fd, _X.cycle_ns, _X.timeout_ns, _X.answer_ns, _X.pause_ns, _X.silent_ns
)  # fmt: skip
_ANY_NUMBER, _LATE_NUMBER, _HAS_READ = _X.any_number, _X.late_number, _X.has_read
_ECHO, _BYTE_NS, _BROADCAST, _UNSENT, _QUIET_BY, _NEWEST_ASKED = (
    _X.echo, _X.byte_ns, _X.broadcast_ns, _X.unsent, _X.quiet_by_ns, _X.newest_asked
)  # fmt: skip
_CUT, _NUMBER_AT, _NUMBER_BYTES, _NUMBER_BIG = _X.cut, _X.number_at, _X.number_bytes, _X.number_is_big
_BUFFER, _BUFFER_BYTES, _NOTE, _TRANSACTIONS, _COUNT, _WRITES = (
    _X.buffer, _X.buffer_bytes, _X.note, _X.transactions, _X.count, _X.writes
)  # fmt: skip
_ROUND_TRIP, _RECEIVED, _POSITION, _END, _PENDING, _NUMBER = (
    _X.round_trip, _X.received, _X.position, _X.end, _X.pending, _X.number
)  # fmt: skip
_SENT, _SEND_AT, _GIVE_UP, _HEARD, _BEGAN, _UNTIL = (
    _X.sent_ns, _X.send_at_ns, _X.give_up_ns, _X.heard_ns, _X.began_ns, _X.until_ns
)  # fmt: skip
_IS_SAFE, _FAULT, _HEALTH, _IS_LATE, _IS_CUT, _MISSED_IN, _FORCE_SAFE, _DRIVEN = (
    _X.is_safe, _X.fault, _X.health, _X.is_late, _X.is_cut, _X.missed_in, _X.force_safe, _X.driven
)  # fmt: skip
_EVENT, _EVENT_AT, _ERROR, _EVENT_BYTES, _EVENT_CODE, _EVENT_NUMBER = (
    _X.event, _X.event_at, _X.error, _X.event_bytes, _X.event_code, _X.event_number
)  # fmt: skip
_CYCLES, _READS, _WRITES_DONE, _ERRORS, _SAFE_WRITES, _LATE_COUNT = (
    _X.cycles, _X.reads, _X.writes_done, _X.errors, _X.safe_writes, _X.late
)  # fmt: skip
_FLAGS, _REQUEST, _REQUEST_BYTES, _ANSWER_BYTES = _T.flags, _T.request, _T.request_bytes, _T.answer_bytes
_REFUSAL, _REFUSAL_MASK, _REFUSAL_BYTES, _CODE_AT, _PASSING = (
    _T.refusal, _T.refusal_mask, _T.refusal_bytes, _T.code_at, _T.passing
)  # fmt: skip
_OUTS, _OUT_COUNT, _INS, _IN_COUNT, _NEWEST, _KEEPS, _KEEP_COUNT = (
    _T.outs, _T.out_count, _T.ins, _T.in_count, _T.newest, _T.keeps, _T.keep_count
)  # fmt: skip
_QUALITY, _IS_FRESH, _ASKED, _ARRIVED, _MISSES, _SKIP_UNTIL, _CONFIRMED = (
    _T.quality, _T.is_fresh, _T.asked_ns, _T.arrived_ns, _T.misses, _T.skip_until_ns, _T.confirmed
)  # fmt: skip
_TRANSACTION, _POLL, _NOTE_BYTES = TRANSACTION.itemsize, POLL_BYTES, NOTE_BYTES
_TIMESPEC = TIMESPEC_BYTES
_MINE_AT = _TIMESPEC + POLL_BYTES * MOST_TOGETHER
_AREA = AREA_BYTES
_KEEPER, _READY, _BUSY = int(State.KEEPER), int(State.READY), int(State.BUSY)
_READS_PHASE, _WRITES_PHASE = int(Phase.READS), int(Phase.WRITES)
_READS_FLAG, _WRITES_FLAG, _UNANSWERED = int(Flag.READS), int(Flag.WRITES), int(Flag.UNANSWERED)
_REFUSED, _BUSY_EVENT, _MISSED, _UNEXPECTED, _UNASKED, _GARBAGE, _CLOSED, _FAILED, _SILENT_EVENT, _NOT_SENT, _NOISE = (
    int(Event[name])
    for name in (
        "REFUSED", "BUSY", "MISSED", "UNEXPECTED", "UNASKED", "GARBAGE", "CLOSED", "FAILED", "SILENT", "NOT_SENT",
        "NOISE",
    )
)  # fmt: skip
_BY_LENGTH = int(Cut.LENGTH)
_GOOD, _STALE, _BAD, _NONE = 0, 1, 2, -1
_NEVER = (1 << 63) - 1
_SECOND, _SLICE, _WHILE_WANTED, _ABSOLUTE = 1_000_000_000, 100_000_000, 200_000, 1
_AGAIN = 1_000_000
"""So soon a line is looked at again that has not taken a whole request."""


@inline
def add_to(counter, amount):  # type: ignore[no-untyped-def]
    """Add to a counter that only the runner writes."""
    store_i64(counter, load_i64(counter) + amount)


@inline
def transaction_at(exchange, number):  # type: ignore[no-untyped-def]
    """The address of a transaction."""
    return load_i64(exchange + _TRANSACTIONS) + number * _TRANSACTION


# --- what the keeper is told ------------------------------------------------------------------------------------------


@inline
def tell(exchange, event, number, frame, nbytes, code):  # type: ignore[no-untyped-def]
    """Leave a note for the keeper, unless it has not read the last one; it is woken when the phase ends."""
    if atomic_load(exchange + _NOTED) == 0:
        store_i64(exchange + _EVENT, event)
        store_i64(exchange + _EVENT_AT, number)
        store_i64(exchange + _EVENT_CODE, code)
        store_i64(exchange + _EVENT_NUMBER, load_i64(exchange + _NUMBER))
        store_i64(exchange + _EVENT_BYTES, nbytes)
        if nbytes > 0:
            copy_bytes(load_i64(exchange + _NOTE), frame, min(nbytes, _NOTE_BYTES))
        atomic_store(exchange + _NOTED, 1)
        wake(exchange)


@inline
def fail(exchange, event, error, frame, nbytes):  # type: ignore[no-untyped-def]
    """This connection cannot go on: what happened replaces any note, and the keeper gets the exchange."""
    store_i64(exchange + _FAULT, event)
    store_i64(exchange + _ERROR, error)
    store_i64(exchange + _EVENT, event)
    store_i64(exchange + _EVENT_AT, load_i64(exchange + _PENDING))
    store_i64(exchange + _EVENT_CODE, 0)
    store_i64(exchange + _EVENT_NUMBER, load_i64(exchange + _NUMBER))
    store_i64(exchange + _EVENT_BYTES, nbytes)
    if nbytes > 0:
        copy_bytes(load_i64(exchange + _NOTE), frame, min(nbytes, _NOTE_BYTES))


@inline
def wake(exchange):  # type: ignore[no-untyped-def]
    """Make the keeper look."""
    one = stack(8)
    store_i64(one, 1)
    write(load_i64(exchange + _WAKE_FD), one, 8)


# --- asking -----------------------------------------------------------------------------------------------------------


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
        gather(exchange, now)
    store_i64(exchange + _QUIET_BY, max(now, load_i64(exchange + _SEND_AT)) + load_i64(exchange + _ANSWER_NS))
    return 1


@inline
def forget_all_kept(exchange):  # type: ignore[no-untyped-def]
    """No write may carry bits that were read in another exchange."""
    for number in range(load_i64(exchange + _WRITES)):
        transaction = transaction_at(exchange, number)
        forget_kept(exchange, load_i64(transaction + _KEEPS), load_i64(transaction + _KEEP_COUNT))


@inline
def is_line(exchange):  # type: ignore[no-untyped-def]
    """Is it a serial line?"""
    return load_i64(exchange + _CUT) != _BY_LENGTH


@inline
def may_send(exchange, now):  # type: ignore[no-untyped-def]
    """Is there something to ask, has its time come, and is no answer awaited?"""
    return (
        load_i64(exchange + _PENDING) == _NONE
        and load_i64(exchange + _POSITION) < load_i64(exchange + _END)
        and load_i64(exchange + _FAULT) == 0
        and load_i64(exchange + _IS_CUT) == 0
        and load_i64(exchange + _UNSENT) == 0
        and now >= load_i64(exchange + _SEND_AT)
    )


@inline
def go(exchange, now):  # type: ignore[no-untyped-def]
    """Send the next request, if it may be sent."""
    while may_send(exchange, now):
        if is_line(exchange) or load_i64(exchange + _ANY_NUMBER) != 0:
            receive(exchange, now)  # what lies there answers nothing that is asked now
            if not may_send(exchange, now):
                return
        number = load_i64(exchange + _POSITION)
        asked = question_of(exchange, number, now) if is_line(exchange) else number
        transaction = transaction_at(exchange, number)
        if asked != number and asked != SKIP:
            ask(exchange, transaction_at(exchange, asked), asked, now)
        elif asked == SKIP or is_left_out(exchange, transaction, now) or not prepare(exchange, transaction, now):
            store_i64(exchange + _POSITION, number + 1)
        elif ask(exchange, transaction, number, now) != 0 and load_i64(transaction + _FLAGS) & _UNANSWERED:
            store_i64(exchange + _PENDING, _NONE)
            store_i64(exchange + _POSITION, number + 1)
            sending = load_i64(transaction + _REQUEST_BYTES) * load_i64(exchange + _BYTE_NS)
            rest(exchange, now + sending + max(load_i64(exchange + _PAUSE), load_i64(exchange + _BROADCAST)))
            store_i64(transaction + _IS_FRESH, 1)


@inline
def is_left_out(exchange, transaction, now):  # type: ignore[no-untyped-def]
    """Who was silent is asked now and then, one in a phase: others are behind the same gateway. A line has its fences for that."""
    was_silent = load_i64(transaction + _MISSES) > 0 and not is_line(exchange)
    has_waited = load_i64(exchange + _MISSED_IN) == load_i64(exchange + _BEGAN)
    return now < load_i64(transaction + _SKIP_UNTIL) or (was_silent and has_waited)


@inline
def leave_out(exchange, transaction, now):  # type: ignore[no-untyped-def]
    """A question was not answered, while others are: the phase ends soon, so that these, and outputs, do not wait for it."""
    if load_i64(transaction + _MISSES) > 1:
        store_i64(exchange + _MISSED_IN, load_i64(exchange + _BEGAN))
        if load_i64(exchange + _HEARD) >= load_i64(exchange + _BEGAN):
            turns = 2 * load_i64(exchange + _COUNT)
            store_i64(transaction + _SKIP_UNTIL, now + turns * load_i64(exchange + _ANSWER_NS))
    is_long = 2 * (now - load_i64(exchange + _BEGAN)) >= load_i64(exchange + _SILENT)
    if is_long and load_i64(exchange + _FORCE_SAFE) == 0:
        store_i64(exchange + _IS_CUT, 1)


@inline
def prepare(exchange, transaction, now):  # type: ignore[no-untyped-def]
    """Put the outputs into the request; false if nothing may be sent."""
    if load_i64(transaction + _FLAGS) & _WRITES_FLAG == 0:
        return True
    if now > load_i64(exchange + _UNTIL):
        gather(exchange, now)  # they grew old while others were asked: newer ones, or the safe ones
    request = load_i64(transaction + _REQUEST)
    encode(exchange, load_i64(transaction + _OUTS), load_i64(transaction + _OUT_COUNT), request)
    return put_kept(exchange, load_i64(transaction + _KEEPS), load_i64(transaction + _KEEP_COUNT), request) != 0


@inline
def ask(exchange, transaction, number, now):  # type: ignore[no-untyped-def]
    """Number and send one request; 0 if it could not be sent."""
    request, nbytes = load_i64(transaction + _REQUEST), load_i64(transaction + _REQUEST_BYTES)
    size = load_i64(exchange + _NUMBER_BYTES)
    if size > 0:
        mine = (load_i64(exchange + _NUMBER) + 1) & ((1 << (8 * size)) - 1)
        store_i64(exchange + _NUMBER, mine)
        store_number(request + load_i64(exchange + _NUMBER_AT), size, load_i64(exchange + _NUMBER_BIG), mine)
    if is_line(exchange):
        store_number(request + nbytes - 2, 2, 0, checksum(request, nbytes - 2))
        store_i64(exchange + _RECEIVED, 0)
        store_i64(exchange + _NEWEST_ASKED, transaction)
    fd = load_i64(exchange + _FD)
    sent = send(fd, request, nbytes, SEND) if load_i64(exchange + _IS_SOCKET) != 0 else write(fd, request, nbytes)
    why = errno() if sent < 0 else 0
    if is_line(exchange) and sent != nbytes and (sent >= 0 or why == EAGAIN):
        store_i64(exchange + _UNSENT, nbytes - max(sent, 0))
    elif sent != nbytes:
        fail(exchange, _NOT_SENT if sent >= 0 or why == EAGAIN else _FAILED, why, request, 0)
        return 0
    if load_i64(transaction + _FLAGS) & _WRITES_FLAG != 0:
        add_to(exchange + _DRIVEN, 1)
    store_i64(exchange + _PENDING, number)
    store_i64(exchange + _IS_LATE, 0)
    store_i64(exchange + _LATE_NUMBER, 0)
    store_i64(exchange + _SENT, now)
    travelling = (nbytes + load_i64(transaction + _ANSWER_BYTES)) * load_i64(exchange + _BYTE_NS)
    give_up_ns, last_ns = (
        now + load_i64(exchange + _ANSWER_NS) + travelling,
        load_i64(exchange + _HEARD) + load_i64(exchange + _SILENT),
    )
    if last_ns > now or load_i64(transaction + _MISSES) > 0:
        give_up_ns = min(give_up_ns, max(last_ns, now))  # subscribers are to know within the timeout
    store_i64(exchange + _GIVE_UP, give_up_ns)
    if number + 1 == load_i64(exchange + _WRITES):
        count_reactions(exchange, now)
    return 1


@inline
def send_rest(exchange):  # type: ignore[no-untyped-def]
    """A line takes a long request in parts."""
    transaction, unsent = load_i64(exchange + _NEWEST_ASKED), load_i64(exchange + _UNSENT)
    end = load_i64(transaction + _REQUEST) + load_i64(transaction + _REQUEST_BYTES)
    sent = write(load_i64(exchange + _FD), end - unsent, unsent)
    why = errno() if sent < 0 else 0
    if sent >= 0:
        store_i64(exchange + _UNSENT, unsent - sent)
    elif why != EAGAIN and why != EINTR:
        fail(exchange, _FAILED, why, end, 0)


# --- answers ----------------------------------------------------------------------------------------------------------


@inline
def receive(exchange, now):  # type: ignore[no-untyped-def]
    """Take what has come, frame by frame."""
    buffer, received, fd = load_i64(exchange + _BUFFER), load_i64(exchange + _RECEIVED), load_i64(exchange + _FD)
    space = load_i64(exchange + _BUFFER_BYTES) - received
    is_socket = load_i64(exchange + _IS_SOCKET)
    got = recv(fd, buffer + received, space, DONTWAIT) if is_socket != 0 else read(fd, buffer + received, space)
    if got <= 0:
        why = errno() if got < 0 else 0
        if got == 0:
            fail(exchange, _CLOSED, 0, buffer, received)
        elif got < 0 and why != EAGAIN and why != EINTR:
            fail(exchange, _FAILED, why, buffer, received)
        return
    store_i64(exchange + _RECEIVED, received + got)
    if is_line(exchange):
        listen(exchange, now)
        return
    at, taken = 0, 1
    while taken != 0:
        taken = take_frame(exchange, at, now)
        at += taken
    if at > 0:
        drop(exchange, at)  # once: a device may send thousands of small frames


@inline
def next_frame(exchange, now):  # type: ignore[no-untyped-def]
    """Take one frame out of the buffer; 0 if no whole one is there."""
    taken = take_frame(exchange, 0, now)
    if taken > 0:
        drop(exchange, taken)
    return taken


@inline
def take_frame(exchange, first, now):  # type: ignore[no-untyped-def]
    """Judge the frame at byte `first` of the buffer; gives its bytes, 0 if it is not whole, or ends the connection."""
    buffer, left, pending = (
        load_i64(exchange + _BUFFER) + first,
        load_i64(exchange + _RECEIVED) - first,
        load_i64(exchange + _PENDING),
    )
    if left == 0:
        return 0
    length = length_by_field(exchange, first)
    if length == IMPOSSIBLE or length > load_i64(exchange + _BUFFER_BYTES):
        fail(exchange, _GARBAGE, 0, buffer, left)
        return 0
    if length == MORE or length > left:
        return 0
    judge(exchange, buffer, length, pending, now)
    return length if load_i64(exchange + _FAULT) == 0 else 0


@inline
def listen(exchange, now):  # type: ignore[no-untyped-def]
    """Something has come on a serial line: is the answer among it?"""
    pending, buffer, received = (
        load_i64(exchange + _PENDING),
        load_i64(exchange + _BUFFER),
        load_i64(exchange + _RECEIVED),
    )
    if pending == _NONE:
        stray(exchange, now)
        return
    transaction, has_echo, first = transaction_at(exchange, pending), load_i64(exchange + _ECHO) != 0, 0
    if has_echo:
        echo_at = find_echo(exchange, transaction)
        if echo_at == NOWHERE:
            return
        first = echo_at + load_i64(transaction + _REQUEST_BYTES)
    answer_at = find(exchange, transaction, first, False)
    refusal_at = find(exchange, transaction, first, True) if answer_at == NOWHERE else NOWHERE
    at, is_refusal = max(answer_at, refusal_at), answer_at == NOWHERE
    if not has_echo and hears_itself(exchange, transaction, at):
        fail(exchange, _UNEXPECTED, 0, buffer, received)
    elif at != NOWHERE and not is_doubtful(exchange, pending):
        take_answer(exchange, transaction, pending, at, is_refusal, now)
    elif at == NOWHERE and not has_echo and pending >= load_i64(exchange + _COUNT):
        wait_on(exchange, pending, now)


@inline
def take_answer(exchange, transaction, pending, at, is_refusal, now):  # type: ignore[no-untyped-def]
    """The answer, or refusal, that begins at byte `at` of what has come on a serial line."""
    frame = load_i64(exchange + _BUFFER) + at
    nbytes = load_i64(transaction + (_REFUSAL_BYTES if is_refusal else _ANSWER_BYTES))
    store_i64(exchange + _HEARD, now)
    note_time(exchange, now)
    if not is_refusal:
        accept(exchange, transaction, frame, nbytes, now)
    elif pending < load_i64(exchange + _COUNT):
        refuse(exchange, transaction, frame, nbytes, pending)
    drop(exchange, at + nbytes)
    advance(exchange, pending, now)
    believe(exchange, pending, is_refusal, now)


@inline
def judge(exchange, frame, length, pending, now):  # type: ignore[no-untyped-def]
    """What a whole frame means."""
    if load_i64(exchange + _SAMPLED_BYTES) > 0 and are_samples(exchange, frame, length):
        store_i64(exchange + _HEARD, now)
        if not take_samples(exchange, frame, length):
            fail(exchange, _GARBAGE, 0, frame, length)
        return
    if not is_for_us(exchange, frame, length):
        add_to(exchange + _LATE_COUNT, 1)
        return
    store_i64(exchange + _HEARD, now)
    owner = whose(exchange, frame, length)
    if pending == _NONE and load_i64(exchange + _ANY_NUMBER) != 0:
        fail(exchange, _UNASKED, 0, frame, length)  # each answer would be taken for that of the next question
        return
    if owner == LATE or (pending == _NONE and owner == OURS):
        add_to(exchange + _LATE_COUNT, 1)
        size = load_i64(exchange + _NUMBER_BYTES)
        if size > 0:
            at = frame + load_i64(exchange + _NUMBER_AT)
            store_i64(exchange + _LATE_NUMBER, 1 + load_number(at, size, load_i64(exchange + _NUMBER_BIG)))
        return
    if owner != OURS:
        fail(exchange, _UNASKED, 0, frame, length)
        return
    transaction = transaction_at(exchange, pending)
    if length == load_i64(transaction + _ANSWER_BYTES) and is_expected(transaction, frame, length):
        accept(exchange, transaction, frame, length, now)
    elif length == load_i64(transaction + _REFUSAL_BYTES) and matches(
        frame, load_i64(transaction + _REFUSAL), load_i64(transaction + _REFUSAL_MASK), length
    ):
        refuse(exchange, transaction, frame, length, pending)
    else:
        fail(exchange, _UNEXPECTED, 0, frame, length)
        return
    advance(exchange, pending, now)


@inline
def accept(exchange, transaction, frame, length, now):  # type: ignore[no-untyped-def]
    """The expected answer: its inputs become the newest."""
    copy_bytes(load_i64(transaction + _NEWEST), frame, length)
    decode(exchange, load_i64(transaction + _INS), load_i64(transaction + _IN_COUNT), frame)
    store_i64(transaction + _QUALITY, _GOOD)
    store_i64(transaction + _IS_FRESH, 1 - load_i64(exchange + _IS_LATE))
    store_i64(transaction + _ASKED, load_i64(exchange + _SENT))
    store_i64(transaction + _ARRIVED, now)
    store_i64(transaction + _MISSES, 0)
    add_to(transaction + _CONFIRMED, 1)
    if load_i64(exchange + _IS_LATE) != 0:
        forget_all_kept(exchange)  # read in an earlier exchange


@inline
def refuse(exchange, transaction, frame, length, pending):  # type: ignore[no-untyped-def]
    """A well-formed "no": one that passes makes the inputs stale, another makes them bad. The others are still asked."""
    store_i64(transaction + _MISSES, 0)
    code = load_u8(frame + load_i64(transaction + _CODE_AT)) * 1
    passes = code < 63 and (load_i64(transaction + _PASSING) >> code) & 1 != 0
    store_i64(transaction + _QUALITY, max(load_i64(transaction + _QUALITY), _STALE) if passes else _BAD)
    add_to(exchange + _ERRORS, 1)
    tell(exchange, _BUSY_EVENT if passes else _REFUSED, pending, frame, length, code)


@inline
def advance(exchange, pending, now):  # type: ignore[no-untyped-def]
    """The question has been answered, or given up. One of an earlier phase is not the one at `position`."""
    store_i64(exchange + _PENDING, _NONE)
    rest(exchange, now + load_i64(exchange + _PAUSE))
    if load_i64(exchange + _IS_LATE) == 0 and pending < load_i64(exchange + _COUNT):
        store_i64(exchange + _POSITION, pending + 1)


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
            receive(
                exchange, now
            )  # the answer to an earlier phase's question may lie there, though its time is over by now
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
                        receive(exchange, now)
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


@export
def exchange_run(exchange):  # type: ignore[no-untyped-def]
    """Exchange every cycle until told to stop. A late cycle moves the next: no burst."""
    timespec = area = stack(_AREA)
    carry_out, cycle = load_i64(exchange + _CARRY_OUT), load_i64(exchange + _CYCLE)
    due = now_ns(timespec)
    while atomic_load(exchange + _STOP) == 0:
        call5(carry_out, exchange + _ME, 1, 0, _NEVER, area)
        now = now_ns(timespec)
        due = max(due + cycle, now)
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
