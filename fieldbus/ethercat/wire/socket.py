"""Raw sockets for EtherCAT, packet(7): one frame is one message; of those that a filter lets through, if it has one.

Who sent a frame is told by the index of its first datagram: that of the exchange is in `INDEXES`, pysoem's and those of
`fieldbus.ethercat.wire.wire` are below, so all three can talk on one interface at the same time.
"""

import ctypes
import os
import socket
import struct
from typing import Final

from fieldbus.errors import ConnectionLostError
from fieldbus.ethercat.protocol import ETHERTYPE
from fieldbus.ethercat.wire import frames
from fieldbus.ethercat.wire.interface import check_interface

INDEXES: Final = range(0x80, 0x100)
BUFFER_BYTES: Final = 1 << 20
"""Of who must not lose a frame while it does something else."""
_INDEX_AT: Final = frames.HEAD_BYTES + 1
_SO_ATTACH_FILTER: Final = 26
_IGNORE_OUTGOING: Final = 23
"""PACKET_IGNORE_OUTGOING: frames that leave are not heard."""
_SOL_PACKET: Final = 263


def only(sock: socket.socket, indexes: range) -> None:
    """Let the kernel drop what is no EtherCAT frame of these indexes: other's frames are not even woken for."""
    program = b"".join(
        struct.pack("HBBI", *step)
        for step in (
            (0x30, 0, 0, _INDEX_AT),  # ldb [index]
            (0x35, 0, 2, indexes.start),  # jge start, else drop
            (0x35, 1, 0, indexes.stop),  # jge stop: drop
            (0x06, 0, 0, 0x40000),  # take all
            (0x06, 0, 0, 0),  # drop
        )
    )
    held = ctypes.create_string_buffer(program)
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HL", len(program) // 8, ctypes.addressof(held)))


def raw_socket(
    interface: str, indexes: range | None = None, *, hears_itself: bool = True, buffer_bytes: int = 0
) -> socket.socket:
    """A socket that does not block and gives whole EtherCAT frames from `interface`; of these `indexes` alone, if given.

    `hears_itself`: also frames that this computer sends. `buffer_bytes`: room for frames that wait; 0: as the system has it.

    Raises:
        PermissionError: Without CAP_NET_RAW.
        OSError: There is no such interface, or it is down; nothing is left open.
    """
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)  # no protocol: nothing comes before the filter is there
    try:
        raw.setblocking(False)
        if indexes is not None:
            only(raw, indexes)
        if not hears_itself:
            raw.setsockopt(_SOL_PACKET, _IGNORE_OUTGOING, 1)
        if buffer_bytes:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
        raw.bind((interface, ETHERTYPE))
    except OSError:
        raw.close()
        raise
    return raw


def open_socket(interface: str) -> socket.socket:
    """That of the native exchange.

    Raises:
        ConnectionLostError: The interface cannot be used, or not by this process; it says what mends that.
    """
    try:
        return raw_socket(interface, INDEXES, hears_itself=False, buffer_bytes=BUFFER_BYTES)
    except PermissionError:
        check_interface(interface)
        raise
    except OSError as error:
        check_interface(interface)
        raise ConnectionLostError(f"network interface {interface}: {os.strerror(error.errno or 0)}") from error
