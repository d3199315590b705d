"""A master's access to the memory of one ESC: what guards it, and what a write does besides storing.

below 0x1000   registers: bits that may be written (`writable`), writes that act instead (`special`), effects (`effects`)
from 0x1000    memory, up to `ram_end`
in both        where a sync manager is active, it decides (`managers_native`)
"""

from fieldbus.ethercat.simulated import registers
from fieldbus.ethercat.simulated.clock_native import forget, latch, refresh, start_pulses, synchronise
from fieldbus.ethercat.simulated.eeprom_native import command, show_busy
from fieldbus.ethercat.simulated.layout import BUS, ESC, MANAGER, REGISTERS, Access, Event
from fieldbus.ethercat.simulated.managers_native import (
    activate_all,
    copy_into,
    manager_at,
    request,
    tell,
    through_manager,
)
from rt_native.lang import (
    copy_bytes,
    export,
    fill_bytes,
    inline,
    load_i64,
    load_u8,
    load_u16,
    load_u32,
    store_i64,
    store_u8,
)
from rt_native.memory import offsets

_B, _E, _M = offsets(BUS), offsets(ESC), offsets(MANAGER)
_MEMORY, _INITIAL, _BUS, _RAM_END, _MANAGERS, _FMMUS, _ANY, _EMULATES = (
    _E.memory, _E.initial, _E.bus, _E.ram_end, _E.managers, _E.fmmus, _E.any_manager, _E.emulates
)  # fmt: skip
_HAS_CLOCK, _ARRIVAL, _ENABLED, _ENABLED_ALL, _RESETS, _RESET_FRAME = (
    _E.has_clock, _E.arrival_ns, _E.enabled, _E.enabled_all, _E.resets, _E.reset_frame
)  # fmt: skip
_LOW, _HIGH, _WATCHDOG, _IS_FED, _FED, _SYNC, _ANCHOR, _LOCAL = (
    _E.logical_low, _E.logical_high, _E.watchdog_ns, _E.is_fed, _E.fed_ns, _E.sync, _E.anchor_ns, _E.local_ns
)  # fmt: skip
_START, _LENGTH, _BY_MASTER = _M.start, _M.length, _M.by_master
_NUMBER, _NOW, _STALE, _WRITABLE, _SPECIAL, _DUE = (
    _B.number, _B.now_ns, _B.is_stale, _B.writable, _B.special, _B.due_ns
)  # fmt: skip
_REGISTERS = REGISTERS
_READ, _WRITE, _OR = int(Access.READ), int(Access.WRITE), int(Access.OR)
_RESET_EVENT, _AL_EVENT, _REPEAT = int(Event.RESET), int(Event.AL_CONTROL), int(Event.REPEAT)
_ALL_EVER = 1 << 62
(
    _WRITE_ENABLE, _PROTECTION, _ESC_ENABLE, _ESC_PROTECTION, _RESET_AT, _DL_CONTROL, _DL_STATUS, _AL_CONTROL, _AL_STATUS,
    _RX_ERRORS, _PROCESSING_ERRORS, _LOST_LINKS, _DIVIDER, _DATA_TIME, _STATUS, _COUNT, _EEPROM_CONTROL, _EEPROM_CONFIG, _FMMU,
    _FMMU_BYTES, _MANAGER, _MANAGER_BYTES, _RECEIVED, _SYSTEM, _SPEED, _CYCLIC, _PULSE, _CLOCK_END, _TIME_OFFSET,
) = (
    registers.WRITE_ENABLE, registers.WRITE_PROTECTION, registers.ESC_WRITE_ENABLE, registers.ESC_WRITE_PROTECTION,
    registers.RESET, registers.DL_CONTROL, registers.DL_STATUS, registers.AL_CONTROL, registers.AL_STATUS,
    registers.RX_ERRORS, registers.PROCESSING_ERRORS, registers.LOST_LINKS, registers.DIVIDER, registers.WATCHDOG_DATA,
    registers.WATCHDOG_STATUS, registers.WATCHDOG_COUNT, registers.EEPROM_CONTROL, registers.EEPROM_CONFIG, registers.FMMU,
    registers.FMMU_BYTES, registers.MANAGER, registers.MANAGER_BYTES, registers.RECEIVED, registers.SYSTEM_TIME,
    registers.SPEED_START, registers.CYCLIC_UNIT, registers.PULSE, registers.CLOCK_END, registers.TIME_OFFSET,
)  # fmt: skip


