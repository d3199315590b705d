"""Guard bytes behind every tensor of an arena: no kernel may write there."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest import mock

import numpy as np

from rt_engine.lower import assemble, plan
from rt_native.memory import align

GUARD = 64
BYTE = 0xA5
Spans = list[tuple[int, int]]


@contextmanager
def guarded() -> Iterator[Spans]:
    """Programs compiled in here leave guard bytes behind every tensor; gives (start, stop) of the last plan's tensors."""
    found: Spans = []
    lines = GUARD // align(1)

    def spread(*calls_and_ends: Any) -> plan.Layout:
        layout = plan.plan(*calls_and_ends)
        order = sorted(set(layout.offsets.values()))
        size = {at: max(align(max(s.nbytes, 1)) for s, o in layout.offsets.items() if o == at) for at in order}
        moved, end = {}, align(1)  # no memory is shared over time here: tensors lie one behind the other
        for at in order:
            moved[at] = end
            end += size[at] + lines * align(1)
        found[:] = [(moved[at], moved[at] + size[at]) for at in order]
        return replace(layout, offsets={s: moved[o] for s, o in layout.offsets.items()}, nbytes=end)

    with mock.patch.object(assemble, "plan", spread):
        yield found


def fill(arena: np.ndarray, spans: Spans) -> np.ndarray:
    """Write the guard bytes; gives where they are."""
    guards = np.ones(arena.size, bool)
    for start, stop in [(0, align(1)), *spans]:
        guards[start:stop] = False
    arena[guards] = BYTE
    return guards
