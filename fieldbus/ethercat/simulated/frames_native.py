"""A frame on its way: what happens to it before, at and after the slaves.

    byte 0 to, 6 from, 12 type 0x88A4, 14 length 11 bits and type 4 bits (1), 16 datagrams

A frame that is none of EtherCAT's is destroyed (DL control, bit 0). One whose datagrams do not fit in it is passed back, and counted
by the slaves (0x30C) that saw it.
"""

from fieldbus.ethercat.simulated import registers
from fieldbus.ethercat.simulated.datagrams_native import COUNTER, HEADER, visit
from fieldbus.ethercat.simulated.layout import BUS, ESC, FAULT, FAULTS, Fault
from fieldbus.ethercat.simulated.topology_native import esc_at, find_paths
from rt_native.counting import add_to
from rt_native.lang import inline, load_i64, load_u8, load_u16, store_i16, store_i64, store_u8
from rt_native.memory import offsets

_B, _E, _F = offsets(BUS), offsets(ESC), offsets(FAULT)
_COUNT, _A_END, _B_FIRST, _IS_RING, _STALE, _NUMBER, _NOW, _FAULTS, _ANY, _CHANCE = (
    _B.count, _B.a_end, _B.b_first, _B.is_ring, _B.is_stale, _B.number, _B.now_ns, _B.faults, _B.fault_count, _B.chance
)  # fmt: skip
_FRAMES, _DATAGRAMS, _IGNORED, _MALFORMED, _LOST, _DAMAGED, _GARBLED, _MISCOUNTED = (
    _B.frames, _B.datagrams, _B.ignored, _B.malformed, _B.lost, _B.damaged, _B.garbled, _B.miscounted
)  # fmt: skip
_MEMORY, _AT, _ARRIVAL, _RETURNED, _COUNTER_FAULT = _E.memory, _E.at_ns, _E.arrival_ns, _E.returned_ns, _E.counter_fault
_KIND, _LEFT, _EVERY, _SEEN, _SLAVE, _VALUE, _LOW, _HIGH = (
    _F.kind, _F.left, _F.every, _F.seen, _F.slave, _F.value, _F.low, _F.high
)  # fmt: skip
_FAULT_ROW, _MOST_FAULTS = FAULT.itemsize, FAULTS
_LOSE, _LOSE_ANSWER, _DELAY, _DOUBLE, _DAMAGE, _GARBLE, _MISCOUNT = (int(kind) for kind in Fault)
_RX, _FORWARDED, _PROCESSING = registers.RX_ERRORS, registers.FORWARDED, registers.PROCESSING_ERRORS
_FIRST, _LEAST, _ETHERTYPE, _CIRCULATING, _MORE = 16, 16 + HEADER + COUNTER, 0xA488, 0x4000, 0x8000
DESTROYED = -1


@inline
def count_error(esc, register):  # type: ignore[no-untyped-def]
    """An error counter of an ESC stops at 255."""
    at = load_i64(esc + _MEMORY) + register
    store_u8(at, min(load_u8(at) + 1, 255))


@inline
def fault_at(bus, number, index):  # type: ignore[no-untyped-def]
    """The address of a fault that has to happen to this frame; 0: not this one, not now."""
    row = load_i64(bus + _FAULTS) + number * _FAULT_ROW
    left = load_i64(row + _LEFT)
    if left == 0 or index < load_i64(row + _LOW) or index > load_i64(row + _HIGH):
        return 0
    seen = load_i64(row + _SEEN) + 1
    store_i64(row + _SEEN, seen)
    if seen % max(load_i64(row + _EVERY), 1) != 0:
        return 0
    if left > 0:
        store_i64(row + _LEFT, left - 1)
    return row


@inline
def faults_of(bus, frame):  # type: ignore[no-untyped-def]
    """Which faults this frame meets, as bits by kind. What they need is put down in the slave and the bus."""
    met, index = 0, load_u8(frame + _FIRST + 1)
    for number in range(_MOST_FAULTS):
        row = fault_at(bus, number, index)
        if row != 0:
            kind, slave = load_i64(row + _KIND), load_i64(row + _SLAVE)
            met |= 1 << kind
            if kind == _MISCOUNT and slave < load_i64(bus + _COUNT):
                store_i64(esc_at(bus, slave) + _COUNTER_FAULT, load_i64(row + _VALUE))
                add_to(bus + _MISCOUNTED, 1)
            elif kind == _DAMAGE:
                met |= slave << 16
            elif kind == _DELAY:
                met |= load_i64(row + _VALUE) << 24
    return met


@inline
def forget_miscounts(bus):  # type: ignore[no-untyped-def]
    """After the frame."""
    for number in range(load_i64(bus + _COUNT)):
        store_i64(esc_at(bus, number) + _COUNTER_FAULT, 0)


