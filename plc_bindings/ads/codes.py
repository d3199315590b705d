"""Numbers of ADS: commands, index groups, error codes. After Beckhoff's AdsDef.h."""

import logging
import struct
from enum import IntEnum
from typing import Final

from plc_bindings.data.database import NotAllowedError


class Command(IntEnum):
    """ADS commands."""

    DEVICE_INFO = 1
    READ = 2
    WRITE = 3
    READ_STATE = 4
    WRITE_CONTROL = 5
    ADD_NOTIFICATION = 6
    DELETE_NOTIFICATION = 7
    NOTIFICATION = 8
    READ_WRITE = 9


class Group(IntEnum):
    """Index groups that ADS reserves."""

    SYSTEM_STATE = 0xF0
    HANDLE_BY_NAME = 0xF003
    VALUE_BY_NAME = 0xF004
    VALUE_BY_HANDLE = 0xF005
    RELEASE_HANDLE = 0xF006
    INFO_BY_NAME = 0xF007
    VERSION = 0xF008
    INFO_BY_NAME_EX = 0xF009
    UPLOAD = 0xF00B
    UPLOAD_INFO = 0xF00C
    TYPE_UPLOAD = 0xF00E
    UPLOAD_INFO_2 = 0xF00F
    TYPE_BY_NAME_EX = 0xF011
    SUM_READ = 0xF080
    SUM_WRITE = 0xF081
    SUM_READ_WRITE = 0xF082
    SUM_READ_EX = 0xF083
    SUM_READ_EX_2 = 0xF084
    SUM_ADD_NOTIFICATION = 0xF085
    SUM_DELETE_NOTIFICATION = 0xF086
    DEVICE_DATA = 0xF100


class Error(IntEnum):
    """ADS return codes that this server gives."""

    OK = 0
    NO_PORT = 0x006
    NO_MACHINE = 0x007
    NO_COMMAND = 0x008
    BAD_LENGTH = 0x00E
    NO_ACCESS = 0x01C
    INTERNAL = 0x700
    NO_SERVICE = 0x701
    NO_GROUP = 0x702
    BAD_OFFSET = 0x703
    NOT_PERMITTED = 0x704
    BAD_SIZE = 0x705
    BAD_DATA = 0x706
    BUSY = 0x708
    NO_SYMBOL = 0x710
    NO_MODE = 0x713
    NO_NOTIFICATION = 0x714
    NO_MORE_HANDLES = 0x716


RUN: Final = 5
"""ADSSTATE_RUN."""
STATE: Final = struct.pack("<HH", RUN, 0)
"""ADS state and device state."""
SYSTEM_PORT: Final = 10000
REQUEST: Final = 0x0004
RESPONSE: Final = 0x0005


class AdsError(Exception):
    """A request that is answered with an error code."""

    def __init__(self, code: Error) -> None:
        super().__init__(f"{code.name} (0x{code:X})")
        self.code = code


def code_of(error: Exception) -> int:
    """The error code that a request ends with which raised this. What nobody foresaw is logged."""
    if isinstance(error, AdsError):
        return error.code
    if isinstance(error, NotAllowedError):
        return Error.NOT_PERMITTED
    if isinstance(error, IndexError):
        return Error.BAD_OFFSET
    if isinstance(error, struct.error):
        return Error.BAD_SIZE
    logging.getLogger(__name__).error("an ADS request failed", exc_info=error)
    return Error.INTERNAL
