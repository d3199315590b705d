"""EtherCAT's numbers, once: commands, registers, states, and what codes mean in words.

ETG.1000.4 (data link: commands, registers), ETG.1000.6 (application: states, CoE), Beckhoff's ESC data sheet, section II (registers).
"""

from enum import IntEnum
from typing import Final

ETHERTYPE: Final = 0x88A4


class Command(IntEnum):
    """What a datagram does (ETG.1000.4, table 2): by position (AP..), station address (FP..), all (B..), logical address (L..)."""

    NOP = 0
    APRD = 1
    APWR = 2
    APRW = 3
    FPRD = 4
    FPWR = 5
    FPRW = 6
    BRD = 7
    BWR = 8
    BRW = 9
    LRD = 10
    LWR = 11
    LRW = 12
    ARMW = 13
    FRMW = 14


class Register(IntEnum):
    """Registers of an ESC."""

    TYPE = 0x0000
    FMMU_COUNT = 0x0004
    SM_COUNT = 0x0005
    FEATURES = 0x0008
    STATION_ADDRESS = 0x0010
    STATION_ALIAS = 0x0012
    DL_CONTROL = 0x0100
    DL_STATUS = 0x0110
    AL_CONTROL = 0x0120
    AL_STATUS = 0x0130
    AL_STATUS_CODE = 0x0134
    RX_ERRORS = 0x0300
    LOST_LINKS = 0x0310
    WATCHDOG_DIVIDER = 0x0400
    WATCHDOG_PROCESS_DATA = 0x0420
    WATCHDOG_STATUS = 0x0440
    WATCHDOG_EXPIRED = 0x0442
    EEPROM_CONFIG = 0x0500
    EEPROM_CONTROL = 0x0502
    EEPROM_ADDRESS = 0x0504
    EEPROM_DATA = 0x0508
    FMMU = 0x0600
    SYNC_MANAGER = 0x0800
    DC_SYSTEM_TIME = 0x0910
    DC_OFFSET = 0x0920
    DC_DELAY = 0x0928
    DC_UNIT_CONTROL = 0x0980
    DC_SYNC_ACTIVATION = 0x0981
    DC_START = 0x0990
    DC_SYNC0_CYCLE = 0x09A0


FMMU_BYTES: Final = 16
SYNC_MANAGER_BYTES: Final = 8


class AlState(IntEnum):
    """The states of a slave (ETG.1000.6, clause 6.4.1)."""

    INIT = 1
    PREOP = 2
    BOOT = 3
    SAFEOP = 4
    OP = 8


AL_ERROR: Final = 0x10
"""In the AL status: the slave did not go where it was asked, or fell back; its status code says why. In the AL control: seen."""

STATE_NAMES: Final[dict[int, str]] = {
    AlState.INIT: "INIT",
    AlState.PREOP: "PRE-OP",
    AlState.BOOT: "BOOT",
    AlState.SAFEOP: "SAFE-OP",
    AlState.OP: "OP",
}

