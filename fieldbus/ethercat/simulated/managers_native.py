"""Sync managers: three buffers, or a mailbox, between the master and the device (data sheet, section I, chapter 8).

    three buffers   the writer fills `back`; with its last byte it changes places with `middle`, which is then new;
                    the reader's first byte takes `middle`, if it is new, as `front`
    mailbox         the master writes it when it is empty, from the first byte to the last, and then it is full; reading empties it
    a single byte   is memory that everybody may read and write; writing it feeds the watchdog

An access begins with the first byte, or it is refused; whoever goes against the direction is refused. Three buffers can be read at
any time, also before the first write.
"""

from fieldbus.ethercat.simulated import registers
from fieldbus.ethercat.simulated.layout import BUS, ESC, EVENT, EVENTS, MANAGER, Access, Event
from rt_native.lang import copy_bytes, inline, load_i64, load_u8, load_u16, store_i16, store_i64, store_u8
from rt_native.memory import offsets

_B, _E, _M, _V = offsets(BUS), offsets(ESC), offsets(MANAGER), offsets(EVENT)
_MEMORY, _BUS, _POSITION, _MANAGERS, _ANY, _TABLE = (
    _E.memory, _E.bus, _E.position, _E.managers, _E.any_manager, _E.manager
)  # fmt: skip
_FED, _IS_FED, _IS_FRESH, _OUT = _E.fed_ns, _E.is_fed, _E.is_fresh, _E.out_manager
_START, _LENGTH, _MODE, _BY_MASTER, _BACK, _MIDDLE, _FRONT, _IS_NEW, _IS_WRITTEN, _IS_OPEN = (
    _M.start, _M.length, _M.mode, _M.by_master, _M.back, _M.middle, _M.front, _M.is_new, _M.is_written, _M.is_open
)  # fmt: skip
_ROW, _EVENT_ROW = MANAGER.itemsize, EVENT.itemsize
_RING, _HEAD, _TAIL, _EVENTS_LOST, _NOW, _FRESH, _TELL = (
    _B.events, _B.head, _B.tail, _B.events_lost, _B.now_ns, _B.fresh, _B.tell
)  # fmt: skip
_SLAVE, _KIND, _VALUE = _V.slave, _V.kind, _V.value
_MOST = EVENTS
_AT, _BYTES = registers.MANAGER, registers.MANAGER_BYTES
_REQUESTS, _WATCHDOG_STATUS = registers.EVENTS, registers.WATCHDOG_STATUS
_READ, _WRITE, _OR = int(Access.READ), int(Access.WRITE), int(Access.OR)
_MAILBOX_EVENT, _READ_EVENT = int(Event.MAILBOX), int(Event.MAILBOX_READ)
_SINGLE, _MAILBOX = 1, 2
FULL, BUFFERS, NONE_WRITTEN = 0x08, 0x30, 0x30


@inline
def tell(esc, kind, value):  # type: ignore[no-untyped-def]
    """Put an event in Python's ring."""
    bus = load_i64(esc + _BUS)
    head = load_i64(bus + _HEAD)
    if head - load_i64(bus + _TAIL) >= _MOST:
        store_i64(bus + _EVENTS_LOST, load_i64(bus + _EVENTS_LOST) + 1)
        return
    row = load_i64(bus + _RING) + (head % _MOST) * _EVENT_ROW
    store_i64(row + _SLAVE, load_i64(esc + _POSITION))
    store_i64(row + _KIND, kind)
    store_i64(row + _VALUE, value)
    store_i64(bus + _HEAD, head + 1)


@inline
def manager_at(esc, number):  # type: ignore[no-untyped-def]
    """The address of a MANAGER."""
    return esc + _TABLE + number * _ROW


@inline
def status_at(esc, number):  # type: ignore[no-untyped-def]
    """The address of a sync manager's status register."""
    return load_i64(esc + _MEMORY) + _AT + number * _BYTES + 5


@inline
def request(esc, bits, is_set):  # type: ignore[no-untyped-def]
    """Set or take away event requests to the master."""
    at = load_i64(esc + _MEMORY) + _REQUESTS
    old = load_u16(at)
    store_i16(at, (old | bits) if is_set != 0 else (old & (0xFFFF ^ bits)))


@inline
def activate(esc, number):  # type: ignore[no-untyped-def]
    """Look at a sync manager's registers again: they were written."""
    manager, at = manager_at(esc, number), load_i64(esc + _MEMORY) + _AT + number * _BYTES
    control = load_u8(at + 4)
    is_active = load_u8(at + 6) & 1 != 0 and load_u8(at + 7) & 1 == 0 and load_u16(at + 2) > 0
    if is_active == (load_i64(manager + _LENGTH) != 0):
        return
    store_i64(manager + _LENGTH, load_u16(at + 2) if is_active else 0)
    store_i64(manager + _START, load_u16(at))
    store_i64(manager + _MODE, _SINGLE if load_u16(at + 2) == 1 else control & 3)
    store_i64(manager + _BY_MASTER, 1 if control & 0x0C == 4 else 0)
    store_i64(manager + _BACK, 0)
    store_i64(manager + _MIDDLE, 1)
    store_i64(manager + _FRONT, 2)
    store_i64(manager + _IS_NEW, 0)
    store_i64(manager + _IS_WRITTEN, 0)
    store_i64(manager + _IS_OPEN, 0)
    store_u8(at + 5, NONE_WRITTEN if is_active and control & 3 == 0 else 0)
    request(esc, 1 << (4 + (number & 7)), 0)


