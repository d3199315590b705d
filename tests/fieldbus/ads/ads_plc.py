"""A strict stub of a TwinCAT PLC: AMS/TCP on port 48898, with symbols, handles, sum commands, notifications and faults.

    AMS/TCP   reserved u16 = 0, length u32                                         6 bytes
    AMS       target netid 6, port u16; source netid 6, port u16; command u16,    32 bytes
              flags u16, length u32, error u32, invoke id u32

Strict means: what TwinCAT refuses is refused with TwinCAT's error code, never guessed at.
"""

import contextlib
import random
import socket
import struct
import threading
import time
from dataclasses import dataclass, field

from tests.devices import TcpDevice, Threads

TCP = struct.Struct("<HI")
AMS = struct.Struct("<6sH6sHHHIII")
PORT = 48898

DEVICE_INFO, READ, WRITE, STATE, CONTROL, ADD_NOTE, DEL_NOTE, NOTE, READ_WRITE = range(1, 10)
REQUEST, RESPONSE = 0x0004, 0x0005  # "ADS command", with the response bit
HANDLE_BY_NAME, VALUE_BY_HANDLE, RELEASE_HANDLE, VERSION, INFO_BY_NAME = 0xF003, 0xF005, 0xF006, 0xF008, 0xF009
SUM_READ, SUM_WRITE, SUM_READ_WRITE, SUM_ADD_NOTE = 0xF080, 0xF081, 0xF082, 0xF085
DEVICE_DATA = 0xF100
RUN, STOP, CONFIG = 5, 6, 15
MOST_IN_A_SUM = 500
SILENT, CUT = "silent", "cut"
DATA = 0x4040  # where the symbols lie

NO_PORT, NO_COMMAND = 6, 8
NO_SERVICE, NO_GROUP, BAD_OFFSET, NOT_PERMITTED, BAD_SIZE = 0x701, 0x702, 0x703, 0x704, 0x705
NO_SYMBOL, OLD_SYMBOL, NO_MODE, NO_NOTE = 0x710, 0x711, 0x713, 0x714

TYPES = {  # IEC type -> (ADS type id, struct format)
    "BOOL": (33, "?"), "SINT": (16, "b"), "USINT": (17, "B"), "INT": (2, "h"), "UINT": (18, "H"), "DINT": (3, "i"),
    "UDINT": (19, "I"), "LINT": (20, "q"), "ULINT": (21, "Q"), "REAL": (4, "f"), "LREAL": (5, "d"),
}  # fmt: skip


class AdsError(Exception):
    def __init__(self, code: int) -> None:
        super().__init__(hex(code))
        self.code = code


class SilentError(Exception):
    """No answer to this request."""


@dataclass
class Symbol:
    name: str
    type: str
    count: int = 1
    read_only: bool = False
    offset: int = 0
    data: bytes = b""

    def __post_init__(self) -> None:
        self.data = self.data or bytes(struct.calcsize(self.format))

    @property
    def format(self) -> str:
        return f"<{self.count}{TYPES[self.type][1]}"

    def entry(self) -> bytes:
        """What 0xF009 answers: a fixed part of 30 bytes, then name, type and comment, each with a NUL."""
        type_name = self.type if self.count == 1 else f"ARRAY [0..{self.count - 1}] OF {self.type}"
        names = [self.name.encode(), type_name.encode(), b""]
        length = 30 + sum(len(n) + 1 for n in names)
        fixed = (length, DATA, self.offset, len(self.data), TYPES[self.type][0], 0, *map(len, names))
        return struct.pack("<6I3H", *fixed) + b"".join(n + b"\0" for n in names)


@dataclass
class Note:
    group: int
    offset: int
    size: int
    on_change: bool
    period_s: float
    due_s: float = 0.0
    last: bytes | None = None


