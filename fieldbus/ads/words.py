"""What the numbers of ADS mean: return codes, states of a device. After Beckhoff's AdsDef.h and "ADS Return Codes"."""

from typing import Final

from fieldbus.ads.protocol import CLIENT_TIMED_OUT, DEVICE_ERRORS, Error
from fieldbus.errors import BusyError, ConnectionLostError, DeviceError, NoAnswerError, RefusedError

_MAILBOX_FULL, _PENDING = 0x004, 0x71E
MEANINGS: Final = {
    0x001: "internal error",
    0x002: "no real time",
    0x003: "allocation locked, no memory",
    _MAILBOX_FULL: "mailbox full: the device gets more than it can take",
    0x005: "wrong message",
    Error.NO_PORT: "Target port not found: no program runs there; TwinCAT is in CONFIG mode, or this is another AMS port",
    Error.NO_MACHINE: "Target machine not found: the device has another AMS NetId, or no route leads to it",
    Error.NO_COMMAND: "unknown command",
    0x009: "invalid task",
    0x00A: "no I/O",
    0x00B: "unknown AMS command",
    0x00D: "port not connected",
    Error.BAD_LENGTH: "invalid AMS length",
    0x00F: "invalid AMS NetId",
    0x010: "the installation level is too low: a license is missing",
    0x012: "port disabled",
    0x013: "port connected already",
    0x015: "the router's time ran out",
    0x018: "invalid AMS port",
    0x019: "no memory",
    0x01A: "TCP: the router could not send",
    0x01B: "host unreachable",
    Error.NO_ACCESS: "access denied",
    0x01D: "TLS: the router could not send",
    0x01E: "access denied: the device wants Secure ADS",
    0x500: "router: no locked memory",
    0x502: "router: mailbox full",
    0x506: "router: the port is in use",
    0x507: "router: the port is not registered",
    0x508: "router: no more queues",
    0x509: "router: invalid port",
    0x50A: "router: not activated",
    Error.INTERNAL: "device error",
    Error.NO_SERVICE: "service not supported",
    Error.NO_GROUP: "invalid index group",
    Error.BAD_OFFSET: "invalid index offset",
    Error.NOT_PERMITTED: "reading/writing not permitted",
    Error.BAD_SIZE: "size not correct",
    Error.BAD_DATA: "invalid parameter value",
    0x707: "device not ready",
    Error.BUSY: "device is busy",
    0x709: "invalid context",
    0x70A: "out of memory",
    0x70B: "invalid parameter value",
    0x70C: "not found",
    0x70D: "syntax error",
    0x70E: "objects do not match",
    0x70F: "object exists already",
    Error.NO_SYMBOL: "symbol not found",
    0x711: "symbol version invalid, after an online change",
    0x712: "device is in an invalid state",
    Error.NO_MODE: "transmission mode not supported",
    Error.NO_NOTIFICATION: "notification handle invalid",
    0x715: "notification client not registered",
    Error.NO_MORE_HANDLES: "no more handles",
    0x717: "too large to be watched",
    0x718: "device not initialised",
    0x719: "the device's own time ran out",
    _PENDING: "request is pending",
    0x71F: "request was aborted",
    0x721: "invalid array index",
    0x722: "symbol not active, after an online change",
    0x723: "access denied",
    0x724: "a license is missing",
    0x72C: "an exception while the system started",
    0x740: "client error",
    CLIENT_TIMED_OUT: "no answer in time",
}
STATES: Final = (
    "INVALID", "IDLE", "RESET", "INIT", "START", "RUN", "STOP", "SAVECFG", "LOADCFG", "POWERFAILURE", "POWERGOOD",
    "ERROR", "SHUTDOWN", "SUSPEND", "RESUME", "CONFIG", "RECONFIG", "STOPPING", "INCOMPATIBLE", "EXCEPTION",
)  # fmt: skip
"""ADSSTATE: the name at its number."""


PASSING: Final = frozenset({_MAILBOX_FULL, Error.BUSY, _PENDING})
"""Return codes that say "not now"."""


def state_name(state: int) -> str:
    """`STOP`; a number that has no name as `state 77`."""
    return STATES[state] if state < len(STATES) else f"state {state}"


def not_running(state: int) -> RefusedError:
    """The error of a controller that is not in RUN."""
    message = f"the PLC is in {state_name(state)}, not in RUN: its values stand still, and nobody acts on outputs"
    return RefusedError(message, state)


def failure(label: str, code: int) -> DeviceError:
    """The error that an ADS return code means; `label` says what was asked."""
    message = f"{label}: ADS error {code:#x}, {MEANINGS.get(code, 'unknown')}"
    if code == CLIENT_TIMED_OUT:
        return NoAnswerError(f"{label}: no answer in time")
    if code in PASSING:
        return BusyError(message, code)
    if code in DEVICE_ERRORS:
        return RefusedError(message, code)
    return ConnectionLostError(message)
