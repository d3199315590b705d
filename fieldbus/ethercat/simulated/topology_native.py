"""Which slaves a frame passes, and what each shows of its ports in DL status (0x110).

    port A -> slave 0 -> 1 -> ... -> n-1 -> port B (a ring)

A slave without power, a broken cable, a port that the master has closed: there a frame turns round. Where a frame from port B turns
round at port 0 of a slave it is marked as circulating; one that is marked already is destroyed.
"""

from fieldbus.ethercat.simulated import registers
from fieldbus.ethercat.simulated.layout import BUS, ESC
from fieldbus.ethercat.simulated.managers_native import request
from rt_native.lang import inline, load_i64, load_u8, load_u16, store_i16, store_i64, store_u8
from rt_native.memory import offsets

_B, _E = offsets(BUS), offsets(ESC)
_ESCS, _COUNT, _B_FD, _A_END, _B_FIRST, _IS_RING, _STALE, _LAST_CUT = (
    _B.escs, _B.count, _B.b, _B.a_end, _B.b_first, _B.is_ring, _B.is_stale, _B.last_cut
)  # fmt: skip
_MEMORY, _IS_ON, _CUT, _HOP, _AT = _E.memory, _E.is_on, _E.cut, _E.hop_ns, _E.at_ns
_LOOPS, _STATUS, _LOST = registers.LOOPS, registers.DL_STATUS, registers.LOST_LINKS
_CLOSED = 3
_PORTS_2_3 = 0x5000


@inline
def esc_at(bus, number):  # type: ignore[no-untyped-def]
    """The address of an ESC."""
    return load_i64(load_i64(bus + _ESCS) + 8 * number)


@inline
def is_closed(esc, port):  # type: ignore[no-untyped-def]
    """Has the master closed this port for good?"""
    return (load_u8(load_i64(esc + _MEMORY) + _LOOPS) >> (2 * port)) & 3 == _CLOSED


@inline
def has_link(bus, number):  # type: ignore[no-untyped-def]
    """Does the cable before slave `number` connect two that have power? 0 is the one at port A, `count` that at port B."""
    count = load_i64(bus + _COUNT)
    before = number == 0 or load_i64(esc_at(bus, max(number - 1, 0)) + _IS_ON) != 0
    if number == count:
        return before and load_i64(bus + _B_FD) != -1 and load_i64(bus + _LAST_CUT) == 0
    esc = esc_at(bus, number)
    return before and load_i64(esc + _IS_ON) != 0 and load_i64(esc + _CUT) == 0


@inline
def is_open(bus, number):  # type: ignore[no-untyped-def]
    """Do frames pass the cable before slave `number`?"""
    if not has_link(bus, number):
        return False
    if number > 0 and is_closed(esc_at(bus, number - 1), 1):
        return False
    return number == load_i64(bus + _COUNT) or not is_closed(esc_at(bus, number), 0)


@inline
def show_ports(bus, number):  # type: ignore[no-untyped-def]
    """DL status of a slave; a link that is gone is counted."""
    esc = esc_at(bus, number)
    memory = load_i64(esc + _MEMORY)
    old = load_u16(memory + _STATUS)
    status = (old & 0x000F) | _PORTS_2_3
    for port in range(2):
        if has_link(bus, number + port):
            status |= 1 << (4 + port)
        elif old & (1 << (4 + port)) != 0:
            store_u8(memory + _LOST + port, min(load_u8(memory + _LOST + port) + 1, 255))
        status |= 1 << (9 + 2 * port if is_open(bus, number + port) else 8 + 2 * port)
    store_i16(memory + _STATUS, status)
    if status != old:
        request(esc, 1 << 2, 1)


@inline
def find_paths(bus):  # type: ignore[no-untyped-def]
    """Power, cables or ports have changed."""
    count = load_i64(bus + _COUNT)
    store_i64(bus + _STALE, 0)
    end = travelled = 0
    while end < count and is_open(bus, end):
        end += 1
    first = count
    if is_open(bus, count):
        first = count - 1
        while first > 0 and is_open(bus, first):
            first -= 1
    store_i64(bus + _A_END, end)
    store_i64(bus + _IS_RING, 1 if end == count and first < count else 0)
    store_i64(bus + _B_FIRST, first)
    for number in range(count):
        travelled += load_i64(esc_at(bus, number) + _HOP)
        store_i64(esc_at(bus, number) + _AT, travelled)
        if load_i64(esc_at(bus, number) + _IS_ON) != 0:
            show_ports(bus, number)
