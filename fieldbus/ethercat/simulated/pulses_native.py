"""What time brings to a slave: SYNC0 and SYNC1, its own period, the watchdog of process data; and how its native step is called.

Pulses are made up for: a step is told the true time of its pulse, however late the thread is that runs the bus.
"""

from fieldbus.ethercat.simulated import registers
from fieldbus.ethercat.simulated.clock_native import after, system_time, true_time
from fieldbus.ethercat.simulated.device import Why
from fieldbus.ethercat.simulated.layout import BUS, ESC, MANAGER, Event
from fieldbus.ethercat.simulated.managers_native import buffer_at, manager_at, publish, take_newest, tell
from fieldbus.ethercat.simulated.topology_native import esc_at
from rt_native.lang import call5, inline, load_i64, load_u8, load_u16, store_i64, store_u8
from rt_native.memory import offsets

_B, _E, _M = offsets(BUS), offsets(ESC), offsets(MANAGER)
_COUNT, _DUE, _FRESH, _NOW = _B.count, _B.due_ns, _B.fresh, _B.now_ns
_MEMORY, _IS_ON, _MANAGERS = _E.memory, _E.is_on, _E.managers
_STEP, _STATE, _ON, _PERIOD, _OUT, _IN, _NEXT, _IS_FRESH = (
    _E.step, _E.state, _E.on, _E.period_ns, _E.out_manager, _E.in_manager, _E.next_period_ns, _E.is_fresh
)  # fmt: skip
_HUNG = _E.hung_ns
_WATCHDOG, _FED, _IS_FED, _SYNC, _SYNC0, _SYNC1, _CYCLE, _CYCLE1 = (
    _E.watchdog_ns, _E.fed_ns, _E.is_fed, _E.sync, _E.sync0, _E.sync1, _E.sync_cycle, _E.sync1_cycle
)  # fmt: skip
_LENGTH, _MODE, _BY_MASTER, _FRONT, _BACK, _IS_WRITTEN = (
    _M.length, _M.mode, _M.by_master, _M.front, _M.back, _M.is_written
)  # fmt: skip
_AL_STATUS, _STATUS, _COUNTER = registers.AL_STATUS, registers.WATCHDOG_STATUS, registers.WATCHDOG_COUNT
_DL_STATUS, _DIVIDER, _PDI_TIME = registers.DL_STATUS, registers.DIVIDER, registers.WATCHDOG_PDI
_OUTPUTS, _SYNC0_CAME, _SYNC1_CAME, _PERIOD_CAME, _OPERATIONAL = (
    int(Why[name]) for name in ("OUTPUTS", "SYNC0", "SYNC1", "PERIOD", "OPERATIONAL")
)
_EXPIRED = int(Event.WATCHDOG)
_LATEST, _FAR = 100_000_000, 1000
_NEVER = (1 << 63) - 1
_OP, _MAILBOX = 8, 2


@inline
def outputs_at(esc, number):  # type: ignore[no-untyped-def]
    """Where the newest whole outputs lie; 0: there are none."""
    if number < 0 or number >= load_i64(esc + _MANAGERS):
        return 0
    manager = manager_at(esc, number)
    is_there = load_i64(manager + _LENGTH) != 0 and load_i64(manager + _BY_MASTER) != 0
    if not is_there or load_i64(manager + _MODE) == _MAILBOX or load_i64(manager + _IS_WRITTEN) == 0:
        return 0
    take_newest(manager)
    return buffer_at(esc, manager, load_i64(manager + _FRONT))


@inline
def inputs_at(esc, number):  # type: ignore[no-untyped-def]
    """Where inputs can be written; 0: nowhere now."""
    if number < 0 or number >= load_i64(esc + _MANAGERS):
        return 0
    manager = manager_at(esc, number)
    is_there = load_i64(manager + _LENGTH) != 0 and load_i64(manager + _BY_MASTER) == 0
    if not is_there or load_i64(manager + _MODE) == _MAILBOX:
        return 0
    return buffer_at(esc, manager, load_i64(manager + _BACK))


@inline
def call_step(esc, now, why):  # type: ignore[no-untyped-def]
    """The device's native step, if it asked for this."""
    if load_i64(esc + _STEP) == 0 or load_i64(esc + _ON) & why == 0 or load_i64(esc + _HUNG) != 0:
        return
    memory, number = load_i64(esc + _MEMORY), load_i64(esc + _IN)
    is_alive = load_u8(memory + _AL_STATUS) & 0x0F == _OP and load_u8(memory + _STATUS) & 1 != 0
    inputs = inputs_at(esc, number)
    outputs = outputs_at(esc, load_i64(esc + _OUT))
    call5(load_i64(esc + _STEP), load_i64(esc + _STATE), outputs, inputs, now, why | (_OPERATIONAL if is_alive else 0))
    if inputs != 0:
        publish(esc, number)


