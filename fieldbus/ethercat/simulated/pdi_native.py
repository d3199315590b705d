"""The device's side of an ESC, and orders to the bus: each takes its turn with the thread that runs the bus."""

from fieldbus.ethercat.simulated import registers
from fieldbus.ethercat.simulated.clock_native import refresh
from fieldbus.ethercat.simulated.layout import BUS, ESC, EVENT, EVENTS, FAULT, FAULTS, MANAGER
from fieldbus.ethercat.simulated.managers_native import (
    FULL,
    activate_all,
    buffer_at,
    manager_at,
    publish,
    request,
    status_at,
)
from fieldbus.ethercat.simulated.pulses_native import bring, inputs_at, outputs_at
from fieldbus.ethercat.simulated.topology_native import find_paths
from fieldbus.ethercat.simulated.turns_native import lock, unlock
from rt_native.lang import (
    call2,
    copy_bytes,
    export,
    load_i64,
    load_u8,
    load_u16,
    now_ns,
    stack,
    store_i16,
    store_i64,
    store_u8,
)
from rt_native.memory import offsets

_B, _E, _M = offsets(BUS), offsets(ESC), offsets(MANAGER)
_MEMORY, _BUS, _HAS_CLOCK, _IS_ON, _MANAGERS = _E.memory, _E.bus, _E.has_clock, _E.is_on, _E.managers
_LENGTH, _BY_MASTER, _IS_WRITTEN = _M.length, _M.by_master, _M.is_written
_RING, _HEAD, _TAIL, _FAULTS, _ANY, _STALE, _DUE = (
    _B.events,
    _B.head,
    _B.tail,
    _B.faults,
    _B.fault_count,
    _B.is_stale,
    _B.due_ns,
)
_ROW, _MOST, _FAULT_ROW, _MOST_FAULTS = EVENT.itemsize, EVENTS, FAULT.itemsize, FAULTS
_LEFT = offsets(FAULT).left
_AL_STATUS, _AL_CODE, _AT, _END = registers.AL_STATUS, registers.AL_CODE, registers.MANAGER, registers.RECEIVED
_SHORT = 16


@export
def pdi_load(esc, address, to, nbytes):  # type: ignore[no-untyped-def]
    """Read registers or memory."""
    area = stack(_SHORT)
    bus = load_i64(esc + _BUS)
    lock(bus, area)
    if load_i64(esc + _HAS_CLOCK) != 0:
        refresh(esc, now_ns(area))
    copy_bytes(to, load_i64(esc + _MEMORY) + address, nbytes)
    unlock(bus)
    return 0


@export
def pdi_store(esc, address, source, nbytes):  # type: ignore[no-untyped-def]
    """Write registers or memory."""
    area = stack(_SHORT)
    bus = load_i64(esc + _BUS)
    lock(bus, area)
    copy_bytes(load_i64(esc + _MEMORY) + address, source, nbytes)
    if address < _END and address + nbytes > _AT:
        activate_all(esc)
    unlock(bus)
    return 0


@export
def pdi_al(esc, status, code):  # type: ignore[no-untyped-def]
    """Show an AL status, and why."""
    area = stack(_SHORT)
    bus, memory = load_i64(esc + _BUS), load_i64(esc + _MEMORY)
    lock(bus, area)
    if load_u16(memory + _AL_STATUS) != status:
        request(esc, 1 << 3, 1)
    store_i16(memory + _AL_CODE, code)
    store_i16(memory + _AL_STATUS, status)
    unlock(bus)
    return 0


@export
def pdi_take_message(esc, number, to, most):  # type: ignore[no-untyped-def]
    """Take what the master wrote in a mailbox: its bytes; -1: nothing is there."""
    area = stack(_SHORT)
    bus, manager, taken = load_i64(esc + _BUS), manager_at(esc, number), -1
    lock(bus, area)
    length = load_i64(manager + _LENGTH)
    if length != 0 and length <= most and load_i64(manager + _BY_MASTER) != 0 and load_i64(manager + _IS_WRITTEN) != 0:
        copy_bytes(to, buffer_at(esc, manager, 0), length)
        store_i64(manager + _IS_WRITTEN, 0)
        status = status_at(esc, number)
        store_u8(status, (load_u8(status) & (0xFE ^ FULL)) | 2)
        taken = length
    unlock(bus)
    return taken


