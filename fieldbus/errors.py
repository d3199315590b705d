"""Errors of the field bus, and whose mistake each is.

FieldbusError
├── ConfigurationError        ours: what was declared cannot work; raised before anything runs
│   ├── TagError              a tag contradicts itself (safe value outside its limits, unknown type, ...)
│   ├── AddressError          an address that the device's protocol does not have, or that two outputs share
│   └── ChannelError          an unknown tag, a wrong direction, two writers of one output
├── CodecError                ours or the peer's: bytes and values do not fit together
│   ├── OutOfRangeError       a value that the device's type cannot hold
│   └── PayloadError          not as many bytes as the tags need
├── ResourceError             the computer's: no thread to be had
├── OutdatedError             nobody's: outputs grew too old before they were sent -> send those of now, or the safe ones
└── DeviceError               the peer's, while running: counted and shown by the link, never raised in a task
    ├── ConnectionLostError   no connection, or it was cut            -> reconnect
    ├── NoAnswerError         silence, or half an answer, in time     -> reconnect
    ├── GarbageError          an answer that the protocol forbids     -> reconnect
    ├── UntrustedError        a certificate that is not known, or not valid -> ask again, perhaps it is trusted then
    └── RefusedError          a well-formed "no", with the device's code -> keep the connection, ask again
        └── BusyError         a "no" that passes: busy, or a gateway that does not reach it just now -> the last values hold
"""

import os
import ssl


class FieldbusError(Exception):
    """Base of all errors of `fieldbus`."""


class ConfigurationError(FieldbusError, ValueError):
    """What was declared cannot work."""


class TagError(ConfigurationError):
    """A tag contradicts itself."""


class AddressError(ConfigurationError):
    """An address that the protocol does not have, or that two outputs share."""


class ChannelError(ConfigurationError):
    """A channel names an unknown tag, one of the wrong direction, or an output that has a writer already."""


class CodecError(FieldbusError):
    """Bytes and values do not fit together."""


class OutOfRangeError(CodecError):
    """A value that the device's type cannot hold."""


class PayloadError(CodecError):
    """Not as many bytes as the tags need."""


class ResourceError(FieldbusError):
    """The computer has too little of something: no thread to be had."""


class OutdatedError(FieldbusError):
    """Between being gathered and being sent, outputs grew older than the timeout: the process stood still."""


class DeviceError(FieldbusError):
    """The device, or the way to it, failed."""


class ConnectionLostError(DeviceError):
    """There is no connection, or it was cut."""


class NoAnswerError(DeviceError):
    """The device did not answer in time, or not to the end."""


class GarbageError(DeviceError):
    """The device answered what the protocol forbids."""


class UntrustedError(DeviceError):
    """The peer's certificate is not one to talk to. `status` is the name of the protocol's own code: BadCertificateUntrusted."""

    def __init__(self, message: str, status: str) -> None:
        super().__init__(message)
        self.status = status


class RefusedError(DeviceError):
    """The device understood and said no. `code` is its own number: a Modbus exception code or an ADS error code."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class BusyError(RefusedError):
    """The device, or the gateway before it, said "not now"."""


def told(error: Exception) -> str:
    """What a person reads of an error: its sentence; of one that is not ours, and has none, its kind."""
    return str(error) or getattr(error, "strerror", None) or type(error).__name__


def cause(error: Exception) -> str:
    """Why a device cannot be reached, in the system's words, without its numbers."""
    if isinstance(error, UnicodeError):
        return "no host can have this name"
    if isinstance(error, ssl.SSLError):
        return getattr(error, "verify_message", "") or getattr(error, "reason", "") or str(error)
    code = error.errno if isinstance(error, OSError) else None
    return os.strerror(code) if code and code > 0 else getattr(error, "strerror", None) or str(error)
