"""What is asked in each cycle -> transactions of the native exchange, and what an answer means that was not expected. Pure.

sum read    result 0 | length | code 0 of each item | symbol version, state RUN | values         all fixed but the values
sum write   result 0 | length | code 0 of each item                                              all fixed
read        result 0 | length | value                      write, ReadState   result 0 | state RUN

The version and the state come first among the items of a sum read: they are in the part of a frame that is kept for people.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from fieldbus.ads import frames, requests
from fieldbus.ads.client import item_failure
from fieldbus.ads.conversation import Ends, request, shown
from fieldbus.ads.protocol import RESPONSE, RUN, Command
from fieldbus.ads.requests import STATE, VERSION, Item
from fieldbus.ads.words import PASSING, failure, not_running
from fieldbus.codec import Field
from fieldbus.errors import ConnectionLostError, DeviceError, GarbageError
from fieldbus.exchange.plan import FIXED, FREE, Frames, Pattern, Refusal, Sample, Samples, Transaction

LEAST_MOST: Final = 1 << 16
"""Frames up to this are taken in any case."""
_HEAD: Final = frames.HEAD.size
_RESULT, _DATA = frames.RESULT.size, frames.DATA.size
_HEAD_MASK: Final = bytes(
    [FIXED] * 22 + [FIXED] * 2 + [RESPONSE, FREE] + [FIXED] * 8 + [FREE] * 4
)  # to the command; it; flags; length and error; invoke id
_CLASS_BYTE: Final = 0x07
"""The second byte of the return codes of a device."""


@dataclass(frozen=True, slots=True)
class Question:
    """A transaction, and what is needed to say in words what came in its answer's place.

    `items` are what it asks for, in the order of the return codes; `is_sum`: each has a code of its own.
    """

    transaction: Transaction
    command: int
    items: tuple[Item, ...] = ()
    is_sum: bool = False
    version: bytes = b""

    def named(self, frame: bytes) -> DeviceError:
        """The error that a frame means, which is not the expected answer; of a long one the first 4096 bytes are enough."""
        label = self.transaction.label
        if len(frame) < _HEAD:
            return self._odd(frame)
        _, _, _, _, _, _, command, _, _, error, _ = frames.HEAD.unpack_from(frame)
        if error:
            return failure(label, error)
        if command != self.command:
            return GarbageError(f"{label}: asked with command {self.command}, answered with command {command}")
        if len(frame) < _HEAD + _RESULT:
            return self._odd(frame)
        code = int.from_bytes(frame[_HEAD : _HEAD + _RESULT], "little")
        if code:
            return failure(label, code)
        if command == Command.READ_STATE and len(frame) >= _HEAD + _RESULT + 4:
            return not_running(int.from_bytes(frame[_HEAD + _RESULT : _HEAD + _RESULT + 2], "little"))
        return (self._named_items(frame[_HEAD + _DATA :]) if self.is_sum else None) or self._odd(frame)

    def _named_items(self, data: bytes) -> DeviceError | None:
        at = 4 * len(self.items)
        if len(data) < at:
            return None
        for i, item in enumerate(self.items):
            code, value = int.from_bytes(data[4 * i : 4 * i + 4], "little"), data[at : at + item.nbytes]
            at += item.nbytes
            if item is VERSION and (code or value != self.version):
                return ConnectionLostError("the controller's symbols changed; connecting anew")
            if code:
                return item_failure(item, code)
            if item is STATE and value != _running():
                return not_running(int.from_bytes(value, "little"))
        return None

    def _odd(self, frame: bytes) -> GarbageError:
        return GarbageError(f"{self.transaction.label}: not the answer that was expected: {shown(frame, 48)}")


def ads_frames(ends: Ends, longest: int) -> Frames:
    """How packets are cut from a connection of these ends, whose longest has so many bytes."""
    return Frames(
        header_bytes=6, length_at=2, length_bytes=4, length_is_big=False, length_add=6, least=6, most=max(longest, LEAST_MOST),
        number_at=34, number_bytes=4, number_is_big=False, ours=_begin(ends, 0x0001, b""),
    )  # fmt: skip


def notified(ends: Ends, values: Sequence[tuple[int, Item, tuple[Field, ...]]]) -> Samples:
    """Notifications: (handle, its item, the fields of the tag)."""
    begin = _begin(ends, 0x0001, Command.NOTIFICATION.to_bytes(2, "little"), is_answer=False)
    rest = _HEAD - len(begin.frame)
    header = Pattern(begin.frame + bytes(rest), begin.fixed + bytes([FREE]) * rest)
    return Samples(
        header=header, values=tuple(Sample(handle, item.nbytes, _from_zero(fields)) for handle, item, fields in values)
    )


def notification(ends: Ends, values: Sequence[tuple[int, bytes]]) -> bytes:
    """A frame as the device sends it, of (handle, value)."""
    data = frames.notification([(0, list(values))])
    head = (ends.own_net_id, ends.own_port, ends.net_id, ends.port, Command.NOTIFICATION, 4, len(data), 0, 0)
    return frames.HEAD.pack(frames.AMS_COMMAND, frames.AMS.size + len(data), *head) + data


def read_all(
    ends: Ends, watched: tuple[Item, ...], version: bytes, items: tuple[Item, ...] = (), fields: tuple[Field, ...] = ()
) -> Question:
    """A sum read of `watched` (version, state) and of `items`, which carry `fields`. Without items it concerns all inputs."""
    asked = (*watched, *items)
    heads = b"".join(version if item is VERSION else _running() for item in watched)
    nbytes = sum(item.nbytes for item in items)
    codes = bytes(4 * len(asked))
    data = frames.DATA.pack(0, len(codes) + len(heads) + nbytes) + codes + heads + bytes(nbytes)
    fixed = bytes([FIXED]) * (len(data) - nbytes) + bytes(nbytes)
    state_at = _HEAD + _DATA + len(codes) + sum(i.nbytes for i in watched if i is VERSION)
    made = Transaction(
        label="sum read",
        request=request(ends, Command.READ_WRITE, requests.sum_read(asked), 0),
        answer=_answer(ends, Command.READ_WRITE, data, fixed),
        refusal=_same(ends, Command.READ_WRITE, data, _DATA, state_at if STATE in watched else _HEAD),
        inputs=fields,
        inputs_at=_HEAD + len(data) - nbytes,
        concerns_all=not items,
    )
    return Question(made, Command.READ_WRITE, asked, True, version)


def write_all(ends: Ends, items: tuple[Item, ...], fields: tuple[Field, ...]) -> Question:
    """A sum write of `items`, which carry `fields`."""
    data = frames.DATA.pack(0, 4 * len(items)) + bytes(4 * len(items))
    asked = requests.sum_write(items, bytes(sum(item.nbytes for item in items)))
    made = Transaction(
        label="sum write",
        request=request(ends, Command.READ_WRITE, asked, 0),
        answer=_answer(ends, Command.READ_WRITE, data, bytes([FIXED]) * len(data)),
        refusal=_same(ends, Command.READ_WRITE, data, _DATA, _HEAD),
        outputs=fields,
        outputs_at=_HEAD + frames.READ_WRITE.size + frames.READ.size * len(items),
    )
    return Question(made, Command.READ_WRITE, items, True)


def read_one(ends: Ends, item: Item, fields: tuple[Field, ...]) -> Question:
    """A Read of one item."""
    data = frames.DATA.pack(0, item.nbytes) + bytes(item.nbytes)
    made = Transaction(
        label=item.label,
        request=request(ends, Command.READ, requests.read(item), 0),
        answer=_answer(ends, Command.READ, data, bytes([FIXED]) * _DATA + bytes(item.nbytes)),
        refusal=_refused(ends, Command.READ, frames.DATA.pack(0, 0)),
        inputs=_from_zero(fields),
        inputs_at=_HEAD + _DATA,
    )
    return Question(made, Command.READ, (item,))


def read_version(ends: Ends, version: bytes) -> Question:
    """A Read of the symbol version, where there are no sums: it concerns all inputs."""
    made = read_one(ends, VERSION, ())
    data = frames.DATA.pack(0, len(version)) + version
    answer = _answer(ends, Command.READ, data, bytes([FIXED]) * len(data))
    refusal = _same(ends, Command.READ, data, _DATA, _HEAD)
    return VersionQuestion(
        replace(made.transaction, answer=answer, refusal=refusal, concerns_all=True),
        Command.READ,
        (VERSION,),
        False,
        version,
    )


class VersionQuestion(Question):
    """Another version than the one that was known."""

    __slots__ = ()

    def named(self, frame: bytes) -> DeviceError:
        """See `Question.named`."""
        error = super().named(frame)
        if isinstance(error, GarbageError) and len(frame) == _HEAD + _DATA + len(self.version):
            return ConnectionLostError("the controller's symbols changed; connecting anew")
        return error


def write_one(ends: Ends, item: Item, fields: tuple[Field, ...]) -> Question:
    """A Write of one item."""
    made = Transaction(
        label=item.label,
        request=request(ends, Command.WRITE, requests.write(item, bytes(item.nbytes)), 0),
        answer=_answer(ends, Command.WRITE, bytes(_RESULT), bytes([FIXED]) * _RESULT),
        refusal=_refused(ends, Command.WRITE, bytes(_RESULT)),
        outputs=_from_zero(fields),
        outputs_at=_HEAD + frames.READ.size,
    )
    return Question(made, Command.WRITE, (item,))


def read_state(ends: Ends, is_watched: bool = True) -> Question:
    """ReadState, where the state is no value, or nothing else shows that the device lives: it concerns all inputs."""
    state = FIXED if is_watched else FREE
    data = bytes(_RESULT) + _running() + bytes(2)
    made = Transaction(
        label="ReadState",
        request=request(ends, Command.READ_STATE, b"", 0),
        answer=_answer(ends, Command.READ_STATE, data, bytes([FIXED] * 4 + [state] * 2 + [FREE] * 2)),
        refusal=_same(ends, Command.READ_STATE, data, _RESULT, _HEAD + _RESULT),
        concerns_all=True,
    )
    return Question(made, Command.READ_STATE)


# --- patterns ---------------------------------------------------------------------------------------------------------


def _running() -> bytes:
    return RUN.to_bytes(2, "little")


def _begin(ends: Ends, flag: int, command: bytes, is_answer: bool = True) -> Pattern:
    """How packets begin that the device sends us: to the command, where that is given, and one bit of the flags."""
    head = frames.HEAD.pack(0, 0, ends.own_net_id, ends.own_port, ends.net_id, ends.port, 0, flag * is_answer, 0, 0, 0)
    mask = bytes([FIXED] * 2 + [FREE] * 4 + [FIXED] * 16)
    return Pattern(
        head[:22] + (command or bytes(2)) + head[24:26], mask + bytes([FIXED if command else FREE] * 2 + [flag, FREE])
    )


def _answer(ends: Ends, command: int, data: bytes, fixed: bytes) -> Pattern:
    size = len(data)
    head = (ends.own_net_id, ends.own_port, ends.net_id, ends.port, command, RESPONSE, size, 0, 0)
    return Pattern(frames.HEAD.pack(frames.AMS_COMMAND, frames.AMS.size + size, *head) + data, _HEAD_MASK + fixed)


def _same(ends: Ends, command: int, data: bytes, fixed: int, code_at: int) -> Refusal:
    """As long as the expected answer, its first `fixed` bytes of data too: an item was refused, or stands otherwise than it must."""
    return Refusal(_answer(ends, command, data, bytes([FIXED] * fixed + [FREE] * (len(data) - fixed))), code_at)


def _refused(ends: Ends, command: int, data: bytes) -> Refusal:
    """A return code of a device, then nothing."""
    said = bytes([0, _CLASS_BYTE]) + data[2:]
    fixed = bytes([FREE] + [FIXED] * (len(data) - 1))
    passing = frozenset(code & 0xFF for code in PASSING if code >> 8 == _CLASS_BYTE)
    return Refusal(_answer(ends, command, said, fixed), _HEAD, passing)


def _from_zero(fields: tuple[Field, ...]) -> tuple[Field, ...]:
    """The same fields, counted from the first byte of the first."""
    return tuple(replace(field, byte=field.byte - fields[0].byte) for field in fields)
