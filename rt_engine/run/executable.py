"""A program bound to the kernels of this machine."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rt_engine.kernels.interface.abi import KERNEL_PREFIX
from rt_engine.program.program import Program
from rt_engine.run.chosen import Pieces, applied, chosen_for
from rt_engine.run.fanned import Fanned, fanned
from rt_engine.run.native import KERNELS
from rt_native.library import Library
from rt_native.memory import Block

ALWAYS = ("execute", "measure", "slot_activate", "slot_pick", "slot_withdraw", "state_is_finite")
"""Exports that whoever runs a program asks for sooner or later; compiled together with its kernels."""


class Executable:
    """A program with the addresses of this machine's kernels, and its records as they are quickest here (`run.chosen`).

    `chosen` is for who measures; by default it is looked up.
    """

    __slots__ = (
        "_addresses",
        "_fanned",
        "execute",
        "execute_address",
        "library",
        "program",
        "records",
        "table",
        "tuned",
    )

    def __init__(
        self, program: Program, library: Library = KERNELS, chosen: Mapping[str, Pieces] | None = None
    ) -> None:
        self.program, self.library = program, library
        self.records, self.tuned = applied(program, chosen_for(library).table if chosen is None else chosen)
        library.need((*(KERNEL_PREFIX + name for name in program.kernels), *ALWAYS))
        self.table = Block(8 * max(len(program.kernels), 1))
        self._addresses = _addresses(program.kernels, library)
        self.table.view(np.int64, 0, max(len(program.kernels), 1))[: len(program.kernels)] = self._addresses
        self._fanned: dict[int, Fanned | None] = {}
        self.execute = library.function("execute")
        self.execute_address = library.address("execute")

    def fanned(self, threads: int) -> Fanned | None:
        """Its records for so many threads; None: it stays on one core."""
        if threads not in self._fanned:
            self._fanned[threads] = self.fan(self.records, threads)
        return self._fanned[threads]

    def is_too_far(self, threads: int, line_ns: float) -> bool:
        """Is it cut for so many threads, and too short for cores between which a cache line takes so long (`run.distance`)?"""
        found = self.fanned(threads)
        return found is not None and not found.pays(line_ns)

    def fan(
        self, records: NDArray[Any], threads: int, times: Sequence[float] | None = None, longest_ns: float = math.inf
    ) -> Fanned | None:
        """Records of the program for so many threads, as `fanned` makes them, with this machine's kernels."""
        return fanned(self.program, records, self._addresses, self.library, threads, times, longest_ns)


def _addresses(kernels: Sequence[str], library: Library) -> list[int]:
    return [library.address(KERNEL_PREFIX + name) for name in kernels]
