"""What ADS commands carry: data of questions, and answers taken apart. Pure; `fieldbus.ads.frames` draws the packets.

SUM_READ             n x (group, offset, size)              -> n codes, then values, each as long as asked for
SUM_WRITE            n x (group, offset, size), values      -> n codes
SUM_READ_WRITE       n x (group, offset, read, write), data -> n x (code, length), then answers
SUM_ADD_NOTIFICATION n x AddNotification                    -> n x (code, handle)
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from fieldbus.ads import frames
from fieldbus.ads.protocol import Command, Group
from fieldbus.errors import GarbageError

ON_CHANGE: Final = 4
"""ADSTRANS_SERVERONCHA: the device looks every cycle, and sends what has changed."""
INFO_BYTES: Final = 1024
"""Room for what 0xF009 tells of a symbol: names and comments of TwinCAT have up to 255 characters each."""
_INFO: Final = struct.Struct("<6I3H")


@dataclass(frozen=True, slots=True)
class Item:
    """Where one value lies in the device now, and whose it is."""

    label: str
    group: int
    offset: int
    nbytes: int


VERSION: Final = Item("symbol version", Group.VERSION, 0, 1)
STATE: Final = Item("ADS state", Group.DEVICE_DATA, 0, 2)
"""ADSIOFFS_DEVDATA_ADSSTATE: the state as a value, so that it travels in a sum read. Not every device has it."""


@dataclass(frozen=True, slots=True)
class SymbolInfo:
    """What a device tells of a symbol."""

    size: int
    type: str


def read(item: Item) -> bytes:
    """Data of a Read."""
    return frames.READ.pack(item.group, item.offset, item.nbytes)


def write(item: Item, value: bytes) -> bytes:
    """Data of a Write."""
    return frames.READ.pack(item.group, item.offset, len(value)) + value


def read_write(group: int, offset: int, answer_bytes: int, data: bytes) -> bytes:
    """Data of a ReadWrite."""
    return frames.READ_WRITE.pack(group, offset, answer_bytes, len(data)) + data


def places(items: Sequence[Item]) -> bytes:
    """The items of a sum read or a sum write."""
    return b"".join(frames.READ.pack(i.group, i.offset, i.nbytes) for i in items)


def sum_read(items: Sequence[Item]) -> bytes:
    """Data of a ReadWrite that reads all."""
    answer_bytes = 4 * len(items) + sum(item.nbytes for item in items)
    return read_write(Group.SUM_READ, len(items), answer_bytes, places(items))


def sum_write(items: Sequence[Item], values: bytes) -> bytes:
    """Data of a ReadWrite that writes all; `values` one after the other."""
    return read_write(Group.SUM_WRITE, len(items), 4 * len(items), places(items) + values)


def sum_by_name(asked: Sequence[tuple[int, int, str]]) -> bytes:
    """Data of a ReadWrite that asks, for each (index group, most bytes of the answer, name), what the group tells."""
    texts = [name_bytes(name) for _, _, name in asked]
    heads = [
        frames.READ_WRITE.pack(group, 0, most, len(text)) for (group, most, _), text in zip(asked, texts, strict=True)
    ]
    most = 8 * len(asked) + sum(most for _, most, _ in asked)
    return read_write(Group.SUM_READ_WRITE, len(asked), most, b"".join((*heads, *texts)))


def add_notification(item: Item, cycle_s: float) -> bytes:
    """Data of an AddNotification: looked at every `cycle_s`, sent when it has changed, at once."""
    cycle = round(cycle_s * 1e7)
    return frames.ADD_NOTIFICATION.pack(item.group, item.offset, item.nbytes, ON_CHANGE, 0, cycle)


def sum_add_notifications(items: Sequence[Item], cycle_s: float) -> bytes:
    """Data of a ReadWrite that adds all."""
    data = b"".join(add_notification(item, cycle_s) for item in items)
    return read_write(Group.SUM_ADD_NOTIFICATION, len(items), 8 * len(items), data)


def name_bytes(name: str) -> bytes:
    """A symbol's name as a device wants it: TwinCAT's are CP1252 or UTF-8, alike for what IEC 61131-3 allows."""
    return name.encode() + b"\0"


# --- answers ----------------------------------------------------------------------------------------------------------


def result(label: str, command: int, data: bytes) -> tuple[int, bytes]:
    """(return code, what was read) of an answer's data; raises `GarbageError` where its lengths contradict each other."""
    if len(data) < frames.RESULT.size:
        raise GarbageError(f"{label}: an answer of {len(data)} bytes, without a return code")
    (code,) = frames.RESULT.unpack_from(data)
    if command not in (Command.READ, Command.READ_WRITE):
        return code, data[frames.RESULT.size :]
    if code and len(data) < frames.DATA.size:
        return code, b""  # some leave the length out where there is nothing
    if len(data) < frames.DATA.size:
        raise GarbageError(f"{label}: an answer of {len(data)} bytes, without a length")
    _, length = frames.DATA.unpack_from(data)
    if length != len(data) - frames.DATA.size:
        raise GarbageError(f"{label}: an answer that says {length} bytes and has {len(data) - frames.DATA.size}")
    return code, data[frames.DATA.size :]


def whole(label: str, data: bytes, nbytes: int) -> bytes:
    """`data`; raises `GarbageError` unless it has `nbytes`."""
    if len(data) != nbytes:
        raise GarbageError(f"{label}: {len(data)} bytes came where {nbytes} were asked for")
    return data


def codes(label: str, data: bytes, count: int) -> tuple[int, ...]:
    """The return code of each item; more bytes may follow. Raises `GarbageError`."""
    if len(data) < 4 * count:
        raise GarbageError(f"{label}: {len(data)} bytes came, {4 * count} are the return codes of {count} items alone")
    return struct.unpack_from(f"<{count}I", data)


def pairs(label: str, data: bytes, count: int) -> list[tuple[int, int]]:
    """(code, length or handle) of each item; more bytes may follow. Raises `GarbageError`."""
    if len(data) < 8 * count:
        raise GarbageError(f"{label}: {len(data)} bytes came, {8 * count} are the results of {count} items alone")
    return [*frames.DATA.iter_unpack(data[: 8 * count])]


def sum_answers(label: str, data: bytes, count: int) -> list[tuple[int, bytes]]:
    """(code, answer) of each item of a sum read-write; raises `GarbageError`."""
    heads, at, found = pairs(label, data, count), 8 * count, []
    for code, length in heads:
        if at + length > len(data):
            raise GarbageError(f"{label}: an item of {length} bytes, {len(data) - at} are left")
        found.append((code, data[at : at + length]))
        at += length
    return found


def symbol_info(label: str, data: bytes) -> SymbolInfo:
    """What 0xF009 answers; raises `GarbageError`.

    length u32, group u32, offset u32, size u32, type id u32, flags u32, lengths u16 of name, type and comment, then
    these three, each with a NUL.
    """
    if len(data) < _INFO.size:
        raise GarbageError(f"{label}: {len(data)} bytes came where a symbol is described in {_INFO.size} and its names")
    _, _, _, size, _, _, name, type_name, _ = _INFO.unpack_from(data)
    at = _INFO.size + name + 1
    return SymbolInfo(size, data[at : at + type_name].decode("latin-1"))
