"""Calls that a client repeats with one FC 23, as `plc_bindings.calls.replay` knows them.

request   transaction | 0, length, unit, 23, addresses, quantities | inputs
answer    transaction | 0, length, unit, 23, bytes | status | version | outputs
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from typing import Any, Final

from fieldbus.tags import Order
from plc_bindings.calls.replay import Replay, ReplayedCall, ReplaySelector
from plc_bindings.data.types import UDINT
from plc_bindings.modbus.blocks import PredictBlock
from plc_bindings.modbus.convert import Converter
from plc_bindings.modbus.session import ModbusSession
from plc_bindings.security.access import Client
from scheduler.status import TaskStatus

_INPUTS_AT: Final = 7 + 10
_STATUS_AT: Final = 7 + 2
_OUTPUTS_AT: Final = _STATUS_AT + 8
_ID: Final = (0, 2)
_GOOD: Final = bytes(4)


class RepeatedCalls:
    """One connection's. A call that comes for the second time is answered without Python from then on."""

    def __init__(
        self,
        session: ModbusSession,
        order: Order,
        selector: ReplaySelector,
        fd: int,
        client: Client,
        write: Callable[[bytes], None],
    ) -> None:
        self._session, self._order, self._write, self._newest = session, order, write, b""
        self._status = Converter([UDINT], order)
        self._not_finite = self._status.to_wire(struct.pack("<I", TaskStatus.NAN_OUTPUT))
        self._block: PredictBlock | None = None
        self._seen = 0
        self.replay = Replay(selector, fd, client, write, self._failed)

    @property
    def unseen(self) -> int:
        """Calls that were answered without Python since `catch_up`. Any thread."""
        return self.replay.answered - self._seen

    def catch_up(self) -> int:
        """Let the session know the newest call that was answered without it; gives how many there were."""
        count = self.unseen
        if count and self._block is not None:
            self._seen += count
            self._block.show(self.replay.inputs(), self.replay.answer()[_STATUS_AT:])
        return count

    def note(self, request: bytes, answer: bytes, is_between_frames: bool) -> None:
        """Bytes came, and were answered."""
        self.replay.allow(is_between_frames)
        block = self._session.called()
        if block is None or not is_between_frames:
            return
        call = self._call(block, request, answer)
        if call is not None:
            kind = request[2:_INPUTS_AT]
            if kind == self._newest and self.replay.begin(request, answer, call):
                self._block, self._seen = block, self.replay.answered
            self._newest = kind

    def _call(self, block: PredictBlock, request: bytes, answer: bytes) -> ReplayedCall | None:
        """None: `request` is not one whole call, or its values lie otherwise in registers than in memory."""
        called = block.called()
        if called is None or answer[_STATUS_AT : _STATUS_AT + len(_GOOD)] != _GOOD:
            return None
        served, context, version = called
        ends = served.signature
        if len(request) != _INPUTS_AT + ends.inputs.size or len(answer) != _OUTPUTS_AT + ends.outputs.size:
            return None
        views = *context.inputs.values(), *context.outputs.values()
        if self._order == Order.BADC and any(view.itemsize > 2 for view in views):  # no unit travels in reverse there
            return None
        units = self._units(context.inputs.values()), self._units(context.outputs.values())
        return ReplayedCall(
            served.slot, version, context, *_ID, _INPUTS_AT, _OUTPUTS_AT, _STATUS_AT, _GOOD, self._not_finite, units
        )

    def _units(self, views: Iterable[Any]) -> list[int]:
        """See `ReplayedCall.units`."""
        return [{Order.ABCD: view.itemsize, Order.CDAB: 2}.get(self._order, 1) for view in views]

    def _failed(self, answer: bytes, status: int) -> None:
        """Answer a call that ended with a status: outputs are 0."""
        result = self._status.to_wire(struct.pack("<I", status)) + answer[_STATUS_AT + 4 : _OUTPUTS_AT]
        result += bytes(len(answer) - _OUTPUTS_AT)
        if self._block is not None:
            self._block.show(self.replay.inputs(), result)
        self._write(answer[:_STATUS_AT] + result)
