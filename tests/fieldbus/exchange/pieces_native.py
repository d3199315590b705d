"""Pieces of the exchange, each by itself and at whatever time it is; and what hammers it. A native module: the compiler imports it."""

from fieldbus.exchange.answers_native import take_frame
from fieldbus.exchange.block import EXCHANGE, TRANSACTION, State
from fieldbus.exchange.exchange_native import begin, finish, next_begin, phase_of, step
from fieldbus.exchange.frames_native import store_number
from fieldbus.exchange.line_native import drop
from fieldbus.exchange.moves_native import decode, encode
from fieldbus.image.image_layout import SLOT
from fieldbus.image.image_native import channel_latch
from rt_native.lang import (
    CLOCK_MONOTONIC,
    atomic_store,
    clock_nanosleep,
    copy_bytes,
    export,
    inline,
    load_f64,
    load_i64,
    load_u8,
    load_u16,
    now_ns,
    stack,
    store_f64,
    store_i64,
)
from rt_native.memory import offsets
from rt_native.sockets import SEND, recv, send

_X, _T, _S = offsets(EXCHANGE), offsets(TRANSACTION), offsets(SLOT)
_STATE, _FAULT, _BUFFER, _RECEIVED, _PENDING, _NUMBER, _NOTED = (
    _X.state, _X.fault, _X.buffer, _X.received, _X.pending, _X.number, _X.noted
)  # fmt: skip
_HEARD, _SEND_AT, _TRANSACTIONS, _COUNT, _VALUES, _CELLS = (
    _X.heard_ns, _X.send_at_ns, _X.transactions, _X.count, _X.values_in, _X.cells_in
)  # fmt: skip
_T_QUALITY, _TRANSACTION, _QUALITY = _T.quality, TRANSACTION.itemsize, _S.quality
_KEEPER, _READY = int(State.KEEPER), int(State.READY)
_NONE, _ALL = -1, 0
_NEVER = (1 << 63) - 1


@inline
def next_frame(exchange, now):  # type: ignore[no-untyped-def]
    """Take one frame out of the buffer; 0 if no whole one is there."""
    taken = take_frame(exchange, 0, now)
    if taken > 0:
        drop(exchange, taken)
    return taken


@export
def piece_begin(exchange, phase, now):  # type: ignore[no-untyped-def]
    """Begin a phase; gives 0 if the exchange is not to be had."""
    return begin(exchange, phase, now)


@export
def piece_step(exchange, now):  # type: ignore[no-untyped-def]
    """Do what time brings."""
    return step(exchange, now)


@export
def piece_feed(exchange, data, nbytes, now):  # type: ignore[no-untyped-def]
    """These bytes have come."""
    feed(exchange, data, nbytes, now)
    return 0


@export
def piece_finish(exchange, phase, now):  # type: ignore[no-untyped-def]
    """End a phase."""
    finish(exchange, phase, now)
    return 0


@export
def piece_decode(exchange, moves, count, message):  # type: ignore[no-untyped-def]
    """The inputs in a message."""
    decode(exchange, moves, count, message)
    return 0


@export
def piece_encode(exchange, moves, count, message):  # type: ignore[no-untyped-def]
    """The outputs into a message."""
    encode(exchange, moves, count, message)
    return 0


@inline
def feed(exchange, data, nbytes, now):  # type: ignore[no-untyped-def]
    """What `receive` does with bytes."""
    received = load_i64(exchange + _RECEIVED)
    copy_bytes(load_i64(exchange + _BUFFER) + received, data, nbytes)
    store_i64(exchange + _RECEIVED, received + nbytes)
    more = 1
    while more != 0 and load_i64(exchange + _FAULT) == 0:
        more = next_frame(exchange, now)


@inline
def arm(exchange, now):  # type: ignore[no-untyped-def]
    """As the keeper does after a fault; numbers go on."""
    store_i64(exchange + _RECEIVED, 0)
    store_i64(exchange + _PENDING, _NONE)
    store_i64(exchange + _SEND_AT, now)
    store_i64(exchange + _HEARD, now)
    store_i64(exchange + _FAULT, 0)
    atomic_store(exchange + _STATE, _READY)


@export
def piece_play(exchange, script, nbytes, results, now):  # type: ignore[no-untyped-def]
    """A whole script: words of 4 bytes (what u8, spare u8, size u16), then `size` bytes.

    what 0: a cycle begins. 1: bytes come. 2: time passes, as much as a question waits (`size` is in us). 3: the cycle ends, and
    its outcome is noted: fault, number, of each transaction its quality, of each cell its value (8 bytes each).
    `now` is when it begins; gives when it ends.
    """
    at, out = script, results
    while at < script + nbytes:
        what, size = load_u8(at), load_u16(at + 2) * 1
        at += 4
        if what == 0:
            now += 1_000_000
            begin(exchange, _ALL, now)
            step(exchange, now)
        elif what == 1:
            if load_i64(exchange + _FAULT) == 0:
                feed(exchange, at, size, now)
                step(exchange, now)
            at += size
        elif what == 2:
            now += 1000 * size
            if load_i64(exchange + _FAULT) == 0:
                step(exchange, now)
        else:
            fault = load_i64(exchange + _FAULT)
            finish(exchange, _ALL, now)
            store_i64(out, fault)
            store_i64(out + 8, load_i64(exchange + _NUMBER))
            out += 16
            for i in range(load_i64(exchange + _COUNT)):
                store_i64(out, load_i64(load_i64(exchange + _TRANSACTIONS) + i * _TRANSACTION + _T_QUALITY))
                out += 8
            for i in range(load_i64(exchange + _CELLS)):
                store_f64(out, load_f64(load_i64(exchange + _VALUES) + 8 * i))
                out += 8
            store_i64(exchange + _NOTED, 0)
            if load_i64(exchange + _STATE) == _KEEPER:
                arm(exchange, now)
    return now


@export
def piece_hammer(table, peer, answer, nbytes, rounds, area):  # type: ignore[no-untyped-def]
    """Whole phases, with the answer sent beforehand: its number is known. Gives how many were GOOD."""
    exchange, good = load_i64(table), 0
    request = stack(512)
    for _ in range(rounds):
        store_number(answer, 2, 1, (load_i64(exchange + _NUMBER) + 1) & 0xFFFF)
        send(peer, answer, nbytes, SEND)
        phase_of(table, 1, _ALL, _NEVER, area)
        recv(peer, request, 512, 0)
        if load_i64(load_i64(exchange + _TRANSACTIONS) + _T_QUALITY) == 0:
            good += 1
    return good


@export
def piece_watch(channel, until_ns, seen):  # type: ignore[no-untyped-def]
    """Look at a channel until `until_ns`: when each quality was seen last goes to `seen` (3 words)."""
    timespec = stack(16)
    now = now_ns(timespec)
    while now < until_ns:
        slot = channel_latch(channel)
        store_i64(seen + 8 * load_i64(slot + _QUALITY), now)
        store_i64(timespec, (now + 200_000) // 1_000_000_000)
        store_i64(timespec + 8, (now + 200_000) % 1_000_000_000)
        clock_nanosleep(CLOCK_MONOTONIC, 1, timespec, 0)
        now = now_ns(timespec)
    return 0


@export
def piece_next_begin(exchange, due, now):
    """When a link's own thread begins its next cycle."""
    return next_begin(exchange, due, now)
