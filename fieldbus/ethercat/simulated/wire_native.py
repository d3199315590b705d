"""The bus at work: frames from one or two sockets, each answered at once, and between them what time brings.

ppoll --> recv --> `carry` (slaves) --> send --> steps of devices with new outputs --> Python is told --> ppoll
"""

from fieldbus.ethercat.simulated.frames_native import DESTROYED, carry
from fieldbus.ethercat.simulated.layout import BUS, FRAME_BYTES, HELD, HOLD, Fault
from fieldbus.ethercat.simulated.pulses_native import bring, take_outputs
from fieldbus.ethercat.simulated.stamps_native import arrival
from fieldbus.ethercat.simulated.turns_native import lock, unlock
from rt_native.counting import add_to
from rt_native.lang import (
    atomic_load,
    copy_bytes,
    export,
    fill_bytes,
    inline,
    load_i64,
    now_ns,
    stack,
    store_i32,
    store_i64,
)
from rt_native.memory import offsets
from rt_native.sockets import POLLIN, SEND, ppoll, read, recv, send, write

_B, _H = offsets(BUS), offsets(HELD)
_STOP, _A, _B_FD, _WAKE, _TELL, _FRAME, _HELD_AT, _DUE, _FRESH, _HEAD, _TAIL = (
    _B.stop, _B.a, _B.b, _B.wake, _B.tell, _B.frame, _B.held, _B.due_ns, _B.fresh, _B.head, _B.tail
)  # fmt: skip
_LOST = _B.lost
_LATE, _DOUBLED, _UNSENT, _LONGEST = _B.late, _B.doubled, _B.unsent, _B.longest_ns
_HELD_DUE, _HELD_PORT, _HELD_BYTES, _HELD_FRAME = _H.due_ns, _H.port, _H.nbytes, _H.bytes
_ROW, _HOLD, _MOST = HELD.itemsize, HOLD, FRAME_BYTES
_DELAY, _DOUBLE = 1 << (1 + int(Fault.DELAY)), 1 << (1 + int(Fault.DOUBLE))
_DELAY_AT = 25
_DONTWAIT, _LEAST = 0x40, 60
_SECOND, _LONGEST_SLEEP, _NAP = 1_000_000_000, 50_000_000, 100_000
_POLLS, _WORD = 16, 64
_AREA = 128


@inline
def leave(bus, port, frame, nbytes):  # type: ignore[no-untyped-def]
    """Send a frame from one port; a card fills it up to the least that Ethernet knows."""
    whole = max(nbytes, _LEAST)
    fill_bytes(frame + nbytes, 0, whole - nbytes)
    if send(load_i64(bus + (_A if port == 0 else _B_FD)), frame, whole, SEND) != whole:
        add_to(bus + _UNSENT, 1)


@inline
def hold(bus, port, frame, nbytes, due):  # type: ignore[no-untyped-def]
    """Keep a frame for later; gives 0 where there is no room."""
    for number in range(_HOLD):
        row = load_i64(bus + _HELD_AT) + number * _ROW
        if load_i64(row + _HELD_DUE) == 0:
            store_i64(row + _HELD_DUE, due)
            store_i64(row + _HELD_PORT, port)
            store_i64(row + _HELD_BYTES, nbytes)
            copy_bytes(row + _HELD_FRAME, frame, nbytes)
            store_i64(bus + _DUE, min(load_i64(bus + _DUE), due))
            return 1
    return 0


@inline
def let_go(bus, now):  # type: ignore[no-untyped-def]
    """Send what was held until now; gives when the next has to leave."""
    next_ns = now + _LONGEST_SLEEP
    for number in range(_HOLD):
        row = load_i64(bus + _HELD_AT) + number * _ROW
        due = load_i64(row + _HELD_DUE)
        if due == 0:
            continue
        if due <= now:
            store_i64(row + _HELD_DUE, 0)
            leave(bus, load_i64(row + _HELD_PORT), row + _HELD_FRAME, load_i64(row + _HELD_BYTES))
        else:
            next_ns = min(next_ns, due)
    return next_ns


