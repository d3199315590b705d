"""The mailbox of a slave: its header, its counters, what is repeated, what is refused (ETG.1000.4, 5.6).

byte 0  length of what follows the header
     2  station address: of the slave that it is for; 0 from and to the master
     4  channel (6 bits), priority (2 bits)
     5  protocol (4 bits), counter (3 bits): 1 .. 7, 0: not counted
     6  the protocol's own
"""

import struct
from collections.abc import Callable, Iterable, Mapping
from enum import IntEnum

_HEADER = struct.Struct("<HHBB")
_ERROR = struct.Struct("<HH")
_COMMAND, _LEAST = 1, 2


class Kind(IntEnum):
    """Protocols (ETG.1000.4, table 31)."""

    ERROR = 0
    AOE = 1
    EOE = 2
    COE = 3
    FOE = 4
    SOE = 5
    VOE = 15


class MailboxError(IntEnum):
    """Why a slave does not take a message (ETG.1000.4, table 32)."""

    SYNTAX = 1
    UNSUPPORTED_PROTOCOL = 2
    INVALID_CHANNEL = 3
    SERVICE_NOT_SUPPORTED = 4
    INVALID_HEADER = 5
    SIZE_TOO_SHORT = 6
    NO_MORE_MEMORY = 7
    INVALID_SIZE = 8


Handler = Callable[[bytes], Iterable[bytes]]
"""Takes a message without its header, gives answers without theirs."""


class Mailbox:
    """What comes in, and its answers, as they lie in the mailbox of `nbytes`."""

    def __init__(self, handlers: Mapping[Kind, Handler], nbytes: int = 128) -> None:
        self.handlers = dict(handlers)
        self.nbytes = nbytes
        self.silent = 0
        """So many messages are taken and not answered: a fault to order."""
        self._heard, self._counter = 0, 0

    def reset(self, nbytes: int) -> None:
        """As after INIT: counters begin anew, and the mailbox has so many bytes."""
        self.nbytes, self._heard, self._counter = nbytes, 0, 0

    def take(self, message: bytes) -> list[bytes]:
        """Answers to a message of the master's.

        One with the counter of the message before is the same once more, because its acknowledgement was lost: it was answered.
        """
        if len(message) < _HEADER.size:
            return []
        length, _, channel, kind = _HEADER.unpack_from(message)
        counter = (kind >> 4) & 7
        if counter and counter == self._heard:
            return []
        self._heard = counter
        if self.silent:
            self.silent -= 1
            return []
        body = message[_HEADER.size : _HEADER.size + length]
        error = self._refusal(length, channel, kind, len(body))
        if error is not None:
            return [self.message(Kind.ERROR, _ERROR.pack(_COMMAND, error))]
        return [self.message(Kind(kind & 0xF), answer) for answer in self.handlers[Kind(kind & 0xF)](body)]

    def _refusal(self, length: int, channel: int, kind: int, got: int) -> MailboxError | None:
        if kind & 0x80:
            return MailboxError.INVALID_HEADER
        if channel & 0x3F:
            return MailboxError.INVALID_CHANNEL
        if length > self.nbytes - _HEADER.size or got < length:
            return MailboxError.INVALID_SIZE
        if kind & 0xF not in self.handlers:
            return MailboxError.UNSUPPORTED_PROTOCOL
        return MailboxError.SIZE_TOO_SHORT if length < _LEAST else None

    def message(self, kind: Kind, body: bytes) -> bytes:
        """A message of the slave's own, with the next counter."""
        self._counter = self._counter % 7 + 1
        return _HEADER.pack(len(body), 0, 0, kind | self._counter << 4) + body
