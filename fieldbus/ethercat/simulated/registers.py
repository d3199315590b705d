"""Registers of an ESC, as Beckhoff's ESC data sheet (section II) has them: where they are, what they are at power-on, who may write.

ETG.1000.4, clause 6 has those that every ESC must have.
"""

import struct
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fieldbus.ethercat.simulated.device import EscKind
from fieldbus.ethercat.simulated.layout import REGISTERS

TYPE, REVISION, BUILD = 0x000, 0x001, 0x002
FMMUS, MANAGERS, RAM_KB, PORTS, FEATURES = 0x004, 0x005, 0x006, 0x007, 0x008
STATION, ALIAS = 0x010, 0x012
WRITE_ENABLE, WRITE_PROTECTION = 0x020, 0x021
ESC_WRITE_ENABLE, ESC_WRITE_PROTECTION = 0x030, 0x031
RESET = 0x040
DL_CONTROL, LOOPS, USE_ALIAS, OFFSET, DL_STATUS = 0x100, 0x101, 0x103, 0x108, 0x110
AL_CONTROL, AL_STATUS, AL_CODE = 0x120, 0x130, 0x134
PDI_CONTROL, ESC_CONFIG, PDI_CONFIG = 0x140, 0x141, 0x150
EVENT_MASK, EVENTS = 0x200, 0x210
RX_ERRORS, FORWARDED, PROCESSING_ERRORS, PDI_ERRORS, LOST_LINKS = 0x300, 0x308, 0x30C, 0x30D, 0x310
DIVIDER, WATCHDOG_PDI, WATCHDOG_DATA, WATCHDOG_STATUS, WATCHDOG_COUNT = 0x400, 0x410, 0x420, 0x440, 0x442
EEPROM_CONFIG, EEPROM_CONTROL, EEPROM_ADDRESS, EEPROM_DATA = 0x500, 0x502, 0x504, 0x508
FMMU, FMMU_BYTES = 0x600, 16
MANAGER, MANAGER_BYTES = 0x800, 8
RECEIVED, SYSTEM_TIME, RECEIVED_UNIT, TIME_OFFSET, DELAY, DIFFERENCE = 0x900, 0x910, 0x918, 0x920, 0x928, 0x92C
SPEED_START, SPEED_DIFFERENCE, FILTER_DIFFERENCE, FILTER_SPEED = 0x930, 0x932, 0x934, 0x935
CYCLIC_UNIT, ACTIVATION, PULSE, START, NEXT_SYNC1, CYCLE0, CYCLE1 = 0x980, 0x981, 0x982, 0x990, 0x998, 0x9A0, 0x9A4
CLOCK_END = 0xA00

_CLEARED: Final = ((0x300, 0x30E), (0x310, 0x314), (0x442, 0x444))
_ACTS: Final = (*_CLEARED, (RECEIVED, RECEIVED + 4), (SYSTEM_TIME, SYSTEM_TIME + 8))
_WRITABLE: Final = (
    *((STATION, STATION + 2), (WRITE_ENABLE, WRITE_ENABLE + 2), (ESC_WRITE_ENABLE, ESC_WRITE_ENABLE + 2)),
    *((RESET, RESET + 1), (DL_CONTROL, DL_CONTROL + 4), (OFFSET, OFFSET + 2), (AL_CONTROL, AL_CONTROL + 2)),
    *((0x138, 0x13A), (EVENT_MASK, EVENT_MASK + 2), (DIVIDER, DIVIDER + 2), (WATCHDOG_PDI, WATCHDOG_PDI + 2)),
    *((WATCHDOG_DATA, WATCHDOG_DATA + 2), (EEPROM_CONTROL, 0x510), (FMMU, 0x700)),
    *((TIME_OFFSET, DIFFERENCE), (SPEED_START, SPEED_START + 2), (FILTER_DIFFERENCE, 0x937)),
    *((CYCLIC_UNIT, PULSE), (START, START + 8), (CYCLE0, 0x9AA), (0xF00, 0xF04), (0xF10, 0xF18), (0xF80, 0x1000)),
)
_MASKS: Final = {
    EEPROM_CONFIG: 0x03,
    WRITE_PROTECTION: 0x01,
    ESC_WRITE_PROTECTION: 0x01,
    CYCLIC_UNIT: 0x33,
    ACTIVATION: 0xFF,
}


def writable() -> NDArray[np.uint8]:
    """Of each register byte, the bits that a master may write."""
    table = np.zeros(REGISTERS, np.uint8)
    for low, high in _WRITABLE:
        table[low:high] = 0xFF
    for manager in range(MANAGER, MANAGER + 0x80, MANAGER_BYTES):
        table[manager : manager + 5] = 0xFF
        table[manager + 6] = 0xFF
    for address, mask in _MASKS.items():
        table[address] = mask
    return table


def special() -> NDArray[np.uint8]:
    """1 where a write has an effect, but is not what is read afterwards."""
    table = np.zeros(REGISTERS, np.uint8)
    for low, high in _ACTS:
        table[low:high] = 1
    return table


def checksum(words: bytes) -> int:
    """CRC-8 over the first seven words of the EEPROM: polynomial x^8 + x^2 + x + 1, from 0xFF (ETG.1000.6, table 16)."""
    crc = 0xFF
    for byte in words:
        crc ^= byte
        for _ in range(8):
            crc = ((crc << 1) ^ 0x07) & 0xFF if crc & 0x80 else crc << 1
    return crc


def initial(kind: EscKind, sii: bytes) -> bytes:
    """The registers of an ESC to which power has come and that has read its EEPROM."""
    image = bytearray(REGISTERS)
    features = (0x0C | 0x100 if kind.has_clock else 0) | (0 if kind.has_lrw else 0x200)
    struct.pack_into(
        "<BBHBBBBH",
        image,
        TYPE,
        kind.type_number,
        0,
        2,
        kind.fmmus,
        kind.sync_managers,
        kind.ram_bytes // 1024,
        0x0F,
        features,
    )
    start = sii[:16].ljust(16, b"\xff")
    is_valid = checksum(start[:14]) == start[14]
    image[DL_CONTROL] = 1
    image[DL_STATUS] = 0x03 if is_valid else 0x02
    image[AL_CONTROL] = image[AL_STATUS] = 1
    if is_valid:
        image[ALIAS : ALIAS + 2] = start[8:10]
        image[PDI_CONTROL : PDI_CONTROL + 2] = start[0:2]
        image[PDI_CONFIG : PDI_CONFIG + 2] = start[2:4]
        image[PULSE : PULSE + 2] = start[4:6]
    image[ESC_CONFIG] = (image[ESC_CONFIG] & 0xFE) | kind.emulates_device
    struct.pack_into("<H", image, DIVIDER, 2498)
    struct.pack_into("<H", image, WATCHDOG_PDI, 1000)
    struct.pack_into("<H", image, WATCHDOG_DATA, 1000)
    struct.pack_into(
        "<H", image, EEPROM_CONTROL, (0x40 if kind.eeprom_at_once == 8 else 0) | 0x80 | (0 if is_valid else 0x0800)
    )
    struct.pack_into("<H", image, SPEED_START, 0x1000)
    image[FILTER_DIFFERENCE], image[FILTER_SPEED] = 4, 12
    return bytes(image)
