"""What the kernel and its driver say of a network card, asked one by one (SIOCETHTOOL, linux/ethtool.h)."""

from __future__ import annotations

import ctypes
import fcntl
import socket
import struct
from dataclasses import dataclass
from typing import Final

from fieldbus.ethercat.wire.interface import InterfaceFacts, interface_facts

_SIOCETHTOOL: Final = 0x8946
_GET_COALESCE, _GET_EEE = 0x0E, 0x44
_COALESCE: Final = struct.Struct("=23I")
_RX_US, _RX_FRAMES, _ADAPTIVE_RX = 1, 2, 11
"""Places in `struct ethtool_coalesce`."""
_EEE: Final = struct.Struct("=10I")
_EEE_ENABLED: Final = 5


@dataclass(frozen=True, slots=True)
class Card:
    """A network card. None: its driver does not say.

    Attributes:
        use: may the interface be used for EtherCAT?
        index: number of the interface.
        wait_us: so long it waits for more frames before it interrupts; `wait_frames`: or until so many are there.
        is_adaptive: it chooses that by itself.
        saves_power: it sleeps between frames (IEEE 802.3az).
    """

    name: str
    use: InterfaceFacts
    index: int = 0
    wait_us: int | None = None
    wait_frames: int | None = None
    is_adaptive: bool = False
    saves_power: bool | None = None


def card_of(name: str) -> Card:
    """What is said of it now; of one that is not there `use` says so."""
    use = interface_facts(name)
    if not use.exists:
        return Card(name, use)
    coalesce = _asked(name, _GET_COALESCE, _COALESCE)
    eee = _asked(name, _GET_EEE, _EEE)
    return Card(
        name,
        use,
        socket.if_nametoindex(name),
        wait_us=coalesce[_RX_US] if coalesce else None,
        wait_frames=coalesce[_RX_FRAMES] if coalesce else None,
        is_adaptive=bool(coalesce and coalesce[_ADAPTIVE_RX]),
        saves_power=bool(eee[_EEE_ENABLED]) if eee else None,
    )


def _asked(name: str, command: int, form: struct.Struct) -> tuple[int, ...] | None:
    """What the driver answers; None: it has no such thing."""
    answer = ctypes.create_string_buffer(form.pack(command, *(0,) * (form.size // 4 - 1)), form.size)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            fcntl.ioctl(probe, _SIOCETHTOOL, struct.pack("16sP16x", name.encode(), ctypes.addressof(answer)))
        except OSError:
            return None
    return form.unpack(answer.raw)
