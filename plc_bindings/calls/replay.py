"""A PLC calls the same model every cycle with other inputs: such calls are answered in native code, without Python.

    first calls    socket -> asyncio -> session -> model -> answer                Python keeps request and answer
    then           socket -> compare -> inputs -> model -> outputs -> socket      `replay_wait`, in place of epoll_wait(2)

The event loop waits in native code. A request that is the one kept, byte for byte but for its id and its inputs, is
answered there; everything else is left in the socket for asyncio. So a replay changes nothing but the time that a call
takes, and a Python thread that holds the interpreter does not delay it. Python has its turn again when the model was
replaced, when a run failed or took long, when an answer does not fit into the socket, and when the client's rate is to be counted.
"""

from __future__ import annotations

import asyncio
import math
import platform
import selectors
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from plc_bindings.calls.replay_block import BOOLS, MOST_BYTES, MOST_EVENTS, MOST_TENSORS, REPLAY, WAIT
from plc_bindings.security.access import Client
from rt_engine import Context, ModelSlot
from rt_native.library import Library
from rt_native.memory import Block

NATIVE: Final = Library("plc calls", modules=("plc_bindings.calls.replay_native",))
_MOST_FD: Final = 4096
_EVENT: Final = struct.Struct("=Ii4x" if platform.machine() in ("x86_64", "AMD64") else "=I4xi4x")
"""struct epoll_event is packed on x86-64 alone."""
_BUDGETS_PER_S: Final = 10
"""How often a second, at most, a client's rate is counted."""


@dataclass(frozen=True, slots=True)
class ReplayedCall:
    """What a replay must know of a call beside its bytes.

    Attributes:
        slot, version, context: what computed.
        id_at, id_end: bytes of the request that the answer repeats at the same place.
        inputs_at: where the inputs begin in the request; they are in a row.
        outputs_at, status_at: likewise in the answer.
        good, not_finite: the four bytes at `status_at`, for outputs that are finite, and for others.
        units: for each input, then for each output: so many bytes in a row travel in reverse; 1: as they are.
        show: takes inputs and answer of a call that was replayed, if anybody wants to see them.
    """

    slot: ModelSlot
    version: int
    context: Context
    id_at: int
    id_end: int
    inputs_at: int
    outputs_at: int
    status_at: int
    good: bytes
    not_finite: bytes
    units: tuple[Sequence[int], Sequence[int]] | None = None
    show: Callable[[bytes, bytes], None] | None = None


