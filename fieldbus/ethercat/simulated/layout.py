"""What the simulated bus and Python agree on, as NumPy dtypes. One BUS, with an ESC for each slave.

    BUS --> escs    int64[count]   addresses of ESC, in the order in which a frame from port A reaches them
     |  --> events  EVENT[EVENTS]  a ring: what Python has to do
     |  --> held    HELD[HOLD]     frames that leave later
     |  --> faults  FAULT[FAULTS]  faults to order
     +--> frame, scratch           bytes
    ESC --> memory  64 KB          what a master sees: registers, then memory
     |  --> initial REGISTERS      what registers are after power came
     |  --> eeprom                 bytes
     +--> step, state              the device's native step

A frame from port A is processed by the slaves from 0 to `a_end`; one from port B (a ring) by those from `b_first` on. Python and the
thread that runs the bus take turns by `lock`.
"""

from enum import IntEnum, IntFlag

import numpy as np

from rt_native.structs import words

REGISTERS = 0x1000
"""Below are registers, above is memory."""
MEMORY = 0x10000
EVENTS = 1024
HOLD = 64
FAULTS = 16
FRAME_BYTES = 2048
MANAGERS = 16


class Event(IntEnum):
    """What Python has to do for a slave."""

    RESET = 1
    """Registers are at their initial values: the device is switched on."""
    AL_CONTROL = 2
    MAILBOX = 3
    """The master has written mailbox `value`."""
    MAILBOX_READ = 4
    """The master has read mailbox `value`: the next message can be put there."""
    WATCHDOG = 5
    REPEAT = 6
    """The master wants the message again that it read last from mailbox `value`."""


class Access(IntFlag):
    """What a datagram does with memory."""

    READ = 1
    WRITE = 2
    OR = 4
    """Reading adds bits to those that are there: a broadcast."""


class Fault(IntEnum):
    """What happens to a frame."""

    LOSE = 1
    """It reaches no slave."""
    LOSE_ANSWER = 2
    """All slaves see it, the master does not."""
    DELAY = 3
    """The answer leaves `value` nanoseconds later."""
    DOUBLE = 4
    """The answer comes twice."""
    DAMAGE = 5
    """The checksum breaks before slave `slave`: those from there on count it and do nothing, the master's card throws it away."""
    GARBLE = 6
    """Bytes of the answer are others, and the checksum is right."""
    COUNTER = 7
    """The working counter of what slave `slave` takes part in moves by `value`."""


MANAGER = np.dtype(
    words("start", "length", "mode", "by_master", "back", "middle", "front", "is_new", "is_written", "is_open")
)
"""A sync manager that is active (`length` is not 0). `mode`: 0: three buffers, of which the writer fills `back` and the reader
reads `front`; 1: a single byte, which is as any other memory, but outputs
are seen to have come; 2: a mailbox, where `is_written` says that it is full. `is_open`: the master has begun to read or write it."""

ESC = np.dtype(
    [
        *words("memory", "initial", "bus", "position", "is_on", "ram_end", "managers", "fmmus", "has_lrw", "emulates"),
        *words("eeprom", "eeprom_bytes", "eeprom_ns", "eeprom_ready_ns", "eeprom_at_once", "is_valid"),
        # the device
        *words("step", "state", "on", "period_ns", "out_manager", "in_manager", "next_period_ns", "is_fresh"),
        # the clock
        *words("has_clock", "anchor_ns", "local_ns", "hop_ns", "at_ns", "arrival_ns", "returned_ns", "synced_ns"),
        ("crystal", "<f8"),
        ("steer", "<f8"),
        ("mean", "<f8"),
        *words("sync", "sync0", "sync1", "sync_cycle", "sync1_cycle"),
        # watchdog of process data
        *words("watchdog_ns", "fed_ns", "is_fed"),
        # protection against writing, reset
        *words("enabled", "enabled_all", "resets", "reset_frame"),
        *words("logical_low", "logical_high", "any_manager", "cut", "counter_fault", "hung_ns"),
        ("manager", MANAGER, (MANAGERS,)),
    ]
)
"""`crystal`, `steer`: how much faster than true time the clock runs, by itself, and by what its control adds. At true time
`anchor_ns` the clock showed `local_ns`. `sync`: activation (0: none); `sync0`, `sync1`: system time of the next pulse. `cut`: the
cable before this slave is broken. `hung_ns`: since
when its device does nothing, 0: it works. `enabled`: number of the frame in which writing of registers was enabled."""

BUS = np.dtype(
    [
        *words("stop", "lock", "a", "b", "wake", "tell", "escs", "count", "access", "a_end", "b_first", "is_ring"),
        *words("is_stale", "last_cut", "frame", "scratch", "number", "now_ns", "due_ns", "fresh"),
        *words("events", "head", "tail", "held", "faults", "fault_count", "chance", "command"),
        # counters
        *words(
            "frames", "datagrams", "ignored", "malformed", "lost", "late", "doubled", "damaged", "garbled", "miscounted"
        ),
        *words("unsent", "events_lost", "longest_ns"),
        *words("writable", "special"),
    ]
)
"""`is_stale`: the topology has changed. `last_cut`: the cable behind the last slave is broken. `writable`,
`special`: bytes[REGISTERS], the bits that a master may write; registers of which a write has an effect instead."""

EVENT = np.dtype(words("slave", "kind", "value"))
HELD = np.dtype([*words("due_ns", "port", "nbytes", "order"), ("bytes", "u1", (FRAME_BYTES,))])
FAULT = np.dtype(words("kind", "left", "every", "seen", "slave", "value", "low", "high"))
"""`left` more frames (-1: for ever) whose first datagram has an index from `low` to `high`; of them each `every`th."""
