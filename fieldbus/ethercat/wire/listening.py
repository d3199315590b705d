"""Does somebody else speak EtherCAT on a network interface? What /proc tells of sockets misses other machines and containers."""

import select
import socket
import time
from typing import Final

from fieldbus.errors import ConnectionLostError
from fieldbus.ethercat.wire.socket import raw_socket

_SETTLE_S, _LISTEN_S = 0.002, 0.05
_KIND_AT: Final = 15
"""The four highest bits of this byte are 1 in frames of masters; what is no such frame is nobody's."""
_ENOUGH: Final = 3
_MOST: Final = 10_000
"""So many frames are counted; whoever floods the line is heard no longer."""


def check_nobody_else(name: str, listen_s: float = _LISTEN_S) -> None:
    """Listen for a moment; raises `ConnectionLostError` if EtherCAT frames go round that are not ours: another master is on it."""
    with raw_socket(name) as ear:
        time.sleep(_SETTLE_S)  # those of ours that are still under way
        _drain(ear)
        until_s, count = time.monotonic() + listen_s, 0
        while count < _MOST and (left_s := until_s - time.monotonic()) > 0:
            if select.select([ear], [], [], left_s)[0]:
                count += _drain(ear)
    if count >= _ENOUGH:
        raise ConnectionLostError(
            f"another EtherCAT master is on network interface {name}: {count} frames in {listen_s * 1e3:g} ms that nobody here sent; "
            f"end it (`ss -0 -p` shows who has a raw socket), one bus has one master"
        )


def _drain(ear: socket.socket) -> int:
    count = 0
    try:
        for _ in range(_MOST):
            frame = ear.recv(64)
            count += len(frame) > _KIND_AT and frame[_KIND_AT] >> 4 == 1
    except BlockingIOError:
        pass
    return count
