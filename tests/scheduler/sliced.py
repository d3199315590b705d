"""A model of several records, each of which costs a made-up time on the fake clock, in a task that runs it in slices."""

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np

from rt_engine.kernels.interface.record import RECORD
from rt_engine.run.slicing import slices_block
from rt_native.memory import Block
from tests.scheduler.fakes import Bench, FakeClock, FakeModel, bench, spec

US = 1_000
_PAIR = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)


class SlicedModel(FakeModel):
    """y = factor * x: x is read by the first record, y written by the last; record i takes `costs[i]` ns on `clock`.

    `seen`: x of each run that began; `ran`: how many records have run; `statuses`: number of a record since the start -> its status.
    """

    def __init__(
        self,
        clock: FakeClock,
        costs: Sequence[int],
        factor: float = 2.0,
        known: Sequence[int] | None = None,
        alone: Sequence[int] | None = None,
    ) -> None:
        super().__init__([spec("x", 1, 1)], [spec("y", 1, 1)], lambda i, o: 0)
        self.seen: list[float] = []
        self.ran, self.statuses, self.values = 0, dict[int, int](), dict[int, float]()
        self.costs = list(costs)
        records = Block(RECORD.itemsize * len(costs))
        state = [0.0]

        def run(arena: int, record: int) -> int:
            number = (record - records.address) // RECORD.itemsize
            clock.now_ns += self.costs[number]
            self.ran += 1
            if number == 0:
                state[0] = float(self.arrays["x"][0, 0])
                self.seen.append(state[0])
            if number == len(self.costs) - 1:
                self.arrays["y"][0, 0] = self.values.get(len(self.seen), factor * state[0])
            else:
                self.arrays["y"][0, 0] = np.nan  # memory of the run: nobody may look
            return self.statuses.get(self.ran, 0)

        kernel = _PAIR(run)
        times = list(costs if known is None else known)
        slices = slices_block(records.address, len(costs), [(i, i + 1) for i in range(len(costs))], times, alone)
        fields = self.fields
        fields["table"] = self._words([ctypes.cast(kernel, ctypes.c_void_p).value or 0])
        fields["records"], fields["count"], fields["slices"] = records.address, len(costs), slices.address
        self._parts += [kernel, records, slices]


def sliced(
    costs: Sequence[int],
    slice_ns: int = 300 * US,
    *,
    known: Sequence[int] | None = None,
    alone: Sequence[int] | None = None,
    clock: FakeClock | None = None,
    **more: Any,
) -> tuple[Bench, SlicedModel]:
    """A task of 1 ms that runs such a model in slices."""
    clock = clock or FakeClock()
    b = bench(clock=clock, slice_s=slice_ns / 1e9, **more)
    model = SlicedModel(clock, costs, known=known, alone=alone)
    assert b.slot is not None
    b.slot.fields["active"] = model.block_address
    b.slot.model = model
    return b, model