class Replay:
    """One connection's. Servers' thread only.

    Args:
        selector: of the loop.
        fd: the connection's socket.
        client: whose rate is counted.
        late: takes the rest of an answer that did not fit into the socket.
        failed: takes (an answer with the right id, status) of a run that ended with a status, to answer it.
    """

    def __init__(
        self,
        selector: ReplaySelector,
        fd: int,
        client: Client,
        late: Callable[[bytes], None],
        failed: Callable[[bytes, int], None],
    ) -> None:
        self._selector, self._fd, self._client, self._late, self._failed = selector, fd, client, late, failed
        self._block = Block(REPLAY.itemsize)
        self._fields = self._block.view(REPLAY)[0]
        self._call: ReplayedCall | None = None
        self._is_begun = False
        self.address = self._block.address

    @property
    def answered(self) -> int:
        """Calls that were answered without Python."""
        return int(self._fields["answered"])

    def begin(self, request: bytes, answer: bytes, call: ReplayedCall) -> bool:
        """From now on answer what differs from `request` in inputs and id only. False: it is not of that kind."""
        fields, self._call = self._fields, call
        fields["is_on"], fields["status"] = 0, 0
        (inputs, in_units), (outputs, out_units) = self._ends()
        size = sum(view.nbytes for view in inputs)
        fits = max(len(request), len(answer)) <= MOST_BYTES and max(len(inputs), len(outputs)) <= MOST_TENSORS
        came, gone = request[call.inputs_at : call.inputs_at + size], answer[call.outputs_at :]
        is_so = came == self.inputs() and gone == b"".join(map(_travelled, outputs, out_units))
        if not (fits and is_so and self._selector.can_replay(self._fd)):
            self.forget()
            return False
        fields["version"], fields["wanted_version"] = call.slot.version_address, call.version
        fields["execute"], fields["block"] = call.context.execute_address, call.context.block_address
        fields["request_bytes"], fields["answer_bytes"] = len(request), len(answer)
        fields["id_at"], fields["id_end"] = call.id_at, call.id_end
        fields["inputs_at"], fields["inputs_end"] = call.inputs_at, call.inputs_at + size
        fields["outputs_at"], fields["status_at"] = call.outputs_at, call.status_at
        fields["good"], fields["not_finite"] = (np.frombuffer(b, "<i4")[0] for b in (call.good, call.not_finite))
        for name, views, units in (("input", inputs, in_units), ("output", outputs, out_units)):
            fields[name + "s"] = len(views)
            for i, (view, unit) in enumerate(zip(views, units, strict=True)):
                kind = {"f": view.itemsize, "b": BOOLS}.get(view.dtype.kind, 0)
                fields[name][i] = (view.ctypes.data, view.nbytes, unit, kind)
        fields["request"][: len(request)] = np.frombuffer(request, np.uint8)
        fields["answer"][: len(answer)] = np.frombuffer(answer, np.uint8)
        left = int(fields["budget"])
        fields["budget"] = left + self._client.take(max(int(self._client.rate) // _BUDGETS_PER_S, 1) - left)
        fields["is_on"], self._is_begun = 1, True
        self._selector.attach(self._fd, self)
        return True

    def inputs(self) -> bytes:
        """Those of the newest call, as they came."""
        return b"".join(_travelled(view, unit) for view, unit in zip(*self._ends()[0], strict=True))

    def answer(self) -> bytes:
        """The newest."""
        answer: bytes = self._fields["answer"][: self._fields["answer_bytes"]].tobytes()
        return answer

    def show(self, answer: bytes) -> None:
        """Let those see the newest call who want to."""
        if self._call is not None and self._call.show is not None:
            self._call.show(self.inputs(), answer)

    def _ends(self) -> tuple[tuple[list[NDArray[Any]], list[int]], tuple[list[NDArray[Any]], list[int]]]:
        """(views, units) of inputs and of outputs."""
        assert self._call is not None
        context, units = self._call.context, self._call.units
        inputs, outputs = list(context.inputs.values()), list(context.outputs.values())
        ins, outs = units or ([1] * len(inputs), [1] * len(outputs))
        return (inputs, list(ins)), (outputs, list(outs))

    def allow(self, is_allowed: bool) -> None:
        """Only between two whole requests may one be answered."""
        self._fields["is_on"] = int(is_allowed and self._is_begun)

    def forget(self) -> None:
        """Answer nothing any more."""
        self._fields["is_on"], self._is_begun = 0, False
        self._selector.detach(self._fd)

    def close(self) -> None:
        """The connection has ended: answer nothing, and let the context go."""
        self.forget()
        self._call = None

    def recover(self) -> None:
        """Do what native code could not: send the rest of an answer, or say that a run failed."""
        status, fields = int(self._fields["status"]), self._fields
        if not status:
            return
        fields["status"] = 0
        answer = self.answer()
        if status < 0:
            self._late(answer[-1 - status :])
        else:
            self._failed(answer, status)
        self.forget()


def _travelled(view: NDArray[Any], unit: int) -> bytes:
    """A tensor as it travels."""
    raw = view.reshape(-1).view(np.uint8)
    return (raw if unit <= 1 else raw.reshape(-1, unit)[:, ::-1]).tobytes()


class ReplaySelector(selectors.EpollSelector):
    """Waits in native code, where replays answer."""

    def __init__(self) -> None:
        super().__init__()
        self._wait = NATIVE.function("replay_wait")
        self._table = Block(8 * _MOST_FD)
        self._addresses = self._table.view(np.int64, count=_MOST_FD)
        self._events, self._place = Block(MOST_EVENTS * _EVENT.size), Block(WAIT.itemsize)
        epoll: int = self._selector.fileno()  # type: ignore[attr-defined]
        self._place.view(WAIT)[0] = (epoll, self._events.address, _EVENT.size, self._table.address, _MOST_FD)
        self._seen = self._events.view(np.uint8, count=MOST_EVENTS * _EVENT.size).data
        self._replays: dict[int, Replay] = {}

    def can_replay(self, fd: int) -> bool:
        """Does asyncio read from this socket now, and has it nothing to write?"""
        key = self.get_map().get(fd)
        return 0 <= fd < _MOST_FD and key is not None and key.events == selectors.EVENT_READ

    def attach(self, fd: int, replay: Replay) -> None:
        """Let a replay answer what comes from a socket."""
        self._replays[fd] = replay
        self._addresses[fd] = replay.address

    def detach(self, fd: int) -> None:
        """No more."""
        if self._replays.pop(fd, None) is not None:
            self._addresses[fd] = 0

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """While asyncio has something to write, answers must wait behind it."""
        key = super().modify(fileobj, events, data)
        replay = self._replays.get(key.fd)
        if replay is not None:
            self._addresses[key.fd] = replay.address if events == selectors.EVENT_READ else 0
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        """The socket is closed, or not read from for a while: begun anew afterwards."""
        key = super().unregister(fileobj)
        self.detach(key.fd)
        return key

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """What is ready for asyncio."""
        wait_ms = -1 if timeout is None else max(math.ceil(timeout * 1e3), 0)
        count = self._wait(self._place.address, wait_ms)
        ready = []
        for i in range(count):
            bits, fd = _EVENT.unpack_from(self._seen, i * _EVENT.size)
            if fd in self._replays:
                self._replays[fd].recover()
            key = self.get_map().get(fd)
            if key is not None:
                events = (bits & ~1 and selectors.EVENT_WRITE) | (bits & ~4 and selectors.EVENT_READ)
                ready.append((key, events & key.events))
        return ready


class ServerLoop(asyncio.SelectorEventLoop):
    """An event loop whose connections may have replays."""

    def __init__(self) -> None:
        self.replays = ReplaySelector()
        super().__init__(self.replays)


def replays() -> ReplaySelector | None:
    """Those of the running loop, if it has any."""
    return getattr(asyncio.get_running_loop(), "replays", None)
