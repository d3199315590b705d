"""Predict on call: a PLC sends inputs and gets the outputs of that very call.

Each client has a context of its own for each model that it calls, so clients share models and nothing else; a model
with state keeps one for each client. A context follows its slot: after a hot update the next call runs the new version,
with the old one's state if both have the same and it is finite.

    call      inputs, packed, once or several times in a row
    answer    UDINT status, UDINT version of the model that computed, then as many times the outputs
              (outputs follow when status is 0, and when it is 106, NAN_OUTPUT: some of them, or of the model's state, are
              NaN or infinite; such a state begins anew with the next call)
"""

from __future__ import annotations

import struct
import time
from typing import Final

from plc_bindings.calls.caller import ModelCaller
from plc_bindings.calls.pace import Paces
from plc_bindings.data.models import Models, Served
from plc_bindings.status import CallStatus
from rt_engine import Context
from scheduler.status import TaskStatus

RESULT = struct.Struct("<II")
"""How an answer begins: status, version."""
RESULT_HEADER: Final = RESULT.size


class Predictor:
    """One client's calls. Not to be used by two threads at once.

    Args:
        models: what can be called.
        most: sets of inputs in one call.
        paces: what is known to all clients of a server.
    """

    def __init__(self, models: Models, most: int = 256, paces: Paces | None = None) -> None:
        self._models, self._most, self._paces = models, most, paces or Paces()
        self._callers: dict[int, ModelCaller] = {}
        self._is_closed = False

    def caller(self, number: int) -> tuple[Served, Context, int] | None:
        """(model, this client's context, its version) of a model that was called before."""
        caller = self._callers.get(number)
        return None if caller is None or caller.context is None else (caller.served, caller.context, caller.version)

    def is_slow(self, served: Served, count: int = 1) -> bool:
        """Would a call keep other clients waiting? This client's first one of a version does: it makes a context."""
        caller, version = self._callers.get(served.number), served.slot.version
        return caller is None or caller.version != version or self._paces.is_slow(served.number, version, count)

    def close(self) -> None:
        """The client is gone: compute nothing more for it, and let its contexts go. Any thread.

        They may be large: too large to wait until Python looks for cycles.
        """
        self._is_closed = True
        self._callers.clear()

    def call(self, model: int | str, payload: bytes | memoryview) -> bytes:
        """The answer to a call; never raises."""
        served = self._models.find(model)
        if served is None:
            return RESULT.pack(CallStatus.UNKNOWN_MODEL, 0)
        size = served.signature.inputs.size
        count, rest = divmod(len(payload), size) if size else (1, len(payload))
        if rest or not count:
            return RESULT.pack(CallStatus.WRONG_SIZE, served.slot.version)
        if count > self._most:
            return RESULT.pack(CallStatus.TOO_MANY, served.slot.version)
        if self._is_closed:
            return RESULT.pack(CallStatus.INTERNAL, served.slot.version)
        caller = self._callers.get(served.number)
        if caller is None:
            caller = ModelCaller(served)
            self._callers[served.number] = caller
            if self._is_closed:  # meanwhile
                self._callers.clear()
        elif caller.version != served.slot.version:
            caller.follow()
        parts, worst, data = [b""], 0, memoryview(payload)
        begin = time.perf_counter()
        for i in range(count):
            status = caller.call(data, i * size, parts)
            worst = status or worst
            if status and status != TaskStatus.NAN_OUTPUT:
                parts, count = [b""], i + 1
                break
        self._paces.note(served.number, caller.version, (time.perf_counter() - begin) / count)
        parts[0] = RESULT.pack(worst, caller.version)
        return b"".join(parts)
