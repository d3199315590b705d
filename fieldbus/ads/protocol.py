"""Numbers of ADS, for clients and servers: commands, index groups, error codes, ports. After Beckhoff's AdsDef.h."""

from enum import IntEnum
from typing import Final


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
    """ADS return codes: those that our server gives."""

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
SYSTEM_PORT: Final = 10000
"""AMS port of the system service."""
REQUEST: Final = 0x0004
RESPONSE: Final = 0x0005
"""State flags of a packet: "ADS command", and "response"."""
SYMBOL_VERSION_INVALID: Final = 0x711
"""ADSERR_DEVICE_SYMBOLVERSIONINVALID: "Symbol version invalid: release handle and get a new one"."""
CLIENT_TIMED_OUT: Final = 0x745
"""ADSERR_CLIENT_SYNCTIMEOUT: no answer in time."""
DEVICE_ERRORS: Final = range(0x700, 0x740)
"""What a device answers when it cannot, or will not; above are the errors of a client."""
TCP_PORT: Final = 48898
PLC_PORT: Final = 851
"""AMS port of a PLC's first run time, TwinCAT 3."""
MOST_IN_A_SUM: Final = 500
"""Beckhoff: "not more than 500 ADS commands in one sum command"."""
