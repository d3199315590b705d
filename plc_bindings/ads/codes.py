"""What an ADS server answers when it cannot: its errors, and its state when it can."""

import logging
import struct
from typing import Final

from fieldbus.ads.protocol import RUN, Error
from plc_bindings.data.database import NotAllowedError

STATE: Final = struct.pack("<HH", RUN, 0)
"""ADS state and device state."""


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
