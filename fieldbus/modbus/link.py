"""The Modbus link: TCP and RTU exchange natively, TLS through pymodbus' client."""

import os
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray

from fieldbus.codec import WORD_BYTES, Field
from fieldbus.errors import BusyError, ConnectionLostError, DeviceError, GarbageError, NoAnswerError, RefusedError
from fieldbus.exchange.block import MOST_NUMBERS_LATE, Event
from fieldbus.exchange.link import Connection, How, NativeLink, shown_bytes
from fieldbus.exchange.memory import Note
from fieldbus.exchange.plan import Line, Transaction
from fieldbus.exchange.plan import Plan as ExchangePlan
from fieldbus.link.link import NS, log
from fieldbus.link.ports import NEVER
from fieldbus.link.values import Travelled
from fieldbus.modbus.address import ModbusAddress
from fieldbus.modbus.client import Client, TcpClient, TlsClient
from fieldbus.modbus.habits import NONE, Habits
from fieldbus.modbus.lengths import Lengths
from fieldbus.modbus.plan import BIT_TABLES, KeptWord, Options, Plan, kept_words, make_plan
from fieldbus.modbus.protocol import (
    MASK_REGISTER,
    READ_HOLDING_REGISTERS,
    READ_INPUT_REGISTERS,
    READ_WRITE_REGISTERS,
    REFUSED,
    WRITE_REGISTERS,
    Code,
    meaning_of,
)
from fieldbus.modbus.requests import READ_WRITE, MaskWrite, Read, Request, Write
from fieldbus.modbus.serial_line import fences, heard, line_of
from fieldbus.modbus.serial_port import SerialPort
from fieldbus.modbus.transactions import MBAP_BYTES, rtu_frames, tcp_frames, transaction
from fieldbus.tags import Tag

TRIES_IN_TIMEOUT = 0.3
"""An answer is waited for so much of the timeout; then the question is asked again, on the same connection."""

AFTER_A_COUNT = (READ_HOLDING_REGISTERS, READ_INPUT_REGISTERS, WRITE_REGISTERS, READ_WRITE_REGISTERS)
"""Function codes whose registers lie behind an odd number of bytes."""
LACKED = {READ_WRITE: "fc23", MASK_REGISTER: "mask_writes"}
"""Function code -> the key that asks for it."""


@dataclass(frozen=True, slots=True)
class Tcp:
    """Modbus TCP to `host`."""

    host: str
    port: int = 502

    def client(self, habits: Habits = NONE) -> Client:
        """A client that is not connected yet."""
        return TcpClient(self.host, self.port, habits)


@dataclass(frozen=True, slots=True)
class Tls:
    """Modbus TCP in TLS. `ca` (a PEM file) vouches for the server, `certificate` and `key` (PEM files) for us.

    Without `ca` the system's authorities do. The server's certificate must be for `server_name`, by default `host`.
    """

    host: str
    port: int = 802
    ca: str | None = None
    certificate: str | None = None
    key: str | None = None
    server_name: str = ""

    def client(self, habits: Habits = NONE) -> Client:
        """A client that is not connected yet; raises `OSError` if a file cannot be read."""
        context = ssl.create_default_context(cafile=self.ca)
        if self.certificate:
            context.load_cert_chain(self.certificate, self.key)
        return TlsClient(self.host, self.port, context, self.server_name, habits)


@dataclass(frozen=True, slots=True)
class Rtu:
    """Modbus RTU on the serial port `device`. An answer that takes longer than `answer_s` is lost, and asked for again.

    The specification's default is 19200 baud, even parity, one stop bit (and two stop bits without parity).
    """

    device: str
    baudrate: int = 19200
    parity: Literal["N", "E", "O"] = "E"
    stopbits: int = 1
    answer_s: float = 0.1

    def client(self, habits: Habits = NONE) -> Client:
        """A port that is not open yet."""
        return SerialPort(self.device, self.baudrate, self.parity, self.stopbits)

    def line(self, habits: Habits = NONE) -> Line:
        """Its times."""
        return line_of(self.baudrate, self.parity, self.stopbits, habits)


