"""The raw socket of the native exchange, packet(7): one frame is one message, and frames of ours alone reach it.

Who sent a frame is told by the index of its first datagram: that of the exchange is in `INDEXES`, pysoem's and those of
`fieldbus.ethercat.wire.wire` are below, so all three can talk on one interface at the same time.
"""

import os
import socket
from typing import Final

from fieldbus.errors import ConnectionLostError
from fieldbus.ethercat.protocol import ETHERTYPE
from fieldbus.ethercat.wire.interface import check_interface
from fieldbus.ethercat.wire.wire import only

INDEXES: Final = range(0x80, 0x100)
_IGNORE_OUTGOING: Final = 23
"""PACKET_IGNORE_OUTGOING: frames that leave are not heard."""
_SOL_PACKET: Final = 263
_BUFFER_BYTES: Final = 1 << 20


def open_socket(interface: str) -> socket.socket:
    """A socket that does not block and gives whole frames of ours from `interface`.

    Raises:
        ConnectionLostError: The interface cannot be used, or not by this process; it says what mends that.
    """
    try:
        raw = socket.socket(
            socket.AF_PACKET, socket.SOCK_RAW, 0
        )  # no protocol: nothing comes before the filter is there
    except PermissionError:
        check_interface(interface)
        raise
    try:
        raw.setblocking(False)
        only(raw, INDEXES)
        raw.setsockopt(_SOL_PACKET, _IGNORE_OUTGOING, 1)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
        raw.bind((interface, ETHERTYPE))
    except OSError as error:
        raw.close()
        check_interface(interface)
        raise ConnectionLostError(f"network interface {interface}: {os.strerror(error.errno or 0)}") from error
    return raw
