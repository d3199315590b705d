"""What is behind an ESC: the interface between the simulated bus and a slave's firmware.

    master --frames--> ESC (native: registers, sync managers, FMMUs, clock) --events--> Device (Python)
                        +--at SYNC0, at new outputs, every period--> native step of the device

The bus calls a `Device` in one thread of its own, one call at a time. A device talks to its ESC through a `Pdi`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntFlag
from typing import Protocol

from rt_native.memory import Block


class Why(IntFlag):
    """Why a native step is called, and what is so."""

    OUTPUTS = 1
    """New outputs have come."""
    SYNC0 = 2
    """The clock's pulse: `now_ns` is when it came."""
    SYNC1 = 4
    PERIOD = 8
    """The device's own time: it runs free."""
    OPERATIONAL = 16
    """The slave is in OP and its watchdog lives: outputs count. Without it a device drives its outputs to safe."""


@dataclass(frozen=True, slots=True)
class NativeStep:
    """What a device does with its process data, in native code.

    `address` is that of an exported function `step(state, outputs, inputs, now_ns, why) -> 0`: `state` is `block.address`;
    `outputs` is where the newest whole outputs lie, 0: there are none; `inputs` is where inputs are to be written, all of them,
    0: their sync manager is not active; the bus then hands them to the master, whatever the slave's state. `now_ns` is true time
    (CLOCK_MONOTONIC), of SYNC0 that of the pulse itself, and never goes back. It is called when one of `on` happens: `PERIOD`
    comes every `period_ns`, whatever the slave's state, unless SYNC0 is active and in `on`.
    """

    address: int
    block: Block
    on: Why = Why.OUTPUTS | Why.PERIOD
    period_ns: int = 1_000_000
    output_manager: int = 2
    """-1: it has no outputs."""
    input_manager: int = 3


@dataclass(frozen=True, slots=True)
class EscKind:
    """What an ESC has: the data sheet's feature registers."""

    type_number: int = 0x11
    fmmus: int = 8
    sync_managers: int = 8
    ram_bytes: int = 8192
    has_clock: bool = True
    has_lrw: bool = True
    eeprom_at_once: int = 8
    """Bytes that one read of the EEPROM gives: 4 or 8."""
    emulates_device: bool = False
    """No firmware: AL status follows AL control by itself."""
    drift_ppm: float = 0.0
    """How much faster its crystal is than true time."""
    hop_ns: int = 500
    """From the slave before to this one."""


class Pdi(Protocol):
    """The device's side of its ESC. Addresses are those of the ESC's memory."""

    @property
    def position(self) -> int:
        """Its place on the bus, from 0."""

    def read(self, address: int, nbytes: int) -> bytes:
        """Registers or memory."""

    def write(self, address: int, data: bytes) -> None:
        """Registers that the PDI may write, or memory; sync managers do not guard against it."""

    def al_status(self, state: int, code: int = 0) -> None:
        """Show a state (with 0x10 where there is an error) and an AL status code."""

    def outputs(self, manager: int = 2) -> bytes | None:
        """The newest whole outputs; None: none came since the sync manager was activated."""

    def inputs(self, data: bytes, manager: int = 3) -> None:
        """Give the master new inputs; exactly as many bytes as the sync manager has."""

    def send(self, message: bytes) -> None:
        """Put a mailbox message (with its header) in the queue of the master's; in the order given."""

    def forget_messages(self) -> None:
        """Empty that queue: the mailbox was switched off."""


class Device:
    """A slave's firmware. Subclasses say what is in the EEPROM and answer events; the defaults do what an ESC alone does."""

    sii: bytes = b""
    """The EEPROM's content."""
    kind: EscKind = EscKind()
    step: NativeStep | None = None
    """Read after `power_on`."""
    mailboxes: tuple[int, int] = (0, 1)
    """Sync managers of the mailbox: written by the master, read by the master."""

    def power_on(self, esc: Pdi) -> None:
        """Power has come (again), or the master has reset the ESC: registers are at their initial values, AL status is INIT."""

    def al_control(self, esc: Pdi, value: int) -> None:
        """The master has written AL control; answer with `esc.al_status`."""
        esc.al_status(value & 0x0F)

    def mailbox(self, esc: Pdi, message: bytes) -> list[bytes]:
        """The master has sent a message (with its header, the whole mailbox); gives the answers, in order."""
        return []

    def watchdog(self, esc: Pdi) -> None:
        """No outputs came for as long as the process data watchdog is set to."""

    poll_ns: int = 0
    """How often `poll` is wanted, about; 0: never."""

    def poll(self, esc: Pdi) -> None:
        """Time passes: see whether the native step has something to tell (a fault: an emergency, another AL status)."""

    def order(self, esc: Pdi, name: str, arguments: Mapping[str, object]) -> object:
        """Carry out a fault to order that is the device's own (`{"do": NAME, "slave": N, ...}`); gives what is answered.

        Raises:
            ValueError: It has no such fault.
        """
        raise ValueError(f"a {type(self).__name__} knows no order {name!r}")
