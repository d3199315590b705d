"""pymodbus' clients, made to keep a deadline and to tell failures apart.

pymodbus frames, numbers transactions and matches answers. Added here, because a control loop needs it:
- one absolute deadline per exchange; pymodbus waits up to twice its timeout;
- the TCP stream is cut into whole frames before pymodbus sees it, so that half a frame or a foreign protocol is noticed
  (its TLS framer does not reassemble at all, its TCP framer waits for ever on a wrong protocol id);
- outputs that grew too old are not sent: looked at right before the system call;
- TCP_NODELAY, and a TLS server's name checked against its certificate;
- bodies are passed as bytes: `fieldbus.codec` does the values.
"""

import fcntl
import socket
import ssl
import struct
import termios
import time
from contextlib import suppress
from typing import Any, Protocol

from pymodbus.client import ModbusTcpClient, ModbusTlsClient
from pymodbus.exceptions import ConnectionException, ModbusException
from pymodbus.pdu import ModbusPDU

from fieldbus.errors import BusyError, ConnectionLostError, GarbageError, NoAnswerError, RefusedError, cause
from fieldbus.link.ports import NEVER, check_age
from fieldbus.modbus.habits import NONE, Habits
from fieldbus.modbus.protocol import MASK_REGISTER, MOST_PDU, PASSING, meaning_of
from fieldbus.modbus.requests import READ_FUNCTION, READ_WRITE, WRITE_MANY, WRITE_ONE

MBAP_BYTES = 7  # transaction id, protocol id (0), length of what follows, unit id
TRANSACTION, LENGTH, UNIT = slice(0, 2), slice(4, 6), 6
LENGTHS = range(3, MOST_PDU + 2)  # unit id, function code and 1 to 252 bytes
_NS = 1_000_000_000


class RawRequest(ModbusPDU):
    """A request whose body is bytes already."""

    def __init__(self, unit: int, function: int, body: bytes) -> None:
        super().__init__(dev_id=unit)
        self.function_code = function
        self.body = body

    def encode(self) -> bytes:
        """The body."""
        return self.body


class RawAnswer(ModbusPDU):
    """An answer whose body stays bytes."""

    body = b""

    def decode(self, data: bytes) -> None:
        """Keep the body."""
        self.body = bytes(data)


def _answer(function: int) -> type[RawAnswer]:
    return type(f"RawAnswer{function}", (RawAnswer,), {"function_code": function})


_FUNCTIONS = (*READ_FUNCTION.values(), READ_WRITE, *WRITE_ONE.values(), *WRITE_MANY.values(), MASK_REGISTER)
_ANSWERS = [_answer(function) for function in _FUNCTIONS]


class Client(Protocol):
    """What a link asks of a connection."""

    def dial(self, deadline_ns: int) -> None:
        """Connect; raises `ConnectionLostError`."""

    def close(self) -> None:
        """Drop the connection, if any."""

    def fileno(self) -> int:
        """The descriptor of the connection, made so that nothing blocks on it."""


class _Asking:
    """Mixed into a pymodbus client: one round trip with a deadline."""

    deadline_ns = 0
    until_ns = NEVER

    def accept_raw(self: Any) -> None:
        for answer in _ANSWERS:
            self.register(answer)

    def remaining_s(self) -> float:
        """Time until the deadline; raises `NoAnswerError` when there is none."""
        left_ns = self.deadline_ns - time.monotonic_ns()
        if left_ns <= 0:
            raise NoAnswerError("no answer in time")
        return left_ns / _NS

    def ask(self: Any, unit: int, function: int, body: bytes, deadline_ns: int, until_ns: int = NEVER) -> bytes:
        """One round trip; gives the answer's body, or raises a `DeviceError`.

        After `until_ns` nothing is sent, but `OutdatedError` raised.
        """
        answer = self._executed(RawRequest(unit, function, body), deadline_ns, until_ns)
        if answer.isError():
            code = answer.exception_code
            raise (BusyError if code in PASSING else RefusedError)(f"exception {code}, {meaning_of(code)}", code)
        if answer.function_code != function:
            raise GarbageError(f"unit {unit}: asked with FC {function}, answered with FC {answer.function_code}")
        body_back: bytes = answer.body
        return body_back

    def _executed(self: Any, request: RawRequest, deadline_ns: int, until_ns: int) -> Any:
        self.deadline_ns, self.until_ns = deadline_ns, until_ns
        try:
            return self.execute(False, request)
        except ConnectionException as error:
            raise ConnectionLostError(str(error)) from error
        except (ModbusException, TimeoutError) as error:
            if isinstance(error, TimeoutError):
                raise NoAnswerError("no answer in time") from error
            raise GarbageError(f"unit {request.dev_id} FC {request.function_code}: {error}") from error


_DROP = struct.pack("ii", 1, 0)
"""struct linger: what is under way is thrown away when the socket is closed. Else the system sends it for minutes, tcp(7)."""


def _is_under_way(sock: socket.socket) -> bool:
    """Has the other side not confirmed all that was sent (SIOCOUTQ)?"""
    (nbytes,) = struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4)))
    return bool(nbytes)