@inline
def activate_all(esc):  # type: ignore[no-untyped-def]
    """Look at all sync managers again."""
    any_active = 0
    for number in range(load_i64(esc + _MANAGERS)):
        activate(esc, number)
        any_active |= load_i64(manager_at(esc, number) + _LENGTH)
    store_i64(esc + _ANY, 1 if any_active != 0 else 0)


@inline
def buffer_at(esc, manager, which):  # type: ignore[no-untyped-def]
    """The address of one of the three buffers; a mailbox, and a single byte, have one."""
    length = load_i64(manager + _LENGTH)
    at = load_i64(manager + _START) + (which * length if load_i64(manager + _MODE) == 0 else 0)
    return load_i64(esc + _MEMORY) + min(at, 0x10000 - length)


@inline
def publish(esc, number):  # type: ignore[no-untyped-def]
    """The writer has filled its buffer: it is the newest."""
    manager, status = manager_at(esc, number), status_at(esc, number)
    back = load_i64(manager + _BACK)
    store_i64(manager + _BACK, load_i64(manager + _MIDDLE))
    store_i64(manager + _MIDDLE, back)
    store_i64(manager + _IS_NEW, 1)
    store_i64(manager + _IS_WRITTEN, 1)
    store_u8(status, (load_u8(status) & 0xCD) | (back << 4) | 1)


@inline
def take_newest(manager):  # type: ignore[no-untyped-def]
    """The reader begins: the newest buffer becomes its own."""
    if load_i64(manager + _IS_NEW) != 0:
        front = load_i64(manager + _FRONT)
        store_i64(manager + _FRONT, load_i64(manager + _MIDDLE))
        store_i64(manager + _MIDDLE, front)
        store_i64(manager + _IS_NEW, 0)


@inline
def opens(manager, first):  # type: ignore[no-untyped-def]
    """An access that begins with the first byte opens a buffer; gives 0 where none is open."""
    if first == 0:
        store_i64(manager + _IS_OPEN, 1)
    return load_i64(manager + _IS_OPEN)


@inline
def written(esc, number):  # type: ignore[no-untyped-def]
    """The master has written the last byte."""
    manager, status, bus = manager_at(esc, number), status_at(esc, number), load_i64(esc + _BUS)
    store_i64(manager + _IS_OPEN, 0)
    store_u8(status, load_u8(status) & 0x7F)
    if load_u8(status - 1) & 0x40 != 0:
        store_i64(esc + _FED, load_i64(bus + _NOW))
        store_i64(esc + _IS_FED, 1)
        watchdog = load_i64(esc + _MEMORY) + _WATCHDOG_STATUS
        store_u8(watchdog, load_u8(watchdog) | 1)
    if load_i64(manager + _MODE) == _MAILBOX:
        store_i64(manager + _IS_WRITTEN, 1)
        store_u8(status, (load_u8(status) & 0xFD) | FULL | 1)
        tell(esc, _MAILBOX_EVENT, number)
        return
    publish(esc, number)
    if number == load_i64(esc + _OUT):
        store_i64(esc + _IS_FRESH, 1)
        store_i64(bus + _FRESH, 1)


@inline
def was_read(esc, number):  # type: ignore[no-untyped-def]
    """The master has read the last byte."""
    manager, status = manager_at(esc, number), status_at(esc, number)
    store_i64(manager + _IS_OPEN, 0)
    store_u8(status, (load_u8(status) & 0xBE) | 2)
    if load_i64(manager + _MODE) == _MAILBOX:
        store_i64(manager + _IS_WRITTEN, 0)
        store_u8(status, load_u8(status) & (0xFF ^ FULL))
        request(esc, 1 << (4 + (number & 7)), 0)
        tell(esc, _READ_EVENT, number)


@inline
def is_let(manager, mode):  # type: ignore[no-untyped-def]
    """May the master do this now?"""
    is_mailbox, is_written = load_i64(manager + _MODE) == _MAILBOX, load_i64(manager + _IS_WRITTEN) != 0
    if load_i64(manager + _MODE) == _SINGLE:
        return True
    if mode & _WRITE:
        return load_i64(manager + _BY_MASTER) != 0 and not (is_mailbox and is_written)
    return load_i64(manager + _BY_MASTER) == 0 and (is_written or not is_mailbox)


@inline
def copy_into(to, source, nbytes, mode):  # type: ignore[no-untyped-def]
    """Copy what is read, or add its bits."""
    if mode & _OR:
        for i in range(nbytes):
            store_u8(to + i, load_u8(to + i) | load_u8(source + i))
    else:
        copy_bytes(to, source, nbytes)


@inline
def open_buffer(esc, number, mode):  # type: ignore[no-untyped-def]
    """The first byte: a buffer is in use (bits 6 and 7), and the other side's interrupt is gone."""
    status = status_at(esc, number)
    store_u8(status, (load_u8(status) & 0xFD) | 0x80 if mode & _WRITE else (load_u8(status) & 0xFE) | 0x40)


@inline
def through_manager(esc, number, first, nbytes, data, mode):  # type: ignore[no-untyped-def]
    """The master reads or writes `nbytes` of a sync manager's buffer from byte `first` on; gives 0 where that is refused."""
    manager = manager_at(esc, number)
    if not is_let(manager, mode) or opens(manager, first) == 0:
        return 0
    is_last = first + nbytes == load_i64(manager + _LENGTH)
    if first == 0:
        open_buffer(esc, number, mode)
    if mode & _WRITE:
        copy_bytes(buffer_at(esc, manager, load_i64(manager + _BACK)) + first, data, nbytes)
        if is_last:
            written(esc, number)
        return 1
    if first == 0:
        take_newest(manager)
    which = load_i64(manager + _FRONT)
    copy_into(data, buffer_at(esc, manager, which) + first, nbytes, mode)
    if is_last:
        was_read(esc, number)
    return 1
