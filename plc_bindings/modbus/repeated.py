"""Where the parts of a repeated call with one FC 23 lie in frames.

request   transaction | 0, length, unit, 23, addresses, quantities | inputs
answer    transaction | 0, length, unit, 23, bytes | status | version | outputs
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from typing import Any, Final

from fieldbus.tags import Order
from plc_bindings.calls.repeated import RepeatedCalls
from plc_bindings.calls.replay import ReplayedCall, ReplaySelector
from plc_bindings.data.types import UDINT
from plc_bindings.modbus.convert import Converter
from plc_bindings.modbus.session import ModbusSession
from plc_bindings.security.access import Client
from scheduler.status import TaskStatus

_INPUTS_AT: Final = 7 + 10
_STATUS_AT: Final = 7 + 2
_OUTPUTS_AT: Final = _STATUS_AT + 8
_ID: Final = (0, 2)
_GOOD: Final = bytes(4)


class ModbusRepeatedCalls(RepeatedCalls):
    """See `RepeatedCalls`."""

    def __init__(
        self,
        session: ModbusSession,
        order: Order,
        selector: ReplaySelector,
        fd: int,
        client: Client,
        write: Callable[[bytes], None],
    ) -> None:
        super().__init__(selector, fd, client, write)
        self._session, self._order = session, order
        self._status = Converter([UDINT], order)
        self._not_finite = self._status.to_wire(struct.pack("<I", TaskStatus.NAN_OUTPUT))

    def _call(self, request: bytes, answer: bytes) -> ReplayedCall | None:
        """None also when values lie otherwise in registers than in memory."""
        block = self._session.called()
        if block is None:
            return None
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
            *(served.slot, version, context),
            *(*_ID, _INPUTS_AT, _OUTPUTS_AT, _STATUS_AT),
            *(_GOOD, self._not_finite, units),
            show=lambda inputs, answer: block.show(inputs, answer[_STATUS_AT:]),
        )

    def _units(self, views: Iterable[Any]) -> list[int]:
        """See `ReplayedCall.units`."""
        return [{Order.ABCD: view.itemsize, Order.CDAB: 2}.get(self._order, 1) for view in views]

    def _failed(self, answer: bytes, status: int) -> None:
        """Outputs are 0."""
        result = self._status.to_wire(struct.pack("<I", status)) + answer[_STATUS_AT + 4 : _OUTPUTS_AT]
        result += bytes(len(answer) - _OUTPUTS_AT)
        answer = answer[:_STATUS_AT] + result
        self.replay.show(answer)
        self._write(answer)
