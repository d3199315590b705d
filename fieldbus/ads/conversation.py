"""A client's side of one AMS/TCP connection, without sockets: bytes in, events out.

            ask(command, data) --> frame to be sent                      numbered by its invoke id
 bytes --> feed(bytes)         --> Answer(invoke id, ...)                 to one of our questions
                               --> Samples([(handle, value), ...])       a notification, whenever the device likes
                               --> GarbageError                          the stream cannot be followed any more

What is neither, an answer to nobody's question or to somebody else's, is dropped, counted, and kept in words for the
message that somebody reads when the right answer does not come.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from fieldbus.ads import frames
from fieldbus.ads.protocol import REQUEST, Command
from fieldbus.errors import GarbageError

MOST_BYTES: Final = 4 * 1024 * 1024
"""Of one packet; TwinCAT's router takes 2 MB in all."""
FIRST_INVOKE: Final = 0x8000_0000
"""The numbers below are for the native exchange, which may have the connection before and after."""
_IS_ANSWER: Final = 0x0001
_STAMP: Final = struct.Struct("<QI")
_SAMPLE: Final = struct.Struct("<II")
_ROUTER: Final = {0x1001: "router notification"}


@dataclass(frozen=True, slots=True)
class Ends:
    """The addresses of a conversation: the device's, and ours."""

    net_id: bytes
    port: int
    own_net_id: bytes
    own_port: int


@dataclass(frozen=True, slots=True)
class Answer:
    """A device's answer. `error` is that of the AMS header: of the router, or of who has the port."""

    invoke: int
    command: int
    error: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Samples:
    """A notification: (handle, value) as they came, oldest first."""

    values: tuple[tuple[int, bytes], ...]


Event = Answer | Samples


class Conversation:
    """One connection. `dropped` counts what was not for us, `last_dropped` says what came last."""

    def __init__(self, ends: Ends) -> None:
        self.ends = ends
        self.dropped = 0
        self.last_dropped = ""
        self._invoke = FIRST_INVOKE - 1
        self._open: dict[int, int] = {}
        self._rest = bytearray()

    def ask(self, command: int, data: bytes) -> tuple[int, bytes]:
        """(invoke id, frame) of a new question."""
        self._invoke = max(FIRST_INVOKE, (self._invoke + 1) & 0xFFFF_FFFF)
        self._open[self._invoke] = command
        return self._invoke, request(self.ends, command, data, self._invoke)

    def give_up(self, invoke: int) -> None:
        """Nobody waits for this answer any more: when it comes it is dropped."""
        self._open.pop(invoke, None)

    def take_rest(self) -> bytes:
        """The beginning of a packet, which is forgotten here: somebody else reads on."""
        rest = bytes(self._rest)
        self._rest.clear()
        return rest

    def feed(self, data: bytes) -> list[Event]:
        """What came; raises `GarbageError` naming what cannot be AMS, and from then on the connection is of no use."""
        self._rest += data
        return [event for packet in self._packets() for event in self._event(packet)]

    def _packets(self) -> Iterator[bytes]:
        while len(self._rest) >= frames.TCP.size:
            command, length = frames.TCP.unpack_from(self._rest)
            if command not in (frames.AMS_COMMAND, *_ROUTER) or length > MOST_BYTES:
                raise GarbageError(f"not AMS over TCP: {shown(self._rest)}")
            end = frames.TCP.size + length
            if len(self._rest) < end:
                return
            packet = bytes(self._rest[frames.TCP.size : end])
            del self._rest[:end]
            if command == frames.AMS_COMMAND:
                yield packet
            else:
                self._drop(f"a {_ROUTER[command]}")

    def _event(self, packet: bytes) -> Iterator[Event]:
        if len(packet) < frames.AMS.size:
            raise GarbageError(f"an AMS packet of {len(packet)} bytes, its header alone has {frames.AMS.size}")
        target, port, source, source_port, command, flags, size, error, invoke = frames.AMS.unpack_from(packet)
        data = packet[frames.AMS.size :]
        if size != len(data):
            raise GarbageError(f"an AMS packet that says {size} bytes of data and has {len(data)}")
        what = f"command {command}, invoke id {invoke}, from {frames.net_id_text(source)}:{source_port}"
        ends = self.ends
        if (target, port) != (ends.own_net_id, ends.own_port):
            self._drop(f"{what}, for {frames.net_id_text(target)}:{port}")
        elif not flags & _IS_ANSWER:
            if command == Command.NOTIFICATION:
                yield Samples(samples(data))
            else:
                self._drop(f"a request ({what})")
        elif (source, source_port) != (ends.net_id, ends.port) or self._open.get(invoke) != command:
            self._drop(f"an answer to another question ({what})")
        else:
            del self._open[invoke]
            yield Answer(invoke, command, error, data)

    def _drop(self, what: str) -> None:
        self.dropped += 1
        self.last_dropped = what


def request(ends: Ends, command: int, data: bytes, invoke: int) -> bytes:
    """The frame of a question."""
    head = (ends.net_id, ends.port, ends.own_net_id, ends.own_port, command, REQUEST, len(data), 0, invoke)
    return frames.HEAD.pack(frames.AMS_COMMAND, frames.AMS.size + len(data), *head) + data


def samples(data: bytes) -> tuple[tuple[int, bytes], ...]:
    """The (handle, value) in a notification's data; raises `GarbageError` where its lengths contradict each other.

    length u32 | stamps u32 | stamp: FILETIME u64, samples u32 | sample: handle u32, size u32, value | ...
    """
    try:
        length, stamps = frames.DATA.unpack_from(data)
        if length != len(data) - 4:
            raise GarbageError(f"a notification that says {length} bytes and has {len(data) - 4}")
        at, found = frames.DATA.size, []
        for _ in range(stamps):
            _, count = _STAMP.unpack_from(data, at)
            at += _STAMP.size
            for _ in range(count):
                handle, size = _SAMPLE.unpack_from(data, at)
                at += _SAMPLE.size + size
                if at > len(data):
                    raise GarbageError(f"a notification with a value of {size} bytes that ends before them")
                found.append((handle, data[at - size : at]))
    except struct.error as error:
        raise GarbageError(f"a notification of {len(data)} bytes that says it has more") from error
    if at != len(data):
        raise GarbageError(f"a notification with {len(data) - at} bytes that belong to no value")
    return tuple(found)


def shown(data: bytes | bytearray, most: int = 16) -> str:
    """The first bytes, as numbers and as text where they are that: `48 54 54 50 ... ("HTTP")`."""
    head = bytes(data[:most])
    text = "".join(chr(b) if 32 <= b < 127 else "." for b in head)
    return f"{head.hex(' ')}{' ...' if len(data) > most else ''} ({text})"