class TcpClient(_Asking, ModbusTcpClient):
    """Modbus TCP."""

    def __init__(self, host: str, port: int, habits: Habits = NONE) -> None:
        ModbusTcpClient.__init__(self, host, port=port, retries=0)
        self._start(habits)

    def _start(self, habits: Habits) -> None:
        self._habits = habits
        self._received = bytearray()
        self._asked = bytes(MBAP_BYTES)
        self._foreign = ""
        self.accept_raw()

    def dial(self, deadline_ns: int) -> None:
        """Connect; raises `ConnectionLostError`."""
        self.deadline_ns = deadline_ns
        self.close()
        self._received.clear()
        host, port = self.comm_params.host, self.comm_params.port
        try:
            sock = socket.create_connection((host, port), timeout=self.remaining_s())
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.socket = self.secure(sock)
        except (OSError, UnicodeError) as error:
            raise ConnectionLostError(f"cannot connect to {host}:{port}: {cause(error)}") from error

    def close(self) -> None:
        """Drop the connection, if any; what has not reached the device yet never will: it would arrive when it is old."""
        if self.socket is not None:
            with suppress(OSError):  # the connection is gone already
                if _is_under_way(self.socket):
                    self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _DROP)
            self.socket.close()
        self.socket = None

    def fileno(self) -> int:
        """The descriptor of the connection, made so that nothing blocks on it."""
        assert self.socket
        self.socket.setblocking(False)
        return int(self.socket.fileno())

    def secure(self, sock: socket.socket) -> socket.socket:
        """The socket to talk through."""
        return sock

    def connect(self) -> bool:
        """pymodbus asks before each request; only `dial` connects."""
        return self.socket is not None

    def send(self, request: bytes, addr: tuple[Any, ...] | None = None) -> int:
        """Send a frame, whole."""
        assert self.socket
        try:
            if self._habits.any_transaction_id:
                self._throw_away()
            self.socket.settimeout(self.remaining_s())
            check_age(self.until_ns)
            self._asked, self._foreign = request, ""
            self.socket.sendall(request)
        except OSError as error:
            raise ConnectionLostError(f"sending failed: {error}") from error
        return len(request)

    def recv(self, size: int | None) -> bytes:
        """One whole answer to what was asked, whatever the pieces that it came in; others are passed over."""
        while True:
            frame = self._next_frame()
            if not frame:
                self._receive()
            elif answer := self._own(frame):
                return answer

    def _own(self, frame: bytes) -> bytes:
        """The frame, with the numbers of what was asked; empty if it answers something else, which is noted."""
        asked, habits = self._asked, self._habits
        if frame[TRANSACTION] != asked[TRANSACTION] and not habits.any_transaction_id:
            came, wanted = (int.from_bytes(part[TRANSACTION], "big") for part in (frame, asked))
            self._foreign = (
                f"an answer with transaction id {came} came where {wanted} was asked; "
                "if this device always answers so: set any_transaction_id = true"
            )
            return b""
        if frame[UNIT] != asked[UNIT] and not habits.any_unit:
            self._foreign = (
                f"an answer of unit {frame[UNIT]} came where unit {asked[UNIT]} was asked; "
                "if this device always answers so: set any_unit = true"
            )
            return b""
        return asked[TRANSACTION] + frame[2:UNIT] + asked[UNIT : UNIT + 1] + frame[MBAP_BYTES:]

    def _throw_away(self) -> None:
        """What came before the question is no answer to it: a late one, or a second one."""
        assert self.socket
        self._received.clear()
        self.socket.setblocking(False)
        with suppress(BlockingIOError, ssl.SSLWantReadError):
            while self.socket.recv(4096):
                pass

    def _next_frame(self) -> bytes:
        data = self._received
        if len(data) < MBAP_BYTES:
            return b""
        length = int.from_bytes(data[LENGTH], "big")
        if data[2:4] != b"\0\0" or length not in LENGTHS:
            raise GarbageError(f"not a Modbus frame: {bytes(data[:MBAP_BYTES]).hex(' ')}")
        end = MBAP_BYTES - 1 + length  # the length counts from the unit id on
        if len(data) < end:
            return b""
        frame = bytes(data[:end])
        del data[:end]
        return frame

    def _receive(self) -> None:
        assert self.socket
        try:
            self.socket.settimeout(self.remaining_s())
            more = self.socket.recv(4096)
        except (TimeoutError, NoAnswerError):
            half = f"half an answer: {bytes(self._received).hex(' ')} in time" if self._received else ""
            raise NoAnswerError(half or self._foreign or "no answer in time") from None
        except OSError as error:
            raise ConnectionLostError(f"receiving failed: {error}") from error
        if not more:
            raise ConnectionLostError("the device closed the connection")
        self._received += more


class TlsClient(TcpClient, ModbusTlsClient):
    """Modbus TCP security: the same frames in TLS."""

    def __init__(self, host: str, port: int, context: ssl.SSLContext, server_name: str, habits: Habits = NONE) -> None:
        ModbusTlsClient.__init__(self, host, port=port, sslctx=context, retries=0)
        self._context, self._server_name = context, server_name or host
        self._start(habits)

    def secure(self, sock: socket.socket) -> socket.socket:
        """Shake hands; the certificate must be valid, and for this server's name."""
        sock.settimeout(self.remaining_s())
        return self._context.wrap_socket(sock, server_hostname=self._server_name)
