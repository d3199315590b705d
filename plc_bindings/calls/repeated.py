"""Calls that a client repeats: the second one that differs from the first in its inputs only begins a replay."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from plc_bindings.calls.replay import Replay, ReplayedCall, ReplaySelector
from plc_bindings.security.access import Client


class RepeatedCalls(ABC):
    """One connection's. A protocol says where in its bytes a call's parts lie."""

    def __init__(self, selector: ReplaySelector, fd: int, client: Client, write: Callable[[bytes], None]) -> None:
        self._write, self._newest, self._seen = write, b"", 0
        self.replay = Replay(selector, fd, client, write, self._failed)

    def catch_up(self) -> int:
        """Let the session know what was answered without it since the last time; gives how many calls there were."""
        count = self.replay.answered - self._seen
        if count:
            self._seen += count
            self.replay.show(self.replay.answer())
        return count

    def note(self, request: bytes, answer: bytes, is_whole: bool) -> None:
        """Bytes came, and were answered. `is_whole`: they were whole requests, and all answers have been sent."""
        self.replay.allow(is_whole)
        call = self._call(request, answer)
        if call is None or not is_whole:
            return
        kind = request[: call.id_at] + request[call.id_end : call.inputs_at]
        if kind == self._newest:
            self.replay.begin(request, answer, call)
        self._newest = kind

    @abstractmethod
    def _call(self, request: bytes, answer: bytes) -> ReplayedCall | None:
        """None: `request` is not one whole call of a model, with one set of inputs, that went well."""

    @abstractmethod
    def _failed(self, answer: bytes, status: int) -> None:
        """Answer a call that ended with a status; `answer` is that to a call that did not."""
