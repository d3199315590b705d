"""Datagrams: which slaves take part, what they do, and what the working counter gains (ETG.1000.4, clause 5.4).

byte 0   command, 1 index, 2 address (4), 6 length 11 bits, bit 14 circulating, bit 15 another follows, 8 event requests (2)
byte 10  data, then the working counter (2)

reads +1, writes +1, reads and writes +1 and +2; each of them only where the ESC let it happen
"""

from fieldbus.ethercat.simulated import registers
from fieldbus.ethercat.simulated.layout import BUS, ESC, Access
from rt_native.lang import (
    call5,
    copy_bytes,
    fill_bytes,
    inline,
    load_i64,
    load_u8,
    load_u16,
    load_u32,
    store_i16,
    store_i64,
    store_u8,
)
from rt_native.memory import offsets

_B, _E = offsets(BUS), offsets(ESC)
_MEMORY, _BUS, _FMMUS, _LOW, _HIGH, _HAS_LRW, _FAULT = (
    _E.memory, _E.bus, _E.fmmus, _E.logical_low, _E.logical_high, _E.has_lrw, _E.counter_fault
)  # fmt: skip
_ACCESS, _SCRATCH, _COMMAND = _B.access, _B.scratch, _B.command
_STATION, _ALIAS, _USE_ALIAS, _OFFSET, _MASK, _REQUESTS, _FMMU, _FMMU_BYTES = (
    registers.STATION, registers.ALIAS, registers.USE_ALIAS, registers.OFFSET, registers.EVENT_MASK, registers.EVENTS,
    registers.FMMU, registers.FMMU_BYTES,
)  # fmt: skip
_READ, _WRITE, _OR = int(Access.READ), int(Access.WRITE), int(Access.OR)
_APRD, _APRW, _FPRD, _FPRW, _BRD, _BRW, _LRD, _LWR, _LRW, _ARMW, _FRMW = 1, 3, 4, 6, 7, 9, 10, 11, 12, 13, 14
_BIT_SCRATCH = 2048
"""Where bits are put together, behind the copy of the data."""
HEADER, COUNTER = 10, 2


@inline
def access(esc, address, nbytes, data, mode):  # type: ignore[no-untyped-def]
    """`esc_access`, through its address: compiled once."""
    return call5(load_i64(load_i64(esc + _BUS) + _ACCESS), esc, address, nbytes, data, mode)


@inline
def is_station(esc, address):  # type: ignore[no-untyped-def]
    """Is it the ESC's configured address, or its alias where that is switched on?"""
    memory = load_i64(esc + _MEMORY)
    uses_alias = load_u8(memory + _USE_ALIAS) & 1 != 0
    return load_u16(memory + _STATION) == address or (uses_alias and load_u16(memory + _ALIAS) == address)


@inline
def physical_mode(esc, datagram, command):  # type: ignore[no-untyped-def]
    """What this ESC does with a datagram that has a position or a station address; the position moves on."""
    position = load_u16(datagram + 2)
    if command <= _APRW or command == _ARMW or (command >= _BRD and command <= _BRW):
        store_i16(datagram + 2, (position + 1) & 0xFFFF)
    kind, is_mine = (command - 1) % 3, False
    if command >= _ARMW:
        is_mine = position == 0 if command == _ARMW else is_station(esc, position)
        return _READ if is_mine else _WRITE
    if command <= _APRW:
        is_mine = position == 0
    elif command <= _FPRW:
        is_mine = is_station(esc, position)
    else:
        is_mine = True
    if not is_mine:
        return 0
    mode = _READ if kind == 0 else (_WRITE if kind == 1 else _READ | _WRITE)
    return mode | _OR if command >= _BRD else mode


@inline
def bits_of(esc, fmmu, logical, nbytes, data, mode):  # type: ignore[no-untyped-def]
    """A FMMU that does not begin or end with a byte: bit by bit. Gives 1 if the ESC let it happen."""
    first = load_u32(fmmu) * 8 + (load_u8(fmmu + 6) & 7)
    last = (load_u32(fmmu) + load_u16(fmmu + 4) - 1) * 8 + (load_u8(fmmu + 7) & 7)
    from_bit, to_bit = max(first, logical * 8), min(last + 1, (logical + nbytes) * 8)
    if from_bit >= to_bit:
        return 0
    physical = load_u16(fmmu + 8) * 8 + (load_u8(fmmu + 10) & 7) - first
    start, end = (from_bit + physical) >> 3, ((to_bit - 1 + physical) >> 3) + 1
    if end > 0x10000:
        return 0
    whole = load_i64(load_i64(esc + _BUS) + _SCRATCH) + _BIT_SCRATCH
    if mode & _READ:
        fill_bytes(whole, 0, end - start)
        if access(esc, start, end - start, whole, _READ) == 0:
            return 0
    else:
        copy_bytes(whole, load_i64(esc + _MEMORY) + start, end - start)
    for bit in range(from_bit, to_bit):
        here, there = bit - logical * 8, bit + physical - start * 8
        inside, outside = data + (here >> 3), whole + (there >> 3)
        if mode & _READ:
            value = (load_u8(outside) >> (there & 7)) & 1
            store_u8(inside, (load_u8(inside) & (0xFF ^ (1 << (here & 7)))) | (value << (here & 7)))
        else:
            value = (load_u8(inside) >> (here & 7)) & 1
            store_u8(outside, (load_u8(outside) & (0xFF ^ (1 << (there & 7)))) | (value << (there & 7)))
    return 1 if mode & _READ else access(esc, start, end - start, whole, _WRITE)


