"""One client's requests: request PDU in, answer PDU out. No sockets, no frames, never an error.

    answer(pdu)  ->  bytes    the answer
                     Job      a slow model: job.run() in a thread, then job.finish() for the answer

A request is one moment: each area is read once, everything that is written to an area is published at once. Writes come
before reads; a request that is refused writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fieldbus.modbus import protocol
from fieldbus.modbus.protocol import Code
from plc_bindings.calls.predict import Predictor
from plc_bindings.data.database import NotAllowedError, Session
from plc_bindings.modbus.blocks import PredictBlock
from plc_bindings.modbus.pdu import (
    Refused,
    coil,
    exception,
    identification,
    mask,
    read_range,
    read_write_range,
    single,
    write_range,
)
from plc_bindings.modbus.plan import Inputs, Planner, ReadPlan, Result, SharedBlock, WritePlan


@dataclass(frozen=True, slots=True)
class Job:
    """Models that take long. `run` touches nothing but them; `finish` gives the answer, in the servers' thread."""

    run: Callable[[], None]
    finish: Callable[[], bytes]


class ModbusSession:
    """What one connection knows.

    Args:
        planner: of the server.
        values: this connection's session of the database.
        predictor: this connection's calls.
        objects: what function code 43/14 tells.
        refused: is told of writes that are refused.
    """

    def __init__(
        self,
        planner: Planner,
        values: Session,
        predictor: Predictor,
        objects: Sequence[bytes],
        refused: Callable[[str], None] = lambda what: None,
    ) -> None:
        self._planner, self._values, self._predictor = planner, values, predictor
        self._objects, self._refused = objects, refused
        self._blocks: dict[int, PredictBlock] = {}
        self._exchanges: dict[bytes, tuple[ReadPlan, WritePlan]] = {}
        self._called: SharedBlock | None = None
        self._functions: dict[int, Callable[[bytes], bytes | Job]] = {
            protocol.READ_COILS: self._read_coils,
            protocol.READ_DISCRETE_INPUTS: self._read_coils,
            protocol.READ_HOLDING_REGISTERS: self._read_registers,
            protocol.READ_INPUT_REGISTERS: self._read_registers,
            protocol.WRITE_COIL: self._write_coil,
            protocol.WRITE_REGISTER: self._write_register,
            protocol.WRITE_COILS: self._write_coils,
            protocol.WRITE_REGISTERS: self._write_registers,
            protocol.MASK_REGISTER: self._mask_register,
            protocol.READ_WRITE_REGISTERS: self._read_write,
            protocol.ENCAPSULATED: self._identification,
        }

    def answer(self, pdu: bytes) -> bytes | Job:
        """The answer to a request; never raises."""
        if not pdu:
            return exception(0, Code.ILLEGAL_FUNCTION)
        function = self._functions.get(pdu[0])
        if function is None:
            return exception(pdu[0], Code.ILLEGAL_FUNCTION)
        try:
            return function(pdu)
        except Exception as error:
            return self._refusal(pdu[0], error)

    def close(self) -> None:
        """The client is gone."""
        self._predictor.close()

    def called(self) -> PredictBlock | None:
        """The block whose model the newest request called with all its inputs and for all its outputs, in a short time."""
        shared, self._called = self._called, None
        return None if shared is None else self._block(shared)

    def _refusal(self, function: int, error: Exception) -> bytes:
        if isinstance(error, Refused):
            if error.why:
                self._refused(error.why)
            return exception(function, error.code)
        if isinstance(error, NotAllowedError):
            return exception(function, Code.ILLEGAL_ADDRESS)
        self._refused(f"function code {function} failed: {error!r}")
        return exception(function, Code.DEVICE_FAILURE)

    def _read_coils(self, pdu: bytes) -> bytes:
        address, quantity = read_range(pdu, protocol.READ_BITS)
        plan = self._planner.read_coils(address, quantity)
        self._values.begin()
        bits = plan.read(self._values)
        return bytes((pdu[0], len(bits))) + bits

    def _read_registers(self, pdu: bytes) -> bytes | Job:
        return self._read(pdu[0], self._planner.read(*read_range(pdu, protocol.READ_REGISTERS)))

    def _write_coil(self, pdu: bytes) -> bytes:
        address, value = coil(pdu)
        self._put_coils(address, 1, bytes((value,)))
        return pdu

    def _write_coils(self, pdu: bytes) -> bytes:
        address, quantity, data = write_range(pdu, protocol.WRITE_BITS, 8)
        self._put_coils(address, quantity, data)
        return pdu[:5]

    def _put_coils(self, address: int, quantity: int, data: bytes) -> None:
        plan = self._planner.write_coils(address, quantity)
        self._values.begin()
        plan.write(self._values, data)
        self._values.commit()

    def _write_register(self, pdu: bytes) -> bytes:
        address, data = single(pdu)
        self._write(self._planner.write(address, 1), data)
        return pdu

    def _write_registers(self, pdu: bytes) -> bytes:
        address, quantity, data = write_range(pdu, protocol.WRITE_MOST, 0)
        self._write(self._planner.write(address, quantity), data)
        return pdu[:5]

    def _mask_register(self, pdu: bytes) -> bytes:
        """6.16: result = (current AND and-mask) OR (or-mask AND NOT and-mask)."""
        address, keep, put = mask(pdu)
        plan = self._planner.write(address, 1)
        now = int.from_bytes(self._pieces(self._planner.read(address, 1)), "big")
        self._write(plan, (now & keep | put & ~keep).to_bytes(2, "big"))
        return pdu

    def _read_write(self, pdu: bytes) -> bytes | Job:
        plans = self._exchanges.get(pdu[:10])
        if plans is None or len(pdu) != 10 + pdu[9]:
            read, write = read_write_range(pdu)
            if len(self._exchanges) >= 64:
                self._exchanges.clear()
            plans = self._exchanges[pdu[:10]] = (self._planner.read(*read), self._planner.write(*write))
        self._write(plans[1], pdu[10:])
        answer = self._read(protocol.READ_WRITE_REGISTERS, plans[0])
        self._called = None if isinstance(answer, Job) else _whole_call(*plans)
        return answer

    def _identification(self, pdu: bytes) -> bytes:
        return identification(pdu, self._objects)

    def _write(self, plan: WritePlan, data: bytes) -> None:
        """All or nothing: every value is checked before the first is staged."""
        if plan.plain is not None:
            self._block(plan.plain.shared).write(plan.plain.start, data)
            return
        decoded = [(piece, piece.decode(data[start:stop])) for start, stop, piece in plan.pieces]
        self._values.begin()
        for piece, part in decoded:
            if isinstance(piece, Inputs):
                self._block(piece.shared).write(piece.start, part)
            else:
                piece.write(self._values, part)
        self._values.commit()

    def _read(self, function: int, plan: ReadPlan) -> bytes | Job:
        stale = [block for shared in plan.results if (block := self._block(shared)).is_stale]
        for block in stale:
            if block.is_slow:
                return self._job(function, plan, stale)
            block.run()
        data = self._pieces(plan)
        return bytes((function, len(data))) + data

    def _job(self, function: int, plan: ReadPlan, blocks: Sequence[PredictBlock]) -> Job:
        def run() -> None:
            for block in blocks:
                if block.is_stale:
                    block.run()

        def finish() -> bytes:
            try:
                data = self._pieces(plan)
                return bytes((function, len(data))) + data
            except Exception as error:
                return self._refusal(function, error)

        return Job(run, finish)

    def _pieces(self, plan: ReadPlan) -> bytes:
        if plan.has_values:
            self._values.begin()
        parts = []
        for piece in plan.pieces:
            if isinstance(piece, Result):
                parts.append(self._block(piece.shared).result[piece.start : piece.stop])
            elif isinstance(piece, Inputs):
                parts.append(bytes(self._block(piece.shared).inputs[piece.start : piece.stop]))
            else:
                parts.append(piece.read(self._values))
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _block(self, shared: SharedBlock) -> PredictBlock:
        block = self._blocks.get(shared.index)
        if block is None:
            block = self._blocks[shared.index] = PredictBlock(shared, self._predictor)
        return block


def _whole_call(read: ReadPlan, write: WritePlan) -> SharedBlock | None:
    """The model, if all its inputs are written at once, and its whole result is read and nothing else."""
    piece, inputs = read.pieces[0], write.plain
    if inputs is None or len(read.pieces) != 1 or not isinstance(piece, Result) or piece.shared is not inputs.shared:
        return None
    shared = piece.shared
    is_whole = (inputs.start, inputs.stop, piece.start, piece.stop) == (
        *(0, shared.inputs.wire_size),
        *(0, shared.result.wire_size),
    )
    return shared if is_whole else None
