"""Drives for people: states, why one is not enabled, and error codes (object 0x603F). Pure.

The codes are those of IEC 61800-7-201 (CiA 402), annex A, and of ETG.1000.6, table 50. Drives have others: then the group is named.
"""

from dataclasses import dataclass
from typing import Final

from fieldbus.ethercat.drives.cia402 import Bit, DriveState, Goal, Mode

STATES: Final[dict[DriveState, str]] = {
    DriveState.NOT_READY: "not ready to switch on",
    DriveState.SWITCH_ON_DISABLED: "switch on disabled",
    DriveState.READY_TO_SWITCH_ON: "ready to switch on",
    DriveState.SWITCHED_ON: "switched on",
    DriveState.OPERATION_ENABLED: "operation enabled",
    DriveState.QUICK_STOP_ACTIVE: "quick stop active",
    DriveState.FAULT_REACTION_ACTIVE: "fault reaction active",
    DriveState.FAULT: "fault",
    DriveState.UNKNOWN: "in no state of CiA 402",
}

MODES: Final[dict[int, str]] = {
    0: "no mode",
    1: "profile position",
    2: "velocity",
    3: "profile velocity",
    4: "profile torque",
    6: "homing",
    7: "interpolated position",
    int(Mode.CSP): "csp",
    int(Mode.CSV): "csv",
    int(Mode.CST): "cst",
    11: "cst with commutation angle",
}

