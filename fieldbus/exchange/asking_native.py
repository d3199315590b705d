"""Asking: the next request gets its outputs and its number, and leaves; who was silent is left out now and then."""

from fieldbus.exchange.answers_native import receive
from fieldbus.exchange.block import EXCHANGE, TRANSACTION, Event, Flag
from fieldbus.exchange.frames_native import checksum, is_line, store_number, transaction_at
from fieldbus.exchange.line_native import SKIP, question_of, rest
from fieldbus.exchange.moves_native import encode, put_kept
from fieldbus.exchange.notes_native import fail
from fieldbus.exchange.ports_native import count_reactions, gather
from rt_native.counting import add_to
from rt_native.lang import call2, inline, load_i64, store_i64
from rt_native.memory import offsets
from rt_native.sockets import EAGAIN, EINTR, SEND, errno, send, write

_X, _T = offsets(EXCHANGE), offsets(TRANSACTION)
_ANSWER_BYTES, _ANSWER_NS, _ANY_NUMBER, _BEGAN, _BROADCAST, _BYTE_NS = (
    _T.answer_bytes, _X.answer_ns, _X.any_number, _X.began_ns, _X.broadcast_ns, _X.byte_ns
)  # fmt: skip
_COUNT, _DRIVEN, _DRIVES_STEP, _END, _FAULT, _FD = (
    _X.count, _X.driven, _X.drives_step, _X.end, _X.fault, _X.fd
)  # fmt: skip
_FLAGS, _FORCE_SAFE, _GIVE_UP, _HEARD, _IS_CUT, _IS_FRESH = (
    _T.flags, _X.force_safe, _X.give_up_ns, _X.heard_ns, _X.is_cut, _T.is_fresh
)  # fmt: skip
_IS_LATE, _IS_SOCKET, _KEEPS, _KEEP_COUNT, _LATE_NUMBER, _MISSED_IN = (
    _X.is_late, _X.is_socket, _T.keeps, _T.keep_count, _X.late_number, _X.missed_in
)  # fmt: skip
_MISSES, _NEWEST_ASKED, _NUMBER, _NUMBER_AT, _NUMBER_BIG, _NUMBER_BYTES = (
    _T.misses, _X.newest_asked, _X.number, _X.number_at, _X.number_is_big, _X.number_bytes
)  # fmt: skip
_OUTS, _OUT_COUNT, _PAUSE, _PENDING, _POSITION, _RECEIVED = (
    _T.outs, _T.out_count, _X.pause_ns, _X.pending, _X.position, _X.received
)  # fmt: skip
_REQUEST, _REQUEST_BYTES, _SEND_AT, _SENT, _SILENT, _SKIP_UNTIL = (
    _T.request, _T.request_bytes, _X.send_at_ns, _X.sent_ns, _X.silent_ns, _T.skip_until_ns
)  # fmt: skip
_UNSENT, _UNTIL, _WRITES = (
    _X.unsent, _X.until_ns, _X.writes
)  # fmt: skip
_WRITES_FLAG, _UNANSWERED = int(Flag.WRITES), int(Flag.UNANSWERED)
_FAILED, _NOT_SENT = int(Event.FAILED), int(Event.NOT_SENT)
_NONE = -1


@inline
def gather_all(exchange, now):  # type: ignore[no-untyped-def]
    """Outputs, and what the kind of link makes of them."""
    gather(exchange, now)
    drives = load_i64(exchange + _DRIVES_STEP)
    if drives != 0:
        call2(drives, exchange, now)


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
        gather_all(exchange, now)  # they grew old while others were asked: newer ones, or the safe ones
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