class ModbusLink(NativeLink):
    """Moves tags with a `ModbusAddress`, in as few requests as the protocol's limits allow.

    Args:
        transport: `Tcp`, `Tls` or `Rtu`.
        gap: read over holes of at most this many addresses, to save requests. Some devices refuse addresses that they
            do not have, so it is 0 unless you know better.
        read_write: join writes and reads of holding registers into function code 23: one round trip where there were
            two. Not every device has it.
        single_writes: write a lone coil or register with function code 5 or 6; False for devices without these.
        options: these three, and all others.
        habits: what the device does otherwise than specified.
    """

    def __init__(
        self,
        name: str,
        tags: Sequence[Tag],
        transport: Tcp | Tls | Rtu,
        cycle_s: float = 0.01,
        timeout_s: float = 0.5,
        *,
        gap: int = 0,
        read_write: bool = False,
        single_writes: bool = True,
        options: Options | None = None,
        habits: Habits = NONE,
        backoff_s: tuple[float, float] = (0.05, 2.0),
        exchange: How = "own-thread",
    ) -> None:
        options = options or Options(gap=gap, read_write=read_write, single_writes=single_writes)
        if isinstance(transport, Rtu):
            options = replace(options, broadcasts=True)
        super().__init__(
            name, [*tags, *kept_words(tags, options)], cycle_s, timeout_s, backoff_s=backoff_s, exchange=exchange
        )
        self.tags = tuple(tags)
        self.transport = transport
        self.lengths = Lengths(options, lambda chosen: make_plan(self._in.cells, self._out.cells, chosen))
        self._travelled = Travelled(self.plan.codecs)
        self.confirms = all(request.answered for request in self.plan.writes)
        self._kept = self._in.cells.of([t for t in self._in.cells.tags.values() if isinstance(t.address, KeptWord)])
        self.habits = habits
        self.connect_pause_ns, self.request_pause_ns = (
            round(habits.connect_pause_s * NS),
            round(habits.request_pause_s * NS),
        )
        self._quiet_until_ns = 0
        self._client = transport.client(habits)
        self._answer_ns = round((transport.answer_s if isinstance(transport, Rtu) else timeout_s) * NS)
        self._laid: tuple[Plan, ExchangePlan] = (self.plan, self._native_plan())

    @property
    def plan(self) -> Plan:
        """What an exchange asks; another one when the device refuses long requests."""
        return self.lengths.plan

    @property
    def requests(self) -> Sequence[Request]:
        """What an exchange asks, in its order."""
        return self.plan.requests

    def _raw(self, tag: Tag) -> bytes:
        """Whole registers; nothing of coils, whose values are what travels."""
        is_coil = isinstance(tag.address, ModbusAddress) and tag.address.table in BIT_TABLES
        if is_coil:
            return b""
        return self._travelled.raw(tag.name) if isinstance(self.transport, Tls) else super()._raw(tag)

    def _place(self, transaction: int, field: Field) -> slice:
        """A bit is shown with the whole of its register."""
        place = super()._place(transaction, field)
        if field.bit is None:
            return place
        begin = field.byte - (field.byte + (self._laid[0].requests[transaction].function in AFTER_A_COUNT)) % WORD_BYTES
        return slice(begin, begin + WORD_BYTES)

    # --- native -------------------------------------------------------------------------------------------------------

    def _native_plan(self) -> ExchangePlan:
        plan, habits, transport = self.plan, self.habits, self.transport
        line = transport.line(habits) if isinstance(transport, Rtu) else None
        return ExchangePlan(
            frames=rtu_frames(line) if line else tcp_frames(any_number=habits.any_transaction_id),
            transactions=tuple(
                transaction(request, serial=line is not None, any_unit=habits.any_unit) for request in plan.requests
            ),
            writes=len(plan.before) + len(plan.middle),
            answer_ns=self._answer_ns if line else round(self.timeout_s * TRIES_IN_TIMEOUT * NS),
            pause_ns=max(self.request_pause_ns, line.quiet_ns if line else 0),
            fences=fences(plan.requests, habits.any_unit) if line else (),
        )

    def _connection(self) -> Connection | None:
        """TLS is exchanged with in Python."""
        if isinstance(self.transport, Tls):
            return None
        if self._is_outdated():
            self._laid = (self.plan, self._native_plan())
        is_socket = isinstance(self.transport, Tcp)
        return Connection(self._client.fileno(), self._laid[1], is_socket, begin_ns=self._quiet_until_ns)

    def _is_outdated(self) -> bool:
        """Has another plan been made since the one that is carried out?"""
        return self._laid[0] is not self.plan

    def _was_good(self) -> None:
        if words := self.lengths.accepted():
            self._note = words
            log.warning("link %s: %s", self.name, words)

    def _error_of(self, note: Note) -> DeviceError:
        if isinstance(self.transport, Rtu):
            if note.event in (Event.CLOSED, Event.FAILED):
                why = f": {os.strerror(note.error)}" if note.error else ""
                return ConnectionLostError(f"the serial port {self.transport.device} is gone{why}")
            if note.event is Event.NOT_SENT:
                return ConnectionLostError(f"the serial port {self.transport.device} takes no more bytes")
            if note.event in (Event.MISSED, Event.SILENT, Event.UNEXPECTED) and note.transaction >= 0:
                words = heard(self.exchange.asked(note.transaction), note.frame, self.habits.echo)
                label = self._transaction(note).label
                return GarbageError(f"{label}: {words}") if words else NoAnswerError(f"{label}: no answer in time")
        return super()._error_of(note)

    def _named(self, transaction: Transaction, frame: bytes, note: Note) -> DeviceError:
        request = self._laid[0].requests[note.transaction]
        head = 0 if isinstance(self.transport, Rtu) else MBAP_BYTES - 1
        unit, function = frame[head], frame[head + 1]
        if function & REFUSED and len(frame) > head + 2:
            code = frame[head + 2]
            return RefusedError(f"{request}: exception {code}, {meaning_of(code)}{self._remedy(request, code)}", code)
        if frame[2:4] != b"\0\0":
            return GarbageError(f"{request}: {self._no_frame(frame)}")
        if unit != request.unit:
            return GarbageError(
                f"{request}: an answer of unit {unit} came where unit {request.unit} was asked; "
                "if this device always answers so: set any_unit = true"
            )
        if function != request.function:
            return GarbageError(f"{request}: asked with FC {request.function}, answered with FC {function}")
        try:
            sent = self.exchange.asked(note.transaction)
            request.accept(sent[MBAP_BYTES + 1 :], frame[MBAP_BYTES + 1 :], np.zeros(self._in.cells.count))
        except GarbageError as error:
            return error
        return GarbageError(f"{request}: not the answer that was expected: {shown_bytes(frame)}")

    def _deaf(self) -> str:
        if self.connect_pause_ns or self.request_pause_ns:
            return ""
        return '; if it hears nothing right after connecting: connect_pause = "500 ms", or between requests: request_pause = "20 ms"'

    def _no_frame(self, frame: bytes) -> str:
        return f"not a Modbus frame: {shown_bytes(frame[:MBAP_BYTES])}"

    def _named_unasked(self, note: Note) -> DeviceError:
        if note.frame[2:4] != b"\0\0":
            return GarbageError(self._no_frame(note.frame))
        number = int.from_bytes(note.frame[:2], "big")
        return GarbageError(self._other_number(number, note.number))

    def _other_number(self, came: int, asked: int) -> str:
        late = "it is a late one, or, " if 0 < (asked - came) & 0xFFFF <= MOST_NUMBERS_LATE else ""
        return (
            f"an answer with transaction id {came} came where {asked} was asked; {late}"
            "if this device always answers so: set any_transaction_id = true"
        )

    # --- in Python ----------------------------------------------------------------------------------------------------

    def _open(self, deadline_ns: int) -> None:
        self._client.dial(deadline_ns)
        self._quiet_until_ns = time.monotonic_ns() + self.connect_pause_ns
        self._be_quiet()

    def _close(self) -> None:
        self._client.close()

    def _exchange(self, outputs: NDArray[np.float64], inputs: NDArray[np.float64], deadline_ns: int) -> int:
        asked_ns = self._ask_all(self.requests, outputs, inputs, deadline_ns)
        self._was_good()
        return asked_ns

    def _write_in_python(self, outputs: NDArray[np.float64], deadline_ns: int) -> None:
        self._ask_all(self.plan.to_write, outputs, self._in.incoming, deadline_ns)

    def _ask_all(
        self,
        requests: Sequence[Request],
        outputs: NDArray[np.float64],
        inputs: NDArray[np.float64],
        deadline_ns: int,
    ) -> int:
        """Every request; a refusal is raised after the others: it must not keep other outputs at an old value.

        A write whose word could not be read is left out: its other bits are not known. Gives when the first that reads was sent.
        """
        inputs[self._kept] = np.nan
        failed: DeviceError | None = None
        asked_ns = 0
        for request in requests:
            if not request.is_ready(inputs):
                continue
            self._be_quiet()
            if not asked_ns and not isinstance(request, Write | MaskWrite):
                asked_ns = time.monotonic_ns()
            try:
                self._ask(request, outputs, inputs, deadline_ns)
            except RefusedError as error:
                failed = error if failed is None or isinstance(failed, BusyError) else failed
        if failed:
            raise failed
        return asked_ns or time.monotonic_ns()

    def _ask(
        self, request: Request, outputs: NDArray[np.float64], inputs: NDArray[np.float64], deadline_ns: int
    ) -> None:
        body = request.body(outputs, inputs)
        deadline_ns = min(deadline_ns, time.monotonic_ns() + self._answer_ns)
        until_ns = NEVER if isinstance(request, Read) else self._out.until_ns
        where = request.unit, request.function, body, deadline_ns, until_ns
        try:
            request.accept(body, cast("TcpClient", self._client).ask(*where), inputs)
        except RefusedError as error:
            raise type(error)(f"{request}: {error}{self._remedy(request, error.code)}", error.code) from error
        finally:
            self._quiet_until_ns = time.monotonic_ns() + self.request_pause_ns

    def _be_quiet(self) -> None:
        """Wait as long as the device needs between two requests."""
        left_ns = self._quiet_until_ns - time.monotonic_ns()
        if left_ns > 0:
            time.sleep(left_ns / NS)

    def _remedy(self, request: Request, code: int) -> str:
        """What to write about a refusal, where that is known."""
        if code == Code.ILLEGAL_FUNCTION and request.function in LACKED:
            return f"; the device lacks function code {request.function}: set {LACKED[request.function]} = false"
        if self.lengths.refused(request, code):
            self._travelled = Travelled(self.plan.codecs)
            return f"; asked again in shorter requests ({self.lengths.keys() or 'in vain: as declared'})"
        if isinstance(request, Read) and request in self.plan.before:
            return (
                "; bits of this word are outputs, and the others cannot be kept: set mask_writes = true if the device has "
                'function code 22, or other_bits = "zero" if nobody uses them'
            )
        return ""