@export
def pdi_put_message(esc, number, source, nbytes):  # type: ignore[no-untyped-def]
    """Put a message in the master's mailbox: 1; 0: there is one still; -1: the mailbox is not active, or too short."""
    area = stack(_SHORT)
    bus, manager, done = load_i64(esc + _BUS), manager_at(esc, number), -1
    lock(bus, area)
    if nbytes <= load_i64(manager + _LENGTH) and load_i64(manager + _BY_MASTER) == 0:
        done = 0
        if load_i64(manager + _IS_WRITTEN) == 0:
            copy_bytes(buffer_at(esc, manager, 0), source, nbytes)
            store_i64(manager + _IS_WRITTEN, 1)
            status = status_at(esc, number)
            store_u8(status, (load_u8(status) & 0xFD) | FULL | 1)
            request(esc, 1 << (4 + (number & 7)), 1)
            done = 1
    unlock(bus)
    return done


@export
def pdi_recall_message(esc, number):  # type: ignore[no-untyped-def]
    """Take a message back that the master has not read: 1; 0: there is none."""
    area = stack(_SHORT)
    bus, manager = load_i64(esc + _BUS), manager_at(esc, number)
    lock(bus, area)
    was_full = load_i64(manager + _IS_WRITTEN) != 0 and load_i64(manager + _BY_MASTER) == 0
    if was_full:
        store_i64(manager + _IS_WRITTEN, 0)
        status = status_at(esc, number)
        store_u8(status, load_u8(status) & (0xFF ^ FULL))
    unlock(bus)
    return 1 if was_full else 0


@export
def pdi_outputs(esc, number, to, most):  # type: ignore[no-untyped-def]
    """The newest whole outputs: their bytes; -1: there are none."""
    area = stack(_SHORT)
    bus, taken = load_i64(esc + _BUS), -1
    lock(bus, area)
    at, length = outputs_at(esc, number), load_i64(manager_at(esc, number) + _LENGTH)
    if at != 0 and length <= most:
        copy_bytes(to, at, length)
        taken = length
    unlock(bus)
    return taken


@export
def pdi_inputs(esc, number, source, nbytes):  # type: ignore[no-untyped-def]
    """Give the master new inputs: 1; 0: their sync manager is not active, or has another length."""
    area = stack(_SHORT)
    bus, done = load_i64(esc + _BUS), 0
    lock(bus, area)
    at = inputs_at(esc, number)
    if at != 0 and load_i64(manager_at(esc, number) + _LENGTH) == nbytes:
        copy_bytes(at, source, nbytes)
        publish(esc, number)
        done = 1
    unlock(bus)
    return done


@export
def bus_power(esc, is_on, reset):  # type: ignore[no-untyped-def]
    """Switch a slave on or off; `reset` is the address of `esc_reset`."""
    area = stack(_SHORT)
    bus = load_i64(esc + _BUS)
    lock(bus, area)
    now = now_ns(area)
    bring(bus, now)
    if is_on != 0 and load_i64(esc + _IS_ON) == 0:
        call2(reset, esc, now)
    store_i64(esc + _IS_ON, is_on)
    find_paths(bus)
    store_i64(bus + _DUE, 0)
    unlock(bus)
    return 0


@export
def bus_set(bus, address, value):  # type: ignore[no-untyped-def]
    """Set a word of the bus or of an ESC, and look at the topology again."""
    area = stack(_SHORT)
    lock(bus, area)
    store_i64(address, value)
    find_paths(bus)
    store_i64(bus + _DUE, 0)
    unlock(bus)
    return 0


@export
def bus_fault(bus, row):  # type: ignore[no-untyped-def]
    """Order a fault: 1; 0: there is no room. A `row` of 0 ends all faults."""
    area = stack(_SHORT)
    done = 0
    lock(bus, area)
    for number in range(_MOST_FAULTS):
        at = load_i64(bus + _FAULTS) + number * _FAULT_ROW
        if row == 0:
            store_i64(at + _LEFT, 0)
        elif done == 0 and load_i64(at + _LEFT) == 0:
            copy_bytes(at, row, _FAULT_ROW)
            done = 1
    store_i64(bus + _ANY, 0 if row == 0 else 1)
    unlock(bus)
    return done


@export
def bus_event(bus, to):  # type: ignore[no-untyped-def]
    """Take the oldest event: 1; 0: there is none."""
    area = stack(_SHORT)
    lock(bus, area)
    tail = load_i64(bus + _TAIL)
    has_one = tail != load_i64(bus + _HEAD)
    if has_one:
        copy_bytes(to, load_i64(bus + _RING) + (tail % _MOST) * _ROW, _ROW)
        store_i64(bus + _TAIL, tail + 1)
    unlock(bus)
    return 1 if has_one else 0
