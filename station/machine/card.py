"""What the kernel and its driver say of a network card, asked one by one (SIOCETHTOOL, linux/ethtool.h)."""

from __future__ import annotations

import ctypes
import fcntl
import socket
import struct
from dataclasses import dataclass
from typing import Any, Final

from fieldbus.ethercat.wire.interface import InterfaceFacts, interface_facts

_SIOCETHTOOL: Final = 0x8946
_GET_DRIVER, _GET_COALESCE, _GET_RING, _GET_EEE = 0x03, 0x0E, 0x10, 0x44
_DRIVER: Final = struct.Struct("=I32s32s32s32s32s12s5I")
"""`struct ethtool_drvinfo`; its second is the driver's name, its fourth the version of the card's own program."""
_COALESCE: Final = struct.Struct("=23I")
_RX_US, _RX_FRAMES, _TX_US, _ADAPTIVE_RX = 1, 2, 5, 10
"""Places in `struct ethtool_coalesce`."""
_RING: Final = struct.Struct("=9I")
_RX_RING, _TX_RING = 5, 8
"""Places in `struct ethtool_ringparam`."""
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
        sent_us: so long it waits before it says that frames have left: what was sent is not late by it.
        ring: so many frames it holds that came, and that are to go.
        driver, firmware: their names; "": not said.
        saves_power: it sleeps between frames (IEEE 802.3az).
    """

    name: str
    use: InterfaceFacts
    index: int = 0
    wait_us: int | None = None
    wait_frames: int | None = None
    is_adaptive: bool = False
    saves_power: bool | None = None
    sent_us: int | None = None
    ring: tuple[int, int] | None = None
    driver: str = ""
    firmware: str = ""


def card_of(name: str) -> Card:
    """What is said of it now; of one that is not there `use` says so."""
    use = interface_facts(name)
    if not use.exists:
        return Card(name, use)
    coalesce = _asked(name, _GET_COALESCE, _COALESCE)
    eee = _asked(name, _GET_EEE, _EEE)
    ring = _asked(name, _GET_RING, _RING)
    driver = _asked(name, _GET_DRIVER, _DRIVER)
    return Card(
        name,
        use,
        socket.if_nametoindex(name),
        wait_us=coalesce[_RX_US] if coalesce else None,
        wait_frames=coalesce[_RX_FRAMES] if coalesce else None,
        is_adaptive=bool(coalesce and coalesce[_ADAPTIVE_RX]),
        saves_power=bool(eee[_EEE_ENABLED]) if eee else None,
        sent_us=coalesce[_TX_US] if coalesce else None,
        ring=(ring[_RX_RING], ring[_TX_RING]) if ring else None,
        driver=_word(driver[1]) if driver else "",
        firmware=_word(driver[3]) if driver else "",
    )


def _asked(name: str, command: int, form: struct.Struct) -> tuple[Any, ...] | None:
    """What the driver answers; None: it has no such thing."""
    answer = ctypes.create_string_buffer(struct.pack("=I", command).ljust(form.size, b"\0"), form.size)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            fcntl.ioctl(probe, _SIOCETHTOOL, struct.pack("16sP16x", name.encode(), ctypes.addressof(answer)))
        except OSError:
            return None
    return form.unpack(answer.raw)


def _word(text: bytes) -> str:
    word = text.partition(b"\0")[0].decode("ascii", "replace").strip()
    return "" if word == "N/A" else word