@inline
def answer(bus, frame, nbytes, port, now):  # type: ignore[no-untyped-def]
    """A frame came: carry it past the slaves, and send it."""
    left = carry(bus, frame, nbytes, port, now)
    if left == DESTROYED:
        return
    leaves = left & 1
    if left & _DELAY:
        add_to(bus + _LATE, 1)
        if hold(bus, leaves, frame, nbytes, now + (left >> _DELAY_AT)) == 0:
            add_to(bus + _LOST, 1)
        return
    leave(bus, leaves, frame, nbytes)
    if left & _DOUBLE:
        add_to(bus + _DOUBLED, 1)
        leave(bus, leaves, frame, nbytes)


@inline
def tell_python(bus, area):  # type: ignore[no-untyped-def]
    """Wake Python, if there is an event."""
    if load_i64(bus + _HEAD) != load_i64(bus + _TAIL):
        store_i64(area + _WORD, 1)
        write(load_i64(bus + _TELL), area + _WORD, 8)


@inline
def take_frames(bus, fd, port, area):  # type: ignore[no-untyped-def]
    """All frames that lie at one port."""
    while True:
        nbytes = recv(fd, load_i64(bus + _FRAME), _MOST, _DONTWAIT)
        if nbytes < 0:
            return
        lock(bus, area)
        began = now_ns(area)
        now = arrival(bus, fd, began, area)
        bring(bus, now)
        answer(bus, load_i64(bus + _FRAME), nbytes, port, now)
        if load_i64(bus + _FRESH) != 0:
            take_outputs(bus, now)
        tell_python(bus, area)
        unlock(bus)
        store_i64(bus + _LONGEST, max(load_i64(bus + _LONGEST), now_ns(area) - began))


@inline
def wait(bus, area, left):  # type: ignore[no-untyped-def]
    """Sleep until a frame comes, Python wakes us, or `left` nanoseconds are over."""
    left = min(max(left, 0), _LONGEST_SLEEP)
    store_i64(area, left // _SECOND)
    store_i64(area + 8, left % _SECOND)
    ports = 2 if load_i64(bus + _B_FD) != -1 else 1
    store_i32(area + _POLLS, load_i64(bus + _WAKE))
    store_i32(area + _POLLS + 8, load_i64(bus + _A))
    store_i32(area + _POLLS + 16, load_i64(bus + _B_FD))
    for number in range(3):
        store_i32(area + _POLLS + 8 * number + 4, POLLIN)
    if ppoll(area + _POLLS, 1 + ports, area, 0) > 0:
        read(load_i64(bus + _WAKE), area + _WORD, 8)


@export
def bus_run(bus):  # type: ignore[no-untyped-def]
    """Be the bus until told to stop."""
    area = stack(_AREA)
    while atomic_load(bus + _STOP) == 0:
        lock(bus, area)
        now = now_ns(area)
        bring(bus, now)
        due = min(let_go(bus, now), max(load_i64(bus + _DUE), now + _NAP))  # what is late is made up for
        tell_python(bus, area)
        unlock(bus)
        wait(bus, area, due - now)
        take_frames(bus, load_i64(bus + _A), 0, area)
        if load_i64(bus + _B_FD) != -1:
            take_frames(bus, load_i64(bus + _B_FD), 1, area)
    return 0


@export
def bus_carry(bus, frame, nbytes, port, now):  # type: ignore[no-untyped-def]
    """One frame without a wire, at a time of the caller's: what came back is in `frame`; gives its port, -1: none."""
    area = stack(_AREA)
    lock(bus, area)
    bring(bus, now)
    left = carry(bus, frame, nbytes, port, now)
    if load_i64(bus + _FRESH) != 0:
        take_outputs(bus, now)
    unlock(bus)
    return left if left == DESTROYED else left & 1
