"""The distributed clock of an ESC (data sheet, section I, chapter 9): receive times, system time and its control, SYNC0 and SYNC1.

    local time   = what the crystal counts, faster or slower by `steer`
    system time  = local time + offset (0x920)
    difference   = system time - delay (0x928) - the time that a master or the reference clock wrote to 0x910

Each such write moves the clock: its phase by an eighth of the difference, its speed by what is left over from write to write.
"""

from fieldbus.ethercat.simulated import registers
from fieldbus.ethercat.simulated.layout import BUS, ESC
from rt_native.lang import (
    inline,
    load_f64,
    load_i64,
    load_u8,
    load_u32,
    store_f64,
    store_i32,
    store_i64,
)
from rt_native.memory import offsets

_E, _BUS, _COMMAND = offsets(ESC), offsets(ESC).bus, offsets(BUS).command
_BWR, _FPWR = 8, 5
_MEMORY, _ANCHOR, _LOCAL, _CRYSTAL, _STEER, _MEAN = (
    _E.memory, _E.anchor_ns, _E.local_ns, _E.crystal, _E.steer, _E.mean
)  # fmt: skip
_ARRIVAL, _RETURNED, _SYNCED, _SYNC, _SYNC0, _SYNC1, _CYCLE, _CYCLE1 = (
    _E.arrival_ns, _E.returned_ns, _E.synced_ns, _E.sync, _E.sync0, _E.sync1, _E.sync_cycle, _E.sync1_cycle
)  # fmt: skip
_RECEIVED, _SYSTEM, _UNIT, _OFFSET, _DELAY, _DIFFERENCE = (
    registers.RECEIVED, registers.SYSTEM_TIME, registers.RECEIVED_UNIT, registers.TIME_OFFSET, registers.DELAY,
    registers.DIFFERENCE,
)  # fmt: skip
_FILTER, _ACTIVATION, _START, _NEXT1, _CYCLE0_AT, _CYCLE1_AT = (
    registers.FILTER_DIFFERENCE, registers.ACTIVATION, registers.START, registers.NEXT_SYNC1, registers.CYCLE0, registers.CYCLE1
)  # fmt: skip
_PHASE, _SPEED, _MOST_STEER = 0.125, 0.00390625, 0.0005
_SHORTEST, _LONGEST, _SECOND = 10_000, 1_000_000_000, 1_000_000_000
_NEVER = (1 << 63) - 1
_IS_CHECKED, _IS_NEAR, _NEAR = 0x20, 0x40, 1 << 31
_FAR = 1000
"""So many pulses are made up for; more than these are left out: the time was set."""


@inline
def local_time(esc, true_ns):  # type: ignore[no-untyped-def]
    """What the clock counts at a true time."""
    passed = true_ns - load_i64(esc + _ANCHOR)
    faster = load_f64(esc + _CRYSTAL) + load_f64(esc + _STEER)
    return load_i64(esc + _LOCAL) + passed + int(passed * faster)


@inline
def system_time(esc, true_ns):  # type: ignore[no-untyped-def]
    """System time at a true time."""
    return local_time(esc, true_ns) + load_i64(load_i64(esc + _MEMORY) + _OFFSET)


@inline
def true_time(esc, system_ns):  # type: ignore[no-untyped-def]
    """When it is that system time; a nanosecond or two off far from the anchor."""
    ahead = system_ns - system_time(esc, load_i64(esc + _ANCHOR))
    faster = load_f64(esc + _CRYSTAL) + load_f64(esc + _STEER)
    return load_i64(esc + _ANCHOR) + ahead - int(ahead * (faster / (1.0 + faster)))


@inline
def anchor(esc, true_ns):  # type: ignore[no-untyped-def]
    """From here on the clock may run at another speed."""
    local = local_time(esc, true_ns)
    store_i64(esc + _LOCAL, local)
    store_i64(esc + _ANCHOR, true_ns)


@inline
def latch(esc):  # type: ignore[no-untyped-def]
    """A write to 0x900: when this frame came is kept; when it came to each port, only of BWR and FPWR."""
    memory, arrived = load_i64(esc + _MEMORY), local_time(esc, load_i64(esc + _ARRIVAL))
    command = load_i64(load_i64(esc + _BUS) + _COMMAND)
    store_i64(memory + _UNIT, arrived)
    if command != _BWR and command != _FPWR:
        return
    store_i32(memory + _RECEIVED, arrived)
    if load_i64(esc + _RETURNED) != 0:
        store_i32(memory + _RECEIVED + 4, local_time(esc, load_i64(esc + _RETURNED)))


