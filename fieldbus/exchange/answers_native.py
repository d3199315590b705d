"""What comes: bytes -> frames -> is it the expected answer? -> decode."""

from fieldbus.exchange.block import EXCHANGE, TRANSACTION, Event, Flag
from fieldbus.exchange.frames_native import (
    IMPOSSIBLE,
    LATE,
    MORE,
    OURS,
    is_expected,
    is_for_us,
    is_line,
    length_by_field,
    load_number,
    matches,
    transaction_at,
    whose,
)
from fieldbus.exchange.line_native import (
    NOWHERE,
    believe,
    drop,
    find,
    find_echo,
    hears_itself,
    is_doubtful,
    note_time,
    rest,
    stray,
    wait_on,
)
from fieldbus.exchange.moves_native import decode, forget_kept
from fieldbus.exchange.notes_native import fail, tell
from fieldbus.exchange.samples_native import are_samples, take_samples
from rt_native.counting import add_to
from rt_native.lang import call5, copy_bytes, inline, load_i64, load_u8, store_i64
from rt_native.memory import offsets
from rt_native.sockets import DONTWAIT, EAGAIN, EINTR, errno, read, recv

_X, _T = offsets(EXCHANGE), offsets(TRANSACTION)
_SAMPLED_BYTES, _FD, _IS_SOCKET, _PAUSE, _ANY_NUMBER, _LATE_NUMBER, _ECHO = (
    _X.sampled_bytes, _X.fd, _X.is_socket, _X.pause_ns, _X.any_number, _X.late_number, _X.echo
)  # fmt: skip
_NUMBER_AT, _NUMBER_BYTES, _NUMBER_BIG, _BUFFER, _BUFFER_BYTES, _COUNT, _WRITES = (
    _X.number_at, _X.number_bytes, _X.number_is_big, _X.buffer, _X.buffer_bytes, _X.count, _X.writes
)  # fmt: skip
_RECEIVED, _POSITION, _PENDING, _SENT, _HEARD, _FAULT, _IS_LATE = (
    _X.received, _X.position, _X.pending, _X.sent_ns, _X.heard_ns, _X.fault, _X.is_late
)  # fmt: skip
_ERRORS, _LATE_COUNT = _X.errors, _X.late
_REQUEST_BYTES, _ANSWER_BYTES, _REFUSAL, _REFUSAL_MASK, _REFUSAL_BYTES, _CODE_AT, _PASSING = (
    _T.request_bytes, _T.answer_bytes, _T.refusal, _T.refusal_mask, _T.refusal_bytes, _T.code_at, _T.passing
)  # fmt: skip
_INS, _IN_COUNT, _NEWEST, _KEEPS, _KEEP_COUNT, _QUALITY, _IS_FRESH = (
    _T.ins, _T.in_count, _T.newest, _T.keeps, _T.keep_count, _T.quality, _T.is_fresh
)  # fmt: skip
_ASKED, _ARRIVED, _MISSES, _CONFIRMED = _T.asked_ns, _T.arrived_ns, _T.misses, _T.confirmed
_REFUSED, _BUSY_EVENT, _UNEXPECTED, _UNASKED, _GARBAGE, _CLOSED, _FAILED = (
    int(Event[name]) for name in ("REFUSED", "BUSY", "UNEXPECTED", "UNASKED", "GARBAGE", "CLOSED", "FAILED")
)
_FLAGS, _CLOCK, _CLOCK_NOTE = _T.flags, int(Flag.CLOCK), _X.clock_note
_GOOD, _STALE, _BAD, _NONE = 0, 1, 2, -1


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
    note = load_i64(exchange + _CLOCK_NOTE) if load_i64(transaction + _FLAGS) & _CLOCK != 0 else 0
    if note != 0:
        call5(note, exchange, frame, load_i64(exchange + _SENT), now, transaction)
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
def forget_all_kept(exchange):  # type: ignore[no-untyped-def]
    """No write may carry bits that were read in another exchange."""
    for number in range(load_i64(exchange + _WRITES)):
        transaction = transaction_at(exchange, number)
        forget_kept(exchange, load_i64(transaction + _KEEPS), load_i64(transaction + _KEEP_COUNT))
