"""A context of a model for calls: it follows its slot, and its tensors are bytes, whatever the protocol."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plc_bindings.data.models import Served
from rt_engine import Context
from scheduler.status import TaskStatus

_FEW = 32
"""Up to so many outputs a sum is faster than NumPy."""


class ModelCaller:
    """One context of one model, with its tensors as bytes. Not to be used by two threads at once.

    Attributes:
        inputs, outputs: bytes of each tensor, in the order of the signature.
        context, version: what computes, and its number in the slot.
    """

    def __init__(self, served: Served) -> None:
        self.served, self.version = served, 0
        self.context: Context | None = None
        self.follow()

    def follow(self) -> None:
        """Go over to the slot's newest version."""
        old = self.context
        model, self.version = self.served.slot.live
        context = model.context()
        if old is not None and old.state_specs == context.state_specs and old.state_is_finite:
            context.restore(old.save())
        self.context = context
        self.has_state = bool(context.state)
        self.inputs = [_bytes(view) for view in context.inputs.values()]
        self._bools = [view.reshape(-1).view(np.uint8) for view in context.inputs.values() if view.dtype == np.bool_]
        self.outputs = [_bytes(view) for view in context.outputs.values()]
        floats = [view.reshape(-1) for view in context.outputs.values() if view.dtype.kind == "f"]
        self._few: list[Any] = [view.data for view in floats if _is_few(view)]
        self._many = [view for view in floats if not _is_few(view)]
        self.run = context._run
        self.block = context.block_address

    def call(self, payload: memoryview, at: int, parts: list[bytes]) -> int:
        """Run on the inputs at `at`, append the outputs to `parts`; gives the status."""
        for target in self.inputs:
            end = at + len(target)
            target[:] = payload[at:end]
            at = end
        for given in self._bools:  # to a PLC all that is not 0 is TRUE, models know 0 and 1
            np.minimum(given, 1, out=given)
        status = self.run(self.block)
        if status:
            return int(status)
        parts.extend([bytes(source) for source in self.outputs])
        return self.judged()

    def judged(self) -> int:
        """0, or `NAN_OUTPUT`, of outputs and state after a run; such a state begins anew."""
        if self.has_state and self.context is not None and not self.context.state_is_finite:
            self.context.reset()
            return int(TaskStatus.NAN_OUTPUT)
        for few in self._few:  # a sum is finite only if every term is; one that only overflows is looked at again
            if not math.isfinite(sum(few)) and not np.isfinite(few).all():
                return int(TaskStatus.NAN_OUTPUT)
        for many in self._many:
            if not np.isfinite(many).all():
                return int(TaskStatus.NAN_OUTPUT)
        return 0


def _is_few(view: NDArray[Any]) -> bool:
    return view.size <= _FEW and view.itemsize > 2  # Python 3.11 cannot look into a buffer of half floats


def _bytes(view: NDArray[Any]) -> memoryview:
    raw: Any = view.reshape(-1).view(np.uint8)
    return memoryview(raw)
