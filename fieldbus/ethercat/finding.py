"""A slave that pysoem found -> all that is known of it: its EEPROM, and its PDOs through CoE. It stays in PRE-OP."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from fieldbus.errors import GarbageError
from fieldbus.ethercat.entries import Known, SlaveFound, found_by_sii, known_by, read_assigned, read_identity
from fieldbus.ethercat.protocol import Register
from fieldbus.ethercat.sii import FIXED_BYTES, MOST_BYTES, Sii, parse_sii, words_needed

_HAS_CLOCK: Final = 1 << 2
_NO_LRW: Final = 1 << 9
"""Bits of the register FEATURES (ESC data sheet, section II, 0x0008)."""
_TELLS: Final = 0x02
"""Bit of the CoE details: it has the service "SDO information"."""
_WORDS_AT_ONCE: Final = 2


def find_slave(position: int, slave: Any, with_names: bool = True) -> SlaveFound:
    """What a slave is and exchanges, as it is now.

    Args:
        position: on the bus, from 0.
        slave: of pysoem, in PRE-OP.
        with_names: ask its object dictionary for names and types that its EEPROM does not have.

    Raises:
        GarbageError: what it says of itself cannot be so.
        Exception: pysoem's own, where the slave does not answer.
    """
    sii = parse_sii(read_eeprom(slave.eeprom_read))
    features = int.from_bytes(slave._fprd(Register.FEATURES, 2), "little")
    found = _through_coe(position, slave, sii, with_names) if sii.has_coe else found_by_sii(position, sii)
    return replace(
        found,
        has_dc=bool(features & _HAS_CLOCK),
        has_lrw=found.has_lrw and not features & _NO_LRW,
        state=slave.state,
        al_status=slave.al_status,
    )


def _through_coe(position: int, slave: Any, sii: Sii, with_names: bool) -> SlaveFound:
    assigned = read_assigned(slave, sii)
    serial = sii.serial or read_identity(slave)[3] or 0
    found = replace(found_by_sii(position, sii, assigned), serial=serial)
    if (
        with_names
        and sii.coe_details & _TELLS
        and any(not e.label or not e.data_type for e in found.entries if not e.is_gap)
    ):
        found = replace(found_by_sii(position, sii, assigned, _names(slave, found)), serial=serial)
    return found


def _names(slave: Any, found: SlaveFound) -> Known:
    """As its object dictionary has them; nothing where it refuses to tell: they are names only."""
    with suppress(Exception):
        return known_by(slave.od, found.entries)
    return {}


def read_eeprom(read: Callable[[int], bytes]) -> bytes:
    """An EEPROM up to its end mark.

    Args:
        read: gives four bytes from a word on.

    Raises:
        GarbageError: it has no end.
    """
    image = bytearray()
    needed = FIXED_BYTES // 2
    while 2 * needed > len(image):
        if 2 * needed > MOST_BYTES:
            raise GarbageError(f"EEPROM of more than {MOST_BYTES} bytes")
        for word in range(len(image) // 2, needed, _WORDS_AT_ONCE):
            image += read(word)[: 2 * _WORDS_AT_ONCE].ljust(2 * _WORDS_AT_ONCE, b"\xff")
        needed = words_needed(bytes(image))
    return bytes(image)