@inline
def watch_device(esc, now):  # type: ignore[no-untyped-def]
    """The watchdog of the PDI: bit 1 of DL status says that the device lives."""
    memory, hung = load_i64(esc + _MEMORY), load_i64(esc + _HUNG)
    status, is_alive = load_u8(memory + _DL_STATUS), load_u8(memory + _DL_STATUS) & 2 != 0
    if hung == 0:
        if not is_alive:
            store_u8(memory + _DL_STATUS, status | 2)
        return _NEVER
    until = hung + (load_u16(memory + _DIVIDER) + 2) * 40 * load_u16(memory + _PDI_TIME)
    if not is_alive or until == hung:
        return _NEVER
    if now < until:
        return until
    store_u8(memory + _DL_STATUS, status & 0xFD)
    store_u8(memory + _COUNTER + 1, min(load_u8(memory + _COUNTER + 1) + 1, 255))
    return _NEVER


@inline
def watch(esc, now):  # type: ignore[no-untyped-def]
    """The watchdog of process data; gives when it would expire."""
    allowed = load_i64(esc + _WATCHDOG)
    if load_i64(esc + _IS_FED) == 0 or allowed == 0:
        return _NEVER
    until = load_i64(esc + _FED) + allowed
    if now < until:
        return until
    memory = load_i64(esc + _MEMORY)
    store_i64(esc + _IS_FED, 0)
    store_u8(memory + _STATUS, load_u8(memory + _STATUS) & 0xFE)
    store_u8(memory + _COUNTER, min(load_u8(memory + _COUNTER) + 1, 255))
    tell(esc, _EXPIRED, 0)
    return _NEVER


@inline
def pulse(esc, now):  # type: ignore[no-untyped-def]
    """SYNC0 and SYNC1 up to now; gives when the next comes."""
    sync = load_i64(esc + _SYNC)
    if sync == 0:
        return _NEVER
    system = system_time(esc, now)
    while True:
        sync0 = load_i64(esc + _SYNC0) if sync & 2 else _NEVER
        sync1 = load_i64(esc + _SYNC1) if sync & 4 else _NEVER
        first = min(sync0, sync1)
        if first > system:
            return true_time(esc, first) + 1 if first != _NEVER else _NEVER
        why = (_SYNC0_CAME if sync0 == first else 0) | (_SYNC1_CAME if sync1 == first else 0)
        if sync0 == first:
            store_i64(esc + _SYNC0, after(sync0, load_i64(esc + _CYCLE), system))
        if sync1 == first:
            store_i64(esc + _SYNC1, after(sync1, load_i64(esc + _CYCLE1), system))
        call_step(esc, min(true_time(esc, first), now), why)


@inline
def run_freely(esc, now):  # type: ignore[no-untyped-def]
    """The device's own period; gives when the next begins."""
    on, period = load_i64(esc + _ON), load_i64(esc + _PERIOD)
    if load_i64(esc + _STEP) == 0 or on & _PERIOD_CAME == 0 or period <= 0:
        return _NEVER
    begins = load_i64(esc + _NEXT)
    if begins == 0 or now - begins > _FAR * period:
        begins = now
    has_pulses = load_i64(esc + _SYNC) & 2 != 0 and on & _SYNC0_CAME != 0
    while begins <= now:
        if not has_pulses:
            call_step(esc, begins, _PERIOD_CAME)
        begins += period
    store_i64(esc + _NEXT, begins)
    return begins


@inline
def bring(bus, now):  # type: ignore[no-untyped-def]
    """All that time has brought to all slaves."""
    store_i64(bus + _NOW, max(now, load_i64(bus + _NOW)))
    if now < load_i64(bus + _DUE):
        return
    due = now + _LATEST
    for number in range(load_i64(bus + _COUNT)):
        esc = esc_at(bus, number)
        if load_i64(esc + _IS_ON) != 0:
            due = min(min(due, watch_device(esc, now)), watch(esc, now))
            due = min(due, min(pulse(esc, now), run_freely(esc, now)))
    store_i64(bus + _DUE, due)


@inline
def take_outputs(bus, now):  # type: ignore[no-untyped-def]
    """The steps of those to which a frame brought outputs."""
    store_i64(bus + _FRESH, 0)
    for number in range(load_i64(bus + _COUNT)):
        esc = esc_at(bus, number)
        if load_i64(esc + _IS_FRESH) != 0:
            store_i64(esc + _IS_FRESH, 0)
            call_step(esc, now, _OUTPUTS)