ERRORS: Final[dict[int, str]] = {
    0x1000: "generic error",
    0x2000: "current",
    0x2100: "current at the input",
    0x2110: "short circuit or earth leakage at the input",
    0x2120: "earth leakage at the input",
    0x2121: "earth leakage, phase L1",
    0x2122: "earth leakage, phase L2",
    0x2123: "earth leakage, phase L3",
    0x2130: "short circuit at the input",
    0x2131: "short circuit, phases L1-L2",
    0x2132: "short circuit, phases L2-L3",
    0x2133: "short circuit, phases L3-L1",
    0x2200: "current inside the device",
    0x2211: "current inside the device, 1",
    0x2212: "current inside the device, 2",
    0x2213: "over-current in the ramp",
    0x2214: "over-current in the sequence",
    0x2220: "continuous over-current inside the device",
    0x2221: "continuous over-current inside the device, 1",
    0x2222: "continuous over-current inside the device, 2",
    0x2230: "short circuit or earth leakage inside the device",
    0x2240: "earth leakage inside the device",
    0x2250: "short circuit inside the device",
    0x2300: "current at the output",
    0x2310: "continuous over-current at the motor",
    0x2311: "continuous over-current at the motor, 1",
    0x2312: "continuous over-current at the motor, 2",
    0x2320: "short circuit or earth leakage at the motor",
    0x2330: "earth leakage at the motor",
    0x2331: "earth leakage, phase U",
    0x2332: "earth leakage, phase V",
    0x2333: "earth leakage, phase W",
    0x2340: "short circuit at the motor",
    0x2341: "short circuit, phases U-V",
    0x2342: "short circuit, phases V-W",
    0x2343: "short circuit, phases W-U",
    0x2350: "load level (I2t, thermal)",
    0x2351: "load level warning (I2t, thermal)",
    0x3000: "voltage",
    0x3100: "mains voltage",
    0x3110: "mains over-voltage",
    0x3111: "mains over-voltage, phase L1",
    0x3112: "mains over-voltage, phase L2",
    0x3113: "mains over-voltage, phase L3",
    0x3120: "mains under-voltage",
    0x3121: "mains under-voltage, phase L1",
    0x3122: "mains under-voltage, phase L2",
    0x3123: "mains under-voltage, phase L3",
    0x3130: "phase failure",
    0x3131: "phase failure, L1",
    0x3132: "phase failure, L2",
    0x3133: "phase failure, L3",
    0x3134: "phase sequence",
    0x3140: "mains frequency",
    0x3141: "mains frequency too high",
    0x3142: "mains frequency too low",
    0x3200: "DC link voltage",
    0x3210: "DC link over-voltage",
    0x3211: "over-voltage, 1",
    0x3212: "over-voltage, 2",
    0x3220: "DC link under-voltage",
    0x3221: "under-voltage, 1",
    0x3222: "under-voltage, 2",
    0x3230: "load error",
    0x3300: "output voltage",
    0x3310: "output over-voltage",
    0x3311: "output over-voltage, phase U",
    0x3312: "output over-voltage, phase V",
    0x3313: "output over-voltage, phase W",
    0x3320: "armature circuit",
    0x3321: "armature circuit interrupted",
    0x3330: "field circuit",
    0x3331: "field circuit interrupted",
    0x4000: "temperature",
    0x4100: "ambient temperature",
    0x4110: "ambient temperature too high",
    0x4120: "ambient temperature too low",
    0x4130: "temperature of supply air",
    0x4140: "temperature of outlet air",
    0x4200: "temperature of the device",
    0x4210: "device too hot",
    0x4220: "device too cold",
    0x4300: "temperature of the drive",
    0x4310: "drive too hot",
    0x4320: "drive too cold",
    0x4400: "temperature of the supply",
    0x4410: "supply too hot",
    0x4420: "supply too cold",
    0x5000: "hardware of the device",
    0x5100: "supply of the device",
    0x5110: "low voltage supply",
    0x5111: "supply +/- 15 V",
    0x5112: "supply 24 V",
    0x5113: "supply 5 V",
    0x5120: "supply of the intermediate circuit",
    0x5200: "control hardware",
    0x5210: "measurement circuit",
    0x5220: "computing circuit",
    0x5300: "operating unit",
    0x5400: "power section",
    0x5410: "output stages",
    0x5420: "chopper",
    0x5430: "input stages",
    0x5440: "contacts",
    0x5450: "fuses",
    0x5500: "memory of the device",
    0x5510: "working memory",
    0x5520: "program memory",
    0x5530: "non-volatile memory",
    0x6000: "software of the device",
    0x6010: "software reset by a watchdog",
    0x6100: "internal software",
    0x6200: "user software",
    0x6300: "data record",
    0x6310: "parameters lost",
    0x6320: "wrong parameter",
    0x7000: "additional modules",
    0x7100: "power of an additional module",
    0x7110: "brake chopper",
    0x7111: "brake chopper failed",
    0x7112: "over-current of the brake chopper",
    0x7113: "protective circuit of the brake chopper",
    0x7120: "motor",
    0x7121: "motor blocked",
    0x7122: "motor error, or wrong commutation",
    0x7123: "motor tilted",
    0x7200: "measurement circuit of an additional module",
    0x7300: "sensor",
    0x7301: "tacho failed",
    0x7302: "tacho with wrong polarity",
    0x7303: "resolver 1 failed",
    0x7304: "resolver 2 failed",
    0x7305: "incremental sensor 1 failed",
    0x7306: "incremental sensor 2 failed",
    0x7307: "incremental sensor 3 failed",
    0x7310: "speed sensor",
    0x7320: "position sensor",
    0x7400: "computation circuit of an additional module",
    0x7500: "communication",
    0x7510: "serial interface 1",
    0x7520: "serial interface 2",
    0x7600: "external data storage",
    0x8000: "monitoring",
    0x8100: "communication monitoring",
    0x8110: "overrun: telegrams were lost",
    0x8120: "error passive",
    0x8130: "life guard or heartbeat",
    0x8140: "recovered from bus off",
    0x8150: "collision of identifiers",
    0x8200: "protocol error",
    0x8210: "process data too short: not processed",
    0x8220: "process data too long",
    0x8300: "torque control",
    0x8311: "torque too high",
    0x8312: "hard to start",
    0x8313: "standstill torque",
    0x8321: "torque too low",
    0x8331: "torque",
    0x8400: "velocity controller",
    0x8500: "position controller",
    0x8600: "positioning controller",
    0x8611: "following error",
    0x8612: "reference limit",
    0x8700: "synchronisation",
    0x8800: "winding controller",
    0x8900: "process data monitoring",
    0x8A00: "monitoring of the control",
    0x9000: "external error",
    0xA000: "EtherCAT: the step from PRE-OP to SAFE-OP failed",
    0xA001: "EtherCAT: the step from SAFE-OP to OP failed",
    0xF000: "additional functions",
    0xF001: "deceleration",
    0xF002: "sub-synchronous run",
    0xF003: "stroke operation",
    0xF004: "control by additional functions",
}
"""Error code -> what it means."""

