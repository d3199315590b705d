"""What is given to a replay, and what comes of it (`scheduler.replay`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from rt_engine.recording.layout import Records
from scheduler.replay_block import What
from scheduler.replay_plan import Why

NOT_REPEATED = -1
"""Instead of a `What` in the row of a record that was not repeated."""

Each = Callable[["Piece", Records], None]
"""Gets each piece, and what came out of its records (`kept_dtype`): `what` is `NOT_REPEATED` where nothing did."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Records of a task in their order, all of one boot of its machine, and the checkpoints that were written meanwhile.

    Args:
        records: as `TaskLayout.dtype`.
        checkpoints: as `TaskLayout.checkpoint_dtype`; those of other records are not used.
        goes_on: its first record follows the last of the piece before: no checkpoint is needed.
    """

    records: Records
    checkpoints: Records
    goes_on: bool = False


@dataclass(frozen=True, slots=True)
class Difference:
    """Something of a cycle that is another than recorded. `wanted`, `got`: as numbers; as bits, in `..._bits`."""

    tick_ns: int
    number: int
    """Of the cycle, in the life of its task."""
    version: int
    what: What
    name: str
    """Of the output, or of the part of what the task remembers; "" where there is only one."""
    wanted_bits: int
    got_bits: int

    @property
    def wanted(self) -> float | int:
        """What was recorded."""
        return self._number(self.wanted_bits)

    @property
    def got(self) -> float | int:
        """What came now."""
        return self._number(self.got_bits)

    def _number(self, bits: int) -> float | int:
        is_float = self.what in (What.RAW, What.PUBLISHED, What.MONITOR)
        return float(np.int64(bits).view(np.float64)) if is_float else bits


@dataclass(frozen=True, slots=True)
class Replayed:
    """How a replay went."""

    task: str
    recorded: int
    """Records that it was given."""
    cycles: int
    """Of those, how many were repeated."""
    equal: int
    first: Difference | None = None
    left_out: Mapping[Why, int] = field(default_factory=dict)
    seconds: float = 0.0
    """In native code, and for bringing its pieces."""
    rows: Records | None = None
    """What came out of each record, where that was to be kept (`kept_dtype`)."""

    @property
    def is_equal(self) -> bool:
        """Was every cycle that could be repeated the same?"""
        return self.equal == self.cycles
