"""One connection's predict block: inputs that are its own, and the outputs of the newest call.

write inputs   ->   stale
read result    ->   stale and all inputs written: run the model; else the result as it is
"""

from __future__ import annotations

from plc_bindings.calls.predict import RESULT, Predictor
from plc_bindings.data.models import Served
from plc_bindings.modbus.plan import SharedBlock
from plc_bindings.status import CallStatus
from rt_engine import Context


class PredictBlock:
    """Inputs and result of one model for one connection, as registers."""

    def __init__(self, shared: SharedBlock, predictor: Predictor) -> None:
        self.shared, self._predictor = shared, predictor
        self.inputs = bytearray(shared.inputs.wire_size)
        self._unwritten: bytearray | None = bytearray(b"\1" * len(self.inputs))
        self._served = shared.block.served
        self._size = shared.result.size
        self.is_stale = False
        self.result = b""
        self._show(RESULT.pack(CallStatus.WRONG_SIZE, self._served.slot.version))

    @property
    def is_slow(self) -> bool:
        """Will the next call keep others waiting?"""
        return self._predictor.is_slow(self._served)

    def write(self, start: int, data: bytes) -> None:
        """Take inputs from byte `start` on."""
        stop = start + len(data)
        self.inputs[start:stop] = data
        unwritten = self._unwritten
        if unwritten is None:
            self.is_stale = True
            return
        unwritten[start:stop] = bytes(len(data))
        if not any(unwritten):
            self._unwritten = None
            self.is_stale = True

    def run(self) -> None:
        """Call the model. In any thread, but in one at a time."""
        self.is_stale = False
        try:
            answer = self._predictor.call(self._served.number, self.shared.inputs.to_memory(self.inputs))
        except Exception:
            answer = RESULT.pack(CallStatus.INTERNAL, self._served.slot.version)
        self._show(answer)

    def called(self) -> tuple[Served, Context, int] | None:
        """(model, this connection's context, its version)."""
        return self._predictor.caller(self._served.number)

    def show(self, inputs: bytes, result: bytes) -> None:
        """The model was called elsewhere: these are the registers now."""
        self.inputs[:] = inputs
        self._unwritten, self.is_stale, self.result = None, False, result

    def _show(self, answer: bytes) -> None:
        """The answer as registers. Without outputs, because of its status, they are 0."""
        missing = self._size - len(answer)
        self.result = self.shared.result.to_wire(answer + bytes(missing) if missing else answer)