@inline
def overlaps(first, end, low, high):  # type: ignore[no-untyped-def]
    """Have two ranges a byte in common?"""
    return first < high and end > low


@inline
def set_watchdog(esc):  # type: ignore[no-untyped-def]
    """How long outputs may be absent; 0: for ever, and then the watchdog's status says that all is well."""
    memory = load_i64(esc + _MEMORY)
    takes = (load_u16(memory + _DIVIDER) + 2) * 40 * load_u16(memory + _DATA_TIME)
    store_i64(esc + _WATCHDOG, takes)
    if takes == 0:
        store_u8(memory + _STATUS, load_u8(memory + _STATUS) | 1)
    elif load_i64(esc + _IS_FED) == 0:
        store_u8(memory + _STATUS, load_u8(memory + _STATUS) & 0xFE)


@inline
def find_logical(esc):  # type: ignore[no-untyped-def]
    """The range of logical addresses that any FMMU has: others are passed by at once."""
    low, high = _ALL_EVER, 0
    for number in range(load_i64(esc + _FMMUS)):
        at = load_i64(esc + _MEMORY) + _FMMU + number * _FMMU_BYTES
        if load_u8(at + 12) & 1 != 0:
            low = min(low, load_u32(at))
            high = max(high, 0 + load_u32(at) + load_u16(at + 4))  # of unsigned numbers alone it were a float
    store_i64(esc + _LOW, low)
    store_i64(esc + _HIGH, high)


@inline
def reset(esc, now):  # type: ignore[no-untyped-def]
    """Power has come: registers are at their initial values, memory is empty, the clock begins."""
    memory = load_i64(esc + _MEMORY)
    fill_bytes(memory + _REGISTERS, 0, 0x10000 - _REGISTERS)
    copy_bytes(memory, load_i64(esc + _INITIAL), _REGISTERS)
    activate_all(esc)
    find_logical(esc)
    store_i64(esc + _IS_FED, 0)
    set_watchdog(esc)
    store_i64(esc + _SYNC, 0)
    store_i64(esc + _RESETS, 0)
    store_i64(esc + _ENABLED, 0)
    store_i64(esc + _ENABLED_ALL, 0)
    store_i64(esc + _ARRIVAL, now)
    forget(esc)
    store_i64(esc + _ANCHOR, now)
    store_i64(esc + _LOCAL, 0)
    store_i64(load_i64(esc + _BUS) + _STALE, 1)
    store_i64(load_i64(esc + _BUS) + _DUE, now)
    tell(esc, _RESET_EVENT, 0)


@inline
def count_reset(esc, byte):  # type: ignore[no-untyped-def]
    """`R`, `E`, `S` in three frames, one after the other, reset an ESC."""
    done, frame = load_i64(esc + _RESETS), load_i64(load_i64(esc + _BUS) + _NUMBER)
    expected = 0x45 if done == 1 else 0x53
    follows = done > 0 and byte == expected and frame == load_i64(esc + _RESET_FRAME) + 1
    store_i64(esc + _RESETS, done + 1 if follows else (1 if byte == 0x52 else 0))
    store_i64(esc + _RESET_FRAME, frame)
    if follows and done == 2:
        reset(esc, load_i64(esc + _ARRIVAL))


@inline
def clear_counters(esc, first, end):  # type: ignore[no-untyped-def]
    """A write to one error counter clears its group."""
    memory = load_i64(esc + _MEMORY)
    if overlaps(first, end, _RX_ERRORS, _PROCESSING_ERRORS):
        fill_bytes(memory + _RX_ERRORS, 0, 12)
    if overlaps(first, end, _PROCESSING_ERRORS, _PROCESSING_ERRORS + 2):
        fill_bytes(memory + _PROCESSING_ERRORS, 0, 2)
    if overlaps(first, end, _LOST_LINKS, _LOST_LINKS + 4):
        fill_bytes(memory + _LOST_LINKS, 0, 4)
    if overlaps(first, end, _COUNT, _COUNT + 2):
        fill_bytes(memory + _COUNT, 0, 2)