@dataclass
class Faults:
    """What the PLC does wrong at present."""

    silent: bool = False
    error: int = 0
    """ADS error code of every read and write."""
    garbage: bool = False
    half_frame: bool = False
    """Half of the next frame, then nothing more on that connection."""
    no_sums: tuple[int, ...] = ()
    """Sum commands that this device does not have."""
    no_sums_is: str = "refused"
    """How it answers these: that, SILENT, or CUT."""
    state_is_no_value: bool = False
    """The state is told by ReadState alone."""
    foreign_first: bool = False
    """Before each answer, one with another invoke id and other data, and a packet for somebody else."""
    bad_note: bool = False
    """Notifications say more bytes than they have."""
    cut_after: int = -1
    """The connection is cut instead of the answer to the request that comes after so many; -1: never."""
    no_first_note: bool = False
    """The first notification of each handle is lost, as when it overtakes the handle in the client."""


@dataclass
class Session:
    """One client's connection."""

    sock: socket.socket
    peer: tuple[bytes, int] = (b"", 0)
    notes: dict[int, Note] = field(default_factory=dict)
    broken: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)


class AdsPlc:
    """The PLC. `symbols` and `values` are what a test looks at; `requests` counts commands by number."""

    def __init__(self, symbols: list[Symbol], ams_port: int = 851) -> None:
        self.host = own_loopback()
        self.net_id = bytes([*map(int, self.host.split(".")), 1, 1])
        self.ams_port = ams_port
        self.version = 1
        self.state = RUN
        self.asked: list[tuple[int, int, int]] = []
        """(command, index group, index offset) of each request."""
        self.faults = Faults()
        self.requests: dict[int, int] = {}
        self._next_handle, self._next_note = 1, 1
        self.handles: dict[int, str] = {}
        self.load(symbols)
        self._sessions: list[Session] = []
        self._asking, self._program = threading.local(), threading.Lock()
        self._device: TcpDevice | None = None
        self._run = True
        self._pushing = Threads()
        self._pushing.start(self._push_forever)
        self.listen()

    # --- what a test does -------------------------------------------------------------------------------------------

    def load(self, symbols: list[Symbol]) -> None:
        """Lay out the symbols one after the other, aligned to 8 bytes."""
        offset = 16
        for symbol in symbols:
            symbol.offset = offset
            offset += -(-len(symbol.data) // 8) * 8
        self.symbols = {s.name.upper(): s for s in symbols}

    def get(self, name: str) -> object:
        symbol = self.symbols[name.upper()]
        values = struct.unpack(symbol.format, symbol.data)
        return values[0] if symbol.count == 1 else list(values)

    def set(self, name: str, *values: float) -> None:
        symbol = self.symbols[name.upper()]
        symbol.data = struct.pack(symbol.format, *values)

    def notes(self) -> int:
        """How many notifications there are, of all connections."""
        return sum(len(session.notes) for session in self._sessions)

    @property
    def is_idle(self) -> bool:
        """Has everything been heard that came on connections which are over?"""
        return self._device is None or self._device.is_idle

    def online_change(self, symbols: list[Symbol]) -> None:
        """New symbols while running: old handles are invalid, the version differs, connections stay. All at one moment."""
        with self._program:
            self.version += 1
            self.handles = dict.fromkeys(self.handles, "")
            self.load(symbols)

    def cut(self) -> None:
        """Drop every connection."""
        self._sessions = []
        if self._device:
            self._device.hang_up()

    def listen(self) -> None:
        self._device = TcpDevice(self._serve, self.host, PORT)

    def deaf(self) -> None:
        """Stop listening, and drop every connection: the PLC is off."""
        self._sessions = []
        if self._device:
            self._device.close()
            self._device = None

    def close(self) -> None:
        self._run = False
        self._pushing.end()
        self.deaf()

    def __enter__(self) -> "AdsPlc":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    # --- sockets ----------------------------------------------------------------------------------------------------

    def _serve(self, sock: socket.socket) -> None:
        session, stream = Session(sock), sock.makefile("rb")
        self._sessions.append(session)
        try:
            while len(head := stream.read(TCP.size)) == TCP.size:
                reserved, length = TCP.unpack(head)
                assert reserved == 0, f"AMS/TCP command {reserved:#x} is the router's"
                packet = stream.read(length)
                if len(packet) == length and not self.faults.silent:
                    with contextlib.suppress(SilentError):
                        self._send(session, self.answer(session, packet))
        finally:
            with session.lock:
                session.broken = True

    def _send(self, session: Session, packet: bytes) -> None:
        frame = TCP.pack(0, len(packet)) + packet
        if self.faults.foreign_first and packet[16:18] != struct.pack("<H", NOTE):
            invoke = struct.pack("<I", struct.unpack_from("<I", packet, 28)[0] - 1 & 0xFFFF_FFFF)
            frame = TCP.pack(0, len(packet)) + packet[:28] + invoke + packet[32:-1] + b"\xff" + frame
            frame = TCP.pack(0, len(packet)) + b"\1\2\3\4\5\6" + packet[6:] + frame
        if self.faults.garbage:
            frame = b"HTTP/1.1 400 Bad Request\r\n\r\n" * 3
        with session.lock:
            if session.broken:
                return
            session.broken = self.faults.half_frame
            session.sock.sendall(frame[: len(frame) // 2] if session.broken else frame)

    # --- AMS --------------------------------------------------------------------------------------------------------

    def answer(self, session: Session, packet: bytes) -> bytes:
        """One request -> its response."""
        target, port, source, source_port, command, flags, length, _, invoke = AMS.unpack_from(packet)
        data = packet[AMS.size :]
        assert len(data) == length, f"AMS length {length}, but {len(data)} bytes follow"
        assert flags == REQUEST, f"flags {flags:#x}"
        session.peer = (source, source_port)
        self.requests[command] = self.requests.get(command, 0) + 1
        if command in (READ, WRITE, READ_WRITE):
            self.asked.append((command, *struct.unpack_from("<II", data)))
        if self.faults.cut_after >= 0:
            self.faults.cut_after -= 1
            if self.faults.cut_after < 0:
                session.sock.shutdown(socket.SHUT_RDWR)
                raise OSError
        error, body = 0, b""
        if target != self.net_id or port != self.ams_port:
            error = NO_PORT
        elif command not in COMMANDS:
            error = NO_COMMAND
        else:
            with self._program:
                body = self._guarded(session, command, data)
        return AMS.pack(source, source_port, target, port, command, RESPONSE, len(body), error, invoke) + body

    def _guarded(self, session: Session, command: int, data: bytes) -> bytes:
        try:
            if self.faults.error and command in (READ, WRITE, READ_WRITE):
                raise AdsError(self.faults.error)
            return struct.pack("<I", 0) + COMMANDS[command](self, session, data)
        except AdsError as error:
            tail = b"\0\0\0\0" if command in (READ, READ_WRITE) else b""
            return struct.pack("<I", error.code) + tail

    def _device_info(self, session: Session, data: bytes) -> bytes:
        return struct.pack("<BBH16s", 3, 1, 4024, b"Plc30 App")

    def _state(self, session: Session, data: bytes) -> bytes:
        return struct.pack("<HH", self.state, 0)

    def _read(self, session: Session, data: bytes) -> bytes:
        group, offset, size = struct.unpack("<III", data)
        got = self.read(group, offset, size)
        return struct.pack("<I", len(got)) + got

    def _write(self, session: Session, data: bytes) -> bytes:
        group, offset, size = struct.unpack_from("<III", data)
        self.write(group, offset, data[12:], size)
        return b""

    def _read_write(self, session: Session, data: bytes) -> bytes:
        self._asking.session = session
        group, offset, read_size, write_size = struct.unpack_from("<IIII", data)
        got = self.read_write(group, offset, read_size, data[16:], write_size)
        return struct.pack("<I", len(got)) + got

    def _add_note(self, session: Session, data: bytes) -> bytes:
        group, offset, size, mode, _, cycle, _ = struct.unpack("<IIIIII16s", data)
        if mode not in (3, 4):  # ADSTRANS_SERVERCYCLE, ADSTRANS_SERVERONCHA
            raise AdsError(NO_MODE)
        value = self.read(group, offset, size)
        number, self._next_note = self._next_note, self._next_note + 1
        known = value if self.faults.no_first_note else None
        session.notes[number] = Note(group, offset, size, mode == 4, max(cycle * 1e-7, 0.001), last=known)
        return struct.pack("<I", number)

    def _del_note(self, session: Session, data: bytes) -> bytes:
        if session.notes.pop(struct.unpack("<I", data)[0], None) is None:
            raise AdsError(NO_NOTE)
        return b""

    # --- index groups -----------------------------------------------------------------------------------------------

    def read(self, group: int, offset: int, size: int) -> bytes:
        if group == VERSION:
            return bytes([self.version % 256])[:size]
        if (group, offset) == (DEVICE_DATA, 0) and not self.faults.state_is_no_value:
            return struct.pack("<HH", self.state, 0)[:size]
        symbol, start = self._locate(group, offset)
        if start + size > len(symbol.data):
            raise AdsError(BAD_SIZE)
        return symbol.data[start : start + size]

    def write(self, group: int, offset: int, data: bytes, size: int) -> None:
        if len(data) != size:
            raise AdsError(BAD_SIZE)
        if group == RELEASE_HANDLE:
            if size != 4 or self.handles.pop(struct.unpack("<I", data)[0], None) is None:
                raise AdsError(BAD_OFFSET)
            return
        symbol, start = self._locate(group, offset)
        if symbol.read_only:
            raise AdsError(NOT_PERMITTED)
        if start + size > len(symbol.data):
            raise AdsError(BAD_SIZE)
        symbol.data = symbol.data[:start] + data + symbol.data[start + size :]

    def read_write(self, group: int, offset: int, read_size: int, data: bytes, write_size: int) -> bytes:
        if len(data) != write_size:
            raise AdsError(BAD_SIZE)
        if group in self.faults.no_sums:
            if self.faults.no_sums_is == SILENT:
                raise SilentError
            if self.faults.no_sums_is == CUT:
                self._asking.session.sock.shutdown(socket.SHUT_RDWR)
                raise OSError
            raise AdsError(NO_SERVICE)
        if group in (SUM_READ, SUM_WRITE, SUM_READ_WRITE, SUM_ADD_NOTE) and offset > MOST_IN_A_SUM:
            raise AdsError(BAD_SIZE)
        if group == HANDLE_BY_NAME:
            if read_size != 4:
                raise AdsError(BAD_SIZE)
            symbol = self._named(data)
            number, self._next_handle = self._next_handle, self._next_handle + 1
            self.handles[number] = symbol.name
            return struct.pack("<I", number)
        if group == INFO_BY_NAME:
            return self._named(data).entry()[:read_size]
        if group == SUM_READ:
            return self._sum_read(offset, data)
        if group == SUM_WRITE:
            return self._sum_write(offset, data)
        if group == SUM_READ_WRITE:
            return self._sum_read_write(offset, data)
        if group == SUM_ADD_NOTE:
            return self._sum_add_note(offset, data)
        raise AdsError(NO_GROUP)

    def _sum_read(self, count: int, data: bytes) -> bytes:
        """n x (group, offset, size) -> n error codes, then the values, zeros in the place of what failed."""
        if len(data) != 12 * count:
            raise AdsError(BAD_SIZE)
        codes, values = b"", b""
        for group, offset, size in struct.iter_unpack("<III", data):
            code, got = _attempt(lambda g=group, o=offset, s=size: self.read(g, o, s))
            codes += struct.pack("<I", code)
            values += got.ljust(size, b"\0")
        return codes + values

    def _sum_write(self, count: int, data: bytes) -> bytes:
        """n x (group, offset, size), then the values -> n error codes."""
        heads, at, codes = data[: 12 * count], 12 * count, b""
        for group, offset, size in struct.iter_unpack("<III", heads):
            part = data[at : at + size]
            code, _ = _attempt(lambda g=group, o=offset, p=part, s=size: self.write(g, o, p, s))
            codes += struct.pack("<I", code)
            at += size
        if at != len(data):
            raise AdsError(BAD_SIZE)
        return codes

    def _sum_read_write(self, count: int, data: bytes) -> bytes:
        """n x (group, offset, read size, write size), then the input -> n x (error, length), then the output."""
        heads, at, results, values = data[: 16 * count], 16 * count, b"", b""
        for group, offset, read_size, write_size in struct.iter_unpack("<IIII", heads):
            part = data[at : at + write_size]
            work = (group, offset, read_size, part, write_size)
            code, got = _attempt(lambda w=work: self.read_write(*w))
            results += struct.pack("<II", code, len(got))
            values += got
            at += write_size
        return results + values

    def _sum_add_note(self, count: int, data: bytes) -> bytes:
        """n x AddNotification -> n x (error, handle)."""
        if len(data) != 40 * count:
            raise AdsError(BAD_SIZE)
        results = b""
        for at in range(0, len(data), 40):
            code, got = _attempt(lambda a=at: self._add_note(self._asking.session, data[a : a + 40]))
            results += struct.pack("<I", code) + got.ljust(4, b"\0")
        return results

    def _named(self, data: bytes) -> Symbol:
        symbol = self.symbols.get(data.rstrip(b"\0").decode("latin-1").upper())
        if symbol is None:
            raise AdsError(NO_SYMBOL)
        return symbol

    def _locate(self, group: int, offset: int) -> tuple[Symbol, int]:
        if group == VALUE_BY_HANDLE:
            if offset not in self.handles:
                raise AdsError(BAD_OFFSET)
            if not self.handles[offset]:
                raise AdsError(OLD_SYMBOL)
            return self.symbols[self.handles[offset].upper()], 0
        if group != DATA:
            raise AdsError(NO_GROUP)
        for symbol in self.symbols.values():
            if symbol.offset <= offset < symbol.offset + len(symbol.data):
                return symbol, offset - symbol.offset
        raise AdsError(BAD_OFFSET)

    # --- notifications ----------------------------------------------------------------------------------------------

    def _push_forever(self) -> None:
        while self._run:
            time.sleep(0.001)
            if self.faults.silent:
                continue
            for session in list(self._sessions):
                with self._program:
                    samples = self._due(session)
                if samples:
                    try:
                        self._send(session, self._notification(session, samples))
                    except OSError:
                        session.notes.clear()  # the connection is gone

    def _due(self, session: Session) -> list[tuple[int, bytes]]:
        now_s = time.monotonic()
        samples = []
        for number, note in list(session.notes.items()):
            if now_s < note.due_s:
                continue
            note.due_s = now_s + note.period_s
            code, value = _attempt(lambda n=note: self.read(n.group, n.offset, n.size))
            if code == 0 and not (note.on_change and value == note.last):
                note.last = value
                samples.append((number, value))
        return samples

    def _notification(self, session: Session, samples: list[tuple[int, bytes]]) -> bytes:
        """One stamp (FILETIME: 100 ns since 1601) with all samples that are due."""
        stamp = (time.time_ns() + 11_644_473_600 * 10**9) // 100
        body = struct.pack("<QI", stamp, len(samples))
        body += b"".join(struct.pack("<II", number, len(value)) + value for number, value in samples)
        body = struct.pack("<II", len(body) + 4, 1) + body
        net_id, port = session.peer
        if self.faults.bad_note:
            body = struct.pack("<II", len(body) + 100, 7) + body[8:]
        return AMS.pack(net_id, port, self.net_id, self.ams_port, NOTE, REQUEST, len(body), 0, 0) + body


def own_loopback() -> str:
    """An address of the loopback network whose port 48898 is free: AdsLib connects to no other port."""
    while True:
        host = f"127.{random.randint(1, 254)}.{random.randint(0, 254)}.{random.randint(2, 254)}"
        try:
            socket.create_server((host, PORT)).close()
        except OSError:
            continue
        return host


def _attempt(work):  # type: ignore[no-untyped-def]
    """(error code, result) of one item of a sum command."""
    try:
        return 0, work() or b""
    except AdsError as error:
        return error.code, b""


COMMANDS = {
    DEVICE_INFO: AdsPlc._device_info,
    READ: AdsPlc._read,
    WRITE: AdsPlc._write,
    STATE: AdsPlc._state,
    ADD_NOTE: AdsPlc._add_note,
    DEL_NOTE: AdsPlc._del_note,
    READ_WRITE: AdsPlc._read_write,
}
