"""What the runner tells the keeper: notes, after which the exchange goes on, and faults, after which it cannot."""

from fieldbus.exchange.block import EXCHANGE, NOTE_BYTES
from rt_native.lang import atomic_load, atomic_store, copy_bytes, inline, load_i64, stack, store_i64
from rt_native.memory import offsets
from rt_native.sockets import write

_X = offsets(EXCHANGE)
_NOTED, _WAKE_FD, _NOTE, _NUMBER, _PENDING, _FAULT, _ERROR = (
    _X.noted, _X.wake_fd, _X.note, _X.number, _X.pending, _X.fault, _X.error
)  # fmt: skip
_EVENT, _EVENT_AT, _EVENT_BYTES, _EVENT_CODE, _EVENT_NUMBER = (
    _X.event, _X.event_at, _X.event_bytes, _X.event_code, _X.event_number
)  # fmt: skip
_NOTE_BYTES = NOTE_BYTES


@inline
def put_down(exchange, event, number, frame, nbytes, code):  # type: ignore[no-untyped-def]
    """What the keeper is to read: what happened, to which question, and the bytes that came."""
    store_i64(exchange + _EVENT, event)
    store_i64(exchange + _EVENT_AT, number)
    store_i64(exchange + _EVENT_CODE, code)
    store_i64(exchange + _EVENT_NUMBER, load_i64(exchange + _NUMBER))
    store_i64(exchange + _EVENT_BYTES, nbytes)
    if nbytes > 0:
        copy_bytes(load_i64(exchange + _NOTE), frame, min(nbytes, _NOTE_BYTES))


@inline
def tell(exchange, event, number, frame, nbytes, code):  # type: ignore[no-untyped-def]
    """Leave a note for the keeper, unless it has not read the last one; it is woken when the phase ends."""
    if atomic_load(exchange + _NOTED) == 0:
        put_down(exchange, event, number, frame, nbytes, code)
        atomic_store(exchange + _NOTED, 1)
        wake(exchange)


@inline
def fail(exchange, event, error, frame, nbytes):  # type: ignore[no-untyped-def]
    """This connection cannot go on: what happened replaces any note, and the keeper gets the exchange."""
    store_i64(exchange + _FAULT, event)
    store_i64(exchange + _ERROR, error)
    put_down(exchange, event, load_i64(exchange + _PENDING), frame, nbytes, 0)


@inline
def wake(exchange):  # type: ignore[no-untyped-def]
    """Make the keeper look."""
    one = stack(8)
    store_i64(one, 1)
    write(load_i64(exchange + _WAKE_FD), one, 8)