@inline
def clock_effects(esc, first, end, data):  # type: ignore[no-untyped-def]
    """What a write does to the clock; `data` is what was written from `first` on."""
    if overlaps(first, end, _RECEIVED, _RECEIVED + 4):
        latch(esc)
    if first <= _SYSTEM and end >= _SYSTEM + 4:
        synchronise(esc, load_u32(data + _SYSTEM - first))
    if overlaps(first, end, _SPEED, _SPEED + 2):
        forget(esc)
    if overlaps(first, end, _CYCLIC, _PULSE):
        start_pulses(esc, load_i64(esc + _ARRIVAL))
    store_i64(load_i64(esc + _BUS) + _DUE, 0)


@inline
def control_effects(esc, first, end):  # type: ignore[no-untyped-def]
    """What a write to the registers below 0x500 does."""
    memory, number = load_i64(esc + _MEMORY), load_i64(load_i64(esc + _BUS) + _NUMBER)
    if first <= _WRITE_ENABLE < end:
        store_i64(esc + _ENABLED, number)
    if first <= _ESC_ENABLE < end:
        store_i64(esc + _ENABLED_ALL, number)
    if overlaps(first, end, _DL_CONTROL, _DL_CONTROL + 4):
        store_i64(load_i64(esc + _BUS) + _STALE, 1)
    if first <= _AL_CONTROL < end:
        if load_i64(esc + _EMULATES) != 0:
            store_u8(memory + _AL_STATUS, load_u8(memory + _AL_CONTROL) & 0x1F)
        else:
            tell(esc, _AL_EVENT, load_u16(memory + _AL_CONTROL))
    if first >= _RX_ERRORS:
        clear_counters(esc, first, end)
    if overlaps(first, end, _DIVIDER, _DATA_TIME + 2):
        set_watchdog(esc)
    if first <= _RESET_AT < end:
        count_reset(esc, load_u8(memory + _RESET_AT))


@inline
def is_frozen(esc, address):  # type: ignore[no-untyped-def]
    """Settings of a sync manager cannot be written while it is active; what an ESC does not have never."""
    if address < _FMMU or address >= _RECEIVED:
        return False
    if address < _MANAGER:
        return address >= _FMMU + _FMMU_BYTES * load_i64(esc + _FMMUS)
    number, at = (address - _MANAGER) // _MANAGER_BYTES, (address - _MANAGER) % _MANAGER_BYTES
    if number >= load_i64(esc + _MANAGERS):
        return True
    return at < 5 and load_i64(manager_at(esc, number) + _LENGTH) != 0


@inline
def is_protected(esc, first, end):  # type: ignore[no-untyped-def]
    """Is writing switched off, and this frame has not switched it on?"""
    memory, number = load_i64(esc + _MEMORY), load_i64(load_i64(esc + _BUS) + _NUMBER)
    if load_u8(memory + _ESC_PROTECTION) & 1 != 0 and load_i64(esc + _ENABLED_ALL) != number:
        return not first <= _ESC_ENABLE < end
    if load_u8(memory + _PROTECTION) & 1 == 0 or load_i64(esc + _ENABLED) == number or first >= 0xF80:
        return False
    return not first <= _WRITE_ENABLE < end and not first <= _ESC_ENABLE < end


@inline
def ask_again(esc):  # type: ignore[no-untyped-def]
    """A mailbox whose repeat request (byte 6, bit 1) is not what the device has acknowledged (byte 7, bit 1)."""
    for number in range(load_i64(esc + _MANAGERS)):
        manager, at = manager_at(esc, number), load_i64(esc + _MEMORY) + _MANAGER + number * _MANAGER_BYTES
        is_asked = (load_u8(at + 6) ^ load_u8(at + 7)) & 2 != 0
        if is_asked and load_i64(manager + _LENGTH) != 0 and load_i64(manager + _BY_MASTER) == 0:
            tell(esc, _REPEAT, number)


