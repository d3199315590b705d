"""Where the parts of a repeated call lie in AMS packets.

request   head | invoke id | group, offset, lengths | (name) | inputs
answer    head | invoke id | 0, length | status | version | outputs
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from fieldbus.ads import frames
from plc_bindings.ads.groups import NAME_BYTES
from plc_bindings.ads.session import AdsSession
from plc_bindings.calls.predict import RESULT_HEADER
from plc_bindings.calls.repeated import RepeatedCalls
from plc_bindings.calls.replay import ReplayedCall, ReplaySelector
from plc_bindings.security.access import Client
from scheduler.status import TaskStatus

_BY_NUMBER: Final = frames.HEAD.size + frames.READ_WRITE.size
_INPUTS_AT: Final = (_BY_NUMBER, _BY_NUMBER + NAME_BYTES)
_STATUS_AT: Final = frames.HEAD.size + frames.DATA.size
_OUTPUTS_AT: Final = _STATUS_AT + RESULT_HEADER
_ID: Final = (frames.HEAD.size - 4, frames.HEAD.size)
_GOOD, _NOT_FINITE = frames.RESULT.pack(0), frames.RESULT.pack(TaskStatus.NAN_OUTPUT)


class AdsRepeatedCalls(RepeatedCalls):
    """See `RepeatedCalls`."""

    def __init__(
        self, session: AdsSession, selector: ReplaySelector, fd: int, client: Client, write: Callable[[bytes], None]
    ) -> None:
        super().__init__(selector, fd, client, write)
        self._session = session

    def _call(self, request: bytes, answer: bytes) -> ReplayedCall | None:
        called = self._session.called()
        if called is None:
            return None
        served, context, version = called
        inputs_at = len(request) - served.signature.inputs.size
        if inputs_at not in _INPUTS_AT or len(answer) != _OUTPUTS_AT + served.signature.outputs.size:
            return None
        return ReplayedCall(served.slot, version, context, *_ID, inputs_at, _OUTPUTS_AT, _STATUS_AT, _GOOD, _NOT_FINITE)

    def _failed(self, answer: bytes, status: int) -> None:
        head = answer[frames.TCP.size : frames.HEAD.size]
        body = frames.DATA.pack(0, RESULT_HEADER) + frames.RESULT.pack(status) + answer[_STATUS_AT + 4 : _OUTPUTS_AT]
        length = frames.RESULT.pack(len(body))
        self._write(frames.TCP.pack(0, len(head) + len(body)) + head[:20] + length + head[24:] + body)