@inline
def show_difference(esc, difference):  # type: ignore[no-untyped-def]
    """0x92C: a sign (1: this clock is ahead, or not behind) and the mean of the differences.

    So section II, version 3, has it; version 2 had it the other way round.
    """
    memory = load_i64(esc + _MEMORY)
    depth = load_u8(memory + _FILTER) & 0x0F
    mean = load_f64(esc + _MEAN)
    mean += (difference - mean) / (1 << depth)
    store_f64(esc + _MEAN, mean)
    size = min(int(abs(mean)), 0x7FFFFFFF)
    store_i32(memory + _DIFFERENCE, size | (0x80000000 if mean >= 0.0 else 0))


@inline
def synchronise(esc, received):  # type: ignore[no-untyped-def]
    """A write to 0x910: the lower 32 bits of a time that this clock is to have."""
    memory, now = load_i64(esc + _MEMORY), load_i64(esc + _ARRIVAL)
    mine = system_time(esc, now) - load_u32(memory + _DELAY)
    difference = (mine - received) & 0xFFFFFFFF
    difference = difference - (1 << 32) if difference >= (1 << 31) else difference
    show_difference(esc, difference)
    passed = now - load_i64(esc + _SYNCED)
    store_i64(esc + _SYNCED, now)
    anchor(esc, now)
    most = min(max(passed, _SHORTEST), _LONGEST) // 10  # the clock is never stopped, nor twice as fast: 9 or 11 for 10
    moved = min(max(int(difference * _PHASE), -most), most)
    store_i64(esc + _LOCAL, load_i64(esc + _LOCAL) - moved)
    if passed <= _LONGEST and abs(difference) < most:
        steer = load_f64(esc + _STEER) - difference * _SPEED / max(passed, _SHORTEST)
        store_f64(esc + _STEER, min(max(steer, -_MOST_STEER), _MOST_STEER))


@inline
def forget(esc):  # type: ignore[no-untyped-def]
    """A write to 0x930: the control begins anew."""
    anchor(esc, load_i64(esc + _ARRIVAL))
    store_f64(esc + _MEAN, 0.0)
    store_f64(esc + _STEER, 0.0)
    store_i32(load_i64(esc + _MEMORY) + _DIFFERENCE, 0)


@inline
def start_pulses(esc, now):  # type: ignore[no-untyped-def]
    """A write to 0x980 or 0x981: pulses from the start time (0x990) on; one that has passed never comes.

    With the plausibility check (bit 5) one that has passed, or is far off, begins at once.
    """
    memory = load_i64(esc + _MEMORY)
    activation = load_u8(memory + _ACTIVATION)
    if activation & 1 == 0 or activation & 6 == 0:
        store_i64(esc + _SYNC, 0)
        return
    if load_i64(esc + _SYNC) != 0:
        store_i64(esc + _SYNC, activation)
        return
    first, cycle, cycle1 = load_i64(memory + _START), load_u32(memory + _CYCLE0_AT), load_u32(memory + _CYCLE1_AT)
    store_i64(esc + _SYNC, activation)
    store_i64(esc + _CYCLE, cycle)
    times = cycle1 // cycle + 1 if cycle > 0 else 1
    store_i64(esc + _CYCLE1, cycle * times)
    system = system_time(esc, now)
    near = _NEAR if activation & _IS_NEAR else _NEVER
    if activation & _IS_CHECKED and (first <= system or first - system > near):
        first = system + 1
    store_i64(esc + _SYNC0, first if first > system else _NEVER)
    store_i64(esc + _SYNC1, first + (cycle1 % cycle if cycle > 0 else cycle1) if first > system else _NEVER)


@inline
def refresh(esc, now):  # type: ignore[no-untyped-def]
    """Before clock registers are read: those that move."""
    memory = load_i64(esc + _MEMORY)
    store_i64(memory + _SYSTEM, system_time(esc, now))
    if load_i64(esc + _SYNC) != 0 and load_i64(esc + _SYNC0) != _NEVER:
        store_i64(memory + _START, load_i64(esc + _SYNC0))
        store_i64(memory + _NEXT1, load_i64(esc + _SYNC1))


@inline
def after(pulse, cycle, system_ns):  # type: ignore[no-untyped-def]
    """The pulse that follows; without a cycle there is none."""
    if cycle <= 0:
        return _NEVER
    behind = (system_ns - pulse) // cycle
    return pulse + cycle * (behind + 1 if behind > _FAR else 1)