@inline
def write_registers(esc, first, nbytes, data):  # type: ignore[no-untyped-def]
    """Gives 1 if a byte could be written."""
    memory, bus, end, any_written = load_i64(esc + _MEMORY), load_i64(esc + _BUS), first + nbytes, 0
    if is_protected(esc, first, end):
        return 0
    writable, special, control = load_i64(bus + _WRITABLE), load_i64(bus + _SPECIAL), load_u16(memory + _EEPROM_CONTROL)
    for i in range(nbytes):
        at = first + i
        mask = load_u8(writable + at)
        any_written |= load_u8(special + at)
        if mask != 0 and not is_frozen(esc, at):
            store_u8(memory + at, (load_u8(memory + at) & (0xFF ^ mask)) | (load_u8(data + i) & mask))
            any_written = 1
    if any_written == 0:
        return 0
    if first < _EEPROM_CONFIG:
        control_effects(esc, first, end)
    if overlaps(first, end, _EEPROM_CONTROL, _EEPROM_CONTROL + 2):
        command(esc, control, load_i64(esc + _ARRIVAL))
    if overlaps(first, end, _FMMU, _MANAGER):
        find_logical(esc)
    if overlaps(first, end, _MANAGER, _RECEIVED):
        activate_all(esc)
        ask_again(esc)
    if overlaps(first, end, _RECEIVED, _CLOCK_END) and load_i64(esc + _HAS_CLOCK) != 0:
        clock_effects(esc, first, end, data)
    return 1


@inline
def read_registers(esc, first, nbytes, data, mode):  # type: ignore[no-untyped-def]
    """Registers can always be read."""
    end = first + nbytes
    if overlaps(first, end, _RECEIVED, _CLOCK_END) and load_i64(esc + _HAS_CLOCK) != 0:
        refresh(esc, load_i64(esc + _ARRIVAL))
    if overlaps(first, end, _EEPROM_CONTROL, _EEPROM_CONTROL + 2):
        show_busy(esc, load_i64(esc + _ARRIVAL))
    copy_into(data, load_i64(esc + _MEMORY) + first, nbytes, mode)
    if first <= _DL_STATUS < end:
        request(esc, 1 << 2, 0)
    if first <= _AL_STATUS < end:
        request(esc, 1 << 3, 0)
    return 1


@inline
def through_memory(esc, first, nbytes, data, mode):  # type: ignore[no-untyped-def]
    """Memory that no sync manager guards; behind its end there is nothing."""
    nbytes = min(nbytes, load_i64(esc + _RAM_END) - first)
    if nbytes <= 0:
        return 0
    memory = load_i64(esc + _MEMORY)
    if mode & _READ:
        copy_into(data, memory + first, nbytes, mode)
        return 1
    if load_u8(memory + _ESC_PROTECTION) & 1 != 0 and is_protected(esc, first, first + nbytes):
        return 0
    copy_bytes(memory + first, data, nbytes)
    return 1


@inline
def guard_of(esc, address):  # type: ignore[no-untyped-def]
    """The number of the sync manager that guards an address; -1: none."""
    for number in range(load_i64(esc + _MANAGERS)):
        manager = manager_at(esc, number)
        start = load_i64(manager + _START)
        if start <= address < start + load_i64(manager + _LENGTH):
            return number
    return -1


@inline
def free_until(esc, address, end):  # type: ignore[no-untyped-def]
    """Where the next guarded range begins, or registers end."""
    until = min(end, _REGISTERS) if address < _REGISTERS else end
    for number in range(load_i64(esc + _MANAGERS)):
        manager = manager_at(esc, number)
        start = load_i64(manager + _START)
        if load_i64(manager + _LENGTH) != 0 and start > address:
            until = min(until, start)
    return until


@export
def esc_access(esc, address, nbytes, data, mode):  # type: ignore[no-untyped-def]
    """A master reads or writes (`Access`) `nbytes` from `address` on; gives 1 if any byte could be."""
    at, end, done = address, min(address + nbytes, 0x10000), 0
    while at < end:
        guard = guard_of(esc, at) if load_i64(esc + _ANY) != 0 else -1
        until, place = end, data + (at - address)
        if guard >= 0:
            manager = manager_at(esc, guard)
            start = load_i64(manager + _START)
            until = min(end, start + load_i64(manager + _LENGTH))
            done |= through_manager(esc, guard, at - start, until - at, place, mode)
        else:
            until = free_until(esc, at, end)
            if at >= _REGISTERS:
                done |= through_memory(esc, at, until - at, place, mode)
            elif mode & _READ:
                done |= read_registers(esc, at, until - at, place, mode)
            else:
                done |= write_registers(esc, at, until - at, place)
        at = until
    return done


@export
def esc_reset(esc, now):  # type: ignore[no-untyped-def]
    """Power has come."""
    reset(esc, now)
    return 0