@inline
def set_arrivals(bus, first, end, now, is_from_a):  # type: ignore[no-untyped-def]
    """When the frame comes to each slave, and when it comes back to its port 1."""
    if first >= end:
        return
    last = load_i64(esc_at(bus, end - 1) + _AT)
    began = now
    if is_from_a == 0:
        began = now + load_i64(esc_at(bus, load_i64(bus + _COUNT) - 1) + _AT) - 2 * load_i64(esc_at(bus, first) + _AT)
    turns = is_from_a != 0 and load_i64(bus + _IS_RING) == 0
    for number in range(first, end):
        esc = esc_at(bus, number)
        at = load_i64(esc + _AT)
        store_i64(esc + _ARRIVAL, began + at)
        store_i64(esc + _RETURNED, began + 2 * last - at if turns and number < end - 1 else 0)


@inline
def pass_slaves(bus, frame, length, first, end, marks):  # type: ignore[no-untyped-def]
    """All datagrams pass the slaves from `first` to `end`; gives 0 if the frame was destroyed."""
    at, stop, more = frame + _FIRST, frame + _FIRST + length, True
    while more:
        if at + HEADER + COUNTER > stop:
            break
        field = load_u16(at + 6)
        nbytes = field & 0x07FF
        if at + HEADER + nbytes + COUNTER > stop:
            break
        if marks != 0:
            if field & _CIRCULATING:
                return 0
            store_i16(at + 6, field | _CIRCULATING)
        for number in range(first, end):
            visit(esc_at(bus, number), at, nbytes)
        add_to(bus + _DATAGRAMS, 1)
        more = field & _MORE != 0
        at += HEADER + nbytes + COUNTER
        if not more:
            return 1
    add_to(bus + _MALFORMED, 1)
    for number in range(first, end):
        count_error(esc_at(bus, number), _PROCESSING)
    return 1


@inline
def break_checksum(bus, first, end):  # type: ignore[no-untyped-def]
    """A frame comes to `first` with a wrong checksum: it counts an invalid frame, those behind a forwarded error."""
    for number in range(first, end):
        count_error(esc_at(bus, number), _RX if number == first else _FORWARDED)
    add_to(bus + _DAMAGED, 1)


@inline
def garble(bus, frame, nbytes):  # type: ignore[no-untyped-def]
    """Some bytes become others."""
    chance = load_i64(bus + _CHANCE)
    for _ in range(4):
        chance = (chance * 6364136223846793005 + 1442695040888963407) & 0x7FFFFFFFFFFFFFFF
        at = frame + 14 + (chance >> 33) % max(nbytes - 14, 1)
        store_u8(at, load_u8(at) ^ (1 + (chance >> 20) % 255))
    store_i64(bus + _CHANCE, chance)
    add_to(bus + _GARBLED, 1)


@inline
def is_frame(bus, frame, nbytes):  # type: ignore[no-untyped-def]
    """Is it EtherCAT's, and all there?"""
    if nbytes < _LEAST or load_u16(frame + 12) != _ETHERTYPE or load_u16(frame + 14) >> 12 != 1:
        add_to(bus + _IGNORED, 1)
        return False
    if _FIRST + (load_u16(frame + 14) & 0x07FF) > nbytes:
        add_to(bus + _MALFORMED, 1)
        return False
    return True


@inline
def carry(bus, frame, nbytes, port, now):  # type: ignore[no-untyped-def]
    """A frame that came to port 0 (A) or 1 (B): gives the port where it leaves, and in the bits from 1 on the faults it met."""
    store_i64(bus + _NOW, now)
    if not is_frame(bus, frame, nbytes):
        return DESTROYED
    if load_i64(bus + _STALE) != 0:
        find_paths(bus)
    add_to(bus + _FRAMES, 1)
    store_i64(bus + _NUMBER, load_i64(bus + _NUMBER) + 1)
    is_ring, count = load_i64(bus + _IS_RING), load_i64(bus + _COUNT)
    first, end = 0, load_i64(bus + _A_END)
    if port != 0:
        first, end = load_i64(bus + _B_FIRST), count
    if first >= end:
        return DESTROYED
    leaves = port ^ 1 if is_ring != 0 else port
    if port != 0 and is_ring != 0:
        end = first
    met = faults_of(bus, frame) if load_i64(bus + _ANY) != 0 else 0
    if met & (1 << _LOSE):
        add_to(bus + _LOST, 1)
        forget_miscounts(bus)
        return DESTROYED
    reached = end
    if met & (1 << _DAMAGE):
        reached = max(min((met >> 16) & 0xFF, end), first)
    set_arrivals(bus, first, end, now, 1 - port)
    passed = 1
    if first < reached:
        store_u8(frame + 6, load_u8(frame + 6) | 2)
        marks = 1 if port != 0 else 0
        passed = pass_slaves(bus, frame, load_u16(frame + 14) & 0x07FF, first, reached, marks)
    if met != 0:
        forget_miscounts(bus)
        if met & (1 << _DAMAGE):
            break_checksum(bus, reached, end)
            return DESTROYED
        if met & (1 << _LOSE_ANSWER):
            add_to(bus + _LOST, 1)
            return DESTROYED
        if met & (1 << _GARBLE):
            garble(bus, frame, nbytes)
    return leaves | (met << 1) if passed != 0 else DESTROYED