_VENDORS: Final = 0xFF00
"""From here on codes are the manufacturer's."""
_GROUPS: Final = (0xFFF0, 0xFF00, 0xF000)


def error_words(code: int) -> str:
    """`0x8611: following error`; of a code that the standard does not have its group, which says where to look."""
    number = f"0x{code:04X}"
    if code in ERRORS:
        return f"{number}: {ERRORS[code]}"
    if code >= _VENDORS:
        return f"{number}: the manufacturer's own code, see the drive's manual"
    group = next((code & mask for mask in _GROUPS if code & mask in ERRORS), None)
    named = f"something with {ERRORS[group]}, " if group is not None else ""
    return f"{number}: {named}see the drive's manual"


def mode_words(number: int) -> str:
    """`8 (csp)`."""
    signed = number - 256 if number > 127 else number
    return f"{signed} ({MODES.get(signed, 'a mode of the manufacturer' if signed < 0 else 'unknown')})"


@dataclass(frozen=True, slots=True)
class Shown:
    """What a drive shows. `is_settled`: it has been enabled for a while; `is_reset`: it is just told to reset its fault."""

    state: DriveState
    statusword: int
    mode: int
    fault: int
    is_heard: bool
    is_settled: bool
    is_reset: bool

    def has(self, bit: Bit) -> bool:
        """Is this bit of the status word 1?"""
        return bool(self.statusword >> bit & 1)


def why_not(shown: Shown, goal: Goal, mode: Mode, lacks_target: bool) -> str:
    """Why a drive is not enabled, or does not do what it is told, in words; empty: it does, or is not wanted."""
    if not shown.is_heard:
        return "not heard of within the timeout: it is told to stop"
    if shown.fault:
        then = (
            "it is told to reset it" if shown.is_reset else "once its cause is gone, reset it (rt-engine reset-drive)"
        )
        return f"{STATES[shown.state]} {error_words(shown.fault)}; {then}"
    if shown.state is DriveState.UNKNOWN:
        return f"its status word 0x{shown.statusword:04X} is none of CiA 402"
    is_enabled, is_wrong = shown.state is DriveState.OPERATION_ENABLED, shown.mode != mode
    if lacks_target:
        return "its target is not a number: it is told to stop"
    if goal is not Goal.ENABLE and not (is_enabled and is_wrong):
        return ""
    if not shown.has(Bit.REMOTE):
        return (
            "it does not listen to the bus (bit 9, remote, is 0): something else controls it, or a switch is on local"
        )
    if is_wrong and shown.state in (DriveState.SWITCHED_ON, DriveState.OPERATION_ENABLED):
        return f"it is in mode {mode_words(shown.mode)}, and {mode_words(mode)} is asked for"
    if not is_enabled:
        waits = shown.state in (DriveState.SWITCH_ON_DISABLED, DriveState.READY_TO_SWITCH_ON)
        lacks = waits and not shown.has(Bit.VOLTAGE)
        return "no voltage at its power stage (bit 4): mains, contactor or safe torque off" if lacks else ""
    return _doubts(shown, mode)


def _doubts(shown: Shown, mode: Mode) -> str:
    """What an enabled drive complains of."""
    said = []
    if shown.has(Bit.INTERNAL_LIMIT):
        said.append("an internal limit is active (bit 11): torque, velocity, or a limit switch")
    if mode is Mode.CSP and shown.has(Bit.FOLLOWING_ERROR):
        said.append("following error (bit 13)")
    if shown.is_settled and not shown.has(Bit.FOLLOWS):
        said.append("it does not follow the target (bit 12)")
    return "; ".join(said)
