"""The state machine of a slave: what it is asked, what it checks before it goes there, why it does not.

    INIT --mailbox--> PREOP --process data, watchdog, clock--> SAFEOP --outputs have come--> OP
      ^                 |                                        |                           |
      +-----------------+----------------------------------------+---------------------------+  always, by any number of steps

A refused request leaves the state as it is, with the error flag and a status code. Until the master acknowledges it (bit 4 of
AL control) nothing but INIT is taken.

Source: ETG.1000.6, clause 6.4; ETG.1020, clause 11.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Protocol

from fieldbus.ethercat.protocol import AL_ERROR, FMMU_BYTES, SYNC_MANAGER_BYTES, AlState, Register
from fieldbus.ethercat.simulated.sii import Mailbox

_MANAGER = struct.Struct("<HHBBBB")
_FMMU = struct.Struct("<IHBBHBBB3x")
_MODE, _MAILBOX, _DIRECTION, _FROM_MASTER, _TRIGGERS = 0x03, 0x02, 0x0C, 0x04, 0x40
_FMMU_READS, _FMMU_WRITES = 1, 2
_LEAST_MAILBOX = 34
_SYNC_ON, _SYNC0_ON, _SYNC1_ON = 0x01, 0x02, 0x04
_CYCLE_0 = 0x09A0
_UP = {AlState.INIT: AlState.PREOP, AlState.PREOP: AlState.SAFEOP, AlState.SAFEOP: AlState.OP}
_DOWN = {AlState.PREOP: AlState.INIT, AlState.SAFEOP: AlState.PREOP, AlState.OP: AlState.SAFEOP}


class AlCode(IntEnum):
    """AL status codes that our slaves give (ETG.1000.6, table 11)."""

    OK = 0x0000
    NO_SUCH_CHANGE = 0x0011
    NO_SUCH_STATE = 0x0012
    NO_BOOTSTRAP = 0x0013
    MAILBOX = 0x0016
    NO_OUTPUTS = 0x0019
    SYNC = 0x001A
    WATCHDOG = 0x001B
    OUTPUTS = 0x001D
    INPUTS = 0x001E
    WATCHDOG_SETTING = 0x001F
    INPUT_MAPPING = 0x0024
    OUTPUT_MAPPING = 0x0025
    NO_SUCH_SYNC = 0x0028
    NO_SYNC = 0x002D
    CLOCK_SETTING = 0x0030
    SYNC0_CYCLE = 0x0036
    SYNC1_CYCLE = 0x0037


class Registers(Protocol):
    """What is checked: the memory of an ESC."""

    def read(self, address: int, nbytes: int) -> bytes:
        """Registers or memory."""


@dataclass(frozen=True, slots=True)
class ManagerNow:
    """A sync manager as the master has set it (registers 0x0800 + 8n, data sheet section II)."""

    start: int
    nbytes: int
    control: int
    is_active: bool

    @property
    def is_mailbox(self) -> bool:
        """One buffer, written and read in turn; else three."""
        return self.control & _MODE == _MAILBOX

    @property
    def is_from_master(self) -> bool:
        """Does the master write?"""
        return self.control & _DIRECTION == _FROM_MASTER

    def is_as(self, is_mailbox: bool, is_from_master: bool) -> bool:
        """Active, in this mode and direction?"""
        return self.is_active and self.is_mailbox == is_mailbox and self.is_from_master == is_from_master


def manager_now(esc: Registers, number: int) -> ManagerNow:
    """Read one."""
    data = esc.read(Register.SYNC_MANAGER + SYNC_MANAGER_BYTES * number, SYNC_MANAGER_BYTES)
    start, nbytes, control, _, activate, _ = _MANAGER.unpack(data)
    return ManagerNow(start, nbytes, control, bool(activate & 1))


@dataclass(slots=True)
class Rules:
    """What a slave needs of its master. `output_bytes`, `input_bytes` are those of the PDOs that are assigned."""

    mailboxes: tuple[Mailbox, Mailbox] | None = None
    output_manager: int = 2
    input_manager: int = 3
    output_bytes: int = 0
    input_bytes: int = 0
    needs_watchdog: bool = False
    """Is a process data watchdog that is off refused (ETG.1020, 11: 0x001F)?"""
    needs_fmmus: bool = False
    """Must an FMMU reach the process data? A master may read and write the memory itself."""
    needs_clock: bool = False
    least_cycle_ns: int = 62_500
    most_cycle_ns: int = 1_000_000_000
    is_simple: bool = False
    """No firmware: nothing is checked (device emulation, data sheet, register 0x0140 bit 8)."""


# --- checks: each gives the code of what is wrong -------------------------------------------------------------------------


def check_mailbox(esc: Registers, rules: Rules) -> AlCode:
    """INIT to PREOP: both mailboxes as the slave has them: mode, direction, place, at least 34 bytes (ETG.1000.6, 6.4.1.2)."""
    if rules.mailboxes is None:
        return AlCode.OK
    for number, wanted in enumerate(rules.mailboxes):
        now = manager_now(esc, number)
        is_there = now.is_as(is_mailbox=True, is_from_master=number == 0) and now.start == wanted.start
        if not is_there or not _LEAST_MAILBOX <= now.nbytes <= wanted.nbytes:
            return AlCode.MAILBOX
    return AlCode.OK


def check_process_data(esc: Registers, rules: Rules) -> AlCode:
    """PREOP to SAFEOP: sync managers of process data, as long as the assigned PDOs; without any they are off."""
    sides = (
        (rules.output_manager, rules.output_bytes, True, AlCode.OUTPUTS, AlCode.OUTPUT_MAPPING),
        (rules.input_manager, rules.input_bytes, False, AlCode.INPUTS, AlCode.INPUT_MAPPING),
    )
    for number, nbytes, is_from_master, code, mapping in sides:
        if number < 0:
            continue
        now = manager_now(esc, number)
        if nbytes == 0:
            if now.is_active and now.nbytes:
                return code
        elif not now.is_as(is_mailbox=False, is_from_master=is_from_master) or now.nbytes != nbytes:
            return code
        elif rules.needs_fmmus and not _is_reached(esc, now, is_from_master):
            return mapping
    return AlCode.OK


def _is_reached(esc: Registers, manager: ManagerNow, is_from_master: bool) -> bool:
    wanted = _FMMU_WRITES if is_from_master else _FMMU_READS
    for number in range(esc.read(Register.FMMU_COUNT, 1)[0]):
        data = esc.read(Register.FMMU + FMMU_BYTES * number, FMMU_BYTES)
        _, nbytes, _, _, start, _, kind, activate = _FMMU.unpack(data)
        covers = start <= manager.start and start + nbytes >= manager.start + manager.nbytes
        if activate & 1 and kind & wanted and covers:
            return True
    return False


def check_watchdog(esc: Registers, rules: Rules) -> AlCode:
    """PREOP to SAFEOP: where the slave insists, its sync manager triggers the watchdog, and that has a time (0x0400, 0x0420)."""
    if not rules.needs_watchdog or not rules.output_bytes:
        return AlCode.OK
    triggers = manager_now(esc, rules.output_manager).control & _TRIGGERS
    times = esc.read(Register.WATCHDOG_PROCESS_DATA, 2)
    return AlCode.OK if triggers and any(times) else AlCode.WATCHDOG_SETTING


def is_clocked(esc: Registers) -> bool:
    """Is SYNC0 generated (data sheet, register 0x0981)?"""
    return esc.read(Register.DC_SYNC_ACTIVATION, 1)[0] & (_SYNC_ON | _SYNC0_ON) == _SYNC_ON | _SYNC0_ON


def check_clock(esc: Registers, rules: Rules) -> AlCode:
    """PREOP to SAFEOP: SYNC0 and SYNC1 as the slave can have them (data sheet, registers 0x0981, 0x09A0, 0x09A4)."""
    activation = esc.read(Register.DC_SYNC_ACTIVATION, 1)[0]
    if not activation & _SYNC_ON:
        return AlCode.NO_SUCH_SYNC if rules.needs_clock else AlCode.OK
    if not activation & _SYNC0_ON:
        return AlCode.CLOCK_SETTING
    cycle, between = struct.unpack("<II", esc.read(_CYCLE_0, 8))
    if not rules.least_cycle_ns <= cycle <= rules.most_cycle_ns:
        return AlCode.SYNC0_CYCLE
    if activation & _SYNC1_ON and between > rules.most_cycle_ns:
        return AlCode.SYNC1_CYCLE
    return AlCode.OK


_CHECKS: dict[AlState, tuple[Callable[[Registers, Rules], AlCode], ...]] = {
    AlState.PREOP: (check_mailbox,),
    AlState.SAFEOP: (check_mailbox, check_process_data, check_watchdog, check_clock),
    AlState.OP: (check_mailbox, check_process_data, check_watchdog, check_clock),
}


def check(esc: Registers, rules: Rules, state: AlState) -> AlCode:
    """Does what the master has set allow this state? The first thing that does not is told."""
    if rules.is_simple:
        return AlCode.OK
    return next((code for one in _CHECKS.get(state, ()) if (code := one(esc, rules))), AlCode.OK)


# --- the machine ----------------------------------------------------------------------------------------------------------


class Shown(Protocol):
    """An ESC whose AL status can be set."""

    def read(self, address: int, nbytes: int) -> bytes:
        """Registers or memory."""

    def al_status(self, state: int, code: int = 0) -> None:
        """Show a state and a status code."""


@dataclass(slots=True)
class Refusal:
    """A fault to order: asked for a state, the slave says no; `times` < 0: always."""

    code: int
    times: int = -1


@dataclass(slots=True)
class AlMachine:
    """The state of one slave.

    `entered(old, new)` is told of each change before the master sees it. `lacks()` tells what OP still waits for: outputs (0x0019),
    or SYNC0 (0x002D); a slave stays in SAFEOP until it has both, and after `patience_ns` it says what it lacks.
    """

    rules: Rules
    entered: Callable[[AlState, AlState], None] = lambda old, new: None
    lacks: Callable[[], int] = lambda: 0
    patience_ns: int = 5_000_000_000
    refusals: dict[AlState, Refusal] = field(default_factory=dict)
    state: AlState = AlState.INIT
    code: int = 0
    has_error: bool = False
    _asked_ns: int = 0

    @property
    def is_waiting(self) -> bool:
        """Is the way to OP under way?"""
        return self._asked_ns != 0

    def reset(self) -> None:
        """Power has come."""
        self.state, self.code, self.has_error, self._asked_ns = AlState.INIT, 0, False, 0

    def request(self, esc: Shown, value: int, now_ns: int) -> None:
        """The master has written AL control."""
        wanted, acknowledges = value & 0x0F, bool(value & AL_ERROR)
        if self.has_error and not acknowledges and wanted != AlState.INIT:
            return
        self.has_error, self.code, self._asked_ns = False, 0, 0
        code = self._code_of(esc, wanted)
        if code:
            below = _DOWN.get(self.state, self.state)
            self._fail(esc, below if wanted == self.state else self.state, code)
        elif wanted == AlState.OP != self.state and self.lacks():
            self._asked_ns = now_ns
            self._show(esc)
        else:
            self._enter(esc, AlState(wanted))

    def _code_of(self, esc: Shown, wanted: int) -> int:
        """Why the way to `wanted` is refused; 0: it is not."""
        if wanted not in AlState.__members__.values():
            return AlCode.NO_SUCH_STATE
        target = AlState(wanted)
        refusal = self.refusals.get(target)
        if refusal is not None and refusal.times and target != self.state:
            refusal.times -= refusal.times > 0
            return refusal.code
        if target == AlState.BOOT:
            return AlCode.NO_BOOTSTRAP if self.state == AlState.INIT else AlCode.NO_SUCH_CHANGE
        if target > self.state and _UP[self.state] != target:
            return AlCode.NO_SUCH_CHANGE
        return check(esc, self.rules, target) if target >= self.state else AlCode.OK

    def poll(self, esc: Shown, now_ns: int) -> None:
        """Time passes: outputs may have come that the way to OP waits for."""
        if not self.is_waiting:
            return
        code = self.lacks()
        if not code:
            self._asked_ns = 0
            self._enter(esc, AlState.OP)
        elif now_ns - self._asked_ns > self.patience_ns:
            self._asked_ns = 0
            self._fail(esc, self.state, code)

    def fall(self, esc: Shown, state: AlState, code: int) -> None:
        """The slave leaves its state by itself for a lower one, or says that something is wrong where it is."""
        self._asked_ns = 0
        self._fail(esc, min(state, self.state), code)

    def _fail(self, esc: Shown, state: AlState, code: int) -> None:
        self.has_error, self.code = True, code
        self._enter(esc, state)

    def _enter(self, esc: Shown, state: AlState) -> None:
        old, self.state = self.state, state
        if old != state:
            self.entered(old, state)
        self._show(esc)

    def _show(self, esc: Shown) -> None:
        esc.al_status(self.state | (AL_ERROR if self.has_error else 0), self.code)