@inline
def logical_access(esc, logical, nbytes, data, mode):  # type: ignore[no-untyped-def]
    """All FMMUs that read, or all that write; gives 1 if any byte was mapped and let through."""
    if logical >= load_i64(esc + _HIGH) or logical + nbytes <= load_i64(esc + _LOW):
        return 0
    done = 0
    for number in range(load_i64(esc + _FMMUS)):
        fmmu = load_i64(esc + _MEMORY) + _FMMU + number * _FMMU_BYTES
        if load_u8(fmmu + 12) & 1 == 0 or load_u8(fmmu + 11) & mode == 0:
            continue
        start, length = load_u32(fmmu), load_u16(fmmu + 4)
        if load_u8(fmmu + 6) & 7 != 0 or load_u8(fmmu + 7) & 7 != 7 or load_u8(fmmu + 10) & 7 != 0:
            done |= bits_of(esc, fmmu, logical, nbytes, data, mode)
            continue
        low, high = max(start, logical), min(start + length, logical + nbytes)
        if low < high:
            done |= access(esc, load_u16(fmmu + 8) + (low - start), high - low, data + (low - logical), mode)
    return done


@inline
def copy_for_writing(esc, data, nbytes):  # type: ignore[no-untyped-def]
    """What came is written though what is read takes its place."""
    scratch = load_i64(load_i64(esc + _BUS) + _SCRATCH)
    copy_bytes(scratch, data, nbytes)
    return scratch


@inline
def visit_logical(esc, datagram, command, nbytes):  # type: ignore[no-untyped-def]
    """LRD, LWR, LRW at one ESC; gives what the working counter gains."""
    logical, data, gains = load_u32(datagram + 2), datagram + HEADER, 0
    if command == _LRW and load_i64(esc + _HAS_LRW) == 0:
        return 0
    if logical >= load_i64(esc + _HIGH) or logical + nbytes <= load_i64(esc + _LOW):
        return 0
    source = copy_for_writing(esc, data, nbytes) if command == _LRW else data
    if command != _LWR:
        gains += logical_access(esc, logical, nbytes, data, _READ)
    if command != _LRD:
        gains += logical_access(esc, logical, nbytes, source, _WRITE) * (2 if command == _LRW else 1)
    return gains


@inline
def visit_physical(esc, datagram, command, nbytes):  # type: ignore[no-untyped-def]
    """All other commands at one ESC."""
    mode, data, gains = physical_mode(esc, datagram, command), datagram + HEADER, 0
    if mode == 0:
        return 0
    store_i64(load_i64(esc + _BUS) + _COMMAND, command)
    address, is_both = load_u16(datagram + 4), mode & 3 == _READ | _WRITE
    source = copy_for_writing(esc, data, nbytes) if is_both else data
    if mode & _READ:
        gains += access(esc, address, nbytes, data, mode & (_READ | _OR))
    if mode & _WRITE:
        further = load_u16(load_i64(esc + _MEMORY) + _OFFSET) if is_both else 0
        gains += access(esc, (address + further) & 0xFFFF, nbytes, source, _WRITE) * (2 if is_both else 1)
    return gains


@inline
def visit(esc, datagram, nbytes):  # type: ignore[no-untyped-def]
    """A datagram passes one ESC."""
    command, counter = load_u8(datagram), datagram + HEADER + nbytes
    gains = 0
    if command >= _LRD and command <= _LRW:
        gains = visit_logical(esc, datagram, command, nbytes)
    elif command >= _APRD and command <= _FRMW:
        gains = visit_physical(esc, datagram, command, nbytes)
    if gains != 0:
        store_i16(counter, (load_u16(counter) + gains + load_i64(esc + _FAULT)) & 0xFFFF)
    memory = load_i64(esc + _MEMORY)
    requests = load_u16(memory + _REQUESTS) & load_u16(memory + _MASK)
    store_i16(datagram + 8, load_u16(datagram + 8) | requests)