AL_STATUS_CODES: Final[dict[int, str]] = {
    0x0000: "no error",
    0x0001: "unspecified error",
    0x0002: "no memory",
    0x0003: "invalid device setup",
    0x0004: "invalid revision",
    0x0006: "its EEPROM and its firmware do not belong together",
    0x0007: "its firmware was updated without success",
    0x000E: "licence error",
    0x0011: "it has no such state change",
    0x0012: "it has no such state",
    0x0013: "it has no bootstrap",
    0x0014: "it has no valid firmware",
    0x0015: "its mailbox is not configured as it must be (bootstrap)",
    0x0016: "its mailbox is not configured as it must be",
    0x0017: "a sync manager is not configured as it must be",
    0x0018: "it has no valid inputs",
    0x0019: "it has no valid outputs",
    0x001A: "it lost its synchronisation",
    0x001B: "its watchdog expired: no outputs came in time",
    0x001C: "a sync manager has a type that it cannot have",
    0x001D: "its outputs are not configured as it needs them (size or place of the sync manager)",
    0x001E: "its inputs are not configured as it needs them (size or place of the sync manager)",
    0x001F: "its watchdog is not configured as it needs it",
    0x0020: "it needs a cold start",
    0x0021: "it must go to INIT first",
    0x0022: "it must go to PRE-OP first",
    0x0023: "it must go to SAFE-OP first",
    0x0024: "its inputs cannot be mapped so",
    0x0025: "its outputs cannot be mapped so",
    0x0026: "its settings contradict each other",
    0x0027: "it does not run free: it needs a clock",
    0x0028: "it has no such synchronisation",
    0x0029: "it runs free and needs three buffers",
    0x002A: "a watchdog of its application expired",
    0x002B: "neither inputs nor outputs are valid",
    0x002C: "it lost its synchronisation for good",
    0x002D: "no SYNC signal comes",
    0x002E: "its cycle is too short",
    0x0030: "the distributed clock is not configured as it needs it",
    0x0031: "its latches are not configured as they must be",
    0x0032: "its clock is not locked (PLL)",
    0x0033: "input or output error of the distributed clock",
    0x0034: "the distributed clock came too late",
    0x0035: "the cycle of the distributed clock is one that it cannot have",
    0x0036: "the cycle of SYNC0 is one that it cannot have",
    0x0037: "the cycle of SYNC1 is one that it cannot have",
    0x0041: "mailbox error of AoE",
    0x0042: "mailbox error of EoE",
    0x0043: "mailbox error of CoE",
    0x0044: "mailbox error of FoE",
    0x0045: "mailbox error of SoE",
    0x004F: "mailbox error of VoE",
    0x0050: "nobody gave the EEPROM to its processor",
    0x0051: "it cannot read its EEPROM",
    0x0052: "its EEPROM is busy",
    0x0060: "it restarts by itself",
    0x0061: "its identification was changed",
    0x0070: "modules were found that are not configured, or others are missing",
    0x00F0: "its application controls the state",
}
"""AL status code -> what a slave means by it (ETG.1000.6, table 11; ETG.1020)."""

ABORT_CODES: Final[dict[int, str]] = {
    0x05030000: "the toggle bit did not change",
    0x05040000: "it took too long",
    0x05040001: "it does not know this command",
    0x05040005: "it has not enough memory",
    0x06010000: "the object cannot be read or written so",
    0x06010001: "the object can only be written",
    0x06010002: "the object can only be read",
    0x06010003: "the entry cannot be written while subindex 0 is not 0",
    0x06010004: "the object cannot be read or written as a whole",
    0x06010005: "the object is longer than the mailbox",
    0x06010006: "a PDO has it: it cannot be written so",
    0x06020000: "it has no such object",
    0x06040041: "the object cannot be in a PDO",
    0x06040042: "the PDO would become too long",
    0x06040043: "the parameters do not go together",
    0x06040047: "they do not go together inside the device",
    0x06060000: "a fault of its hardware",
    0x06070010: "the value has another length",
    0x06070012: "the value is too long",
    0x06070013: "the value is too short",
    0x06090011: "it has no such subindex",
    0x06090030: "the value is out of range",
    0x06090031: "the value is too high",
    0x06090032: "the value is too low",
    0x06090036: "the maximum is below the minimum",
    0x08000000: "no reason given",
    0x08000020: "it cannot store that",
    0x08000021: "it cannot store that while somebody else controls it",
    0x08000022: "it cannot store that in its present state",
    0x08000023: "it has no object dictionary",
}
"""Abort code of an SDO -> what it means (ETG.1000.6, table 41)."""


def state_in_words(status: int) -> str:
    """An AL status, for people: `SAFE-OP with an error`."""
    state = status & 0x0F
    name = STATE_NAMES.get(state, f"state {state}")
    return f"{name} with an error" if status & AL_ERROR else name


def al_in_words(code: int) -> str:
    """An AL status code, for people, with its number: `its watchdog expired: ... (AL status code 0x001B)`."""
    words = AL_STATUS_CODES.get(code) or ("of its maker's own" if code >= 0x8000 else "unknown")
    return f"{words} (AL status code 0x{code:04X})"


def abort_in_words(code: int) -> str:
    """An abort code of an SDO, for people, with its number: `it has no such object (abort code 0x06020000)`."""
    return f"{ABORT_CODES.get(code, 'for a reason of its own')} (abort code 0x{code:08X})"
